"""What a client is told when the server that it is connected to through the proxy breaks off its stream.

A cut connection alone looks to many clients like the end of the answer.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ApiError
from ..net.request_context import current_record
from ..schemas.ollama.frames import NDJSON_TYPE, error_body
from .error_shapes import error_event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from ..net.messages import Reply
    from .paths import Surface

SSE_TYPE = "text/event-stream"


def explained(reply: Reply, surface: Surface) -> Reply:
    """The reply, with an error as its last frame or event in case that its stream breaks off.

    Of other kinds of body nothing can be said in the middle: there the connection is cut.
    """
    if isinstance(reply.body, bytes) or reply.length is not None:
        return reply
    kind = reply.headers.get("Content-Type", "")
    if kind.startswith(NDJSON_TYPE):
        return replace(reply, body=_lines(reply.body, lambda error: error_body(error.message) + b"\n"))
    if kind.startswith(SSE_TYPE):
        # An empty line ends an event whose end is missing; by itself it is none.
        return replace(reply, body=_lines(reply.body, lambda error: b"\n" + error_event(surface, error.status, error.message)))
    return reply


async def _lines(parts: AsyncGenerator[bytes, None], last_words: Callable[[ApiError], bytes]) -> AsyncGenerator[bytes, None]:
    """Whole lines only: what comes behind a broken one could not be read."""
    rest = b""
    async with aclosing(parts):
        try:
            async for part in parts:
                end = part.rfind(b"\n") + 1
                if end:
                    yield rest + part[:end]
                    rest = part[end:]
                else:
                    rest += part
        except ApiError as error:
            current_record().error = error.kind
            yield last_words(error)
        else:
            if rest:
                yield rest
