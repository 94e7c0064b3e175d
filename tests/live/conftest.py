"""What live tests share: a module gives a back end, or two, and the proxy before them; each test gets them clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ollama import Client

from tests.live.two_backends import KINDS, two_backends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.proxy import ProxyProcess
    from tests.live.two_backends import Pair, Side
    from tests.standins import ScriptedBackend


LONGEST = (
    *("test_workers.py", "test_soak.py", "test_secrets.py", "test_any_server.py", "test_doors.py", "test_drain.py"),
    *("test_model_loading.py", "test_server_bounds.py", "test_load_balancer.py", "test_examples.py", "test_compat.py"),
)
"""Parallel runs begin with these files, so that none of them runs alone in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


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


# A back end with chat completions only, and one with everything.


@pytest.fixture(scope="module")
def _pair() -> Iterator[Pair]:
    with two_backends() as pair:
        yield pair


@pytest.fixture
def pair(_pair: Pair) -> Iterator[Pair]:
    _pair.clear()
    yield _pair
    _pair.check()


@pytest.fixture(params=KINDS)
def side(request: pytest.FixtureRequest, pair: Pair) -> Side:
    return pair.sides[request.param]


@pytest.fixture
def chat_only(pair: Pair) -> Side:
    return pair.sides["chat only"]


@pytest.fixture
def full(pair: Pair) -> Side:
    return pair.sides["everything"]
