"""Tells replies that pass as they are from those that leave the call unanswered, so that it may be made again or elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import BackendError
from ...net.body import HIGH_WATER, MOST_ERROR, WrappedBody, read_whole
from ...translate.bounded_json import read_json
from ...translate.first_content import FirstContent
from ...translate.reader.server_errors import ModelNames, error_in_chunk, server_error
from ...translate.server_loading import TOO_EARLY
from ..first_answer import is_servers_fault
from ..heartbeats import error_of
from ..passed_answers import SSE_TYPE, has_plain_content

if TYPE_CHECKING:
    from ...errors import ApiError
    from ...net.body import Body, Sink
    from ...net.http_messages import Reply


class UnansweredReply(BackendError):
    """A reply whose error says nothing of the call.

    Attributes:
        reply: what the client is told, if nobody answers.
    """

    def __init__(self, reply: Reply, error: ApiError) -> None:
        told = next((value for name, value in reply.headers.items() if name.lower() == "retry-after"), "")
        super().__init__(error.status, error.message, {"Retry-After": told} if told else {})
        self.reply = reply


async def require_answer(reply: Reply, *, held: bool) -> Reply:
    """The reply, if it answers the call.

    Args:
        reply: of a server.
        held: whether the reply is kept back until its first content, since another server could answer in its place.

    Raises:
        UnansweredReply: the reply is an error that says nothing of the call.
        BackendError: the reply breaks off, or tells an error, before its first content.
    """
    if is_servers_fault(reply.status) or reply.status == TOO_EARLY:
        body = await read_whole(reply.body, MOST_ERROR)
        raise UnansweredReply(replace(reply, body=body, length=None), error_of(reply.status, body))
    content_type = reply.headers.get("Content-Type", "").lower()
    if not held or reply.status != 200 or not has_plain_content(reply.headers):
        return reply
    if not isinstance(reply.body, bytes) and content_type.startswith(SSE_TYPE):
        return replace(reply, body=await HeldBody(reply.body).first_content())
    if "json" in content_type:
        reply = replace(reply, body=await read_whole(reply.body), length=None)
        _check_json(reply)
    return reply


def _check_json(reply: Reply) -> None:
    """Raise an error that looks like an answer, if another server may do better."""
    try:
        value = read_json(reply.body)  # type: ignore[arg-type]  # it was read
    except ValueError:
        return
    error = error_in_chunk(value, None) if isinstance(value, dict) and "choices" not in value else None
    if error is not None and is_servers_fault((told := server_error(error, ModelNames())).status):
        raise UnansweredReply(reply, told)


class HeldBody(WrappedBody):
    """A body that is kept back until its first content is there."""

    def __init__(self, inner: Body) -> None:
        super().__init__(inner)
        self._watch = FirstContent()
        self._decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []
        self._size = 0
        self._paused = self._over = False
        self._error: Exception | None = None
        self._held = True

    async def first_content(self) -> Body:
        """The body, when its first content is there.

        Raises:
            BackendError: there is none.
        """
        try:
            self._inner.start(self)
            await self._decided
        except BaseException:
            self.close()
            raise
        if self._watch.failure is not None:
            self.close()
            raise self._watch.failure
        return self

    def write(self, part: bytes) -> None:
        """Take a part."""
        if not self._held:
            self._sink.write(part)
            return
        self._parts.append(part)
        self._size += len(part)
        self._watch.feed(part)
        self._decide()
        if self._watch.decided and self._size > HIGH_WATER and not self._paused:
            self._paused = True
            self._inner.pause()

    def end(self, error: Exception | None) -> None:
        """Take the end."""
        self._over, self._error = True, error
        if not self._held:
            self._sink.end(error)
            return
        self._watch.finish()
        self._decide()

    def start(self, sink: Sink) -> None:
        """Write what was kept back, and whatever comes."""
        self._sink, self._held = sink, False
        parts, self._parts = self._parts, []
        sink.write(b"".join(parts))
        if self._over:
            sink.end(self._error)
        elif self._paused:
            self._paused = False
            self._inner.resume()

    def _decide(self) -> None:
        if self._watch.decided and not self._decided.done():
            self._decided.set_result(None)
