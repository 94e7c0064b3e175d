"""Characters that arrive in halves.

JSON escapes a character outside the basic plane as two halves, and some back ends put the halves into different chunks. Alone
they are no text: they cannot be encoded, and clients refuse them.
"""

from __future__ import annotations


def mended(text: str) -> str:
    """The text with halves that belong together joined and the others replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class HalfJoiner:
    """Fed with a text in pieces, keeps half a character at a piece's end back until the next piece, or `finish`."""

    def __init__(self) -> None:
        self._half = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is held back."""
        return not self._half

    def feed(self, text: str) -> str:
        """The text that is certain now."""
        if not self._half and text.isascii():
            return text
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return mended(text.removesuffix(self._half))

    def finish(self) -> str:
        """What stands for a half that stayed alone."""
        half, self._half = self._half, ""
        return mended(half)
