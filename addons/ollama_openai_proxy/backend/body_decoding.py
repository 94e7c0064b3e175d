"""Undoes the content coding of a streamed body. The proxy asks for none, but some servers and gateways compress anyway."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

import zstandard

from ..net.body import WrappedBody

if TYPE_CHECKING:
    from ..net.body import Body


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes:
        """What can be said of the content now."""


class DecodedBody(WrappedBody):
    """A body without its content coding. Ends with `ValueError` if the coding is damaged."""

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
            self._broken = True
            self._inner.close()
            self._sink.end(ValueError("the content coding is damaged"))
            return
        if content:
            self._sink.write(content)


def decoded(body: Body, coding: str) -> Body:
    """The body without a content coding; an unknown coding stays, so that the body cannot be understood."""
    match coding.strip().lower():
        case "gzip" | "x-gzip" | "deflate":
            return DecodedBody(body, zlib.decompressobj(zlib.MAX_WBITS | 32))
        case "zstd":
            return DecodedBody(body, zstandard.ZstdDecompressor().decompressobj())
    return body
