"""What came of the scenarios of a matrix: recorded in `results.json`, shown in a page, explained by `reasons.toml`.

A matrix has a row for each scenario and a column for each subject, such as a server or a client. A cell that is not ✓ needs a
reason, which is a limit of the subject with a link to where the limit is documented.
"""

from __future__ import annotations

import json
import tomllib
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from scripts.page_tables import find_table, render_table, replace_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    type Outcomes = Mapping[str, str]
    """For each scenario's title: `PASSED`, `LACKING`, or what went wrong; recorded: the reason's text."""
    type Recorded = Mapping[str, tuple[str, Outcomes]]
    """For each subject's name: the version, and the outcomes."""

PASSED = "passed"
LACKING = "lacking"
"""The subject is not one of the kind that the scenario is about."""
_WORKS, _NOT_THERE = "✓", "–"  # noqa: RUF001


class Subject(Protocol):
    """What has a column in a matrix."""

    @property
    def name(self) -> str:
        """What the command line and the records call the subject."""

    @property
    def title(self) -> str:
        """What stands at the head of the column."""

    @property
    def link(self) -> str:
        """The subject's documentation."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a page: the scenarios' titles, and the subjects that have a column once they are recorded."""

    name: str
    titles: Sequence[str]
    subjects: Sequence[Subject]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something does not work with a subject, in an entry of `reasons.toml`."""

    subject: str
    scenarios: tuple[str, ...]
    error: str
    """What the error must say. An error that says something else has another cause."""
    text: str
    link: str
    """Where the subject's limit is documented."""

    @property
    def note(self) -> str:
        """What stands below the table."""
        return f"{self.text} ([source]({self.link}))"


@dataclass(frozen=True, slots=True)
class Record:
    """The files of one matrix.

    Attributes:
        program: the name of the script, which also stands in the markers of the page's tables.
        page: the page with the tables.
        folder: the folder with `results.json` and `reasons.toml`.
        tables: the tables of the page.
    """

    program: str
    page: Path
    folder: Path
    tables: tuple[Table, ...]

    @property
    def results(self) -> Path:
        """The file with the recorded outcomes."""
        return self.folder / "results.json"

    @property
    def reasons(self) -> Path:
        """The file with the reasons."""
        return self.folder / "reasons.toml"

    @property
    def titles(self) -> list[str]:
        """The titles of all scenarios."""
        return list(dict.fromkeys(title for table in self.tables for title in table.titles))

    @property
    def subjects(self) -> list[Subject]:
        """All subjects, each once."""
        return list({it.name: it for table in self.tables for it in table.subjects}.values())

    def read_reasons(self, text: str | None = None) -> list[Reason]:
        """Read the list of reasons, of the file or of a text.

        Raises:
            ValueError: an entry is incomplete, has unknown keys, or names a subject or scenario that does not exist.
        """
        titles, names = {*self.titles}, {it.name for it in self.subjects}
        listed = []
        for entry in tomllib.loads(self.reasons.read_text("utf-8") if text is None else text).get("reason", []):
            try:
                reason = Reason(**(entry | {"scenarios": tuple(entry.get("scenarios", ()))}))
            except TypeError as error:
                raise ValueError(f"{self.reasons.name}: {error}: {entry}") from error
            if unknown := {*reason.scenarios} - titles | {reason.subject} - names:
                raise ValueError(f"{self.reasons.name} names {', '.join(sorted(unknown))}, which does not exist")
            listed.append(reason)
        return listed

    def read_results(self) -> Recorded:
        """Read what the last runs came to."""
        read = json.loads(self.results.read_text("utf-8")) if self.results.exists() else {}
        return {name: (entry["version"], entry["outcomes"]) for name, entry in read.items()}

    def write_results(self, recorded: Recorded) -> None:
        """Write what runs came to, in the order of the subjects."""
        kept = {
            it.name: dict(zip(("version", "outcomes"), recorded[it.name], strict=True))
            for it in self.subjects
            if it.name in recorded
        }
        self.results.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")

    def written(self, page: str, recorded: Recorded, listed: Sequence[Reason]) -> str:
        """The page with its tables renewed."""
        for table in self.tables:
            page = replace_table(page, self.program, table.name, _rendered(table, recorded, listed))
        return page

    def disagreements(self, page: str, recorded: Recorded, listed: Sequence[Reason]) -> list[str]:
        """What the page says otherwise than the recorded results."""
        return [
            f"the table {table.name!r} of {self.page.name} is not what {self.results.name} says: run scripts/{self.program}"
            for table in self.tables
            if find_table(page, self.program, table.name)[1].strip() != _rendered(table, recorded, listed)
        ]


def explain(subject: Subject, outcomes: Outcomes, listed: Sequence[Reason]) -> tuple[Outcomes, list[str]]:
    """Put the texts of reasons in the place of errors.

    Returns:
        the outcomes to record, and what is wrong: errors without a reason, and reasons without an error.
    """
    own = [reason for reason in listed if reason.subject == subject.name]
    recorded, faults, used = {}, [], set()
    for title, outcome in outcomes.items():
        recorded[title] = outcome
        if outcome in (PASSED, LACKING):
            continue
        found = next((reason for reason in own if title in reason.scenarios and reason.error in outcome), None)
        if found:
            recorded[title] = found.text
            used.add((found.text, title))
        else:
            faults.append(f"{subject.name}: {title}\n    {outcome}")
    gone = {(reason.text, title) for reason in own for title in reason.scenarios if title in outcomes} - used
    faults += [
        f"{subject.name}: {title}\n    works now, or fails otherwise than listed: {text}" for text, title in sorted(gone)
    ]
    return recorded, faults


def describe(error: Exception) -> str:
    """One line about an error: what it is, and the line of the scenario that found it."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith("_scenarios.py")]
    place = f" [{own[-1].line}]" if own else ""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}{place}"


def _rendered(table: Table, recorded: Recorded, listed: Sequence[Reason]) -> str:
    subjects = [it for it in table.subjects if it.name in recorded]
    links = {(reason.subject, reason.text): reason.note for reason in listed}
    notes: list[str] = []

    def cell(subject: Subject, title: str) -> str:
        outcome = recorded[subject.name][1].get(title, "")
        if outcome in (PASSED, LACKING, ""):
            return {PASSED: _WORKS, LACKING: _NOT_THERE, "": "?"}[outcome]
        note = links.get((subject.name, outcome), outcome)
        if note not in notes:
            notes.append(note)
        return f"({notes.index(note) + 1})"

    head = ["", *(f"[{it.title}]({it.link}) {recorded[it.name][0]}" for it in subjects)]
    body = [[title, *(cell(it, title) for it in subjects)] for title in table.titles]
    return render_table([head, *body], notes)
