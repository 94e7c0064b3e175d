"""What a request's head may look like under mitmproxy (RFC 9112). Pure: no sockets, no mitmproxy.

Strict: what two servers could take for different requests is refused, since one of them stands behind this one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import h11
from h11._readers import ChunkedReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from h11._receivebuffer import ReceiveBuffer

_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^ \t]+) (HTTP/1\.[01])")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# A control character, or a line that continues the one before it.
_NO_HEADER = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\n[ \t]")
_ABSOLUTE = re.compile(r"https?://([^/?#@]+)((?:[/?#].*)?)", re.IGNORECASE)
_LENGTH = re.compile(r"0|[1-9][0-9]{0,999}")
_CODINGS = re.compile(r"(?:(?:compress|deflate|gzip)[ \t]*,[ \t]*)?chunked", re.IGNORECASE | re.ASCII)


_LONGEST_CACHED = 64
"""Characters of the names of headers that are remembered."""
MOST_FRAMING = 1 << 16
"""Bytes of a chunk's size with its extensions, or of the trailers."""


class Malformed(ValueError):
    """What came is no request, or could be taken for another one."""


class Head(NamedTuple):
    """The head of a request.

    Attributes:
        method: in upper case.
        target: path and query, still percent-encoded; "*" for the server itself, and empty for CONNECT.
        authority: the host that an absolute target names; for CONNECT its target.
        version: "HTTP/1.0" or "HTTP/1.1".
        fields: the headers as they came: in order, repeated, in the client's spelling; bytes that are no UTF-8 are surrogates.
        headers: names in lower case; the values of a repeated header are joined with ", ".
        length: bytes of the body; None for one in chunks.
    """

    method: str
    target: str
    authority: str
    version: str
    fields: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    length: int | None


def read_head(lines: Sequence[bytes | bytearray]) -> Head:
    """Understand the lines of a head.

    Raises:
        Malformed: they are, or they could be understood in another way.
    """
    octets = b"\n".join(lines)
    if _NO_HEADER.search(octets):
        raise Malformed("malformed head")
    first, *rest = octets.decode("utf-8", "surrogateescape").split("\n")
    request_line = _REQUEST_LINE.fullmatch(first)
    if request_line is None:
        raise Malformed("malformed request line")
    method, target, version = request_line.groups()
    method = method.upper()
    fields: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed("malformed header")
        key, value = _key(name), value.strip(" \t")
        fields.append((name, value))
        if key not in headers:
            headers[key] = value
        elif key in ("content-length", "transfer-encoding"):
            raise Malformed("more than one length")
        else:
            headers[key] += f", {value}"
    path, authority = _target(method, target)
    return Head(method, path, authority, version, tuple(fields), headers, _length(headers, version))


def _key(name: str) -> str:
    """A header's name in lower case."""
    # A long name would stay in the cache.
    return _short_key(name) if len(name) <= _LONGEST_CACHED else _lowered(name)


def _lowered(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Malformed("malformed header")
    return name.lower()


_short_key = lru_cache(maxsize=1024)(_lowered)


def _target(method: str, target: str) -> tuple[str, str]:
    if target == "*" or target.startswith("/"):
        return target, ""
    if method == "CONNECT":
        return "", target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Malformed("malformed target")
    path = absolute[2]
    return path if path.startswith("/") else "/" + path, absolute[1]


def _length(headers: dict[str, str], version: str) -> int | None:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if length is not None or version != "HTTP/1.1" or not _CODINGS.fullmatch(coding):
            raise Malformed("unclear length")
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise Malformed("unclear length")
    return int(length)


class WithoutTrailers(ChunkedReader):
    """h11's reader of a body in chunks, which drops trailers: nobody behind it could be told of them."""

    def __call__(self, buf: ReceiveBuffer) -> h11.Data | h11.EndOfMessage | None:
        """Return the next part, the end, or None if more has to be fed.

        Raises:
            h11.RemoteProtocolError: the chunks are malformed, or have too much framing or too many trailers.
        """
        event = super().__call__(buf)
        if event is None and len(buf) > MOST_FRAMING:
            raise h11.RemoteProtocolError("too much framing")
        return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event


def drop_line_breaks(buffer: ReceiveBuffer) -> None:
    """Drop line breaks before a head, which old clients send behind a body and which belong to nothing (RFC 9112 §2.2).

    Raises:
        Malformed: what follows is no HTTP, such as TLS.
    """
    if not buffer.is_next_line_obviously_invalid_request_line():
        return
    received = bytes(buffer)
    buffer.maybe_extract_at_most(len(received) - len(received.lstrip(b"\r\n")))
    if buffer.is_next_line_obviously_invalid_request_line():
        raise Malformed("no HTTP")
