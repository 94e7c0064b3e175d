"""The differences that the documentation names and explains, and how they compare with those that were found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.compare import Difference

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"
HEADING = "Differences from Ollama on the wire"

type Spot = tuple[str, str]
"""The name of an exchange and a place in its reply."""


@dataclass(frozen=True, slots=True)
class Result:
    """An exchange and how its reply differs."""

    name: str
    differences: tuple[Difference, ...]

    @property
    def spots(self) -> set[Spot]:
        return {(self.name, difference.place) for difference in self.differences}


@dataclass(frozen=True, slots=True)
class Report:
    """All results against what is listed."""

    results: Sequence[Result]
    listed: frozenset[Spot]

    @property
    def found(self) -> set[Spot]:
        return set().union(*(result.spots for result in self.results))

    @property
    def agreeing(self) -> int:
        """How many exchanges have no difference at all."""
        return sum(not result.differences for result in self.results)

    @property
    def share(self) -> float:
        """The same in percent."""
        return 100 * self.agreeing / len(self.results)

    @property
    def unlisted(self) -> set[Spot]:
        """Differences without a written reason."""
        return self.found - self.listed

    @property
    def gone(self) -> set[Spot]:
        """Listed differences that no longer occur; other recordings' exchanges do not count."""
        names = {result.name for result in self.results}
        return {spot for spot in self.listed - self.found if spot[0] in names}

    @property
    def unknown(self) -> set[str]:
        """Listed exchanges that this recording does not have."""
        return {name for name, _ in self.listed} - {result.name for result in self.results}

    def closing_line(self) -> str:
        return (
            f"{self.agreeing} of {len(self.results)} exchanges without a difference ({self.share:.1f} %), "
            f"{len(self.found & self.listed)} listed differences, {len(self.unlisted)} unlisted"
        )

    def table(self) -> str:
        """One line for each exchange, and further ones for further differences."""
        width = max(len(result.name) for result in self.results)
        lines: list[str] = []
        for result in self.results:
            if not result.differences:
                lines.append(f"{result.name:<{width}}  ok")
            name = result.name
            for difference in result.differences:
                state = "listed  " if (result.name, difference.place) in self.listed else "UNLISTED"
                lines.append(f"{name:<{width}}  {state}  {difference.place}: {difference.what}")
                name = ""
        lines += [f"{name:<{width}}  GONE      {place}: listed, but it no longer differs" for name, place in sorted(self.gone)]
        return "\n".join(lines)


def listed(markdown: str) -> frozenset[Spot]:
    """Read the table under `HEADING`: exchanges in backticks, places in backticks, the reason.

    A row stands for each of its exchanges with each of its places.

    Raises:
        ValueError: a row names no exchange or no place, or gives no reason.
    """
    section = re.search(rf"^## {HEADING}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\|(.*)\|[ \t]*$", section[1] if section else "", re.MULTILINE)
    spots: set[Spot] = set()
    for row in rows[2:]:
        names, places, reason = (cell.strip() for cell in row.split("|"))
        pairs = {(name, place) for name in _quoted(names) for place in _quoted(places)}
        if not pairs or not reason:
            raise ValueError(f"a row must name exchanges and places in backticks and give a reason: |{row}|")
        spots |= pairs
    return frozenset(spots)


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
