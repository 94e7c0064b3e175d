"""Keeps a client, and what stands between, waiting: empty frames while there is no answer yet.

The edge in front of a pod gives up after about 100 seconds without a byte, and a large model takes longer to load.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from ..errors import ApiError
from ..net.messages import Reply
from ..net.request_context import current_record
from ..schemas.ollama.frames import NDJSON_TYPE, Delta, error_body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from ..schemas.ollama.frames import Frames

OK = 200


async def with_heartbeat(answer: Coroutine[None, None, Reply], frames: Frames, seconds: float) -> Reply:
    """The reply of a streamed call or, where that takes longer than `seconds`, one that begins with empty frames.

    Once those have begun, an error can only be told in a frame.

    Args:
        answer: the call; it is cancelled with whoever waits for it.
        frames: writes the frames of the endpoint.
        seconds: the longest silence; 0 means any.
    """
    if not seconds:
        return await answer
    task = asyncio.create_task(answer)
    try:
        if await _ended(task, seconds):
            return task.result()
    except BaseException:
        await _abandon(task)
        raise
    return Reply(OK, {"Content-Type": NDJSON_TYPE}, _beating(task, frames, seconds))


async def _beating(task: asyncio.Task[Reply], frames: Frames, seconds: float) -> AsyncGenerator[bytes, None]:
    try:
        while True:
            current_record().heartbeats += 1
            yield frames.delta(Delta())
            if await _ended(task, seconds):
                break
        try:
            async with aclosing(_late(task.result())) as parts:
                async for part in parts:
                    yield part
        except ApiError as error:
            current_record().error = error.kind
            yield error_body(error.message) + b"\n"
    finally:
        await _abandon(task)


async def _ended(task: asyncio.Task[Reply], seconds: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=seconds)
    return bool(done)


async def _late(reply: Reply) -> AsyncGenerator[bytes, None]:
    """What is left to say when a reply comes whose head cannot be sent any more."""
    if isinstance(reply.body, bytes):
        yield (reply.body if reply.status == OK else _error_frame(reply.body)).rstrip(b"\n") + b"\n"
        return
    async with aclosing(reply.body) as parts:
        if reply.status == OK:
            async for part in parts:
                yield part
        else:
            yield _error_frame(b"".join([part async for part in parts])).rstrip(b"\n") + b"\n"


def _error_frame(body: bytes) -> bytes:
    """An error's body as a frame."""
    with suppress(ValueError, RecursionError):
        if isinstance(error := json.loads(body), dict) and "error" in error:
            return body
    return error_body(body.decode("utf-8", "replace").strip())


async def _abandon(task: asyncio.Task[Reply]) -> None:
    """End a call whose reply nobody wants any more."""
    task.cancel()
    with suppress(BaseException):
        reply = await task
        if not isinstance(reply.body, bytes):
            await reply.body.aclose()
