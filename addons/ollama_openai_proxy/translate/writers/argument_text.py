r"""Passes on the JSON text of a tool call's arguments, piece by piece, so that every client can parse the text.

JSON may escape one half of a surrogate pair without the other (`\ud83d`). Such half a character cannot be encoded as UTF-8, and
many parsers refuse the text.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..surrogate_pairs import mended

_COMPLETE = re.compile(r"(?:[^\\]++|\\[^u]|\\u[0-9a-fA-F]{4})*+", re.DOTALL)
_ENDS_WITH_HIGH = re.compile(r"(?<!\\)(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL
)
_LONE_HALF_LENGTH = 6


class ArgumentText:
    """Replaces escapes of lone surrogates with U+FFFD in a JSON text that comes in pieces."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that is certain now; an escape that is cut or may be half a pair is held until the next piece."""
        if not self._held and "\\u" not in piece and piece[-1:] != "\\":
            return piece
        text = self._held + piece
        end = len(text) - len(_COMPLETE.sub("", text, count=1))
        if _ENDS_WITH_HIGH.search(text, 0, end):
            end -= _LONE_HALF_LENGTH
        self._held = text[end:]
        return _ESCAPE.sub(_without_half, text[:end])

    def finish(self) -> str:
        """The text that was held."""
        held, self._held = self._held, ""
        return _ESCAPE.sub(_without_half, held)


def argument_json(arguments: dict[str, Any]) -> str:
    """The JSON text of whole arguments, in the compact form, without lone surrogates."""
    return mended(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")))


def _without_half(escape: re.Match[str]) -> str:
    return "\\ufffd" if len(escape[0]) == _LONE_HALF_LENGTH else escape[0]
