"""Reads an answer that was asked for as a value within an object, see `adaptation.format_changes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .adaptation.format_changes import Unwrapper
from .events import Failure, Finish, Text

if TYPE_CHECKING:
    from .answer_machine import Reader
    from .events import Event


class UnwrappingReader:
    """Gives the value's text in place of the object's."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._text = Unwrapper()

    def feed(self, data: bytes) -> list[Event]:
        """The events that are certain now."""
        return self._unwrapped(self._reader.feed(data))

    def finish(self, *, framed: bool) -> list[Event]:
        """The events that were held back."""
        return self._unwrapped(self._reader.finish(framed=framed))

    def _unwrapped(self, events: list[Event]) -> list[Event]:
        unwrapped: list[Event] = []
        for event in events:
            if isinstance(event, Text):
                text = self._text.feed(event.text)
                if text or event.logprobs:
                    unwrapped.append(Text(text, event.logprobs))
                continue
            if isinstance(event, Finish | Failure) and (rest := self._text.finish()):
                unwrapped.append(Text(rest))
            unwrapped.append(event)
        return unwrapped
