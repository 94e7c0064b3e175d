"""Heads of requests that two servers could read differently are refused."""

from __future__ import annotations

import h11
import pytest
from h11._receivebuffer import ReceiveBuffer
from ollama_openai_proxy.mitm.http1_head import (
    MOST_FRAMING,
    Head,
    Malformed,
    WithoutTrailers,
    _short_key,
    drop_line_breaks,
    read_head,
)


def read_lines(*lines: str) -> Head:
    return read_head([line.encode("latin-1") for line in lines])


def test_a_head_is_read_as_it_came() -> None:
    head = read_lines("post /api/chat?a=%20 HTTP/1.1", "Host: x", "X-Twice:  1\t", "x-twice: 2", "Content-Length: 5", "Empty:")
    assert head == Head(
        method="POST",
        target="/api/chat?a=%20",
        authority="",
        version="HTTP/1.1",
        fields=(("Host", "x"), ("X-Twice", "1"), ("x-twice", "2"), ("Content-Length", "5"), ("Empty", "")),
        headers={"host": "x", "x-twice": "1, 2", "content-length": "5", "empty": ""},
        length=5,
    )


def test_bytes_that_are_no_utf_8_are_kept() -> None:
    head = read_head([b"GET /\xff HTTP/1.0", b"X: \xe4\xc3\xa4"])
    assert head.target.encode("utf-8", "surrogateescape") == b"/\xff"
    assert head.headers["x"].encode("utf-8", "surrogateescape") == b"\xe4\xc3\xa4"
    assert head.version == "HTTP/1.0"


@pytest.mark.parametrize(
    ("line", "target", "authority"),
    [
        ("GET / HTTP/1.1", "/", ""),
        ("OPTIONS * HTTP/1.1", "*", ""),
        ("GET //x HTTP/1.1", "//x", ""),
        ("GET http://host:1/path?q HTTP/1.1", "/path?q", "host:1"),
        ("GET HTTPS://host HTTP/1.1", "/", "host"),
        ("GET http://host?q HTTP/1.1", "/?q", "host"),
        ("CONNECT host:443 HTTP/1.1", "", "host:443"),
    ],
)
def test_a_target_may_name_a_host(line: str, target: str, authority: str) -> None:
    head = read_lines(line)
    assert (head.target, head.authority) == (target, authority)


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ([], 0),
        (["Content-Length: 0"], 0),
        (["Content-Length: 12"], 12),
        (["Content-Length: " + "9" * 30], 10**30 - 1),
        (["Transfer-Encoding: chunked"], None),
        (["transfer-encoding: Chunked"], None),
        (["Transfer-Encoding: gzip , chunked"], None),
    ],
)
def test_the_length_of_a_body_is_known_from_its_head(fields: list[str], length: int | None) -> None:
    assert read_lines("POST / HTTP/1.1", *fields).length == length


MALFORMED = {
    "no line": "",
    "no target": "GET HTTP/1.1",
    "no version": "GET /",
    "another version": "GET / HTTP/1.2",
    "two blanks": "GET  / HTTP/1.1",
    "a tab": "GET /\tx HTTP/1.1",
    "a method that is none": "G(T / HTTP/1.1",
    "another scheme": "GET ftp://host/ HTTP/1.1",
    "no host": "GET http:///x HTTP/1.1",
    "a user": "GET http://user@host/ HTTP/1.1",
    "no slash": "GET x HTTP/1.1",
}
FIELDS = {
    "no colon": ["X"],
    "no name": [": x"],
    "a blank before the colon": ["X : y"],
    "other letters": ["\xe4: y"],
    "a folded line": ["X: y", " z"],
    "a folded first line": [" X: y"],
    "a control character": ["X: \x01"],
    "a carriage return": ["X: a\rY: b"],
    "a NUL": ["X: \0"],
    "both lengths": ["Content-Length: 1", "Transfer-Encoding: chunked"],
    "two lengths": ["Content-Length: 1", "Content-Length: 1"],
    "two codings": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "a signed length": ["Content-Length: +1"],
    "a leading zero": ["Content-Length: 01"],
    "an empty length": ["Content-Length:"],
    "digits of another alphabet": ["Content-Length: \xb2"],
    "too many digits": ["Content-Length: " + "9" * 5000],
    "an unknown coding": ["Transfer-Encoding: x"],
    "not chunked in the end": ["Transfer-Encoding: chunked, gzip"],
    "identity": ["Transfer-Encoding: identity"],
}


@pytest.mark.parametrize("line", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_line_is_refused(line: str) -> None:
    with pytest.raises(Malformed):
        read_lines(line)


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_malformed_headers_are_refused(fields: list[str]) -> None:
    with pytest.raises(Malformed):
        read_lines("POST / HTTP/1.1", *fields)


def test_http_1_0_knows_no_chunks() -> None:
    with pytest.raises(Malformed):
        read_lines("POST / HTTP/1.0", "Transfer-Encoding: chunked")


CHUNKS = b"3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: dropped\r\n\r\n"


def buffer_of(data: bytes) -> ReceiveBuffer:
    buffer = ReceiveBuffer()
    buffer += data
    return buffer


def test_trailers_are_dropped() -> None:
    reader, buffer = WithoutTrailers(), buffer_of(CHUNKS)
    read = [reader(buffer) for _ in range(3)]
    assert [event.data if isinstance(event, h11.Data) else event for event in read] == [b"hel", b"lo", h11.EndOfMessage()]


@pytest.mark.parametrize("begin", [b"1;", b"1" + b"0" * 10, b"0\r\nX: "])
def test_the_framing_of_a_body_in_chunks_is_bounded(begin: bytes) -> None:
    reader, buffer = WithoutTrailers(), buffer_of(begin)
    assert reader(buffer) is None
    buffer += b"x" * MOST_FRAMING
    with pytest.raises(h11.RemoteProtocolError):
        reader(buffer)


@pytest.mark.parametrize("beginning", [b"\x16\x03\x01", b"\0", b" GET", b"\r\n\x01"])
def test_what_is_no_http_is_refused_at_its_first_byte(beginning: bytes) -> None:
    with pytest.raises(Malformed):
        drop_line_breaks(buffer_of(beginning))


@pytest.mark.parametrize("before", [b"", b"\r\n", b"\n\r\n", b"\r"])
def test_line_breaks_before_a_head_are_dropped(before: bytes) -> None:
    buffer = buffer_of(before + b"GET")
    drop_line_breaks(buffer)
    assert bytes(buffer) == b"GET"


def test_only_short_names_of_headers_are_remembered() -> None:
    read_lines("GET / HTTP/1.1", "Short: a")
    before = _short_key.cache_info().currsize
    for number in range(5):
        name = f"X{number}" + "y" * 100
        assert read_lines("GET / HTTP/1.1", f"{name}: a").headers == {name.lower(): "a"}
        with pytest.raises(Malformed):
            read_lines("GET / HTTP/1.1", f"{name} : a")
    assert _short_key.cache_info().currsize == before
