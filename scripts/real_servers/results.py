"""What came of the scenarios: recorded in `results.json`, shown in `docs/servers.md`, explained by `reasons.toml`."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.locked_packages import ROOT
from scripts.page_tables import find_table, render_table, replace_table
from scripts.real_servers.all_scenarios import SCENARIOS
from scripts.real_servers.programs import PROGRAMS
from scripts.real_servers.scenarios import LACKING, PASSED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scripts.real_servers.programs import Kind, Program

    type Outcomes = Mapping[str, str]
    """For each scenario's title: `PASSED`, `LACKING`, or what went wrong; recorded: the reason's text."""
    type Recorded = Mapping[str, tuple[str, Outcomes]]
    """For each server's name: the version, and the outcomes."""

PAGE = ROOT / "docs" / "servers.md"
RESULTS = Path(__file__).with_name("results.json")
REASONS = Path(__file__).with_name("reasons.toml")
KINDS: tuple[Kind, ...] = ("chat", "embeddings")
_WORKS, _NOT_THERE = "✓", "–"  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something does not work with a server, in an entry of `reasons.toml`."""

    server: str
    scenarios: tuple[str, ...]
    error: str
    """What the error must say. An error that says something else has another cause."""
    text: str
    link: str
    """Where the server's limit is documented."""

    @property
    def note(self) -> str:
        """What stands below the table."""
        return f"{self.text} ([source]({self.link}))"


def read_reasons(text: str) -> list[Reason]:
    """Read the list of reasons.

    Raises:
        ValueError: an entry is incomplete, has unknown keys, or names a server or scenario that does not exist.
    """
    titles, names = {it.title for it in SCENARIOS}, {it.name for it in PROGRAMS}
    listed = []
    for entry in tomllib.loads(text).get("reason", []):
        try:
            reason = Reason(**(entry | {"scenarios": tuple(entry.get("scenarios", ()))}))
        except TypeError as error:
            raise ValueError(f"{REASONS.name}: {error}: {entry}") from error
        if unknown := {*reason.scenarios} - titles | {reason.server} - names:
            raise ValueError(f"{REASONS.name} names {', '.join(sorted(unknown))}, which does not exist")
        listed.append(reason)
    return listed


def explain(program: Program, outcomes: Outcomes, listed: Sequence[Reason]) -> tuple[Outcomes, list[str]]:
    """Put the texts of reasons in the place of errors.

    Returns:
        the outcomes to record, and what is wrong: errors without a reason, and reasons without an error.
    """
    own = [reason for reason in listed if reason.server == program.name]
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
            faults.append(f"{program.name}: {title}\n    {outcome}")
    gone = {(reason.text, title) for reason in own for title in reason.scenarios if title in outcomes} - used
    faults += [
        f"{program.name}: {title}\n    works now, or fails otherwise than listed: {text}" for text, title in sorted(gone)
    ]
    return recorded, faults


def read_results() -> Recorded:
    """What the last runs came to."""
    read = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    return {name: (entry["version"], entry["outcomes"]) for name, entry in read.items()}


def write_results(recorded: Recorded) -> None:
    """Keep what runs came to, in the order of the servers."""
    kept = {
        program.name: dict(zip(("version", "outcomes"), recorded[program.name], strict=True))
        for program in PROGRAMS
        if program.name in recorded
    }
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def written(page: str, recorded: Recorded, listed: Sequence[Reason]) -> str:
    """The page with its tables renewed."""
    for kind in KINDS:
        page = replace_table(page, "servers", kind, _table(kind, recorded, listed))
    return page


def disagreements(page: str, recorded: Recorded, listed: Sequence[Reason]) -> list[str]:
    """What the page says otherwise than the recorded results."""
    return [
        f"the table {kind!r} of {PAGE.name} is not what {RESULTS.name} says: run scripts/servers"
        for kind in KINDS
        if find_table(page, "servers", kind)[1].strip() != _table(kind, recorded, listed)
    ]


def _table(kind: Kind, recorded: Recorded, listed: Sequence[Reason]) -> str:
    programs = [program for program in PROGRAMS if program.name in recorded and kind in program.kinds]
    titles = [it.title for it in SCENARIOS if it.kind == kind]
    links = {(reason.server, reason.text): reason.note for reason in listed}
    notes: list[str] = []

    def cell(program: Program, title: str) -> str:
        outcome = recorded[program.name][1].get(title, "")
        if outcome in (PASSED, LACKING, ""):
            return {PASSED: _WORKS, LACKING: _NOT_THERE, "": "?"}[outcome]
        note = links.get((program.name, outcome), outcome)
        if note not in notes:
            notes.append(note)
        return f"({notes.index(note) + 1})"

    head = ["", *(f"[{program.title}]({program.link}) {recorded[program.name][0]}" for program in programs)]
    body = [[title, *(cell(program, title) for program in programs)] for title in titles]
    return render_table([head, *body], notes)
