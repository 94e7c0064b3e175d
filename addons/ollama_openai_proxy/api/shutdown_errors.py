"""What clients are told when the proxy shuts down before their answer has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ApiError
from ..schemas.ollama.frames import NDJSON_TYPE, error_body
from .error_shapes import error_event
from .paths import surface_of
from .stream_errors import SSE_TYPE

if TYPE_CHECKING:
    from ..net.messages import Reply


def goodbye() -> ApiError:
    """The error for clients whose answers the shutdown ended."""
    return ApiError(503, "the proxy is shutting down: try again", kind="shutdown")


def last_words(reply: Reply, path: str) -> bytes:
    """The last frame or event of a stream that the shutdown ends; empty for other kinds of body, which are cut.

    Args:
        reply: whose body is the stream.
        path: that the client called, without the query.
    """
    error = goodbye()
    kind = reply.headers.get("Content-Type", "")
    if kind.startswith(NDJSON_TYPE):
        return error_body(error.message) + b"\n"
    if kind.startswith(SSE_TYPE):
        return b"\n\n" + error_event(surface_of(path), error.status, error.message)
    return b""
