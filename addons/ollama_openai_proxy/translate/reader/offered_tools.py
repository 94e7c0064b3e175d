"""Tells which offered tool a server's name means: with marks of a format, repeated, or spread over several deltas."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERED = re.compile(r"[:#]\d+$")
_PREFIX = re.compile(r"^(?:functions|function|tools|tool|default_api|to=functions)[.:]", re.IGNORECASE)


class OfferedTools:
    """The tools that were offered.

    Args:
        offered: their names as the server was sent them; empty where they are not known.
    """

    __slots__ = ("_offered",)

    def __init__(self, offered: frozenset[str]) -> None:
        self._offered = offered

    @property
    def only(self) -> str:
        """The tool that a call without a name can only mean; "" where several were offered, or none."""
        return next(iter(self._offered)) if len(self._offered) == 1 else ""

    def clean(self, name: str) -> str:
        """The name of an offered tool that a name stands for; without such a tool, the name without marks of a format."""
        name = name.strip()
        if name in self._offered:
            return name
        first = name.partition("<|")[0].strip().strip("\"'`")
        return next((each for each in _readings(first) if each in self._offered), first)

    def offers(self, name: str) -> bool:
        """Whether a name, cleaned, is that of an offered tool."""
        return self.clean(name) in self._offered

    def begins(self, name: str) -> bool:
        """Whether a name may become that of an offered tool."""
        return any(each.startswith(name) for each in self._offered)

    def join(self, name: str, piece: str) -> str | None:
        """The name of a call after a further piece of a name has come; None where the piece names another call.

        Only for a call whose arguments have not begun.
        """
        if not name or piece == name:
            return piece
        if piece.startswith("<|"):
            return name + piece
        joined = name + piece
        if not self._offered:
            return piece if piece.startswith(name) else joined
        if joined in self._offered:
            return joined
        if self.offers(name) and self.offers(piece):
            return None
        if piece.startswith(name):
            return piece
        if any(each.startswith(joined) for each in self._offered):
            return joined
        return None if self.offers(name) else joined


def _readings(name: str) -> Iterator[str]:
    """What a name may stand for, from the likeliest on."""
    yield name
    short = _NUMBERED.sub("", _PREFIX.sub("", name))
    yield short
    yield short.removesuffix("()")
    for times in (2, 3, 4):
        part, rest = divmod(len(short), times)
        if part and not rest and short == short[:part] * times:
            yield short[:part]
    yield re.split(r"[<\s(]", short, maxsplit=1)[0]
