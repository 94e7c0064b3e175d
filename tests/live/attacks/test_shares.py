"""One caller takes neither all places for calls nor the whole queue."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.attacks.targets import BEARER, DOORS, KEY, OTHER_BEARER, OTHER_KEY
from tests.live.proxy import ProxyProcess
from tests.live.raw_http import Answer, Raw, exchange, get, post
from tests.patience import wait_until
from tests.standins import Done, Gate, ScriptedBackend, Stream, finish, role, text

if TYPE_CHECKING:
    from tests.live.proxy import Door

BUSY = "server busy, please try again.  maximum pending requests exceeded"


def call(key: str, prompt: str = "hello") -> bytes:
    return post("/api/chat", {"model": "gpt-test", "messages": [{"role": "user", "content": prompt}]}, key)


@pytest.mark.parametrize("door", DOORS)
def test_a_caller_with_many_long_calls_leaves_a_place_to_others(door: Door) -> None:
    settings: dict[str, Any] = {
        "MAX_CONCURRENT_REQUESTS": "3",
        "MAX_QUEUED_REQUESTS": "3",
        "PROXY_API_KEYS": f"{KEY},{OTHER_KEY}",
    }
    goes_on = threading.Event()
    with (
        ScriptedBackend() as backend,
        ProxyProcess(door=door, OPENAI_API_BASE_URL=backend.base_url, **settings) as proxy,
        ExitStack() as opened,
    ):
        for _ in range(7):
            backend.reply_with(Stream([role(), text("a"), Gate(goes_on), finish(), Done()]))
        greedy = []
        for number in range(5):
            greedy.append(opened.enter_context(Raw(proxy.port)))
            greedy[-1].send(call(BEARER))
            wait_until(lambda number=number: under_way(proxy) == number + 1)  # type: ignore[misc]
        # Two are answered, three wait, and a sixth is refused; of the other caller a call is answered at once.
        assert [has_begun(each) for each in greedy[:2]] == [True, True]
        assert exchange(proxy.port, call(BEARER)).json == {"error": BUSY}
        other = opened.enter_context(Raw(proxy.port))
        other.send(call(OTHER_BEARER))
        assert has_begun(other)
        # The other caller's further call takes the place in the queue of the newest call of the caller with most.
        second = opened.enter_context(Raw(proxy.port))
        second.send(call(OTHER_BEARER))
        refused: Answer = greedy[4].answer()
        assert (refused.status, refused.json) == (503, {"error": BUSY})
        goes_on.set()
        for each in (*greedy[:4], other, second):
            assert each.answer().status == 200


def under_way(proxy: ProxyProcess) -> int:
    """How many requests the proxy has under way."""
    page = exchange(proxy.port, get("/metrics", BEARER)).body.decode()
    return int(float(next(line.split()[1] for line in page.splitlines() if line.startswith("ollama_proxy_requests_in_flight"))))


def has_begun(connection: Raw) -> bool:
    """Whether a stream arrives; waits for it."""
    return connection.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
