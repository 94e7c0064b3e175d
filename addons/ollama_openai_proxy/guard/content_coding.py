"""A request's body without its content coding (RFC 9110 §8.4), unpacked in steps that stop at a limit.

Some clients compress what they send (docs/wire.md#openai-responses). A few kilobytes may unpack to gigabytes.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import zstandard

from ..errors import InvalidRequest
from ..net.body_decoding import LARGEST_WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..net.http_messages import Request

STEP = 1 << 18
"""Bytes to which one step of gzip, deflate and Brotli unpacks."""
ZSTD_INPUT = 256
"""Bytes of input for one step of zstd: no fewer than four bytes become 128 KiB."""
CODINGS = frozenset({"gzip", "x-gzip", "deflate", "zstd", "br"})


def coding_of(request: Request) -> str:
    """The content coding of a request's body in lower case; empty if there is none."""
    coding = request.headers.get("content-encoding", "").strip().lower()
    return "" if coding == "identity" else coding


def unpack(data: bytes, coding: str) -> Iterator[bytes]:
    """Unpack a body, in parts of a few megabytes at most.

    Raises:
        InvalidRequest: the coding is unknown, or the body is damaged or not complete.
    """
    try:
        match coding:
            case "gzip" | "x-gzip" | "deflate":
                yield from _inflate(data)
            case "zstd":
                yield from _unpack_zstd(data)
            case "br":
                yield from _unpack_brotli(data)
            case _:
                raise InvalidRequest(f'the content coding "{coding}" is not known', status=415)
    except (zlib.error, zstandard.ZstdError, _BrotliError):
        raise InvalidRequest(f"the body is no valid {coding}") from None


class _BrotliError(Exception):
    """The decoder of Brotli refuses its input; the decoder's own exception is known only once it is imported."""


def _inflate(data: bytes) -> Iterator[bytes]:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    part = decoder.decompress(data, STEP)
    while part:
        yield part
        part = decoder.decompress(decoder.unconsumed_tail, STEP)
    if not decoder.eof:
        raise zlib.error


def _unpack_zstd(data: bytes) -> Iterator[bytes]:
    decoder = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()
    for start in range(0, len(data), ZSTD_INPUT):
        if part := decoder.decompress(data[start : start + ZSTD_INPUT]):
            yield part
        if decoder.eof:
            return
    raise zstandard.ZstdError


def _unpack_brotli(data: bytes) -> Iterator[bytes]:
    # Few clients use it.
    import brotli

    decoder = brotli.Decompressor()
    try:
        part = decoder.process(data, output_buffer_limit=STEP)
        while part or not decoder.can_accept_more_data():
            if part:
                yield part
            part = decoder.process(b"", output_buffer_limit=STEP)
    except brotli.error:
        raise _BrotliError from None
    if not decoder.is_finished():
        raise _BrotliError
