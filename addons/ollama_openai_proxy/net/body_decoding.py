"""Undoes the content coding of a server's body. The proxy asks for none, but some servers and gateways compress anyway.

A few bytes may unpack to any amount, so what one network read unpacks to is bounded.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

import zstandard

from .body import WrappedBody

if TYPE_CHECKING:
    from .body import Body

MOST_UNPACKED = 1 << 24
"""Bytes to which one network read, of some hundred kilobytes at most, may unpack."""
LARGEST_WINDOW = 1 << 23
"""Bytes that a decoder of zstd may keep; RFC 8878 §3.1.1.1.2 recommends to support these, and not to trust a frame beyond."""
_TOO_MUCH = "the content unpacks to too much"


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes:
        """What can be said of the content now; a `ValueError` where that is too much."""


class DecodedBody(WrappedBody):
    """A body without its content coding. Ends with `ValueError` if the coding is damaged, or unpacks to too much."""

    __slots__ = ("_broken", "_decompressor")

    def __init__(self, inner: Body, decompressor: _Decompressor) -> None:
        super().__init__(inner)
        self._decompressor = decompressor
        self._broken = False

    def write(self, part: bytes) -> None:
        """Decompress a part."""
        if self._broken:
            return
        try:
            content = self._decompressor.decompress(part)
        except (zlib.error, zstandard.ZstdError):
            self._break("the content coding is damaged")
            return
        except ValueError as error:
            self._break(str(error))
            return
        if content:
            self._sink.write(content)

    def end(self, error: Exception | None) -> None:
        """Pass the end on, unless there has been one."""
        if not self._broken:
            self._sink.end(error)

    def _break(self, reason: str) -> None:
        self._broken = True
        self._inner.close()
        self._sink.end(ValueError(reason))


class _Zlib:
    """gzip and zlib, one network read at a time."""

    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def decompress(self, data: bytes) -> bytes:
        content = self._decompressor.decompress(data, MOST_UNPACKED + 1)
        if len(content) > MOST_UNPACKED:
            raise ValueError(_TOO_MUCH)
        return content


class _Collector:
    """Takes what zstd unpacks, and refers to nothing: no cycle keeps the memory of an answer that was given up."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def write(self, part: bytes) -> int:
        self.size += len(part)
        if self.size > MOST_UNPACKED:
            self.parts.clear()
            raise ValueError(_TOO_MUCH)
        self.parts.append(bytes(part))
        return len(part)


class _Zstandard:
    """zstd, one network read at a time."""

    def __init__(self) -> None:
        self._collector = _Collector()
        unpacking = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        self._unpacking = unpacking.stream_writer(self._collector)  # type: ignore[arg-type]  # it only writes

    def decompress(self, data: bytes) -> bytes:
        collector = self._collector
        collector.size = 0
        self._unpacking.write(data)
        content = b"".join(collector.parts)
        collector.parts.clear()
        return content


def is_known(coding: str) -> bool:
    """Whether a content coding can be undone."""
    return coding.strip().lower() in ("gzip", "x-gzip", "deflate", "zstd")


def decoded(body: Body, coding: str) -> Body:
    """The body without a content coding; an unknown coding stays, so that the body cannot be understood."""
    if not is_known(coding):
        return body
    return DecodedBody(body, _Zstandard() if coding.strip().lower() == "zstd" else _Zlib())
