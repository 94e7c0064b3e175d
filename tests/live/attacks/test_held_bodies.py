"""Of all clients' bodies together no more than MAX_BUFFERED is held."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.targets import BEARER, MIB, MODELS, NAMES, TARGETS, Target, on_linux, resident, target
from tests.live.raw_http import HOST, Raw, exchange, get, post
from tests.patience import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = on_linux
HEAD = b"POST /api/chat HTTP/1.1\r\n" + HOST + BEARER.encode() + b"\r\n"
LENGTH = 4 * MIB


@pytest.fixture(scope="module", params=TARGETS, ids=NAMES)
def small(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A proxy that holds no more than 10 MiB."""
    door, mode = request.param
    with target(door, mode, MAX_BUFFERED="10MiB", MAX_BODY_SIZE="6MiB") as running:
        yield running


@pytest.mark.parametrize("framing", ["with a length", "in chunks"])
def test_what_would_be_too_much_is_told_to_try_again_until_there_is_room(small: Target, framing: str) -> None:
    before = resident(small.proxy.worker)
    if framing == "in chunks":
        begun = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n%s\r\n" % bytes(1 << 16) * (LENGTH >> 16)
    else:
        begun = HEAD + b"Content-Length: %d\r\n\r\n" % (LENGTH + 1) + bytes(LENGTH)
    with ExitStack() as opened:
        stuck = [opened.enter_context(Raw(small.port, timeout=PATIENCE)) for _ in range(12)]
        refused = []
        for each in stuck:
            each.send(begun)
            each.socket.settimeout(0.3)
            try:
                refused.append(each.answer())
            except TimeoutError:
                continue
        assert len(refused) >= 9
        for answer in refused:
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "MAX_BUFFERED" in answer.json["error"]
        # What waits in sockets and was dropped costs little beside.
        assert resident(small.proxy.worker, peak=True) - before < 64 * MIB
        assert small.works()
    large = post("/api/chat", small.chat(options={"stop": ["x" * LENGTH]}), BEARER)
    wait_until(lambda: exchange(small.port, large).status != 503)


def test_what_a_body_unpacks_to_and_consists_of_counts(small: Target) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = "/v1/chat/completions" if small.mode == "translate" else "/api/chat"
    packed = zstandard.compress(b'{"model":"%s","messages":[],"x":"%s"}' % (MODELS[small.mode].encode(), b"x" * (5 * MIB)))
    many = b'{"model":"gpt-test","x":[' + b"0," * 200_000 + b"0]}"
    # 200,000 values count for 20 MB.
    assert exchange(small.port, post(path, many, BEARER)).status == 503
    with Raw(small.port) as first:
        first.send(HEAD + b"Content-Length: %d\r\n\r\n" % (5 * MIB + MIB // 2) + bytes(5 * MIB))
        for _ in range(100):  # until all of it has been read, a part at a time
            assert exchange(small.port, get("/api/version", BEARER)).status == 200
        assert exchange(small.port, post(path, packed, BEARER, "Content-Encoding: zstd")).status == 503
    wait_until(lambda: exchange(small.port, post(path, packed, BEARER, "Content-Encoding: zstd")).status != 503)
