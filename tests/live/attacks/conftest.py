"""The proxies that several kinds of attack share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.backend_side import SETUPS, Setup, setup
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


@pytest.fixture(scope="module", params=SETUPS, ids=" ".join)
def _hostile(request: pytest.FixtureRequest) -> Iterator[Setup]:
    with setup(*request.param) as running:
        yield running
    assert "Traceback" not in running.proxy.log


@pytest.fixture
def hostile(_hostile: Setup) -> Setup:
    """A proxy before a server that answers as the test says."""
    _hostile.server.forget()
    return _hostile
