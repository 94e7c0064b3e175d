"""A server that sends too much: memory and CPU stay bounded. Memory is read from /proc, CPU as ticks of the process."""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from tests.live.attacks.backend_side import (
    BEARER,
    CALLS,
    Says,
    Setup,
    head,
    in_mode,
    listing,
    one_setup_each,
    reply,
    said,
    setup,
)
from tests.live.attacks.targets import TARGETS
from tests.live.raw_http import Raw, get, post
from tests.live.test_fix_mode import peak_memory
from tests.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
EVENTS = "text/event-stream"
LIMIT = MIB
"""Of an answer. A line, of which many may be read, and what a network read unpacks to have limits that no setting moves."""
LINE, UNPACKED = 32 * MIB, 16 * MIB


def far(limit: int) -> int:
    """A size that is far beyond a limit, and beyond the room for what has that limit."""
    return 32 * MIB + 5 * limit


def room(limit: int) -> int:
    """What a single answer may make the process use: itself, and some copies of what has a limit."""
    return 20 * MIB + 4 * limit


@pytest.fixture(scope="module", params=TARGETS, ids=" ".join)
def _small(request: pytest.FixtureRequest) -> Iterator[Setup]:
    with setup(*request.param, MAX_ANSWER_SIZE=str(LIMIT)) as running:
        running.works()
        yield running


@pytest.fixture
def small(_small: Setup) -> Setup:
    _small.server.forget()
    return _small


def endless(*first: bytes, piece: bytes, size: int = far(LIMIT)) -> Callable[[], Iterator[bytes]]:
    """Pieces up to a size that is far beyond every limit."""
    return lambda: itertools.chain(first, itertools.repeat(piece, size // len(piece)))


@functools.cache
def bomb(coding: str) -> bytes:
    return PACKERS[coding](json.dumps(said("x")).encode()[:-1] + b',"pad":"' + b"a" * far(UNPACKED) + b'"}')


X = b"x" * MIB
TOO_MUCH: dict[str, Callable[[], Iterator[bytes]]] = {
    "an error": endless(head(400, "Connection: close"), b'{"error":{"message":"', piece=X),
    "an error in plain text": endless(head(500, "Connection: close", kind="text/plain"), piece=X),
    "an error of a call that is missing": endless(head(404, "Connection: close"), piece=X),
    "a whole answer": endless(head(200, "Connection: close"), b'{"choices":[{"message":{"content":"', piece=X),
    "a whole answer of known length": endless(head(200, length=1 << 40), b'{"choices":[{"message":{"content":"', piece=X),
    "embeddings": endless(head(200, "Connection: close"), b'{"data":[{"embedding":[', piece=b"0.125," * 170_000),
    "a line": endless(head(200, "Connection: close", kind=EVENTS), b"data: ", piece=X, size=far(LINE)),
    "a line of NDJSON": endless(
        head(200, "Connection: close", kind="application/x-ndjson"), b'{"response":"', piece=X, size=far(LINE)
    ),
    "an event of many lines": endless(head(200, "Connection: close", kind=EVENTS), b"data: [\n", piece=b"data: 1,\n" * 100_000),
    "the name of an event": endless(head(200, "Connection: close", kind=EVENTS), b"event: ", piece=X, size=far(LINE)),
    "a page": endless(head(200, "Connection: close", kind="text/html"), b"<html>", piece=X),
    "text": endless(head(200, "Connection: close", kind="text/plain"), piece=X),
    "white space": endless(head(200, "Connection: close"), piece=b" " * MIB),
    "a header": endless(b"HTTP/1.1 200 OK\r\nX: ", piece=X),
    "headers": endless(b"HTTP/1.1 200 OK\r\n", piece=b"X: y\r\n" * 100_000),
    "the name of a header": endless(b"HTTP/1.1 200 OK\r\n", piece=X),
    "the reason of a status": endless(b"HTTP/1.1 200 ", piece=X),
    "a trailer": endless(head(200, "Transfer-Encoding: chunked"), b"0\r\nX: ", piece=X),
    "the size of a chunk": endless(head(200, "Transfer-Encoding: chunked"), piece=b"0" * MIB),
    "arguments of a call": endless(
        head(200, "Connection: close", kind=EVENTS),
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f",'
        b'"arguments":"{\\"a\\":\\""}}]}}]}\n\n',
        piece=b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"%s"}}]}}]}\n\n' % X,
    ),
    "text of a call": endless(
        head(200, "Connection: close", kind=EVENTS),
        b'data: {"choices":[{"index":0,"delta":{"content":"<tool_call>"}}]}\n\n',
        piece=b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % X,
    ),
}
LINES = ("a line", "a line of NDJSON", "the name of an event")
LINES_OF = ("a chat", "a whole chat", "OpenAI's streamed chat", "embeddings")
"""The calls whose answers are lines without an end. Such an answer is large, for what limits a line is no setting."""
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
}


def resident(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@one_setup_each
@pytest.mark.parametrize("what", TOO_MUCH)
def test_an_answer_that_does_not_end_is_not_held(small: Setup, what: str) -> None:
    small.server.answer = lambda _: Says(TOO_MUCH[what](), "close")
    resting = resident(small.proxy.worker)
    reset_peak(small.proxy.worker)
    for name in LINES_OF if what in LINES else CALLS:
        drained = drain(small, *CALLS[name])
        used = peak_memory(small.proxy.worker) - resting
        most = room(LINE if what in LINES else LIMIT)
        assert used < most, f"{used >> 20} MiB at {name}, which got {drained >> 20} MiB"
    assert small.works()


@one_setup_each
@pytest.mark.parametrize("coding", PACKERS)
@pytest.mark.parametrize("status", [200, 400])
def test_a_few_bytes_do_not_become_many(small: Setup, coding: str, status: int) -> None:
    packed = bomb(coding)
    assert len(packed) < MIB // 8
    small.server.answer = lambda _: Says([reply(packed, status, f"Content-Encoding: {coding}")])
    resting = resident(small.proxy.worker)
    reset_peak(small.proxy.worker)
    for name, (path, body) in CALLS.items():
        drain(small, path, body)
        used = peak_memory(small.proxy.worker) - resting
        assert used < room(UNPACKED), f"{used >> 20} MiB at {name}"
    small.server.lists = lambda _: Says([reply(packed, 200, f"Content-Encoding: {coding}")])
    drain(small, "/readyz", None)
    assert peak_memory(small.proxy.worker) - resting < room(UNPACKED)


@pytest.mark.parametrize("coding", PACKERS)
def test_an_answer_that_is_packed_unasked_is_read(small: Setup, coding: str) -> None:
    pack = PACKERS[coding]
    content = pack(json.dumps(said("fine")).encode())
    small.server.answer = lambda _: Says([reply(content, 200, f"Content-Encoding: {coding}")])
    for name in CALLS:
        answer = small.call(CALLS[name])
        assert answer.status == 200
        assert "content-encoding" not in answer.headers
    assert all(request.headers.get("accept-encoding", "identity") == "identity" for request in small.server.requests)


@in_mode("translate")
def test_no_packed_answer_is_asked_for(small: Setup) -> None:
    for name in CALLS:
        small.call(CALLS[name], "Accept-Encoding: gzip, zstd")
    assert {request.headers["accept-encoding"] for request in small.server.calls} == {"identity"}


def test_a_list_of_models_that_does_not_end_is_given_up(small: Setup) -> None:
    piece = b'{"id":"a","name":"a"},' * 40_000
    small.server.lists = lambda _: Says(
        endless(head(200, "Connection: close"), b'{"data":[', piece=piece, size=far(UNPACKED))(), "close"
    )
    resting = resident(small.proxy.worker)
    reset_peak(small.proxy.worker)
    assert small.call(("/readyz", None)).status in (200, 503)
    assert peak_memory(small.proxy.worker) - resting < room(UNPACKED)  # a list has the limit of what is unpacked
    assert small.works()


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after[11]) + int(after[12])) / os.sysconf("SC_CLK_TCK")


def cost(small: Setup, pieces: list[bytes], name: str, kind: str = EVENTS) -> float:
    small.server.answer = lambda _: Says([head(200, "Connection: close", kind=kind), *pieces], "close")
    path, body = CALLS[name]
    before = cpu(small.proxy.worker)
    drain(small, path, body)
    return cpu(small.proxy.worker) - before


LONG: dict[str, Callable[[int], tuple[list[bytes], str]]] = {
    "a line in small pieces": lambda n: ([b'data: {"a":"', *[b"x" * 1024] * n, b'"}\n\n'], EVENTS),
    "a line of NDJSON": lambda n: ([b'{"a":"', *[b"x" * 1024] * n, b'"}\n'], "application/x-ndjson"),
    "an event of many lines": lambda n: (
        [b'data: {"a":["b"\n', *[b"data: ,1,2,3,4,5,6,7,8,9\n" * 40] * n, b"data: ]}\n\n"],
        EVENTS,
    ),
    "a whole answer whose reads seem to end it": lambda n: ([b'{"a":"', *[b"}" * 1024] * n, b'"}'], "application/json"),
    "a whole answer of many lines": lambda n: ([b'{"a":[1\n', *[b",1\n" * 256] * n, b"]}"], "application/json"),
    "lines that are no events": lambda n: ([b"x\n" * 512] * n, EVENTS),
    "white space": lambda n: ([b" " * 1024] * n, "application/json"),
    "think tags begun": lambda n: (
        [b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"<thin" * 200)] * n,
        EVENTS,
    ),
}


@one_setup_each
@pytest.mark.parametrize("what", LONG)
@pytest.mark.parametrize("name", ["a chat", "OpenAI's streamed chat", "a whole chat"])
def test_four_times_the_bytes_cost_no_more_than_six_times_the_cpu(small: Setup, what: str, name: str) -> None:
    once = max(cost(small, *swapped(LONG[what](1000), name)), 0.05)
    more = cost(small, *swapped(LONG[what](4000), name))
    assert more < 6 * once + 0.2


def swapped(made: tuple[list[bytes], str], name: str) -> tuple[list[bytes], str, str]:
    pieces, kind = made
    return pieces, name, kind


def reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def drain(small: Setup, path: str, body: dict[str, object] | None) -> int:
    """Read an answer as a client that keeps nothing; returns its size."""
    size = 0
    headers = (BEARER, "Connection: close")
    with Raw(small.proxy.port) as connection, suppress(ConnectionError):
        connection.send(get(path, *headers) if body is None else post(path, body, *headers))
        while part := connection.socket.recv(1 << 18):
            size += len(part)
    return size


def test_a_well_behaved_large_answer_passes(small: Setup) -> None:
    small.server.answer = lambda _: Says([reply(said("y" * (MIB // 2)))])
    for name in CALLS:
        assert drain(small, *CALLS[name]) > 100
    small.server.lists = lambda _: Says([reply(listing(*({"id": f"m{n}", "name": f"m{n}"} for n in range(2000))))])
    # A list that could not be read is asked for again a little later.
    wait_until(lambda: small.call(("/readyz", None)).status == 200)
