"""Decodes the input of a custom tool, which is free text, from the JSON of the function that stands for the tool.

The function has one parameter, see `translate.openai_responses.tools`: `{"input": "the text"}`.
"""

from __future__ import annotations

import json
import re

_BEFORE_TEXT = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_LONGEST_BEFORE_TEXT = 64
_COMPLETE = re.compile(r'(?:[^"\\]++|\\[^u]|\\u[0-9a-fA-F]{4})*+', re.DOTALL)


class InputDecoder:
    """Decodes the text while the arguments come; feed pieces without cut surrogate pairs.

    Decodes nothing where the arguments have another form: such an input is known only when the call has ended.
    """

    __slots__ = ("_held", "_in_text", "_over")

    def __init__(self) -> None:
        self._held = ""
        self._in_text = False
        self._over = False

    def feed(self, piece: str) -> str:
        """The text that a piece of the arguments adds."""
        if self._over:
            return ""
        text = self._held + piece
        if not self._in_text:
            before = _BEFORE_TEXT.match(text)
            if before is None:
                self._held, self._over = text, len(text) > _LONGEST_BEFORE_TEXT
                return ""
            self._in_text = True
            text = text[before.end() :]
        rest = _COMPLETE.sub("", text, count=1)
        self._held, self._over = rest, rest.startswith('"')
        try:
            decoded: str = json.loads(f'"{text[: len(text) - len(rest)]}"', strict=False)
        except ValueError:
            self._over = True
            return ""
        return decoded
