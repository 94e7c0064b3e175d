"""The console command's HTTP/1, without a socket: requests are the same however their bytes are cut."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.api.error_shapes import error_response
from ollama_openai_proxy.asgi import serve_request
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.net.bounds import Bounds
from ollama_openai_proxy.net.http1_protocol import SMALL_REST, BoundedProtocol
from ollama_openai_proxy.net.http_messages import Reply, Request
from ollama_openai_proxy.net.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BOUNDS = Bounds(
    max_head_size=1000,
    max_header_count=10,
    head_timeout=0,
    keep_alive_timeout=0,
    body_timeout=0,
    write_timeout=0,
    linger_timeout=5,
    max_linger_size=10_000,
    max_connections=10,
)


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Application:
    """Reads bodies, and answers each request with its number."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await serve_request(self.respond, scope, receive, send)

    async def respond(self, request: Request) -> Reply:
        if request.path == "/refused":
            return Reply(401, {}, b"no")
        try:
            body = request.body if request.parts is None else b"".join([part async for part in request.parts])
        except ApiError as error:
            return Reply(error.status, {}, error.message.encode())
        self.requests.append(Request(request.method, request.target, request.headers, body, request.fields))
        return Reply(200, {}, str(len(self.requests)).encode())

    async def drain(self, is_busy: Callable[[], bool]) -> None:
        pass

    def retire(self) -> None:
        pass

    def hurry(self) -> None:
        pass


class Talk:
    """What came of the pieces that a client sent."""

    def __init__(self, pieces: Sequence[bytes], bounds: Bounds = BOUNDS) -> None:
        self.application, self.transport = Application(), Transport()
        self._bounds = bounds
        asyncio.run(self._run(pieces))
        self.requests = [(each.method, each.target, each.body) for each in self.application.requests]
        self.statuses = [int(part[:3]) for part in self.transport.written.split(b"HTTP/1.1 ")[1:]]

    async def _run(self, pieces: Sequence[bytes]) -> None:
        server = Server(self.application, self._bounds, error_response)
        server.config.load()
        self.protocol = BoundedProtocol(server, config=server.config, server_state=server.server_state, app_state={})
        self.protocol.connection_made(self.transport)
        for piece in pieces:
            if not self.transport.closed:
                self.protocol.data_received(piece)
            for _ in range(5):
                await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        self.closed = self.transport.closed
        self.protocol.connection_lost(None)


ONE = b"POST /one HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = (
    b"POST /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nhel\r\n4\r\n\r\n\r\n\r\n2\r\nlo\r\n0\r\nTrailer: dropped\r\nContent-Length: 3\r\n\r\n"
)
NO_BODY = b"get /none?a=%20 HTTP/1.1\nHost: x\r\n\n"
UPGRADE = b"POST /upgrade HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi"
EXPECTED = {
    ONE: ("POST", "/one", b"hello"),
    CHUNKS: ("POST", "/chunks", b"hel\r\n\r\nlo"),
    NO_BODY: ("GET", "/none?a=%20", b""),
    UPGRADE: ("POST", "/upgrade", b"hi"),
}


@given(st.data())
def test_requests_are_the_same_however_their_bytes_are_cut(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from([*EXPECTED, b"\r\n"]), min_size=1, max_size=6))
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    talk = Talk([whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)])
    assert talk.requests == [EXPECTED[part] for part in parts if part in EXPECTED]
    assert talk.statuses == [200] * len(talk.requests)
    assert not talk.closed


@pytest.mark.parametrize("names", [("X-One", "x-one", "ACCEPT"), ("Upgrade", "X-Upgrade", "x-x-upgrade", "X-Up", "AX-Upgrade")])
def test_headers_arrive_in_order_and_in_the_clients_spelling(names: tuple[str, ...]) -> None:
    lines = [f"{name}: {number}" for number, name in enumerate(names)]
    head = "\r\n".join(["GET / HTTP/1.1", "Connection: Upgrade", *lines, "", ""]).encode()
    (request,) = Talk([head]).application.requests
    assert request.fields == (("Connection", "Upgrade"), *((name, str(number)) for number, name in enumerate(names)))
    assert set(request.headers) == {"connection", *(name.lower() for name in names)}
    assert request.headers[names[0].lower()] == ("0, 1" if names[0] == "X-One" else "0")


@pytest.mark.parametrize("size", [0, 1, 10_000, SMALL_REST])
def test_the_connection_is_kept_if_the_rest_of_a_refused_request_is_small(size: int) -> None:
    head = b"POST /refused HTTP/1.1\r\n"
    for begin, rest in [
        (b"Content-Length: %d\r\n\r\n" % size, bytes(size)),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (size, bytes(size)) if size else b"0\r\n\r\n"),
    ]:
        talk = Talk([head + begin, rest, NO_BODY])
        assert talk.statuses == [401, 200]
        assert b"connection: close" not in talk.transport.written.lower()


def test_the_connection_is_closed_if_the_rest_of_a_refused_request_is_large() -> None:
    size = SMALL_REST + 1
    known = Talk([b"POST /refused HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size, bytes(size) + NO_BODY])
    unknown = Talk(
        [
            b"POST /refused HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"%x\r\n" % size,
            bytes(size),
            b"\r\n0\r\n\r\n" + NO_BODY,
        ]
    )
    assert b"Connection: close" in known.transport.written
    for talk in (known, unknown):
        assert talk.statuses == [401]
        assert talk.transport.ended
    # More than may be dropped has come.
    assert known.closed


def test_what_follows_a_refused_request_is_dropped_up_to_a_bound() -> None:
    head = b"POST /refused HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
    assert not Talk([head, bytes(10_000)]).closed
    assert Talk([head, bytes(10_000), b"x"]).closed


@pytest.mark.parametrize("before", [b"", b"\r\n", NO_BODY])
def test_a_head_of_just_the_size_that_is_allowed_passes(before: bytes) -> None:
    blank = len(before) if before == b"\r\n" else 0
    for surplus, status in ((0, 200), (1, 431)):
        head = b"GET / HTTP/1.1\r\nX: \r\n\r\n"
        head = head.replace(b"X: ", b"X: " + b"x" * (BOUNDS.max_head_size - len(head) - blank + surplus))
        assert Talk([before + head]).statuses[-1] == status


def test_the_length_of_a_body_may_have_more_digits_than_a_machine_word() -> None:
    for digits, status in ((30, 401), (999, 401), (5000, 431)):
        head = b"POST /refused HTTP/1.1\r\nContent-Length: " + b"9" * digits + b"\r\n\r\n"
        assert Talk([head], BOUNDS._replace(max_head_size=2000)).statuses == [status]


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("/gr\u00fc\u00dfe?a=\u00e4", "/gr%C3%BC%C3%9Fe?a=%C3%A4"),
        ("http://host/x?y", "/x?y"),
        ("http://host?y", "/?y"),
        ("*", "*"),
    ],
)
def test_a_target_is_passed_on_in_ascii_and_without_its_host(target: str, seen: str) -> None:
    talk = Talk([f"GET {target} HTTP/1.1\r\n\r\n".encode()])
    assert talk.requests == [("GET", seen, b"")]


def test_a_client_that_waits_for_its_response_may_send_little_ahead() -> None:
    talk = Talk([NO_BODY * 1000])
    assert talk.requests == [EXPECTED[NO_BODY]] * len(talk.requests)


@pytest.mark.parametrize("beginning", [b"\x16\x03\x01", b"\0", b" GET", b"\r\n\x01"])
def test_what_is_no_http_is_refused_at_its_first_byte(beginning: bytes) -> None:
    talk = Talk([beginning])
    assert talk.statuses == [400]
    assert talk.transport.ended


@pytest.mark.parametrize("chunk", [b"x\r\n", b"-1\r\n", b"5\r\nhello, world\r\n", b"1;\nx\r\n", b"5\nhello\r\n0\r\n\r\n"])
def test_a_malformed_chunk_is_refused(chunk: bytes) -> None:
    assert Talk([CHUNKS.partition(b"3;")[0] + chunk]).statuses == [400]
