"""Why a text is no JSON, in the words of Go's decoder.

Python's own decoder decides whether a body is JSON; only one that it refuses is looked at here, byte by byte as Go does.
"""

from __future__ import annotations

import re
from typing import Any

MAX_DEPTH = 10_000
TOO_DEEP = "invalid character '[' exceeded max depth"

_SPACE = re.compile(r"[ \t\r\n]*")
_GOOD_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*')
_HEX = re.compile(r"[0-9a-fA-F]*")
_DIGITS = re.compile(r"[0-9]*")
_LITERALS = {"t": "true", "f": "false", "n": "null"}
_SHORT_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}


def quoted(text: str) -> str:
    """The text between double quotes as Go's `%q` writes it."""
    return '"' + "".join('\\"' if character == '"' else _escaped(character) for character in text) + '"'


def syntax_error(body: bytes) -> str | None:
    """What Go says of the first value in a body; None where nothing is wrong with it."""
    try:
        # One character for each byte: Go names the first byte of a character outside ASCII.
        _scan(body.decode("latin-1"))
    except _Stray as stray:
        return str(stray)
    return None


def check_depth(value: Any) -> None:
    """Do as decoders with a limit do: Python's own takes more levels than Go's from 3.14 on.

    Raises:
        RecursionError: objects and lists are nested in more levels than Go reads.
    """
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        if not containers:
            return
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    raise RecursionError


class _Stray(Exception):
    """A character where it must not be, or the end of the text."""

    def __init__(self, text: str, position: int, context: str) -> None:
        if position >= len(text):
            super().__init__("unexpected EOF")
        else:
            character = text[position]
            super().__init__(f"invalid character '{"\\'" if character == "'" else _escaped(character)}' {context}")


def _scan(text: str) -> None:
    closers: list[str] = []
    expected = "value"
    position = 0
    while expected != "end" or closers:
        position = _end(_SPACE, text, position)
        character = text[position : position + 1]
        match expected, character:
            case (("value" | "value or ]"), ("{" | "[")):
                closers.append("}" if character == "{" else "]")
                if len(closers) > MAX_DEPTH:
                    raise _Stray(text, position, "exceeded max depth")
                expected = "key or }" if character == "{" else "value or ]"
                position += 1
            case ("key or }", "}") | ("value or ]", "]"):
                closers.pop()
                expected = "end"
                position += 1
            case (("value" | "value or ]"), _):
                position = _scalar(text, position)
                expected = "end"
            case (("key" | "key or }"), '"'):
                position = _string(text, position)
                expected = "colon"
            case (("key" | "key or }"), _):
                raise _Stray(text, position, "looking for beginning of object key string")
            case "colon", ":":
                expected = "value"
                position += 1
            case "colon", _:
                raise _Stray(text, position, "after object key")
            case _, ",":
                expected = "key" if closers[-1] == "}" else "value"
                position += 1
            case _ if character == closers[-1]:
                closers.pop()
                position += 1
            case _:
                raise _Stray(text, position, "after object key:value pair" if closers[-1] == "}" else "after array element")


def _scalar(text: str, position: int) -> int:
    """Where the string, number or literal ends that begins at `position`."""
    character = text[position : position + 1]
    if character == '"':
        return _string(text, position)
    if word := _LITERALS.get(character):
        for offset, letter in enumerate(word):
            if text[position + offset : position + offset + 1] != letter:
                raise _Stray(text, position + offset, f"in literal {word} (expecting '{letter}')")
        return position + len(word)
    if character == "-" or character.isdecimal():
        return _number(text, position)
    raise _Stray(text, position, "looking for beginning of value")


def _string(text: str, position: int) -> int:
    position = _end(_GOOD_STRING, text, position)
    if text.startswith('"', position):
        return position + 1
    if not text.startswith("\\", position):
        raise _Stray(text, position, "in string literal")
    if not text.startswith("u", position + 1):
        raise _Stray(text, position + 1, "in string escape code")
    raise _Stray(text, _end(_HEX, text, position + 2), "in \\u hexadecimal character escape")


def _number(text: str, position: int) -> int:
    position += text.startswith("-", position)
    # No digit follows a zero in front.
    position = position + 1 if text.startswith("0", position) else _digits(text, position, "in numeric literal")
    if text.startswith(".", position):
        position = _digits(text, position + 1, "after decimal point in numeric literal")
    if text.startswith(("e", "E"), position):
        position += 1 + text.startswith(("+", "-"), position + 1)
        position = _digits(text, position, "in exponent of numeric literal")
    return position


def _digits(text: str, position: int, context: str) -> int:
    end = _end(_DIGITS, text, position)
    if end == position:
        raise _Stray(text, position, context)
    return end


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _escaped(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
