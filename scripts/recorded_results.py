"""What came of the scenarios of a matrix: recorded in the tables of a page, explained by a file of reasons.

A matrix has a row for each scenario and a column for each subject, such as a server or a client. A cell that is not ✓ needs a
reason, which is a limit of the subject with a link to where the limit is documented, and stands as a note below the table.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from textwrap import indent
from typing import TYPE_CHECKING, Protocol

from scripts.page_tables import find_table, render_table, replace_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    type Outcomes = Mapping[str, str]
    """For each scenario's title: `PASSED`, `LACKING`, or what went wrong, a line each; recorded: the reason's note."""
    type Recorded = Mapping[str, tuple[str, Outcomes]]
    """For each subject's name: the version, and the outcomes."""

PASSED = "passed"
LACKING = "lacking"
"""The subject does not have what the scenario is about."""
_CELLS = {PASSED: "✓", LACKING: "–"}  # noqa: RUF001
_UNTRIED = "?"


class UnreadableRecord(ValueError):
    """The page or the file of reasons has a fault; the sentence says where, and what it is."""


class Subject(Protocol):
    """What has a column in a matrix."""

    @property
    def name(self) -> str:
        """What the command line and the reasons call the subject."""

    @property
    def head(self) -> str:
        """What stands at the head of the column; the version follows, unless the head is the version."""

    @property
    def version(self) -> str:
        """The version that is tried, which a lock or a file gives."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a page: the scenarios' titles, and the subjects that have a column once they are recorded."""

    name: str
    titles: Sequence[str]
    subjects: Sequence[Subject]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something does not work with a subject, in an entry of the file of reasons."""

    subject: str
    """The subject's name; `*` stands for anything."""
    scenarios: tuple[str, ...]
    error: str
    """What each line of the error must say. An error that says something else has another cause."""
    text: str
    link: str
    """Where the subject's limit is documented."""

    @property
    def note(self) -> str:
        """What stands below the table."""
        return f"{self.text} ([source]({self.link}))"

    def explains(self, title: str, error: str) -> bool:
        """Whether this is why the subject fails in a scenario."""
        return title in self.scenarios and all(self.error in line for line in error.splitlines())


@dataclass(frozen=True, slots=True)
class Record:
    """The files of one matrix.

    Attributes:
        program: the name of the script, which also stands in the markers of the page's tables.
        page: the page with the tables.
        reasons: the file of reasons.
        tables: the tables of the page.
    """

    program: str
    page: Path
    reasons: Path
    tables: tuple[Table, ...]

    def read_reasons(self, text: str | None = None) -> list[Reason]:
        """Read the list of reasons, of the file or of a text.

        Raises:
            UnreadableRecord: the text is no TOML, or an entry is incomplete, has unknown keys, or names a subject or scenario
                that does not exist.
        """
        titles = {title for table in self.tables for title in table.titles}
        names = {it.name for table in self.tables for it in table.subjects}
        listed = []
        try:
            entries = tomllib.loads(self.reasons.read_text("utf-8") if text is None else text).get("reason", [])
        except tomllib.TOMLDecodeError as error:
            raise UnreadableRecord(f"{self.reasons.name}: {error}") from error
        for entry in entries:
            try:
                reason = Reason(**(entry | {"scenarios": tuple(entry.get("scenarios", ()))}))
            except TypeError as error:
                raise UnreadableRecord(f"{self.reasons.name}: {error}: {entry}") from error
            unknown = {*reason.scenarios} - titles
            if not any(fnmatchcase(name, reason.subject) for name in names):
                unknown.add(reason.subject)
            if unknown:
                raise UnreadableRecord(f"{self.reasons.name} names {', '.join(sorted(unknown))}, which does not exist")
            listed.append(reason)
        return listed

    def read(self, page: str) -> Recorded:
        """Read from the page what the last runs came to.

        Raises:
            UnreadableRecord: the page has no place for a table, or a table has a fault.
        """
        recorded: dict[str, tuple[str, Outcomes]] = {}
        for table in self.tables:
            try:
                columns = _columns(find_table(page, self.program, table.name)[1])
            except _Fault as error:
                place = f"{self.page.name}, table {table.name!r}"
                raise UnreadableRecord(f"{place}: {error}: put it right by hand, or take the page back from git") from error
            except ValueError as error:
                raise UnreadableRecord(f"{self.page.name}: {error}") from error
            for head, outcomes in columns.items():
                subject = next((it for it in table.subjects if f"{head} ".startswith(f"{it.head} ")), None)
                if subject:
                    _, before = recorded.get(subject.name, ("", {}))
                    recorded[subject.name] = head.rpartition(" ")[2], {**before, **outcomes}
        return recorded

    def written(self, page: str, recorded: Recorded) -> str:
        """The page with its tables renewed."""
        for table in self.tables:
            page = replace_table(page, self.program, table.name, _rendered(table, recorded))
        return page


def explain(subject: Subject, outcomes: Outcomes, listed: Sequence[Reason]) -> tuple[Outcomes, list[str]]:
    """Put the notes of reasons in the place of errors.

    Returns:
        the outcomes to record, and what is wrong: errors without a reason, and reasons without an error.
    """
    own = [reason for reason in listed if fnmatchcase(subject.name, reason.subject)]
    recorded, faults = {}, []
    for title, outcome in outcomes.items():
        recorded[title] = outcome
        found = None
        if outcome not in (PASSED, LACKING):
            found = next((reason for reason in own if reason.explains(title, outcome)), None)
            if found:
                recorded[title] = found.note
            else:
                faults.append(f"{subject.name}: {title}\n{indent(outcome, '    ')}")
        gone = [reason for reason in own if title in reason.scenarios and reason != found and outcome != LACKING]
        faults += [f"{subject.name}: {title}\n    works now, or fails otherwise than listed: {it.text}" for it in gone]
    return recorded, faults


class _Fault(ValueError):
    """What is wrong with a table."""


def _columns(text: str) -> dict[str, Outcomes]:
    """Read a table: the outcomes of each column by the column's head.

    Raises:
        _Fault: a row has too few or too many cells, a mark is unknown, or two rows or two columns have one title.
    """
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("|")]
    if not lines:
        return {}
    (_, *heads), *rows = lines
    if not rows or any(cell.strip(":-") for cell in rows.pop(0)):
        raise _Fault("no line of --- stands below the heads")
    for what, titles in (("rows", [row[0] for row in rows]), ("columns", heads)):
        for title in titles:
            if titles.count(title) > 1:
                raise _Fault(f"two {what} are called {title!r}")
    outcomes = {cell: outcome for outcome, cell in _CELLS.items()}
    outcomes |= re.findall(r"^(\(\d+\)) (.*)$", text, re.MULTILINE)
    for title, *cells in rows:
        if len(cells) != len(heads):
            raise _Fault(f"the row {title!r} has {len(cells)} marks, and there are {len(heads)} columns")
        if unknown := next((cell for cell in cells if cell not in outcomes and cell != _UNTRIED), None):
            known = " ".join([*outcomes, _UNTRIED])
            raise _Fault(f"the row {title!r} has the mark {unknown!r}; there are {known}")
    return {head: {row[0]: outcomes[row[n]] for row in rows if row[n] != _UNTRIED} for n, head in enumerate(heads, 1)}


def _rendered(table: Table, recorded: Recorded) -> str:
    subjects = [it for it in table.subjects if it.name in recorded]
    notes: list[str] = []

    def cell(subject: Subject, title: str) -> str:
        outcome = recorded[subject.name][1].get(title)
        if outcome is None or outcome in _CELLS:
            return _CELLS[outcome] if outcome else _UNTRIED
        if outcome not in notes:
            notes.append(outcome)
        return f"({notes.index(outcome) + 1})"

    head = [" ".join(dict.fromkeys([it.head, recorded[it.name][0]])) for it in subjects]
    body = [[title, *(cell(it, title) for it in subjects)] for title in table.titles]
    return render_table([["", *head], *body], notes)
