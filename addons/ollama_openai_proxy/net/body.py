"""Bodies that come in parts: who makes one pushes its parts into a sink, without a task or a wait in between.

    server's socket -> ServerBody -> AnswerDriver -> the application's counters -> client's socket

Each of these is a `Body` for the one behind it, and the sink of the one before it. The contract:

* `start` is called at most once. From then on the body calls `write` for each part, as soon as the part is there, and `end`
  once, after which it calls nothing. It may do both before `start` returns.
* Neither method of a sink waits or raises. A sink whose client reads slowly calls `pause`, and `resume` later (backpressure);
  a few parts may still come in between.
* Whoever got a body calls `close` in the end, whether `end` was called or not, started or not. `close` is synchronous and may
  be called repeatedly: it frees the server at once, and the sink is not called any more.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from ..errors import ApiError

HIGH_WATER = 1 << 16
"""Bytes that wait in a buffer before its body is paused."""


class TooLargeError(ValueError):
    """An answer is larger than what may be held in memory of one."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} sent an answer of more than {limit} bytes, see MAX_ANSWER_SIZE")


class Sink(Protocol):
    """Takes the parts of a body."""

    def write(self, part: bytes) -> None:
        """Take a part, which is not empty."""

    def end(self, error: Exception | None) -> None:
        """Take note of the end; `error` is why the body is not complete, which the client must not take for whole then."""


class Body(ABC):
    """A body that comes in parts."""

    __slots__ = ()

    @abstractmethod
    def start(self, sink: Sink) -> None:
        """Push the parts into a sink, from now on."""

    @abstractmethod
    def pause(self) -> None:
        """Stop reading from the server until `resume`; the sink calls this when its client reads too slowly."""

    @abstractmethod
    def resume(self) -> None:
        """Read on after `pause`."""

    @abstractmethod
    def close(self) -> None:
        """Free what makes the body."""

    @abstractmethod
    def fail(self, error: ApiError) -> None:
        """End a body early. The client is told of the error within the body if its format allows, else by a cut connection."""


class KnownParts(Body):
    """A body whose parts are all there, and which is a stream for its client none the less."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = tuple(parts)

    def start(self, sink: Sink) -> None:
        """Write everything."""
        for part in self._parts:
            sink.write(part)
        sink.end(None)

    def pause(self) -> None:
        """Do nothing."""

    def resume(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def fail(self, error: ApiError) -> None:
        """Do nothing: everything is said already."""


class WrappedBody(Body):
    """A body with something in its way, which a subclass does in `write` and `end`; here both pass everything on."""

    __slots__ = ("_inner", "_sink")

    def __init__(self, inner: Body) -> None:
        self._inner = inner
        self._sink: Sink

    def start(self, sink: Sink) -> None:
        """Start the body within."""
        self._sink = sink
        self._inner.start(self)

    def write(self, part: bytes) -> None:
        """Pass a part on."""
        self._sink.write(part)

    def end(self, error: Exception | None) -> None:
        """Pass the end on."""
        self._sink.end(error)

    def pause(self) -> None:
        """Pause the body within."""
        self._inner.pause()

    def resume(self) -> None:
        """Resume the body within."""
        self._inner.resume()

    def close(self) -> None:
        """Close the body within."""
        self._inner.close()

    def fail(self, error: ApiError) -> None:
        """End the body within early."""
        self._inner.fail(error)


class ReleasingBody(WrappedBody):
    """A body that gives something back as soon as it has ended or is closed.

    Args:
        inner: the body.
        release: is called once.
    """

    __slots__ = ("_release",)

    def __init__(self, inner: Body, release: Callable[[], None]) -> None:
        super().__init__(inner)
        self._release: Callable[[], None] | None = release

    def end(self, error: Exception | None) -> None:
        """Release, and pass the end on."""
        self._give_back()
        self._sink.end(error)

    def close(self) -> None:
        """Close the body within, and release."""
        self._inner.close()
        self._give_back()

    def _give_back(self) -> None:
        if (release := self._release) is not None:
            self._release = None
            release()


class BodyReader:
    """Pulls the parts of a body, for whoever awaits them one by one. Starts the body with the first `read`."""

    __slots__ = ("_body", "_ended", "_error", "_parts", "_paused", "_size", "_started", "_waiter")

    def __init__(self, body: Body) -> None:
        self._body = body
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._paused = self._started = self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """The next part; empty at the end.

        Raises:
            Exception: why the body is not complete.
        """
        if not self._started:
            self._started = True
            self._body.start(self)
        while not self._parts:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        part = self._parts.popleft()
        self._size -= len(part)
        if self._paused and self._size <= HIGH_WATER:
            self._paused = False
            self._body.resume()
        return part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """All parts that are left."""
        while part := await self.read():
            yield part

    def write(self, part: bytes) -> None:
        """Keep a part until it is read."""
        self._parts.append(part)
        self._size += len(part)
        if not self._paused and not self._ended and self._size > HIGH_WATER:
            self._paused = True
            self._body.pause()
        self._wake()

    def end(self, error: Exception | None) -> None:
        """Keep the end until it is read."""
        self._ended, self._error = True, error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def read_whole(body: bytes | Body, most: int | None = None) -> bytes:
    """Read a body to its end, or as soon as more than `most` bytes of it have come, and close it.

    Raises:
        Exception: why the body is not complete.
    """
    if isinstance(body, bytes):
        return body
    try:
        parts, size = [], 0
        async for part in BodyReader(body):
            parts.append(part)
            size += len(part)
            if most is not None and size > most:
                break
        return b"".join(parts)
    finally:
        body.close()


MOST_ERROR = 1 << 20
"""Bytes of the body of a server's error that are read."""
MOST_LIST = 1 << 24
"""Bytes of a server's list of models, and of what a server says beside its OpenAI API, that are read."""
