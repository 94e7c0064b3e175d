"""Carries an answer from a server to a client: the only module that knows both sides and the time.

What an answer says is decided by a pure machine (see `translate.answer_machine`). The driver feeds the machine with each
network read and writes at once what comes out. The driver also notices a server that falls silent, fills a silence for the
client, slows the server down to the client's pace, frees the server when the client leaves, and ends a failed answer in the
form of its API.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import ApiError, BackendError, describe
from .body import HIGH_WATER, Body, TooLargeError
from .request_context import current_record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..schemas.usage import Usage
    from .body import Sink
    from .http_messages import Timeouts
    from .request_context import Watcher

DRAIN_TIMEOUT = 0.2
"""Seconds to wait for the end of a body whose answer is complete; without that end the connection cannot be used again."""

logger = logging.getLogger(__name__)


class Machine(Protocol):
    """Makes the client's bytes of the server's bytes, without I/O; `AnswerMachine` is one."""

    @property
    def ended(self) -> bool:
        """Whether the answer has ended, so that nothing more of the server's body is read."""

    @property
    def failure(self) -> ApiError | None:
        """Why the answer is not complete."""

    @property
    def said(self) -> bool:
        """Whether a piece of content has come."""

    @property
    def usage(self) -> Usage | None:
        """The tokens of a complete answer."""

    @property
    def cut_after_failure(self) -> bool:
        """Whether the connection is cut after a failure, since the client may not notice what `fail` returned."""

    @property
    def holds(self) -> bool:
        """Whether the machine keeps an answer in memory, or parts that grow with it, until the answer has ended."""

    def begin(self) -> bytes:
        """What comes before the answer; called as soon as the server has accepted the call."""

    def feed(self, data: bytes) -> bytes:
        """What a network read adds to the answer."""

    def finish(self, *, framed: bool) -> bytes:
        """The rest of the answer when the server's body has ended; `framed` tells whether HTTP marked that end."""

    def fail(self, error: ApiError) -> bytes:
        """The end of an answer that cannot be completed."""

    def keep_alive(self) -> bytes:
        """What fills a silence, also before `begin`; empty where nothing can."""


class ServerAnswer(NamedTuple):
    """A server's response, as far as its head.

    Attributes:
        status: the HTTP status.
        body: the body, which is not started.
        framed: whether `Content-Length` or chunks mark the end of the body, and not only the end of the connection.
    """

    status: int
    body: Body
    framed: bool


class AnswerDriver(Body):
    """One answer on its way. For the server's body the driver is a sink, for the client's connection a body.

    Args:
        machine: of the answer, or of what a client is told before an answer is there.
        timeouts: how long the server may take.
        explain: makes an error for the client of the error that ended the server's body, or of a `TimeoutError`.
        keep_alive: seconds of silence after which `Machine.keep_alive` fills it; 0 is never.
        watcher: is told of what the server sends.
        began: is called when the first content of an attempt is there.
        ended: is called when the answer has ended, complete or not.
        limit: bytes of an answer that may be held in memory; None for any.

    Attributes:
        begun: whether the client was told something while it waited, so that no other stream can take this one's place.
    """

    def __init__(
        self,
        machine: Machine,
        timeouts: Timeouts,
        explain: Callable[[Exception], ApiError],
        *,
        keep_alive: float = 0,
        watcher: Watcher | None = None,
        began: Callable[[], None] | None = None,
        ended: Callable[[], None] | None = None,
        limit: int | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._record = current_record()
        self._machine = self._refusal = machine
        self._timeouts = timeouts
        self._explain = explain
        self._keep_alive = keep_alive
        self._watcher = watcher
        self._began = began
        self._ended = ended
        self._limit = limit
        self._size = 0
        self._held = _Held(self)
        self._sink: Sink = self._held
        self._server: ServerAnswer | None = None
        self._opening: _Opening | None = None
        self._prefix = b""
        self._answered = self._over = self._paused = self._has_content = False
        self.begun = False
        self._read_at = self._told_at = self._time()
        self._timer: asyncio.TimerHandle | None = None

    # -- Opening -----------------------------------------------------------------------------------------------------------

    async def open(
        self,
        call: Callable[[], Awaitable[ServerAnswer]],
        machine: Machine,
        *,
        whole: bool = False,
        timeouts: Timeouts | None = None,
        explain: Callable[[Exception], ApiError] | None = None,
    ) -> None:
        """Make a call, and return as soon as there is something to tell the client.

        After an error, a further attempt may be made, also at another server, with a machine of its own and the writer of the
        first.

        Args:
            call: makes the call.
            machine: makes the client's answer of the server's.
            whole: whether to return only when the answer is complete.
            timeouts: how long this server may take; by default as before.
            explain: makes the errors of this server; by default as before.

        Raises:
            ApiError: the answer failed before there was something to tell, so that the client can be told with a status.
            TimeoutError: the server took too long.
        """
        self._machine = machine
        self._timeouts = timeouts or self._timeouts
        self._explain = explain or self._explain
        self._answered = self._over = self._has_content = False
        self._held.limit = None if whole else HIGH_WATER
        try:
            async with asyncio.timeout(self._timeouts.begin) as limit:
                self._opening = _Opening(self._loop.create_future(), limit, whole=whole)
                server = await call()
                self.read_from(server)
                await self._opening.done
        except BaseException:
            self._free()
            raise
        finally:
            self._opening = None

    def collected(self) -> bytes:
        """The whole answer, after `open`."""
        return self._held.take()

    def read_from(self, server: ServerAnswer) -> None:
        """Read a server's answer."""
        self._server = server
        self._size = 0
        self._prefix += self._machine.begin()
        self._read_at = self._told_at = self._time()
        self._arm()
        if self._watcher is not None:
            self._watcher.received(server.status, b"")
        server.body.start(self)
        if self._paused:
            server.body.pause()

    def fill(self) -> bytes:
        """What keeps a client waiting that cannot wait in silence until `open` returns."""
        prefix, self._prefix = self._prefix, b""
        filling = prefix + self._machine.keep_alive()
        self.begun = self.begun or bool(filling)
        return filling

    def refuse(self, error: ApiError) -> bytes:
        """What tells an error of `open` to a client that was kept waiting with `fill`."""
        return self._refusal.fail(error)

    # -- The server's side -------------------------------------------------------------------------------------------------

    def write(self, part: bytes) -> None:
        """Take a network read."""
        if self._answered:
            return
        self._read_at = self._time()
        if self._watcher is not None and self._server is not None:
            self._watcher.received(self._server.status, part)
        machine = self._machine
        self._size += len(part)
        if self._limit is not None and self._size > self._limit and (machine.holds or self._is_whole()):
            self.end(TooLargeError("the server", self._limit))
            return
        try:
            out = machine.feed(part)
        except Exception as error:  # whatever it is, the client must not wait for ever
            out = self._crash(error)
        if self._opening is not None:
            self._look(self._opening)
        if out:
            self._tell(out)
        if machine.ended and not self._over:
            self._answered = True
            if machine.failure is None:
                # The connection can be used again if the server ends its body now.
                self._cancel_timer()
                self._timer = self._loop.call_later(DRAIN_TIMEOUT, self._finish)
            else:
                self._finish()

    def end(self, error: Exception | None) -> None:
        """Take the end of the server's body, or why it is not complete."""
        if self._over:
            return
        if not self._answered:
            self._answered = True
            try:
                if error is None:
                    out = self._machine.finish(framed=self._server is not None and self._server.framed)
                else:
                    out = self._machine.fail(_too_large(error) or self._explain(error))
            except Exception as crash:  # see `write`
                out = self._crash(crash)
            if out:
                self._tell(out)
        self._finish()

    def _is_whole(self) -> bool:
        """Whether the client gets the answer in one piece."""
        return self._opening is not None and self._opening.whole

    def _crash(self, error: Exception) -> bytes:
        logger.error("an answer of %s failed: %s", self._record.path, describe(error))
        return self._machine.fail(ApiError(500, "the proxy failed", kind="crash"))

    def _look(self, opening: _Opening) -> None:
        """Note the first content, from which on the server has to go on, and not to begin."""
        if self._machine.said:
            if self._began is not None and not self._has_content:
                self._began()
            self._has_content = True
            opening.limit.reschedule(None)

    def _tell(self, out: bytes) -> None:
        opening = self._opening
        if opening is not None:
            if self._machine.failure is not None and (opening.whole or not self._machine.said):
                return  # `open` raises the failure
            if not opening.whole and not opening.done.done():
                opening.done.set_result(None)
        if self._prefix:
            out = self._prefix + out
            self._prefix = b""
        self._told_at = self._read_at
        self._sink.write(out)

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        self._free()
        failure, usage = self._machine.failure, self._machine.usage
        if self._ended is not None:
            self._ended()
        if usage is not None:
            self._record.prompt_tokens, self._record.completion_tokens = usage.input_tokens, usage.output_tokens
        opening = self._opening
        if opening is not None and not opening.done.done():
            if failure is not None:
                opening.done.set_exception(failure)
                return
            opening.done.set_result(None)
        if failure is not None:
            self._record.error = failure.kind
        self._sink.end(failure if self._machine.cut_after_failure else None)

    # -- The client's side -------------------------------------------------------------------------------------------------

    def start(self, sink: Sink) -> None:
        """Write what is there, and whatever comes."""
        held = self._held
        self._sink, self._paused = sink, False
        if held.parts:
            sink.write(held.take())
        if held.ended:
            sink.end(held.error)
        elif held.paused and not self._paused and self._server is not None:
            self._server.body.resume()

    def pause(self) -> None:
        """Let the server wait."""
        self._paused = True
        if self._server is not None and not self._over:
            self._server.body.pause()

    def resume(self) -> None:
        """Let the server go on."""
        self._paused = False
        if self._server is not None and not self._over:
            self._server.body.resume()

    def close(self) -> None:
        """Free the server: nobody waits for the rest of the answer."""
        self._over = True
        self._free()

    def fail(self, error: ApiError) -> None:
        """End the answer early, in the form of its API."""
        if self._over:
            return
        if not self._answered:
            self._answered = True
            out = self._machine.fail(error)
            if out:
                self._tell(out)
        self._finish()

    def _free(self) -> None:
        self._cancel_timer()
        server, self._server = self._server, None
        if server is not None:
            server.body.close()

    # -- Silence: one timer, which is moved when it rings, and not with each read ------------------------------------------

    def _arm(self) -> None:
        waits = []
        if self._timeouts.idle is not None:
            waits.append(self._read_at + self._timeouts.idle)
        if self._keep_alive:
            waits.append(self._told_at + self._keep_alive)
        self._cancel_timer()
        if waits:
            self._timer = self._loop.call_at(min(waits), self._ring)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        now = self._time()
        opening, idle = self._opening, self._timeouts.idle
        if self._paused:
            # The server is not read, and the client has not taken all that there is.
            self._read_at = self._told_at = now
        elif opening is not None and not self._machine.said:
            # Until then it is for `open` to say how long the server may take.
            self._read_at = self._told_at = now
        elif idle is not None and self._read_at + idle <= now:
            self.end(TimeoutError())
            return
        if self._keep_alive and self._told_at + self._keep_alive <= now:
            self._told_at = now
            if opening is None and (filling := self._machine.keep_alive()):
                self._record.heartbeats += 1
                self._sink.write(filling)
        if not self._over:
            self._arm()


def _too_large(error: Exception) -> BackendError | None:
    return BackendError(502, str(error), kind="answer_too_large") if isinstance(error, TooLargeError) else None


class _Opening(NamedTuple):
    """What `AnswerDriver.open` waits for."""

    done: asyncio.Future[None]
    limit: asyncio.Timeout
    whole: bool


class _Held:
    """Keeps what comes until the client's connection is known."""

    __slots__ = ("_body", "_size", "ended", "error", "limit", "parts", "paused")

    def __init__(self, body: AnswerDriver) -> None:
        self._body = body
        self._size = 0
        self.limit: int | None = HIGH_WATER
        self.parts: list[bytes] = []
        self.paused = self.ended = False
        self.error: Exception | None = None

    def write(self, part: bytes) -> None:
        self.parts.append(part)
        self._size += len(part)
        if self.limit is not None and self._size > self.limit and not self.paused:
            self.paused = True
            self._body.pause()

    def end(self, error: Exception | None) -> None:
        self.ended, self.error = True, error

    def take(self) -> bytes:
        parts, self.parts = self.parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)
