"""A request's body without its content coding; some clients compress what they send here (docs/wire.md#openai-responses)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import zstandard

from ...errors import InvalidRequest

if TYPE_CHECKING:
    from ...net.http_messages import Request

MOST = 100 << 20
"""Bytes to which a body may unpack."""


def plain_content(request: Request) -> bytes:
    """The body as it was before it was packed.

    Raises:
        InvalidRequest: it is packed in an unknown way, is damaged, or unpacks to too much.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    try:
        match coding:
            case "identity" | "":
                return request.body
            case "gzip" | "deflate":
                unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
                content = unpack.decompress(request.body, MOST)
                complete = unpack.eof
            case "zstd":
                reader = zstandard.ZstdDecompressor().stream_reader(request.body)
                content = reader.read(MOST)
                complete = not reader.read(1)
            case _:
                raise InvalidRequest(f'the content coding "{coding}" is not known', status=415)
    except (zlib.error, zstandard.ZstdError):
        raise InvalidRequest(f"the body is no valid {coding}") from None
    if not complete:
        raise InvalidRequest("the body unpacks to too much, or is not complete", status=413)
    return content
