"""Keep-alive: fills the silence of a slow server, so that the client, and proxies in between, do not give up.

Runpod's proxy gives up after about 100 seconds without a byte, coding agents after 300, and a large model takes longer to load
or to write a long file. Between the pieces of an answer `net.answer_driver` fills the silence; this module fills the silence
before the answer begins, which costs the HTTP status of an error: the error is told within the stream then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pydantic_core import from_json

from ..errors import ApiError
from ..net.body import Body, read_whole
from ..net.http_messages import Reply
from ..net.request_context import current_record
from ..translate.error_text import error_text
from .path_table import MESSAGES, OPENAI_RESPONSES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from ..net.answer_driver import Machine
    from ..net.body import Sink
    from ..translate.answer_machine import Writer

OK = 200
AGENT_PATHS = frozenset({MESSAGES, OPENAI_RESPONSES})
"""Calls of coding agents, whose APIs have an event for this; Anthropic's own API sends pings before the first piece, too."""
AGENT_SECONDS = 10.0
SECONDS = 15.0


class Silence(NamedTuple):
    """How long a client may be left without a byte.

    Attributes:
        before: seconds before the first piece of an answer; 0 is any time, so that errors keep their HTTP status.
        between: seconds between the pieces; 0 is any time.
    """

    before: float
    between: float


def silence_limits(path: str, heartbeat: float | None) -> Silence:
    """The limits for a path; `heartbeat` is the setting `HEARTBEAT_SECONDS`, which overrides all of them."""
    if heartbeat is not None:
        return Silence(heartbeat, heartbeat)
    return Silence(AGENT_SECONDS, AGENT_SECONDS) if path in AGENT_PATHS else Silence(0, SECONDS)


class Filler(Protocol):
    """Knows what a client is told that waits for its answer; an `AnswerDriver` is one."""

    def fill(self) -> bytes:
        """What fills the silence."""

    def refuse(self, error: ApiError) -> bytes:
        """What tells an error after `fill`."""


class WriterFiller:
    """The filler of a writer, or of a machine."""

    def __init__(self, writer: Writer | Machine) -> None:
        self.fill = writer.keep_alive
        self.refuse = writer.fail


class Waiting:
    """A client that waits.

    Attributes:
        filler: may be replaced when it is clear how the answer is made.
    """

    __slots__ = ("filler",)

    def __init__(self, filler: Filler) -> None:
        self.filler = filler


async def kept_waiting(
    answer: Callable[[Waiting], Coroutine[None, None, Reply]], filler: Filler, headers: Mapping[str, str], seconds: float
) -> Reply:
    """The reply to a streamed call or, if that takes longer than `seconds`, a reply whose stream begins with fillers.

    Args:
        answer: makes the reply; cancelled when the client leaves.
        filler: what the client is told meanwhile.
        headers: of the reply that begins with fillers.
        seconds: the longest silence; 0 means any.

    Raises:
        ApiError: raised by `answer` in time.
    """
    waiting = Waiting(filler)
    if not seconds:
        return await answer(waiting)
    task = asyncio.get_running_loop().create_task(answer(waiting))
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done:
            return task.result()
    except BaseException:
        _abandon(task)
        raise
    return Reply(OK, headers, _FilledBody(task, waiting, seconds))


class _FilledBody(Body):
    """Fillers until the reply is there, then the body of the reply."""

    __slots__ = ("_inner", "_over", "_paused", "_record", "_seconds", "_sink", "_task", "_timer", "_waiting")

    def __init__(self, task: asyncio.Task[Reply], waiting: Waiting, seconds: float) -> None:
        self._task = task
        self._waiting = waiting
        self._seconds = seconds
        self._record = current_record()
        self._inner: Body | None = None
        self._sink: Sink
        self._timer: asyncio.TimerHandle | None = None
        self._over = self._paused = False

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self._fill()
        self._task.add_done_callback(self._arrived)

    def pause(self) -> None:
        self._paused = True
        if self._inner is not None:
            self._inner.pause()

    def resume(self) -> None:
        self._paused = False
        if self._inner is not None:
            self._inner.resume()

    def close(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._inner is not None:
            self._inner.close()
        else:
            _abandon(self._task)

    def fail(self, error: ApiError) -> None:
        if self._inner is not None:
            self._inner.fail(error)
        elif not self._over:
            self.close()
            self._refuse(error)

    def _fill(self) -> None:
        if not self._paused and (filling := self._waiting.filler.fill()):
            self._record.heartbeats += 1
            self._sink.write(filling)
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._fill)

    def _arrived(self, task: asyncio.Task[Reply]) -> None:
        if self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
        if task.cancelled():
            self._refuse(ApiError(500, "the proxy failed", kind="crash"))
        elif error := task.exception():
            self._refuse(error if isinstance(error, ApiError) else ApiError(500, "the proxy failed", kind="crash"))
        else:
            self._splice(task.result())

    def _splice(self, reply: Reply) -> None:
        if isinstance(reply.body, bytes):
            if reply.status == OK:
                self._sink.write(reply.body.rstrip(b"\n") + b"\n")
                self._over = True
                self._sink.end(None)
            else:
                self._refuse(error_of(reply.status, reply.body))
        elif reply.status == OK:
            self._inner = reply.body
            self._inner.start(self._sink)
            if self._paused:
                self._inner.pause()
        else:
            self._inner = reply.body
            self._task = asyncio.get_running_loop().create_task(_read(reply))
            self._task.add_done_callback(self._refusal_arrived)

    def _refusal_arrived(self, task: asyncio.Task[Reply]) -> None:
        if not self._over:
            self._inner = None
            self._arrived(task)

    def _refuse(self, error: ApiError) -> None:
        self._over = True
        self._record.error = error.kind
        self._sink.write(self._waiting.filler.refuse(error))
        self._sink.end(None)


def error_of(status: int, body: bytes) -> ApiError:
    """The error that a server's reply tells."""
    try:
        told = from_json(body)
    except ValueError:
        told = body.decode("utf-8", "replace").strip()
    return ApiError(status, error_text(told) or f"the server answered with status {status}", kind="backend_refused")


async def _read(reply: Reply) -> Reply:
    return Reply(reply.status, reply.headers, await read_whole(reply.body))


def _abandon(task: asyncio.Task[Reply]) -> None:
    """End a call whose reply nobody wants any more."""
    if not task.cancel():
        _close(task)
    else:
        task.add_done_callback(_close)


def _close(task: asyncio.Task[Reply]) -> None:
    if not task.cancelled() and task.exception() is None and not isinstance(body := task.result().body, bytes):
        body.close()
