"""One answer on its way, as a pure state machine: the back end's bytes in, the client's bytes out, nothing awaited.

    back end's bytes -> Reader -> neutral events -> Writer -> client's bytes

The contract with the driver, which is the only part that awaits:

* Send what `begin` returns before anything else, as soon as the answer is certain to be a stream.
* Call `feed` with each network read and send what it returns. When `ended` is true, read no more.
* When the server's body has ended, call `finish`; where it broke, or the proxy gave up, call `fail`.
* When the client must not wait in silence any longer, send what `keep_alive` returns.

`failure` tells of an answer that failed, from the server's own words or by `fail`. As long as nothing was sent, the driver
raises it, so that the client gets a status; afterwards the bytes already hold the error in the form of the client's API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from .events import Event, Failure, Finish, Text, Thinking, ToolCallBegin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..errors import ApiError
    from ..schemas.usage import Usage


class Reader(Protocol):
    """Reads a server's stream, or its whole answer, as neutral events."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that are certain now; the last may be `Finish` or `Failure`, after which nothing is read."""

    def finish(self, *, framed: bool) -> list[Event]:
        """The events that were held back until the end of the server's body, with `Finish` or `Failure` as the last.

        Args:
            framed: whether HTTP's framing marked the end of the body (`Content-Length`, chunked), so that a body that was cut
                would have been an error.
        """


class Writer(Protocol):
    """Writes events in the form of one client API: as a stream, or as one object."""

    def begin(self) -> bytes:
        """What comes before the first event."""

    def write(self, events: Sequence[Event]) -> bytes:
        """The bytes of some events; empty where they add nothing yet. Never gets a `Failure`."""

    def keep_alive(self) -> bytes:
        """What fills a silence without adding to the answer."""

    def fail(self, error: ApiError) -> bytes:
        """The end of a stream whose answer is not complete."""


class AnswerMachine:
    """Joins a reader and a writer.

    Attributes:
        usage: the tokens of an answer that is complete.
        failure: the error of an answer that failed.
        ended: whether the answer has ended, either way.
        said: whether a piece of content has come: text, thinking, or a tool call.
        cut_after_failure: whether the connection is cut after a failure; no client of a translated call needs that.
        holds: that readers and writers keep parts of an answer, such as the arguments of calls, until it has ended.
    """

    cut_after_failure: ClassVar[bool] = False
    holds: ClassVar[bool] = True

    __slots__ = ("_reader", "_writer", "ended", "failure", "said", "usage")

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self.usage: Usage | None = None
        self.failure: ApiError | None = None
        self.ended = False
        self.said = False

    def begin(self) -> bytes:
        """What comes before the answer."""
        return self._writer.begin()

    def feed(self, data: bytes) -> bytes:
        """What a network read adds to the answer."""
        return self._write(self._reader.feed(data))

    def finish(self, *, framed: bool) -> bytes:
        """The rest of the answer when the server's body has ended; see `Reader.finish`."""
        return b"" if self.ended else self._write(self._reader.finish(framed=framed))

    def fail(self, error: ApiError) -> bytes:
        """The end of an answer that cannot be completed."""
        if self.ended:
            return b""
        self.ended, self.failure = True, error
        return self._writer.fail(error)

    def keep_alive(self) -> bytes:
        """What fills a silence."""
        return self._writer.keep_alive()

    def _write(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        last = events[-1]
        if isinstance(last, Failure):
            written = self._writer.write(events[:-1]) if len(events) > 1 else b""
            self.said = self.said or len(events) > 1
            return written + self.fail(last.error)
        if isinstance(last, Finish):
            self.ended, self.usage = True, last.usage
        if not self.said:
            self.said = any(isinstance(event, Text | Thinking | ToolCallBegin) for event in events)
        return self._writer.write(events)
