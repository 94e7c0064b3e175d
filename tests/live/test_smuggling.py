"""Requests that two servers could read differently: none becomes two, and none brings a header past the proxy."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.live.proxy import ProxyProcess
from tests.live.raw_http import HOST, JSON_TYPE, Listener, Raw, get
from tests.patience import wait_until
from tests.standins import ScriptedBackend

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

SMUGGLED = b"DELETE /api/delete HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 16\r\n\r\n" + b'{"model":"tiny"}'
POST = b"POST /api/show HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /api/tags HTTP/1.1\r\n" + HOST
LENGTH = b"Content-Length: 5\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


class Arrived(NamedTuple):
    """A request as the server behind the proxy got it."""

    line: str
    headers: dict[str, str]
    body: bytes
    surplus: bytes
    """What came behind it though it had not been answered: another request."""


class StrictServer(Listener):
    """Reads requests to the letter, answers each with `{}`, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: list[Arrived] = []

    def _serve(self, visitor: socket.socket) -> None:
        with visitor, suppress(OSError):
            visitor.settimeout(10)
            data = b""
            while b"\r\n\r\n" not in data:
                if not (part := visitor.recv(1 << 16)):
                    return
                data += part
            head, _, rest = data.partition(b"\r\n\r\n")
            line, *lines = head.decode("latin-1").split("\r\n")
            assert not re.search(r"[\x00-\x1f\x7f]", line + "".join(lines))
            headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
            assert len(headers) == len(lines), "a header that came twice"
            assert not {"content-length", "transfer-encoding"} <= set(headers)
            length = int(headers.get("content-length", "0"))
            while len(rest) < length or ("transfer-encoding" in headers and not rest.endswith(b"0\r\n\r\n")):
                rest += visitor.recv(1 << 16)
            body = rest if "transfer-encoding" in headers else rest[:length]
            visitor.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
            )
            surplus = rest[len(body) :]
            with suppress(OSError):
                while part := visitor.recv(1 << 16):
                    surplus += part
            self.arrived.append(Arrived(line, headers, body, surplus))


@pytest.fixture(scope="module")
def server() -> Iterator[StrictServer]:
    with StrictServer() as running:
        yield running


@pytest.fixture(scope="module", params=["console", "mitmdump"])
def fixing(server: StrictServer, request: pytest.FixtureRequest) -> Iterator[ProxyProcess]:
    upstream = f"http://127.0.0.1:{server.port}"
    with ProxyProcess(door=request.param, PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream, LOG_LEVEL="debug") as proxy:
        # What asked whether the proxy is up has reached the server, too, which notes a request when its visitor has left.
        wait_until(server.is_empty)
        server.arrived.clear()
        yield proxy


@pytest.fixture(scope="module")
def translating() -> Iterator[ProxyProcess]:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, LOG_LEVEL="debug") as proxy:
        yield proxy


def arrivals(server: StrictServer, proxy: ProxyProcess) -> list[Arrived]:
    """What has come since the last time. A marker is sent behind it: what comes before it has come."""
    with Raw(proxy.port) as connection:
        connection.send(get("/marker"))
        assert connection.answer().status == 200
    wait_until(lambda: any(" /marker " in arrived.line for arrived in server.arrived))
    # An arrival is noted when its visitor has left, which need not be in the order in which they came.
    wait_until(server.is_empty)
    arrived = [each for each in server.arrived if " /marker " not in each.line]
    server.arrived.clear()
    return arrived


# -- Refused -----------------------------------------------------------------------------------------------------------

REFUSED: dict[str, bytes] = {
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two different lengths": POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
    "the same length twice": POST + LENGTH * 2 + b"\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "a length with a leading zero": POST + b"Content-Length: 05\r\n\r\nhello",
    "a hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "a length in other digits": POST + "Content-Length: \u0665\r\n\r\nhello".encode(),
    "a length of five thousand digits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello",
    "an empty length": POST + b"Content-Length:\r\n\r\n",
    "a length on the next line": POST + b"Content-Length:\r\n 5\r\n\r\nhello",
    "a chunk size that is none": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "a signed chunk size": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk size of 24 digits": CHUNKED + b"f" * 24 + b"\r\nhello\r\n0\r\n\r\n",
    "an empty chunk size": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"5\r\nhello, world\r\n0\r\n\r\n",
    "a line feed within a chunk's extension": CHUNKED + b"5;\nxx\r\nhello\r\n0\r\n\r\n",
    "a chunked list with an empty part": POST + b"Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding behind chunked": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding that does not end with chunked": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "a quoted coding": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a vertical tab before the coding": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a form feed behind the coding": POST + b"Transfer-Encoding: chunked\x0c\r\n\r\n0\r\n\r\n",
    "a coding on the next line": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a coding in another alphabet": POST + "Transfer-Encoding: chun\u212aed\r\n\r\n0\r\n\r\n".encode(),
    "a coding of HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a blank before the colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "a tab before the colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "a name behind a vertical tab": POST + b"\x0bTransfer-Encoding: chunked\r\n" + LENGTH + b"\r\nhello",
    "a first header that is folded": b"GET /api/tags HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
    "a folded header": GET + b"X: y\r\n Evil: z\r\n\r\n",
    "a NUL within a header": GET + b"X: a\0b\r\n\r\n",
    "a NUL within a header's name": GET + b"X\0Y: b\r\n\r\n",
    "a carriage return within a header": GET + b"X: a\rEvil: b\r\n\r\n",
    "another control character within a header": GET + b"X: a\x1bb\r\n\r\n",
    "a header without a colon": GET + b"Evil\r\n\r\n",
    "a header without a name": GET + b": b\r\n\r\n",
    "a header's name in other letters": GET + "Ex\u00e4: b\r\n\r\n".encode(),
    "a blank within a header's name": GET + b"X Y: b\r\n\r\n",
    "a NUL within the path": b"GET /api/\0tags HTTP/1.1\r\n" + HOST + b"\r\n",
    "a carriage return within the path": b"GET /api/\rtags HTTP/1.1\r\n" + HOST + b"\r\n",
    "a blank within the path": b"GET /api/ tags HTTP/1.1\r\n" + HOST + b"\r\n",
    "tabs on the request line": b"GET\t/api/tags\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "a path without a slash": b"GET api/tags HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path that is a name": b"GET @evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "no path": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"GET /api/tags\r\n\r\n",
    "another version": b"GET /api/tags HTTP/1.2\r\n" + HOST + b"\r\n",
    "a version of the future": b"GET /api/tags HTTP/2.0\r\n" + HOST + b"\r\n",
    "the beginning of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol": b"GET /api/tags HTCPCP/1.1\r\n" + HOST + b"\r\n",
    "a version in lower case": b"GET /api/tags http/1.1\r\n" + HOST + b"\r\n",
    "a method that is none": b"G<E>T /api/tags HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method with a control character": b"G\x01T /api/tags HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method in other letters": "GÉT /api/tags HTTP/1.1\r\n".encode() + HOST + b"\r\n",
}


@pytest.mark.parametrize("attack", REFUSED.values(), ids=REFUSED)
def test_what_could_be_read_differently_is_refused_and_ends_the_connection(
    server: StrictServer, fixing: ProxyProcess, translating: ProxyProcess, attack: bytes
) -> None:
    for proxy in (fixing, translating):
        with Raw(proxy.port) as connection:
            connection.send(attack + SMUGGLED)
            answer = connection.answer()
            assert (answer.status, answer.json) == (400, {"error": "malformed HTTP request"})
            assert answer.headers["content-type"] == JSON_TYPE
            assert connection.rest() == b""
    assert arrivals(server, fixing) == []
    assert "Traceback" not in fixing.log + translating.log


# -- Passed on, as one request and no more -----------------------------------------------------------------------------

PASSED: dict[str, tuple[bytes, bytes]] = {
    "a body that looks like a request": (
        POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        SMUGGLED,
    ),
    "a body of a GET that looks like a request": (
        GET.replace(b"/api/tags", b"/api/show") + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
        SMUGGLED,
    ),
    "chunks that look like a request": (CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), SMUGGLED),
    "chunks with extensions": (CHUNKED + b"5;a=b;c\r\nhello\r\n0;d\r\n\r\n", b"hello"),
    "sizes in upper case and with zeros": (CHUNKED + b"0000A\r\nhellohello\r\n0\r\n\r\n", b"hellohello"),
    "trailers that are headers": (
        CHUNKED + b"5\r\nhello\r\n0\r\nEvil: 1\r\nContent-Length: 9\r\nHost: x\r\n\r\n",
        b"hello",
    ),
    "a length that Connection names": (
        POST + b"Connection: content-length, host\r\n" + LENGTH + b"\r\nhello",
        b"hello",
    ),
    "a coding that Connection names": (
        POST + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    "a coding before chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "a header that only looks like a coding": (POST + b"Transfer_Encoding: chunked\r\n" + LENGTH + b"\r\nhello", b"hello"),
    "an upgrade": (
        POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n" + LENGTH + b"\r\nhello",
        b"hello",
    ),
    "a path with an encoded line break": (
        b"POST /api/show%0d%0aEvil:%201%0d%0a%0d%0aGET%20/x HTTP/1.1\r\n" + HOST + LENGTH + b"\r\nhello",
        b"hello",
    ),
    "a header with bytes of other alphabets": (POST + b"X: \xc4\x8d\xc4\x8aEvil: \xff\r\n" + LENGTH + b"\r\nhello", b"hello"),
}
SENT = {"host", "x-request-id", "content-length", "x", "transfer_encoding"}


@pytest.mark.parametrize(("request_", "body"), PASSED.values(), ids=PASSED)
def test_what_is_passed_on_is_one_request_without_any_header_that_was_slipped_in(
    server: StrictServer, fixing: ProxyProcess, request_: bytes, body: bytes
) -> None:
    with Raw(fixing.port) as connection:
        connection.send(request_ + get("/next"))
        assert [connection.answer().status, connection.answer().status] == [200, 200]
    one, following = sorted(arrivals(server, fixing), key=lambda arrived: " /next " in arrived.line)
    assert following.line == "GET /next HTTP/1.1"
    assert (one.line.split()[0], one.body, one.surplus, following.surplus) == ("POST", body, b"", b"")
    assert set(one.headers) <= SENT
    assert one.headers["host"] == f"127.0.0.1:{server.port}"
    assert one.headers["content-length"] == str(len(body))


def test_a_line_may_end_with_a_line_feed_alone_and_what_goes_on_ends_as_it_must(
    server: StrictServer, fixing: ProxyProcess
) -> None:
    # RFC 9112 §2.2 allows it; `StrictServer` looks for characters that are none.
    with Raw(fixing.port) as connection:
        connection.send(b"POST /api/show HTTP/1.1\nHost: 127.0.0.1\nX: a\nContent-Length: 5\n\nhello")
        assert connection.answer().status == 200
    (arrived,) = arrivals(server, fixing)
    assert (arrived.line, arrived.headers["x"], arrived.body) == ("POST /api/show HTTP/1.1", "a", b"hello")


def test_of_two_hosts_neither_reaches_the_server_behind(server: StrictServer, fixing: ProxyProcess) -> None:
    # On a loopback address the host is checked, and two of them are no name of this machine, even where each alone is one.
    for one, other in ((b"127.0.0.1", b"evil.example"), (b"evil.example", b"127.0.0.1"), (b"127.0.0.1", b"localhost")):
        with Raw(fixing.port) as connection:
            connection.send(b"GET /api/tags HTTP/1.1\r\nHost: %s\r\nHost: %s\r\n\r\n" % (one, other))
            assert connection.answer().status == 403
        assert arrivals(server, fixing) == []


@pytest.mark.parametrize("target", ["*", "/api/../../etc/passwd", "//evil.example/x", "/@evil.example", "/%2e%2e/%00"])
def test_no_target_leads_to_another_server(server: StrictServer, fixing: ProxyProcess, target: str) -> None:
    with Raw(fixing.port) as connection:
        connection.send(get(target, method="OPTIONS" if target == "*" else "GET"))
        assert connection.answer().status in (200, 400)
    for arrived in arrivals(server, fixing):
        assert arrived.line.split()[1].startswith("/")
        assert arrived.headers["host"] == f"127.0.0.1:{server.port}"


def test_a_blob_is_passed_on_by_the_length_that_was_announced(server: StrictServer, fixing: ProxyProcess) -> None:
    blob = b"POST /api/blobs/sha256:00 HTTP/1.1\r\n" + HOST
    with Raw(fixing.port) as connection:
        connection.send(blob + LENGTH + b"Connection: content-length\r\n\r\nhello" + get("/next"))
        assert [connection.answer().status, connection.answer().status] == [200, 200]
    with Raw(fixing.port) as connection:
        connection.send(blob + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nEvil: 1\r\n\r\n")
        assert connection.answer().status == 200
    by_length, by_chunks = (each for each in arrivals(server, fixing) if "/blobs/" in each.line)
    assert (by_length.headers["content-length"], by_length.body, by_length.surplus) == ("5", b"hello", b"")
    assert (by_chunks.body, by_chunks.surplus) == (b"5\r\nhello\r\n0\r\n\r\n", b"")
    assert "evil" not in by_chunks.headers
