"""Whoever has no key makes the proxy neither parse nor keep anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.targets import BEARER, MIB, cpu_seconds, on_linux, resident, target
from tests.live.raw_http import HOST, exchange, get, post

if TYPE_CHECKING:
    from tests.live.attacks.targets import Target
    from tests.live.proxy import Door

pytestmark = on_linux
TIMES = 20
LARGEST_QUERY = "/api/chat?" + "&".join(f"a{number}=[[[1,2,3]]]" for number in range(2500))
ATTACKS = {
    "a query": get(LARGEST_QUERY),
    "a body of JSON": post("/api/chat", b"[" + b"{}," * 300_000 + b"{}]"),
    "a packed body": post("/v1/chat/completions", b"x" * MIB, "Content-Encoding: zstd"),
    "a name that no server has": post("/api/stop", b'{"model":"' + b"x" * MIB + b'"}'),
}
SMALL = get("/api/chat?a=1")


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_refused_request_costs_no_more_than_its_bytes(attacked: Target, attack: bytes) -> None:
    def cost(request: bytes) -> float:
        before = cpu_seconds(attacked.proxy.worker)
        for _ in range(TIMES):
            assert exchange(attacked.port, request).status == 401
        return (cpu_seconds(attacked.proxy.worker) - before) / TIMES

    memory = resident(attacked.proxy.worker)
    plain = cost(SMALL)
    # To take bytes from a socket and drop them takes no more than 20 ms for a megabyte, to parse these 60 ms to 1 s.
    assert cost(attack) - plain < 0.012 + 0.02 * len(attack) / MIB
    assert resident(attacked.proxy.worker, peak=True) - memory < 30 * MIB
    assert attacked.works()


@pytest.mark.parametrize("door", ["console", "mitmdump"])
def test_a_head_of_many_headers_is_refused_before_it_is_parsed(door: Door) -> None:
    """mitmproxy takes 0.5 s of CPU for a megabyte of short headers."""
    head = b"GET /api/version HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 10_000 + b"\r\n"
    with target(door, "translate") as attacked:
        before = cpu_seconds(attacked.proxy.worker)
        for _ in range(40):
            assert exchange(attacked.port, head).status == 431
        megabytes = 40 * len(head) / MIB
        assert (cpu_seconds(attacked.proxy.worker) - before) / megabytes < 0.2
        assert exchange(attacked.port, get("/api/version", BEARER)).status == 200
        # Up to the limit they are let in.
        assert exchange(attacked.port, get("/api/version", BEARER, *["a: b"] * 198)).status == 200
        assert exchange(attacked.port, get("/api/version", BEARER, *["a: b"] * 199)).status == 431
