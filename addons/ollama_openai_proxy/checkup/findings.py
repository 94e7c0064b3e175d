"""What is found, and how it is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

type Level = Literal["ok", "warning", "problem"]

MOST_NAMES = 5
"""How many models are named."""


class Finding(NamedTuple):
    """One thing that was found.

    Attributes:
        level: whether it is as it should be, perhaps not, or certainly not.
        text: one line.
    """

    level: Level
    text: str


def report(findings: Iterable[Finding]) -> tuple[str, int]:
    """What to print, and the exit status: 1 if there is a problem."""
    found = list(findings)
    lines = [f"{level:<7}  {text}\n" for level, text in found]
    return "".join(lines), int(any(level == "problem" for level, _ in found))


def models_named(names: Sequence[str]) -> str:
    """How many models there are, and the first few."""
    more = ", …" if len(names) > MOST_NAMES else ""
    return f"{len(names)} {'model' if len(names) == 1 else 'models'}: {', '.join(names[:MOST_NAMES])}{more}"
