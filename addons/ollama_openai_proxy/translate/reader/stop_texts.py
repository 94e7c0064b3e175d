"""Ends a text at a stop text that the server left in it, as transformers' server does."""

from __future__ import annotations

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
    """Cuts one text.

    Attributes:
        met: the stop text that ended the text; None as long as there was none.
    """

    __slots__ = ("_held", "_stops", "met")

    def __init__(self, stops: Sequence[str]) -> None:
        self.met: str | None = None
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def feed(self, text: str) -> str:
        """The text that is certain now; empty once a stop text was met."""
        if self.met is not None:
            return ""
        text = self._held + text
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            at, self.met = min(found)
            self._held = ""
            return text[:at]
        certain = len(text) - begun_mark(text, self._stops)
        self._held = text[certain:]
        return text[:certain]

    def finish(self) -> str:
        """What was held back, when the text has ended."""
        held, self._held = self._held, ""
        return held
