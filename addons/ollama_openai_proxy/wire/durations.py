"""Go's durations, as `keep_alive` takes them (wire reference §3.2)."""

from __future__ import annotations

import math
import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)")
_GO_TYPES: dict[type, str] = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


def parse_keep_alive(value: object) -> float:
    """Seconds to keep a model loaded; infinite where the value is negative.

    Raises:
        ValueError: with Ollama's text.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"Unsupported type: '{_GO_TYPES.get(type(value), 'interface {}')}'")  # noqa: TRY004
    seconds = parse_duration(value) if isinstance(value, str) else float(value)
    return math.inf if seconds < 0 else seconds


def parse_duration(text: str) -> float:
    """The seconds of a Go duration such as `5m`, `1.5h` or `2h45m10s`.

    Raises:
        ValueError: with the text of Go's `time.ParseDuration`.
    """
    rest = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    sign = -1 if text.startswith("-") else 1
    if rest == "0":
        return 0.0
    total = 0.0
    position = 0
    while term := _TERM.match(rest, position):
        number, unit = term.groups()
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNITS[unit]
        position = term.end()
    if position != len(rest) or not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total
