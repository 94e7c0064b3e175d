"""What the live tests of translate mode share: a module gives the pair of back end and proxy, each test gets it clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ollama import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.proxy import ProxyProcess
    from tests.standins import ScriptedBackend


@pytest.fixture
def backend(_shared: tuple[ScriptedBackend, ProxyProcess]) -> Iterator[ScriptedBackend]:
    backend = _shared[0]
    backend.requests.clear()
    backend.sent.clear()
    backend.violations.clear()
    yield backend
    assert backend.violations == []
    assert backend.wait_idle()


@pytest.fixture
def url(_shared: tuple[ScriptedBackend, ProxyProcess], backend: ScriptedBackend) -> str:
    return _shared[1].url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    client = Client(url)
    yield client
    client.close()
