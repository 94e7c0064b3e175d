"""Takes apart answers in which a model's thinking stands between tags at the beginning of its text."""

from __future__ import annotations

from typing import Literal

OPENING = "<think>"
CLOSING = "</think>"


class ThinkSplitter:
    """Fed with a text in pieces of any size, tells thinking from content.

    Only a tag that opens the text counts; white space around the tags belongs to neither side, as in Ollama. What may turn
    out to be a tag is held back until it is decided, or until `finish`.
    """

    def __init__(self) -> None:
        self._state: Literal["start", "opened", "thinking", "closed", "content"] = "start"
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """The thinking and the content that are certain now."""
        if self._state == "content":
            return "", text
        self._held += text
        thinking = ""
        if self._state == "start":
            lead = self._held.lstrip()
            if lead.startswith(OPENING):
                self._state, self._held = "opened", lead[len(OPENING) :]
            elif not OPENING.startswith(lead):
                self._state = "content"
        if self._state == "opened":
            self._held = self._held.lstrip()
            if self._held:
                self._state = "thinking"
        if self._state == "thinking":
            thinking = self._think()
        if self._state == "closed":
            self._held = self._held.lstrip()
            if self._held:
                self._state = "content"
        if self._state != "content":
            return thinking, ""
        content, self._held = self._held, ""
        return thinking, content

    def finish(self) -> tuple[str, str]:
        """What was held back, when the text has ended."""
        held, self._held = self._held, ""
        if self._state == "thinking":
            return held.rstrip(), ""
        return "", held if self._state == "start" else ""

    def _think(self) -> str:
        thinking, tag, rest = self._held.partition(CLOSING)
        if tag:
            self._state, self._held = "closed", rest
            return thinking.rstrip()
        certain = len(self._held) - _undecided(self._held)
        thinking, self._held = self._held[:certain], self._held[certain:]
        return thinking


def _undecided(text: str) -> int:
    """How many characters at the end may belong to a closing tag or be the white space before it."""
    begun = next((n for n in range(len(CLOSING) - 1, 0, -1) if text.endswith(CLOSING[:n])), 0)
    return len(text) - len(text[: len(text) - begun].rstrip())
