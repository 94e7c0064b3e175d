"""The contract of `mitm/client_timeouts.py`, `console_http.py` and `http1_patches.py` with a mitmproxy that really listens.

These tests fail when an upgrade of mitmproxy moves the internals that it relies on.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.mitm.client_timeouts import stop_listening

from tests.live.proxy import ProxyProcess
from tests.live.raw_http import HOST, JSON_TYPE, Raw, exchange, get, post
from tests.live.test_fix_mode import peak_memory
from tests.live.test_upstream import Listening, echo
from tests.patience import PATIENCE, wait_until
from tests.standins import ScriptedBackend, Sleep, Stream, finish, text

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "key-of-the-tests"
BEARER = f"Authorization: Bearer {KEY}"
AUTHORIZED = f"{BEARER}\r\n".encode()
CHUNKED = b"POST /api/show HTTP/1.1\r\n" + HOST + AUTHORIZED + b"Transfer-Encoding: chunked\r\n\r\n"
SHOW = b'{"model":"gpt-test"}'
MIB = 1 << 20
TOO_SLOW = {"error": "the request was not sent in time"}
MALFORMED = {"error": "malformed HTTP request"}


@pytest.fixture(scope="module", params=["console", "mitmdump"])
def proxy(request: pytest.FixtureRequest) -> Iterator[ProxyProcess]:
    """One whose patience is short."""
    with (
        ScriptedBackend() as backend,
        ProxyProcess(
            door=request.param, OPENAI_API_BASE_URL=backend.base_url, PROXY_API_KEYS=KEY, CLIENT_TIMEOUT="1", LOG_LEVEL="debug"
        ) as running,
    ):
        yield running
        assert "Traceback" not in running.log


@pytest.fixture
def connection(proxy: ProxyProcess) -> Iterator[Raw]:
    with Raw(proxy.port) as raw:
        yield raw


def works(connection: Raw) -> bool:
    """Whether a good request on the same connection is answered."""
    connection.send(get("/api/version", BEARER))
    answer = connection.answer()
    return (answer.status, list(answer.json)) == (200, ["version"])


# -- Slow clients ------------------------------------------------------------------------------------------------------

BEGINNINGS = {
    "one byte": b"G",
    "the request line": b"GET /api/version HTTP/1.1\r\n",
    "all of the head but its end": get("/api/version", BEARER)[:-2],
    "a body of known length": post("/api/show", SHOW, BEARER)[:-1],
    "a body in chunks": CHUNKED + b"14\r\n{",
    "a chunk's size": CHUNKED + b"1",
    "trailers": CHUNKED + b"0\r\nX: ",
}


def test_a_client_that_stops_in_the_middle_is_told_so_and_sent_away(proxy: ProxyProcess) -> None:
    begun = time.monotonic()
    stuck = {name: Raw(proxy.port) for name in BEGINNINGS}
    for name, connection in stuck.items():
        connection.send(BEGINNINGS[name])
    for name, connection in stuck.items():
        with connection:
            answer = connection.answer()
            assert (answer.status, answer.json, answer.headers["connection"]) == (408, TOO_SLOW, "close"), name
            assert answer.headers["content-type"] == JSON_TYPE
            assert len(answer.headers["x-request-id"]) == 32
            assert connection.rest() == b"", name
    assert time.monotonic() - begun > 0.9


@pytest.mark.parametrize("sent", ["too little of its body", "a broken chunk"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages?beta=true"])
def test_whoever_is_sent_away_is_told_in_the_shape_of_the_api_that_it_called(connection: Raw, path: str, sent: str) -> None:
    slow = sent == "too little of its body"
    connection.send(post(path, SHOW, BEARER)[:-1] if slow else CHUNKED.replace(b"/api/show", path.encode()) + b"z\r\n")
    answer = connection.answer()
    assert answer.status == (408 if slow else 400)
    error = answer.json["error"]
    assert error["message"]
    assert error["type"]
    assert (answer.json.get("type") == "error") == ("messages" in path)


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /api/version HTTP/1.1\r\nX: ",
        b"POST /api/show HTTP/1.1\r\n" + HOST + AUTHORIZED + b"Content-Length: 1000000\r\n\r\n",
        CHUNKED + b"f4240\r\n",
    ],
    ids=["head", "body", "chunked body"],
)
def test_a_client_that_drips_is_sent_away_however_alive_it_looks(connection: Raw, begin: bytes) -> None:
    connection.send(begin)
    begun = time.monotonic()
    connection.socket.settimeout(0.05)
    received = b""
    while time.monotonic() - begun < 8 and not received:
        connection.send(b"x")
        with suppress(TimeoutError):
            received = connection.socket.recv(1 << 16)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun > 0.9


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_slow_but_steady_client_is_not_cut(connection: Raw, chunked: bool) -> None:
    size, pieces = 400, 15
    body = json.dumps({"model": "gpt-test", "system": "x" * (size * pieces - 35)}).encode().ljust(size * pieces)
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    connection.send(b"POST /api/show HTTP/1.1\r\n" + HOST + AUTHORIZED + framing + b"\r\n\r\n")
    begun = time.monotonic()
    for number in range(pieces):
        time.sleep(0.2)  # 2 kB a second
        piece = body[number * size : (number + 1) * size]
        connection.send(b"%x\r\n%s\r\n" % (size, piece) if chunked else piece)
    if chunked:
        connection.send(b"0\r\n\r\n")
    assert connection.answer().status == 200
    assert time.monotonic() - begun > 2


def test_a_connection_without_a_request_is_kept(proxy: ProxyProcess) -> None:
    with Raw(proxy.port) as fresh, Raw(proxy.port) as used, Raw(proxy.port) as refused:
        assert works(used)
        refused.send(post("/api/show", SHOW))
        assert refused.answer().status == 401
        time.sleep(2)  # twice as long as a request may take
        assert works(fresh)
        assert works(used)
        assert works(refused)


def test_a_line_break_behind_a_body_begins_no_request(connection: Raw) -> None:
    connection.send(post("/api/show", SHOW, BEARER) + b"\r\n")
    assert connection.answer().status == 200
    connection.send(b"\r\n\r\n" + get("/api/version", BEARER))
    assert connection.answer().status == 200
    connection.send(b"\r\n")
    time.sleep(1.5)
    assert works(connection)


def test_an_answer_may_take_longer_than_a_request() -> None:
    body = {"model": "gpt-test", "messages": [{"role": "user", "content": "hello"}]}
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, CLIENT_TIMEOUT="1") as proxy:
        backend.reply_with(Stream([text("a"), Sleep(1.5), text("b"), finish()], before=[Sleep(1.5)]))
        assert exchange(proxy.port, post("/api/chat", body)).body.count(b"\n") == 3


# -- How much ----------------------------------------------------------------------------------------------------------

HUGE = {
    "one header": b"X: " + b"x" * 200_000,
    "many headers": b"".join(b"X-%d: y\r\n" % number for number in range(20_000)),
    "a key": b"Authorization: Bearer " + b"k" * 200_000,
    "without an end": b"X: " + b"x" * 80_000,
}
BEFORE = {"at once": b"", "behind line breaks": b"\r\n\r\n"}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("huge", HUGE.values(), ids=HUGE)
def test_a_huge_head_is_refused(connection: Raw, huge: bytes, before: bytes) -> None:
    connection.send(before + b"GET /api/version HTTP/1.1\r\n" + HOST + huge + (b"\r\n\r\n" if len(huge) > 100_000 else b""))
    answer = connection.answer()
    assert answer.status == 431
    assert answer.json["error"] in ("the head of the request is too large", "the request has too many headers")


def test_a_huge_path_is_refused(connection: Raw) -> None:
    connection.send(get("/" + "x" * 200_000))
    assert connection.answer().status == 431


def test_a_head_may_be_as_large_as_a_browsers_cookies(connection: Raw) -> None:
    connection.send(get("/api/version", BEARER, "Cookie: " + "c" * 30_000))
    assert connection.answer().status == 200
    assert works(connection)


# -- One after the other -----------------------------------------------------------------------------------------------


def test_requests_that_are_sent_at_once_are_answered_in_turn(connection: Raw) -> None:
    requests = [get("/api/version", BEARER, f"X-Request-Id: {number}") for number in range(5)]
    requests[2] = post("/api/show", SHOW, BEARER, "X-Request-Id: 2")
    requests[3] = post("/api/show", SHOW, "X-Request-Id: 3")
    connection.send(b"".join(requests))
    answers = [connection.answer() for _ in requests]
    assert [answer.headers["x-request-id"] for answer in answers] == ["0", "1", "2", "3", "4"]
    assert [answer.status for answer in answers] == [200, 200, 200, 401, 200]


@pytest.mark.parametrize("begun", range(len("GET /api/version HTTP/1.1\r\nHost: 127.0.0.1\r\n") + 1))
def test_a_request_that_begins_in_the_packet_in_which_another_one_ends_is_one(connection: Raw, begun: int) -> None:
    second = get("/api/version", BEARER)
    connection.send(post("/api/show", SHOW, BEARER) + second[:begun])
    assert connection.answer().status == 200
    connection.send(second[begun:])
    assert connection.answer().status == 200


def test_a_request_that_comes_byte_by_byte_is_one(connection: Raw) -> None:
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in post("/api/show", SHOW, BEARER) + get("/api/version", BEARER):
        connection.send(bytes([byte]))
    assert [connection.answer().status, connection.answer().status] == [200, 200]


def test_trailers_are_dropped(connection: Raw) -> None:
    head = b"POST /api/show HTTP/1.1\r\n" + HOST + AUTHORIZED + b"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
    connection.send(head + b"14\r\n" + SHOW + b"\r\n0\r\nX: y\r\nAuthorization: Bearer wrong\r\n\r\n")
    assert connection.answer().status == 200
    assert works(connection)


# -- Nonsense ----------------------------------------------------------------------------------------------------------

MARK = b"marked-secret"
NONSENSE = {
    "no request line": MARK + b" is no request line at all\r\n\r\n",
    "a header that is none": b"GET /api/version HTTP/1.1\r\n" + MARK + b"\r\n\r\n",
    "a header with a NUL": b"GET /api/version HTTP/1.1\r\nX: " + MARK + b"\0\r\n\r\n",
    "a name that is none": b"GET /api/version HTTP/1.1\r\n" + MARK + b"<>: x\r\n\r\n",
    "a length that is none": b"POST /api/show HTTP/1.1\r\nContent-Length: " + MARK + b"\r\n\r\n",
    "both lengths": b"POST /" + MARK + b" HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a coding that is none": b"POST /api/show HTTP/1.1\r\nTransfer-Encoding: " + MARK + b"\r\n\r\n",
    "a chunk that is none": b"POST /api/show HTTP/1.1\r\n"
    + HOST
    + AUTHORIZED
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + MARK
    + b"\r\n",
    "a scheme that is none": b"GET gopher://" + MARK + b"/ HTTP/1.1\r\n\r\n",
    "bytes": b"\x00\xff\x80" + MARK + b"\r\n\r\n",
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_answered_in_json_and_not_quoted(proxy: ProxyProcess, connection: Raw, nonsense: bytes) -> None:
    connection.send(nonsense)
    answer = connection.answer()
    assert (answer.status, answer.json) == (400, MALFORMED)
    assert (answer.headers["content-type"], answer.headers["connection"]) == (JSON_TYPE, "close")
    assert connection.rest() == b""
    assert MARK.decode() not in proxy.log
    assert MARK.hex() not in proxy.log
    wait_until(lambda: answer.headers["x-request-id"] in proxy.log)


@pytest.mark.parametrize("proxy", ["console"], indirect=True)  # mitmdump knows TLS
@pytest.mark.parametrize("record", [b"\x16\x03\x01\x00\x14\x01\x00\x00\x10" + MARK + b"\0\0\0"], ids=["no hello"])
def test_tls_is_refused_at_once_and_leaves_nothing_behind(proxy: ProxyProcess, record: bytes) -> None:
    before = open_files(proxy)
    for _ in range(10):
        with Raw(proxy.port) as plain, pytest.raises(OSError):  # noqa: PT011  # of many kinds
            ssl._create_unverified_context().wrap_socket(plain.socket)
        with Raw(proxy.port) as raw:
            raw.send(record)
            assert raw.answer().json == MALFORMED
            assert raw.rest() == b""
    wait_until(lambda: open_files(proxy) <= before)
    assert MARK.hex() not in proxy.log


def test_connections_that_come_to_nothing_leave_nothing_behind(proxy: ProxyProcess) -> None:
    before = open_files(proxy)
    for beginning in [b"", *BEGINNINGS.values(), *NONSENSE.values()]:
        for _ in range(3):
            with Raw(proxy.port) as raw:
                raw.send(beginning)
    wait_until(lambda: open_files(proxy) <= before)


def open_files(proxy: ProxyProcess) -> int:
    try:
        return len(list(Path(f"/proc/{proxy.worker}/fd").iterdir()))
    except FileNotFoundError:
        pytest.skip("the open files of a process are counted in /proc")


# -- Refused before the body -------------------------------------------------------------------------------------------


def test_a_large_body_of_a_refused_request_is_dropped_and_ends_the_connection(proxy: ProxyProcess) -> None:
    size = 50 * MIB
    with Raw(proxy.port, timeout=PATIENCE) as connection:
        connection.send(b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n{" % size)
        answer = connection.answer()
        assert answer.status == 401
        before = peak_memory(proxy.worker)
        sent, part = 1, bytes(MIB)
        with suppress(ConnectionError):
            while sent < size:
                connection.socket.sendall(part[: size - sent])
                sent += len(part)
        assert sent < size
        assert connection.is_closed(within=PATIENCE)
    assert peak_memory(proxy.worker) - before < 10 * MIB


def test_the_chunks_of_a_refused_request_are_dropped_and_end_the_connection(proxy: ProxyProcess) -> None:
    with Raw(proxy.port, timeout=PATIENCE) as connection:
        connection.send(b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        assert connection.answer().status == 401
        for _ in range(1000):
            connection.send(b"2710\r\n" + bytes(10_000) + b"\r\n")
        assert connection.is_closed(within=PATIENCE)


def test_a_small_rest_of_a_refused_request_is_dropped_and_the_connection_goes_on(connection: Raw) -> None:
    connection.send(b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    assert connection.answer().status == 401
    for _ in range(6):
        connection.send(b"2710\r\n" + bytes(10_000) + b"\r\n")
    connection.send(b"0\r\n\r\n")
    assert works(connection)


def test_a_refused_client_that_does_not_send_its_body_is_sent_away(connection: Raw) -> None:
    connection.send(b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n")
    assert connection.answer().status == 401
    # Silently: it has its answer.
    assert connection.is_closed(within=5)


def test_who_asks_before_it_sends_is_answered(connection: Raw) -> None:
    connection.send(post("/api/show", SHOW, BEARER, "Expect: 100-continue")[: -len(SHOW)])
    assert connection.answer().status == 100
    connection.send(SHOW)
    assert connection.answer().status == 200
    assert works(connection)


def test_who_asks_before_it_sends_and_is_refused_may_send_or_not(proxy: ProxyProcess) -> None:
    asking = b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 20\r\nExpect: 100-continue\r\n\r\n"
    for sends in (True, False):
        with Raw(proxy.port) as connection:
            connection.send(asking)
            answer = connection.answer()
            if answer.status == 100:
                answer = connection.answer()
            assert answer.status == 401
            if sends:
                connection.send(SHOW)
                assert works(connection)
            else:
                assert connection.is_closed(within=5)


def test_the_client_that_reads_nothing_stops_only_itself(proxy: ProxyProcess) -> None:
    with Raw(proxy.port) as greedy, Raw(proxy.port) as other:
        greedy.socket.settimeout(1)
        with suppress(TimeoutError, ConnectionError):
            for _ in range(400):
                greedy.socket.sendall(get("/api/tags", BEARER) * 100)
        assert works(other)


# -- Ports -------------------------------------------------------------------------------------------------------------


def test_who_waits_at_a_port_that_is_closed_is_let_in() -> None:
    with Listening(echo) as listening:

        async def stop_while_they_wait() -> list[Raw]:
            clients = [Raw(listening.port) for _ in range(5)]
            await stop_listening()
            return clients

        for client in asyncio.run_coroutine_threadsafe(stop_while_they_wait(), listening.loop).result(10):
            with client:
                client.send(post("/", b"hello"))
                assert client.answer().status == 200
        with pytest.raises(ConnectionRefusedError):
            Raw(listening.port)
