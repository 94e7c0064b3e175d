"""MAX_BODY_SIZE is the limit of an unpacked body, in whatever coding it comes."""

from __future__ import annotations

import functools
import gzip
import json
import zlib
from typing import TYPE_CHECKING

import brotli
import pytest
import zstandard

from tests.live.attacks.backend_side import in_mode, one_setup_each
from tests.live.attacks.targets import BEARER, HELLO, MIB, NAMES, TARGETS, Target, cpu_seconds, on_linux, resident, target
from tests.live.raw_http import exchange, post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = on_linux
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "br": lambda data: brotli.compress(data, quality=5),
}
HUGE = 64 * MIB


@functools.cache
def packed_bomb(coding: str) -> bytes:
    return PACK[coding](b'{"model":"gpt-test","messages":[{"role":"user","content":"' + b"x" * HUGE + b'"}]}')


@pytest.fixture(scope="module", params=TARGETS, ids=NAMES)
def small(request: pytest.FixtureRequest) -> Iterator[Target]:
    door, mode = request.param
    with target(door, mode, MAX_BODY_SIZE="1MiB") as running:
        yield running


@one_setup_each
@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat"])
def test_a_bomb_is_refused_before_it_has_unpacked(small: Target, coding: str, path: str) -> None:
    packed = packed_bomb(coding)
    assert len(packed) < MIB
    used, held = cpu_seconds(small.proxy.worker), resident(small.proxy.worker)
    for _ in range(3):
        answer = exchange(small.port, post(path, packed, BEARER, f"Content-Encoding: {coding}"))
        assert (answer.status, "MAX_BODY_SIZE" in answer.body.decode()) == (413, True)
    assert resident(small.proxy.worker, peak=True) - held < 40 * MIB
    assert cpu_seconds(small.proxy.worker) - used < 1
    assert small.works()


@in_mode("translate")  # fix mode passes bodies on as they come
@pytest.mark.parametrize("coding", PACK)
def test_a_body_within_the_limit_is_unpacked(small: Target, coding: str) -> None:
    body = json.dumps({"model": "gpt-test", "messages": HELLO}).encode()
    answer = exchange(small.port, post("/v1/chat/completions", PACK[coding](body), BEARER, f"Content-Encoding: {coding}"))
    assert answer.status == 200
