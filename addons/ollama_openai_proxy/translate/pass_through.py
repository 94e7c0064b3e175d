"""Machines for answers that pass as the server sent them; `net.answer_driver.Machine` is their contract.

A client takes a connection that is cut for the end of the answer. So a stream of lines that breaks off gets an error as its
last frame or event, a stream that merely stops without its last event counts as broken off, and silences are filled.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic_core import from_json

from ..errors import ApiError, BackendError
from .reader.sse import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..schemas.usage import Usage

type Rewrite = Callable[[bytes], bytes]
type ErrorText = Callable[[ApiError], bytes]

TOO_LONG = f"the back end sent a line of more than {LONGEST_LINE} bytes"
COMMENT = b": keep-alive\n"
_TERMINATORS = re.compile(
    rb'^data: *\[DONE\]|"type" *: *"(?:message_stop|response\.(?:completed|incomplete|failed))"', re.MULTILINE
)
# Several patterns, since one that begins with a fixed text is found many times faster than alternatives are.
_LAST_EVENTS = (
    re.compile(rb'"finish_reason" *: *"'),
    re.compile(rb"\Adata: *\[DONE\]"),
    re.compile(rb"\ndata: *\[DONE\]"),
    re.compile(rb'"type" *: *"(?:message_stop|response\.(?:completed|incomplete|failed)|error)"'),
)


class RawMachine:
    """Passes a body of which nothing is known. If the body breaks off, the connection is cut."""

    __slots__ = ("ended", "failure", "said")

    usage: Usage | None = None
    cut_after_failure = True
    holds = False

    def __init__(self) -> None:
        self.ended = self.said = False
        self.failure: ApiError | None = None

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """The data."""
        self.said = True
        return data

    def finish(self, *, framed: bool) -> bytes:  # noqa: ARG002  # of such a body, the end of the connection may be the end
        """Nothing."""
        self.ended = True
        return b""

    def fail(self, error: ApiError) -> bytes:
        """Nothing: the body's format is not known."""
        self.ended, self.failure = True, error
        return b""

    def keep_alive(self) -> bytes:
        """Nothing."""
        return b""


class LineMachine(RawMachine):
    """Passes whole lines, as of NDJSON, so that an error can follow the last one.

    Args:
        error_text: writes an error as the last line; None for a body that has no place for errors.
        rewrite: changes whole lines, for instance the name of the model.
        filler: a line that fills a silence; empty for none.

    What breaks off behind its last line is complete.
    """

    __slots__ = ("_error_text", "_filler", "_last", "_rest", "_rewrite", "_size", "cut_after_failure", "holds")

    def __init__(
        self, error_text: ErrorText | None, rewrite: Rewrite | None = None, filler: Callable[[], bytes] | None = None
    ) -> None:
        super().__init__()
        self._error_text = error_text
        self.cut_after_failure = error_text is None
        # Without lines, as in a whole JSON body, the body is one line.
        self.holds = error_text is None
        self._size = 0
        self._rewrite = rewrite
        self._filler = filler
        self._rest: list[bytes] = []
        self._last = b""  # the lines that were told last

    def feed(self, data: bytes) -> bytes:
        """The lines that are complete now."""
        self.said = True
        end = data.rfind(b"\n") + 1
        if not end:
            self._size += len(data)
            if self._size > LONGEST_LINE and not self.holds:
                return self.fail(BackendError(502, TOO_LONG))
            self._rest.append(data)
            return b""
        self._size = len(data) - end
        lines = data if end == len(data) else data[:end]
        if self._rest:
            lines = b"".join([*self._rest, lines])
            self._rest.clear()
        if end < len(data):
            self._rest.append(data[end:])
        return self._lines(lines)

    def finish(self, *, framed: bool) -> bytes:
        """The last line, which may lack its end."""
        self.ended = True
        rest = b"".join(self._rest)
        self._rest.clear()
        last = self._lines(rest) if rest else b""
        if self.failure is None and (error := self._missing_end(framed=framed)):
            return last + self.fail(error)
        return last

    def fail(self, error: ApiError) -> bytes:
        """The error as the last line. A line that is not complete is left out, since what follows could not be read."""
        self.ended = True
        self._rest.clear()
        if self._is_complete(self._last):
            return b""
        self.failure = error
        return b"" if self._error_text is None else self._error_text(error)

    def keep_alive(self) -> bytes:
        """A line that says nothing."""
        return self._filler() if self._filler is not None else b""

    def _lines(self, lines: bytes) -> bytes:
        self._last = lines
        return lines if self._rewrite is None else self._rewrite(lines)

    def _is_complete(self, last: bytes) -> bool:
        """Whether nothing can follow the lines that were told last."""
        if self._error_text is None or b'"done"' not in last:
            return False
        try:
            frame = from_json(last.splitlines()[-1])
        except ValueError:
            return False
        return isinstance(frame, dict) and frame.get("done") is True

    def _missing_end(self, *, framed: bool) -> ApiError | None:  # noqa: ARG002  # for those who know what an end looks like
        return None


class EventMachine(LineMachine):
    """Passes server-sent events.

    Args:
        error_text: writes an error as an event.
        rewrite: changes whole lines.
        ping: an event that fills a silence; where there is none, or within an event, a comment does.
        has_end: whether the stream ends with an event that can be recognised, such as `[DONE]`.
        cut_after_failure: whether the connection is cut after an event that tells an error.
    """

    __slots__ = ("_at_boundary", "_ended_properly", "_has_end", "_ping")

    def __init__(
        self,
        error_text: ErrorText,
        rewrite: Rewrite | None = None,
        *,
        ping: bytes = b"",
        has_end: bool = False,
        cut_after_failure: bool = False,
    ) -> None:
        super().__init__(error_text, rewrite)
        self._ping = ping
        self._has_end = has_end
        self._ended_properly = False
        self._at_boundary = True
        self.cut_after_failure = cut_after_failure

    def fail(self, error: ApiError) -> bytes:
        """The error as the last event."""
        # An empty line ends an event whose end is missing.
        return (b"" if self._at_boundary else b"\n") + super().fail(error)

    def keep_alive(self) -> bytes:
        """An event, or a comment where an event has begun."""
        if not self._at_boundary:
            return COMMENT
        return self._ping or COMMENT + b"\n"

    def _lines(self, lines: bytes) -> bytes:
        self._at_boundary = lines.endswith((b"\n\n", b"\n\r\n")) or (self._at_boundary and not lines.strip(b"\r\n"))
        if self._has_end and not self._ended_properly:
            self._ended_properly = any(pattern.search(lines) for pattern in _LAST_EVENTS)
        if self.cut_after_failure and b'"error"' in lines:
            self._note_error(lines)
        return super()._lines(lines)

    def _is_complete(self, last: bytes) -> bool:
        return _TERMINATORS.search(last) is not None

    def _note_error(self, lines: bytes) -> None:
        for line in lines.splitlines():
            field, _, value = line.partition(b":")
            if field in (b"data", b"error") and b'"error"' in value and _tells_error(value):
                self.failure = BackendError(502, "the back end reported an error within its stream")

    def _missing_end(self, *, framed: bool) -> ApiError | None:
        if framed or self._ended_properly or not self._has_end:
            return None
        return BackendError(502, "the back end broke off its answer")


def _tells_error(data: bytes) -> bool:
    try:
        event = from_json(data)
    except ValueError:
        return False
    return isinstance(event, dict) and bool(event.get("error"))
