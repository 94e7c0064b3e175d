"""What clients send before they have shown a key takes little memory, also of many requests together."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.targets import BEARER, DOORS, MIB, on_linux, resident, target
from tests.live.raw_http import HOST, Raw, exchange, get

if TYPE_CHECKING:
    from tests.live.proxy import Door

pytestmark = on_linux
BEGUN = {
    "a long header": b"GET /api/version HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 60_000,
    "a long target": b"GET /" + b"y" * 60_000,
    "part of a body": b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + bytes(60_000),
}


@pytest.mark.parametrize("begun", BEGUN.values(), ids=BEGUN)
def test_heads_that_are_not_completed_are_bounded_together(begun: bytes) -> None:
    with target("console", "translate") as attacked, ExitStack() as opened:
        before = resident(attacked.proxy.worker)
        for _ in range(800):
            opened.enter_context(Raw(attacked.port)).send(begun)
        # 48 MB were sent.
        assert exchange(attacked.port, get("/api/version", BEARER)).status == 200
        assert resident(attacked.proxy.worker, peak=True) - before < 25 * MIB


@pytest.mark.nightly  # a thousand requests; the unit tests of `Host` and of mitmdump's heads look into the caches
@pytest.mark.parametrize("door", DOORS)
def test_nothing_of_a_head_stays_in_memory(door: Door) -> None:
    with target(door, "translate") as attacked:
        exchange(attacked.port, get("/api/version"))
        before = resident(attacked.proxy.worker)
        for number in range(1100):
            long = f"n{number}" + "y" * 30_000
            exchange(attacked.port, f"GET /api/version HTTP/1.1\r\nHost: {long}\r\n{long}: a\r\n\r\n".encode())
        assert resident(attacked.proxy.worker) - before < 24 * MIB
