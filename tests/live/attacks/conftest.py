"""A proxy before a hostile server, for each door and mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.backend_side import SETUPS, Setup, setup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=SETUPS, ids=" ".join)
def _hostile(request: pytest.FixtureRequest) -> Iterator[Setup]:
    with setup(*request.param) as running:
        yield running
    assert "Traceback" not in running.proxy.log


@pytest.fixture
def hostile(_hostile: Setup) -> Setup:
    _hostile.server.forget()
    return _hostile
