"""Ends a text at a stop text that the server left in it, as transformers' server does."""

from __future__ import annotations

from array import array
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def begun_mark(text: str, marks: Sequence[str]) -> int:
    """How many characters at the end of a text may be the beginning of a mark."""
    longest = 0
    for mark in marks:
        at = text.find(mark[0], max(len(text) - len(mark) + 1, 0))
        while at >= 0:
            if mark.startswith(text[at:]):
                longest = max(longest, len(text) - at)
                break
            at = text.find(mark[0], at + 1)
    return longest


class StopTexts:
    """Cuts one text, in time that grows with the text and the stop texts only, in however small pieces the text comes.

    Attributes:
        met: the stop text that ended the text; None as long as there was none.
    """

    __slots__ = ("_held", "_stops", "met")

    def __init__(self, stops: Sequence[str]) -> None:
        self.met: str | None = None
        self._stops = [_Stop(stop) for stop in stops if stop]
        self._held = _Held()

    def feed(self, text: str) -> str:
        """The text that is certain now; empty once a stop text was met."""
        if self.met is not None:
            return ""
        before = len(self._held)
        self._held.add(text)
        found = [(before + end - len(stop.text), stop.text) for stop in self._stops if (end := stop.find_end(text)) is not None]
        if not found:
            return self._held.take(len(self._held) - max((stop.matched for stop in self._stops), default=0))
        at, self.met = min(found)
        certain = self._held.take(at)
        self._held = _Held()
        return certain

    def finish(self) -> str:
        """What was held back, when the text has ended."""
        return self._held.take(len(self._held))


class _Stop:
    """Looks for one stop text with the algorithm of Knuth, Morris and Pratt.

    Attributes:
        text: the stop text.
        matched: how many of its characters the text so far ends with.
    """

    __slots__ = ("_borders", "matched", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.matched = 0
        # For each beginning of the stop text that was asked about, and is not empty: how long a shorter one it ends with.
        self._borders = array("L", [0])

    def find_end(self, text: str) -> int | None:
        """Where in a piece of text the first stop text ends that was not met before; None if it holds no end of one."""
        stop, at = self.text, 0
        if not self.matched:
            if (start := text.find(stop)) >= 0:
                return start + len(stop)
            at = max(len(text) - len(stop) + 1, 0)
        while at < len(text):
            if not self.matched and (at := text.find(stop[0], at)) < 0:
                return None
            character = text[at]
            while self.matched and stop[self.matched] != character:
                self.matched = self._border(self.matched)
            self.matched += stop[self.matched] == character
            at += 1
            if self.matched == len(stop):
                return at
        return None

    def _border(self, length: int) -> int:
        stop, borders = self.text, self._borders
        while len(borders) < length:
            end, border = len(borders), borders[-1]
            while border and stop[end] != stop[border]:
                border = borders[border - 1]
            borders.append(border + (stop[end] == stop[border]))
        return borders[length - 1]


class _Held:
    """A text that grows at its end, and is taken from its beginning."""

    __slots__ = ("_length", "_parts", "_taken")

    def __init__(self) -> None:
        self._parts: deque[str] = deque()
        self._taken = 0  # of the first part
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, text: str) -> None:
        """Put a text at the end."""
        if text:
            self._parts.append(text)
            self._length += len(text)

    def take(self, length: int) -> str:
        """The first characters, which are taken out."""
        self._length -= length
        taken = []
        while length:
            part, start = self._parts[0], self._taken
            some = part[start : start + length]
            taken.append(some)
            length -= len(some)
            self._taken += len(some)
            if self._taken == len(part):
                self._parts.popleft()
                self._taken = 0
        return "".join(taken)
