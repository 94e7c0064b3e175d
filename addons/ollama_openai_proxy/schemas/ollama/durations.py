"""Go's durations, as `keep_alive` takes them (docs/wire.md#keep_alive)."""

from __future__ import annotations

import math
import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)")
_GO_TYPES: dict[type, str] = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}
_LONGEST = (2**63 - 1) / 1e9
"""Seconds, some 292 years: more nanoseconds do not fit into Go's type."""


def parse_keep_alive(value: object) -> float:
    """Seconds to keep a model loaded; infinite where the value is negative or longer than Go can hold.

    Raises:
        ValueError: with Ollama's text.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"Unsupported type: '{_GO_TYPES.get(type(value), 'interface {}')}'")  # noqa: TRY004
    seconds = parse_duration(value) if isinstance(value, str) else value
    return float(seconds) if 0 <= seconds < _LONGEST else math.inf


def parse_duration(text: str) -> float:
    """The seconds of a Go duration such as `5m`, `1.5h` or `2h45m10s`.

    Raises:
        ValueError: with the text of Go's `time.ParseDuration`.
    """
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text.startswith(("-", "+")) else text
    if rest == "0":
        return 0.0
    total = 0.0
    position = 0
    while term := _TERM.match(rest, position):
        number, unit = term.groups()
        if not unit:
            raise ValueError(f"time: missing unit in duration {_quoted(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {_quoted(unit)} in duration {_quoted(text)}")
        total += float(number) * _UNITS[unit]
        position = term.end()
    if position != len(rest) or not rest or total > _LONGEST:
        raise ValueError(f"time: invalid duration {_quoted(text)}")
    return sign * total


def _quoted(text: str) -> str:
    """The text as Go's package `time` quotes it, byte by byte and unlike the rest of Go."""
    shown = "".join(
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}" for byte in text.encode()
    )
    return f'"{shown}"'
