"""Masks the proxy's own keys in what a server sends: many servers quote the key that they refuse.

A key is masked byte by byte, so that a masked body is as long as it was. Besides the key itself, its spellings in JSON, in URLs
and in HTML are found.
"""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from .body import WrappedBody

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .body import Body

LEAST_LENGTH = 8
"""Characters of the shortest key that is masked; a shorter one is a word that may stand in any answer."""
PLACEHOLDERS = frozenset(
    {
        "lm-studio",
        "lmstudio",
        "llama.cpp",
        "llamacpp",
        "not-needed",
        "not_needed",
        "notneeded",
        "no-key-required",
        "none-needed",
    }
    | {
        "sk-no-key-required",
        "placeholder",
        "dummy-key",
        "fake-key",
        "anything",
        "whatever",
        "undefined",
        "local-llm",
        "localhost",
    }
)
"""What people set where a server wants no key, in lower case: words that may stand in any answer."""

_IN_HTML = re.compile("[<>&]")
_IN_NET = re.compile("""[<>&'"+`]""")


class Masker:
    """Knows some keys.

    Args:
        keys: in clear.
    """

    __slots__ = ("_ends", "_escaped", "_longest", "_pattern", "_pieces")

    def __init__(self, keys: Iterable[str]) -> None:
        secrets = [key for key in keys if len(key) >= LEAST_LENGTH and key.lower() not in PLACEHOLDERS]
        spellings = {spelling for key in secrets for spelling in _spellings(key)}
        # Of two keys of which one begins with the other, the longer one is masked.
        self._pieces = sorted((spelling.encode() for spelling in spellings), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._pieces))) if self._pieces else None
        self._escaped = re.compile(b"|".join(map(_with_escapes, sorted(secrets, key=len, reverse=True)))) if secrets else None
        self._longest = len(self._pieces[0]) if self._pieces else 0
        self._ends = frozenset(byte for piece in self._pieces for byte in piece)

    def __bool__(self) -> bool:
        """Whether there is a key to mask."""
        return self._pattern is not None

    def masked(self, data: bytes) -> bytes:
        """The data with stars in place of each key."""
        if self._pattern is None or self._escaped is None:
            return data
        if b"\\u00" in data:
            data = self._escaped.sub(_stars, data)
        for piece in self._pieces:  # a loop, since `any` with a generator takes several times as long
            if piece in data:
                return self._pattern.sub(_stars, data)
        return data

    def masked_text(self, text: str) -> str:
        """The text with stars in place of each key."""
        if self._pattern is None:
            return text
        data = text.encode("utf-8", "surrogatepass")
        masked = self.masked(data)
        return text if masked is data else masked.decode("utf-8", "surrogatepass")

    def begun(self, data: bytes) -> int:
        """How many bytes at the end of the data may be the beginning of a key."""
        if not data or data[-1] not in self._ends:
            return 0
        tail = data[-(self._longest - 1) :]
        for at in range(len(tail)):
            rest = tail[at:]
            if any(len(rest) < len(piece) and piece.startswith(rest) for piece in self._pieces):
                return len(rest)
        return 0


class MaskedBody(WrappedBody):
    """A body in which keys are masked, also those that are spread over several parts."""

    __slots__ = ("_held", "_masker")

    def __init__(self, inner: Body, masker: Masker) -> None:
        super().__init__(inner)
        self._masker = masker
        self._held = b""

    def write(self, part: bytes) -> None:
        """Mask a part, and hold the beginning of a key back."""
        masker = self._masker
        data = masker.masked(self._held + part if self._held else part)
        begun = masker.begun(data)
        self._held = data[len(data) - begun :] if begun else b""
        if begun:
            data = data[:-begun]
        if data:
            self._sink.write(data)

    def end(self, error: Exception | None) -> None:
        """Pass on what was held back, and the end."""
        held, self._held = self._held, b""
        if held:
            self._sink.write(held)
        self._sink.end(error)


def _stars(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found.group())


def _with_escapes(key: str) -> bytes:
    """The pattern of a key in which any characters are escaped, as JSON allows."""
    pieces = (f"(?:{re.escape(character)}|\\\\u00(?i:{ord(character):02x}))" for character in key)
    return "".join(pieces).encode()


def _spellings(key: str) -> set[str]:
    """A key as servers may write it; each is ASCII."""
    in_json = json.dumps(key)[1:-1]

    def escaped(characters: re.Pattern[str], digits: str) -> str:
        return characters.sub(lambda found: f"\\u{format(ord(found.group()), digits)}", key)

    # Go escapes what HTML has a meaning for, .NET escapes more.
    in_escapes = {escaped(characters, digits) for characters in (_IN_HTML, _IN_NET) for digits in ("04x", "04X")}
    return {key, in_json, in_json.replace("/", "\\/"), quote(key), quote(key, safe=""), html.escape(key), *in_escapes}
