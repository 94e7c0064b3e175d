"""How values are worded for a reader: in one line where they are short, and always as text that can be encoded."""

from __future__ import annotations

import json
import math
from typing import Any

MOST_CHARACTERS = 300
"""Of a value that is shown in one line."""
_WIDTH = 60


def compact(value: object, indent: int | None = None) -> str:
    """JSON in one line, or over several with an indent; of what is nested too deeply, a sentence."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent)
    except (RecursionError, TypeError, ValueError):
        return "(nested too deeply to be shown)"


def read_json(text: str) -> Any:
    """The value of a JSON text; None where it is none, or is nested too deeply."""
    try:
        return json.loads(text)
    except (RecursionError, ValueError):
        return None


def clipped(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text, or its beginning and how much is left out."""
    return text if len(text) <= most else f"{text[:most]}… {len(text) - most:,} more characters"


def short(value: object) -> str:
    """A value in one line: a text as it is, all else as JSON."""
    return clipped(" ".join(value.split()) if isinstance(value, str) and value.strip() else compact(value))


def text_of(value: object) -> str:
    """A text as it is, nothing for null, all else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else compact(value)


def list_of(value: object) -> list[Any]:
    """A list as it is, and an empty one for all else."""
    return value if isinstance(value, list) else []


def number(value: object) -> float | None:
    """A finite number that is not negative, and None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        read = float(value)
    except OverflowError:
        return None
    return read if math.isfinite(read) and read >= 0 else None


def size(count: float) -> str:
    """Bytes, in units of a thousand."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:,.1f} TB"


def span(seconds: float) -> str:
    """A duration."""
    if seconds < 0.0095:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} min {rest} s"


def indented(text: str) -> str:
    """Each line moved to the right."""
    return "\n".join([f"  {line}" if line else line for line in text.split("\n")])


def section(title: str, text: str) -> str:
    """A text below a line with its title."""
    return f"── {title} {'─' * max(2, _WIDTH - len(title))}\n{text}"


def table(rows: list[tuple[str, ...]]) -> str:
    """Columns side by side, the last one as long as it is."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(max(map(len, rows)))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows)


def printable(text: str) -> str:
    """The text with halves of characters, which no encoding can write, replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
