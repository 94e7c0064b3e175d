"""What came of the scenarios, as tables: a row for each scenario, a column for each client or version."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.compatibility.environments import ENVIRONMENTS
from scripts.compatibility.playing import LACKING, PASSED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scripts.compatibility.environments import Environment, Table
    from scripts.compatibility.playing import Performance
    from scripts.compatibility.stage import Mode

REASONS = Path(__file__).with_name("reasons.toml")
TABLES: tuple[Table, ...] = ("python", "javascript", "clients")
ROWS_OF_CLIENTS = (
    "An answer as a whole",
    "A streamed answer",
    "An asynchronous call",
    "Options",
    "A tool call and its result",
    "A tool call in a stream",
    "Structured output",
    "Thinking beside the answer",
    "An image",
    "Embeddings",
    "The list of models",
    "An unknown model is an error",
    "A client that leaves a stream frees the back end",
)
"""What clients that are not the official SDKs are tried with, as far as they have it."""
WORKS = "✓"
NOT_THERE = "–"  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Column:
    """A client, in a version of its own; some are tried in more than one way, each with a column."""

    environment: Environment
    way: str = ""
    """Of calling the client; without it, all ways together."""

    @property
    def title(self) -> str:
        """What stands at its head."""
        version = self.environment.version
        if self.environment.table != "clients":
            return version
        name = f"{self.environment.client} `{self.way}`" if self.way else self.environment.client
        return f"{name} {version}"

    def of(self, outcomes: Mapping[str, str]) -> dict[str, str]:
        """What belongs to this column."""
        return {way: outcome for way, outcome in outcomes.items() if not self.way or way == self.way}


def columns(table: Table) -> list[Column]:
    """All columns of a table."""
    found = [environment for environment in ENVIRONMENTS if environment.table == table]
    ways = {"litellm": ("ollama_chat/", "ollama/")}
    return [Column(environment, way) for environment in found for way in ways.get(environment.name, ("",))]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something does not work, in an entry of `reasons.toml`."""

    environments: tuple[str, ...]
    """Names of environments; `*` stands for anything."""
    scenarios: tuple[str, ...]
    error: str
    """What the error must say. An error that says something else has another cause."""
    text: str
    section: str
    """The heading of the section of the page that explains it."""
    modes: tuple[Mode, ...] = ("translate", "fix")
    way: str = ""

    @property
    def footnote(self) -> str:
        """What stands below the table."""
        anchor = re.sub(r"[^\w -]", "", self.section.lower()).replace(" ", "-")
        return f"{self.text} ([{self.section}](#{anchor}))"

    def explains(self, failure: Failure) -> bool:
        """Whether this is why."""
        return (
            any(fnmatchcase(failure.column.environment.name, pattern) for pattern in self.environments)
            and self.way in ("", failure.column.way)
            and failure.scenario in self.scenarios
            and failure.mode in self.modes
            and self.error in failure.error
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that does not work, with a reason or without."""

    column: Column
    scenario: str
    mode: Mode
    error: str

    def __str__(self) -> str:
        return f"{self.column.environment.name}, {self.mode}: {self.scenario}\n    {self.error}"


def reasons(text: str) -> list[Reason]:
    """Read the list of reasons.

    Raises:
        ValueError: an entry is incomplete or has keys that do not belong there.
    """
    listed = []
    for entry in tomllib.loads(text).get("reason", []):
        lists = {name: tuple(entry.pop(name)) for name in ("environments", "scenarios", "modes") if name in entry}
        try:
            listed.append(Reason(**(entry | lists)))
        except TypeError as error:
            raise ValueError(f"{REASONS.name}: {error}: {entry}") from error
    return listed


class Matrix:
    """The results of a run, told apart into what works, what clients do not have, and what fails."""

    def __init__(self, performances: Iterable[Performance], listed: Sequence[Reason]) -> None:
        self.listed = listed
        self._performances: dict[tuple[str, Mode], Performance] = {}
        self._modes: set[Mode] = set()
        for performance in performances:
            self._performances[performance.environment.name, performance.mode] = performance
            self._modes.add(performance.mode)
        self._failures = {
            (table, column, row): failures
            for table in TABLES
            for column in self.columns(table)
            for row in self.rows(table)
            if (failures := self._failures_of(column, row))
        }

    def columns(self, table: Table) -> list[Column]:
        """The columns that were tried, in all modes of this run."""
        return [
            column
            for column in columns(table)
            if self._modes and all((column.environment.name, mode) in self._performances for mode in self._modes)
        ]

    def is_complete(self, table: Table) -> bool:
        """Whether the run says all that the table says."""
        return self._modes == {"translate", "fix"} and self.columns(table) == columns(table)

    def rows(self, table: Table) -> list[str]:
        """The scenarios of a table."""
        if table == "clients":
            return list(ROWS_OF_CLIENTS)
        played = [it.outcomes for it in self._performances.values() if it.environment.table == table]
        return list(dict.fromkeys(chain.from_iterable(played)))

    @property
    def failures(self) -> list[Failure]:
        """All that fails."""
        return list(chain.from_iterable(self._failures.values()))

    @property
    def unexplained(self) -> list[Failure]:
        """What fails without a listed reason."""
        return [failure for failure in self.failures if self._reason(failure) is None]

    @property
    def gone(self) -> list[Reason]:
        """Listed reasons for which nothing fails any more, of those that this run can judge."""
        return [
            reason
            for reason in self.listed
            if not any(reason.explains(failure) for failure in self.failures)
            and set(reason.modes) <= self._modes
            and all(
                any(column.environment == environment for column in self.columns(environment.table))
                for environment in ENVIRONMENTS
                if any(fnmatchcase(environment.name, pattern) for pattern in reason.environments)
            )
        ]

    @property
    def mistakes(self) -> list[str]:
        """What makes the run say less than it seems to: scripts that broke off, methods and rows that nobody knows."""
        found = []
        for performance in self._performances.values():
            who = f"{performance.environment.name}, {performance.mode}"
            if performance.failure:
                found.append(f"{who}: {performance.failure}")
            found += [f"{who}: no scenario calls {method}: write one in {performance.environment.script}"
                      for method in performance.uncovered]  # fmt: skip
            if performance.environment.table == "clients":
                unknown = performance.outcomes.keys() - set(ROWS_OF_CLIENTS)
                found += [f"{who}: no row is called {row!r}" for row in sorted(unknown)]
        return found

    def cell(self, table: Table, column: Column, row: str) -> str:
        """`WORKS`, `NOT_THERE` or the numbers of footnotes."""
        failures = self._failures.get((table, column, row), [])
        if failures:
            notes = self._notes(table)
            numbers = sorted({notes.index(reason) + 1 for failure in failures if (reason := self._reason(failure))})
            return ", ".join(f"({number})" for number in numbers) or "✗"
        outcomes = chain.from_iterable(self._outcomes(column, row, mode).values() for mode in self._modes)
        return WORKS if PASSED in outcomes else NOT_THERE

    def cells(self, table: Table) -> list[list[str]]:
        """The table's head and body, of the columns that were tried."""
        tried = self.columns(table)
        body = [[row, *(self.cell(table, column, row) for column in tried)] for row in self.rows(table)]
        return [["", *(column.title for column in tried)], *body]

    def footnotes(self, table: Table) -> list[str]:
        """The reasons that its cells refer to."""
        return [reason.footnote for reason in self._notes(table)]

    def _notes(self, table: Table) -> list[Reason]:
        """Reasons with the same text share a note."""
        notes: dict[str, Reason] = {}
        for (where, _, _), failures in self._failures.items():
            for failure in failures if where == table else ():
                if reason := self._reason(failure):
                    notes.setdefault(reason.footnote, reason)
        order = list(dict.fromkeys(reason.footnote for reason in self.listed))
        return sorted(notes.values(), key=lambda reason: order.index(reason.footnote))

    def _reason(self, failure: Failure) -> Reason | None:
        found = next((reason for reason in self.listed if reason.explains(failure)), None)
        return found and next(reason for reason in self.listed if reason.footnote == found.footnote)

    def _outcomes(self, column: Column, row: str, mode: Mode) -> dict[str, str]:
        return column.of(self._performances[column.environment.name, mode].outcomes.get(row, {}))

    def _failures_of(self, column: Column, row: str) -> list[Failure]:
        found = []
        for mode in sorted(self._modes, reverse=True):
            outcomes = self._outcomes(column, row, mode)
            partly = PASSED in outcomes.values()
            for way, outcome in outcomes.items():
                if outcome == LACKING and partly:
                    found.append(Failure(column, row, mode, f"{way}: it does not have this"))
                elif outcome not in (PASSED, LACKING):
                    found.append(Failure(column, row, mode, f"{way}: {outcome}"))
        return found
