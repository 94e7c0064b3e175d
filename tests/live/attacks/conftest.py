"""The proxies that several kinds of attack share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.targets import NAMES, TARGETS, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.attacks.targets import Target


@pytest.fixture(scope="module", params=TARGETS, ids=NAMES)
def attacked(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A proxy with a key and default settings."""
    door, mode = request.param
    with target(door, mode) as running:
        yield running
        assert "Traceback" not in running.proxy.log
