"""The bounds of the console command's server: what clients may send, how long they may take, and how many there may be."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest

from tests.live.proxy import ProxyProcess
from tests.live.raw_http import HOST, Raw, exchange, get, post
from tests.live.test_fix_mode import peak_memory
from tests.patience import PATIENCE, wait_until
from tests.standins import Done, ScriptedBackend, Sleep, Stream, finish, role, text

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "key-of-the-tests"
BEARER = f"Authorization: Bearer {KEY}"
CHUNKED = b"POST /api/show HTTP/1.1\r\n" + HOST + BEARER.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
SHOW = b'{"model":"gpt-test"}'
KIB, MIB = 1 << 10, 1 << 20
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(backend: ScriptedBackend) -> Iterator[ProxyProcess]:
    """A proxy with small bounds and short time-outs, each of another length."""
    with ProxyProcess(
        OPENAI_API_BASE_URL=backend.base_url,
        PROXY_API_KEYS=KEY,
        MAX_HEAD_SIZE="8KiB",
        MAX_HEADER_COUNT="20",
        HEAD_TIMEOUT="1",
        BODY_TIMEOUT="2",
        KEEP_ALIVE_TIMEOUT="3",
        WRITE_TIMEOUT="1",
        LINGER_TIMEOUT="1.5",
        MAX_LINGER_SIZE="1MiB",
        MAX_BODY_SIZE="4MiB",
        LOG_LEVEL="debug",
    ) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture
def connection(proxy: ProxyProcess) -> Iterator[Raw]:
    with Raw(proxy.port, timeout=PATIENCE) as raw:
        yield raw


# -- What a client may send


class TooMuch(NamedTuple):
    """Bytes beyond a bound, as a beginning and a piece that is sent again and again."""

    begin: bytes
    piece: bytes
    status: int


TOO_MUCH: dict[str, TooMuch] = {
    "the request line": TooMuch(b"GET /", b"x" * KIB, 431),
    "the method": TooMuch(b"", b"x" * KIB, 431),
    "a header": TooMuch(b"GET / HTTP/1.1\r\nX: ", b"x" * KIB, 431),
    "a header's name": TooMuch(b"GET / HTTP/1.1\r\n", b"x" * KIB, 431),
    "headers": TooMuch(b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 100, 431),
    "blank lines before a request": TooMuch(b"", b"\r\n" * 500, 431),
    "blank lines between requests": TooMuch(get("/api/version", BEARER), b"\n" * KIB, 431),
    "a chunk's size": TooMuch(CHUNKED, b"0" * KIB, 431),
    "a chunk's extension": TooMuch(CHUNKED + b"5;a=", b"x" * KIB, 431),
    "an extension of the last chunk": TooMuch(CHUNKED + b"0;", b"x" * KIB, 431),
    "chunks that are nearly all extension": TooMuch(CHUNKED, b"1;" + b"x" * 900 + b"\r\ny\r\n", 431),
    "a trailer": TooMuch(CHUNKED + b"0\r\nX: ", b"x" * KIB, 431),
    "trailers": TooMuch(CHUNKED + b"0\r\n", b"X: y\r\n" * 100, 431),
    "a body in chunks": TooMuch(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n", 413),
}


@pytest.mark.parametrize("too_much", TOO_MUCH.values(), ids=TOO_MUCH)
def test_every_byte_that_a_client_sends_is_bounded(proxy: ProxyProcess, too_much: TooMuch) -> None:
    before = peak_memory(proxy.worker)
    with Raw(proxy.port, timeout=PATIENCE) as connection:
        connection.send(too_much.begin)
        if too_much.begin.startswith(b"GET /api/version"):
            assert connection.answer().status == 200
        ended = threading.Event()

        def flood() -> None:
            with suppress(OSError):
                while not ended.is_set():
                    connection.socket.sendall(too_much.piece)

        sending = threading.Thread(target=flood)
        sending.start()
        try:
            answer = connection.answer()
            assert answer.status == too_much.status
            assert answer.json["error"]
            assert connection.rest() == b""
        finally:
            ended.set()
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
            sending.join()
    assert peak_memory(proxy.worker) - before < 20 * MIB


def test_headers_are_counted(connection: Raw) -> None:
    connection.send(get("/api/version", BEARER, *(f"X-{number}: y" for number in range(18))))
    assert connection.answer().status == 200
    connection.send(get("/api/version", BEARER, *(f"X-{number}: y" for number in range(19))))
    assert (connection.answer().status, connection.rest()) == (431, b"")


def test_a_body_in_chunks_of_one_byte_is_none_too_many(connection: Raw) -> None:
    body = json.dumps({"model": "gpt-test", "system": "x" * 20_000}).encode()
    connection.send(CHUNKED + b"".join(b"1\r\n%c\r\n" % octet for octet in body) + b"0\r\n\r\n")
    assert connection.answer().status == 200


# -- How long a client may take


class Wait(NamedTuple):
    """What a client sends before it stops, the status that it is told, and how many seconds that takes at least."""

    sent: bytes
    status: int | None
    seconds: float


WAITS: dict[str, Wait] = {
    "for the first byte": Wait(b"", None, 3),
    "for anything but blank lines": Wait(b"\r\n\r\n", None, 3),
    "for the rest of the request line": Wait(b"GET /api", 408, 1),
    "for the rest of the head": Wait(get("/api/version", BEARER)[:-2], 408, 1),
    "for a body": Wait(post("/api/show", SHOW, BEARER)[: -len(SHOW)], 408, 2),
    "for the rest of a body": Wait(post("/api/show", SHOW, BEARER)[:-1], 408, 2),
    "for the rest of a large body": Wait(post("/api/show", bytes(3 * MIB), BEARER)[:-1], 408, 2),
    "for a chunk": Wait(CHUNKED, 408, 2),
    "for the rest of a chunk": Wait(CHUNKED + b"14\r\n{", 408, 2),
    "for trailers": Wait(CHUNKED + b"14\r\n" + SHOW + b"\r\n0\r\n", 408, 2),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_every_wait_for_a_client_ends(connection: Raw, wait: Wait) -> None:
    connection.send(wait.sent)
    begun = time.monotonic()
    if wait.status is not None:
        answer = connection.answer()
        assert (answer.status, answer.json) == (wait.status, {"error": "the request was not sent in time"})
    assert connection.rest() == b""
    assert time.monotonic() - begun > wait.seconds - 0.2


def test_the_wait_for_the_next_request_ends(connection: Raw) -> None:
    connection.send(get("/api/version", BEARER))
    assert connection.answer().status == 200
    begun = time.monotonic()
    assert connection.is_closed(within=PATIENCE)
    assert time.monotonic() - begun > 2.8


def test_blank_lines_do_not_extend_the_wait_for_a_request(connection: Raw) -> None:
    connection.socket.settimeout(0.1)
    ended = False
    deadline = time.monotonic() + PATIENCE
    while not ended and time.monotonic() < deadline:
        connection.send(b"\r\n")
        with suppress(TimeoutError, ConnectionError):
            ended = connection.socket.recv(1) == b""
    assert ended


def test_a_pause_between_two_pieces_of_a_body_may_be_as_long_as_it_was_at_the_beginning(connection: Raw) -> None:
    body = json.dumps({"model": "gpt-test", "system": "x" * 20_000}).encode()
    connection.send(post("/api/show", body, BEARER)[: -len(body)])
    begun = time.monotonic()
    for start in range(0, len(body), 5000):
        time.sleep(1)
        connection.send(body[start : start + 5000])
    assert connection.answer().status == 200
    assert time.monotonic() - begun > 3


def test_a_client_that_does_not_read_its_response_is_left(backend: ScriptedBackend) -> None:
    question = post("/api/chat", {"model": "gpt-test", "messages": HELLO})
    with (
        ProxyProcess(
            OPENAI_API_BASE_URL=backend.base_url, MAX_CONCURRENT_REQUESTS="2", WRITE_TIMEOUT="1", LOG_LEVEL="debug"
        ) as proxy,
        ExitStack() as opened,
    ):
        for _ in range(2):
            backend.reply_with(Stream([role(), *(text("x" * 100_000) for _ in range(200)), finish(), Done()]))
        stuck = [opened.enter_context(Raw(proxy.port, timeout=PATIENCE, receive_buffer=1 << 12)) for _ in range(2)]
        before = len(backend.requests)
        while backend.wait_for_disconnect(timeout=0) is not None:
            pass
        for each in stuck:
            each.send(question)
        # Not seen at the clients: one may be left, and all that was sent to it be gone, before this process has its turn.
        wait_until(lambda: len(backend.requests) == before + 2)
        # Both places are taken until one of the two is left.
        assert exchange(proxy.port, question).status == 200
        # One that begins to read before it is left gets all of its response.
        for _ in stuck:
            assert backend.wait_for_disconnect(timeout=PATIENCE) is not None
        for each in stuck:
            with pytest.raises((EOFError, ConnectionError)):
                each.answer()


def test_a_client_that_reads_slowly_but_reads_is_not_left(backend: ScriptedBackend) -> None:
    backend.reply_with(Stream([role(), *(text("x" * 100_000) for _ in range(100)), finish(), Done()]))
    with (
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, WRITE_TIMEOUT="1") as proxy,
        Raw(proxy.port, timeout=PATIENCE, receive_buffer=1 << 16) as slow,
    ):
        slow.send(post("/api/chat", {"model": "gpt-test", "messages": HELLO}, "Connection: close"))
        received = b""
        begun = time.monotonic()
        while part := slow.socket.recv(1 << 20):
            received += part
            time.sleep(0.3 if time.monotonic() - begun < 4 else 0)
        assert received.endswith(b"0\r\n\r\n")


def test_an_upload_that_the_server_behind_takes_slowly_is_not_cut() -> None:
    """The client is not to blame for a pause that the proxy makes."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        ProxyProcess(
            PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=f"http://127.0.0.1:{listening.getsockname()[1]}", BODY_TIMEOUT="1", wait=False
        ) as proxy,
    ):
        listening.settimeout(PATIENCE)
        size = 20 * MIB

        def upload() -> None:
            statuses.append(httpx.post(f"{proxy.url}/api/blobs/sha256:00", content=bytes(size), timeout=PATIENCE).status_code)

        statuses: list[int] = []
        wait_until(lambda: _connects(proxy.port))
        client = threading.Thread(target=upload)
        client.start()
        upstream, _ = listening.accept()
        with upstream:
            upstream.settimeout(PATIENCE)
            data = upstream.recv(1 << 16)
            time.sleep(3)
            body = data.partition(b"\r\n\r\n")[2]
            while len(body) < size:
                body += upstream.recv(1 << 20)
            upstream.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        client.join(PATIENCE)
        assert statuses == [201]


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


# -- After a refusal

REFUSALS: dict[str, tuple[bytes, int]] = {
    "without a key": (b"", 401),
    "from a foreign page": (b"Origin: https://evil.example\r\n", 403),
    "too large": (BEARER.encode() + b"\r\n", 413),
}


@pytest.fixture(scope="module")
def refusing(backend: ScriptedBackend) -> Iterator[ProxyProcess]:
    """A proxy that takes small bodies only."""
    with ProxyProcess(
        OPENAI_API_BASE_URL=backend.base_url, PROXY_API_KEYS=KEY, MAX_BODY_SIZE="400KB", KEEP_ALIVE_TIMEOUT="1"
    ) as running:
        yield running


@pytest.mark.parametrize("size", [MIB // 2, 3 * MIB, 30 * MIB])
@pytest.mark.parametrize(("header", "status"), REFUSALS.values(), ids=REFUSALS)
def test_a_client_that_writes_its_whole_body_first_sees_why_it_was_refused(
    refusing: ProxyProcess, header: bytes, status: int, size: int
) -> None:
    for framing in (b"Content-Length: %d\r\n\r\n" % size + bytes(size), _in_chunks(bytes(size))):
        with Raw(refusing.port, timeout=PATIENCE) as connection:
            # At once more than a client's own buffers hold. What the server does not take is lost, and the answer is not.
            connection.send(b"POST /api/chat HTTP/1.1\r\n" + HOST + header + framing)
            if size < 4 * MIB:
                assert connection.answer().status == status
                assert connection.is_closed(within=PATIENCE)


def _in_chunks(body: bytes) -> bytes:
    pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]
    return (
        b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"
    )


def test_a_refused_client_that_goes_on_is_cut_off(proxy: ProxyProcess) -> None:
    with Raw(proxy.port, timeout=PATIENCE) as connection:
        connection.send(b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (1 << 40))
        assert connection.answer().status == 401
        with pytest.raises(ConnectionError):
            connection.socket.sendall(bytes(100 * MIB))


def test_a_refused_client_that_drips_is_cut_off(connection: Raw) -> None:
    connection.send(b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n")
    assert connection.answer().status == 401
    connection.socket.settimeout(0.1)
    deadline = time.monotonic() + PATIENCE
    ended = False
    while not ended and time.monotonic() < deadline:
        connection.send(b"x")
        with suppress(TimeoutError):
            try:
                ended = connection.socket.recv(1) == b""
            except ConnectionError:
                ended = True
    assert ended


# -- How many clients

FEW_FILES = 256


@pytest.fixture
def crowded(backend: ScriptedBackend) -> Iterator[ProxyProcess]:
    """A proxy that may open few files."""
    program = (
        "import os, resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({FEW_FILES}, {FEW_FILES}))\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'ollama_openai_proxy'])\n"
    )
    command = [sys.executable, "-c", program]
    with ProxyProcess(command=command, OPENAI_API_BASE_URL=backend.base_url, PROXY_API_KEYS=KEY, LOG_FORMAT="json") as running:
        yield running


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", get("/api/version", BEARER)], ids=["nothing", "half a head", "a request, some time ago"]
)
def test_silent_connections_lock_nobody_out(crowded: ProxyProcess, sent: bytes) -> None:
    with ExitStack() as opened:
        for _ in range(400):
            silent = opened.enter_context(Raw(crowded.port, timeout=PATIENCE))
            silent.send(sent)
        for _ in range(3):
            answer = exchange(crowded.port, post("/api/chat", {"model": "gpt-test", "messages": HELLO}, BEARER))
            assert answer.status == 200
        lines = [line for line in crowded.log.splitlines() if '"message": "request"' not in line]
        assert sum("MAX_CONNECTIONS" in line for line in lines) == 1
        assert len(lines) < 5


def test_requests_under_way_are_not_given_up_for_new_clients(backend: ScriptedBackend) -> None:
    question = post("/api/chat", {"model": "gpt-test", "messages": HELLO})
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, MAX_CONNECTIONS="3") as proxy, ExitStack() as opened:
        for _ in range(3):
            backend.reply_with(Stream([role(), text("a"), Sleep(2), text("b"), finish(), Done()]))
        running = [opened.enter_context(Raw(proxy.port, timeout=PATIENCE)) for _ in range(3)]
        for each in running:
            each.send(question)
            assert each.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
        with Raw(proxy.port, timeout=PATIENCE) as late:
            answer = late.answer()
            assert (answer.status, answer.json) == (503, {"error": "too many connections: try again"})
        for each in running:
            assert b'"done":true' in each.answer().body
