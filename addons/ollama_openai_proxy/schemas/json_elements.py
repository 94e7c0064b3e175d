"""Counts the values of a JSON text without parsing the text, so that a text with too many values is never parsed.

A parsed value takes up to 100 times the memory of its two or three bytes of text.
"""

from __future__ import annotations

import re
from math import inf

WINDOW = 1 << 18
"""Bytes that are looked at in one step, between which other threads have their turn."""
_NO_BACKSLASH = re.compile(rb"[^\\]")


def most_elements(text: bytes) -> int:
    """Return an upper bound of the number of values in a JSON text: commas and brackets within strings count, too."""
    return text.count(b",") + text.count(b"[") + text.count(b"{") + 1


def count_elements(text: bytes, most: float = inf) -> int:
    """Count the values in a JSON text: the items of its lists and objects, and these themselves.

    Takes time in proportion to the text, and memory in proportion to a window. Of a text that is no JSON, the count is a count
    of commas and brackets outside of strings.

    Args:
        text: the text.
        most: where counting may stop, as soon as there are more.
    """
    count, start, within = 1, 0, False
    while start < len(text) and count <= most:
        end = start + WINDOW
        if text[end - 1 : end] == b"\\":  # an escape sequence stays in one piece
            found = _NO_BACKSLASH.search(text, end)
            end = found.end() if found else len(text)
        window = text[start:end]
        if b"\\" in window:
            window = window.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = window.split(b'"')
        outside = b"".join(parts[1::2] if within else parts[::2])
        count += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        within ^= len(parts) % 2 == 0
        start = end
    return count
