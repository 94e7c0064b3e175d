"""`scripts/agents`, `compat` and `servers` renew only their own columns, and refuse wrong names, pages and reasons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from scripts import agents, compat, servers
from scripts.locked_npm import lock_npm
from scripts.locked_packages import Unavailable
from scripts.matrix_command import try_all
from scripts.package_sets import PackageSet
from scripts.real_servers.programs import named
from scripts.recorded_results import LACKING, PASSED, Record, Table
from tests.command_runner import run_here

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.recorded_results import Outcomes

TABLE = """\
# Page

<!-- birds: flight -->

|  | Robin 1.0 | Penguin 2.0 | Ostrich 3.0 |
| --- | :-: | :-: | :-: |
| It flies | ✓ | (1) | ? |
| It sings | ✓ | – | ? |

(1) It swims. ([source](#swims))
<!-- end -->

The end.
"""  # noqa: RUF001
REASON = """\
[[reason]]
subject = "penguin"
scenarios = ["It flies"]
error = "no lift"
text = "It swims."
link = "#swims"
"""


@dataclass(frozen=True)
class Bird:
    head: str
    version: str

    @property
    def name(self) -> str:
        return self.head.lower()


BIRDS = (Bird("Robin", "1.0"), Bird("Penguin", "2.0"), Bird("Ostrich", "3.0"))
OUTCOMES: dict[str, Outcomes] = {
    "robin": {"It flies": PASSED, "It sings": PASSED},
    "penguin": {"It flies": "OSError: no lift", "It sings": LACKING},
    "ostrich": {"It flies": PASSED, "It sings": LACKING},
}


def tried(bird: Bird) -> Outcomes:
    return OUTCOMES[bird.name]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    page, reasons = tmp_path / "page.md", tmp_path / "reasons.toml"
    page.write_text(TABLE, "utf-8")
    reasons.write_text(REASON, "utf-8")
    return Record("birds", page, reasons, (Table("flight", ["It flies", "It sings"], BIRDS),))


# ── runs


def test_a_run_renews_its_own_column_and_nothing_else(record: Record) -> None:
    assert try_all(record, [BIRDS[2]], tried, check=True, in_part=False) == 1
    assert record.page.read_text("utf-8") == TABLE
    assert try_all(record, [BIRDS[2]], tried, check=False, in_part=False) == 0
    expected = TABLE.replace("| (1) | ? |", "| (1) | ✓ |").replace("| – | ? |", "| – | – |")  # noqa: RUF001
    assert record.page.read_text("utf-8") == expected
    assert try_all(record, BIRDS, tried, check=True, in_part=False) == 0


def test_a_row_that_was_deleted_is_untried_until_it_is_tried_again(record: Record) -> None:
    record.page.write_text(re.sub(r"\| It sings.*\n", "", TABLE), "utf-8")
    assert try_all(record, BIRDS, tried, check=True, in_part=False) == 1
    assert try_all(record, [BIRDS[0]], tried, check=False, in_part=False) == 0
    assert "| It sings | ✓ | ? | ? |\n" in record.page.read_text("utf-8")


# ── pages and reasons with faults


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("| It flies | ✓ |", "| It flies | yes |", "the row 'It flies' has the mark 'yes'; there are ✓ – (1) ?"),  # noqa: RUF001
        ("(1) It swims", "It swims", "the row 'It flies' has the mark '(1)'"),
        ("| It flies | ✓ | (1) | ? |", "| It flies | ✓ | (1) |", "the row 'It flies' has 2 marks, and there are 3 columns"),
        ("| It sings", "| It flies", "two rows are called 'It flies'"),
        ("Ostrich 3.0", "Robin 1.0", "two columns are called 'Robin 1.0'"),
        ("| --- | :-: | :-: | :-: |\n", "", "no line of --- stands below the heads"),
        ("| It flies |", "|  | Robin 1.0 |\n| It flies |", "the row '' has 1 marks"),
        ("<!-- birds: flight -->", "", "write <!-- birds: flight --> and <!-- end -->"),
        ("<!-- end -->", "", "write <!-- birds: flight --> and <!-- end -->"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_a_page_with_a_fault_is_refused_and_kept(
    record: Record, capsys: pytest.CaptureFixture[str], right: str, wrong: str, fault: str, check: bool
) -> None:
    text = TABLE.replace(right, wrong)
    assert text != TABLE
    record.page.write_text(text, "utf-8")
    assert try_all(record, BIRDS, tried, check=check, in_part=False) == 2
    said = capsys.readouterr().err
    assert said.startswith("scripts/birds: page.md")
    assert fault in said
    assert record.page.read_text("utf-8") == text


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("[[reason]]", "[[reason", "line 1"),
        ('link = "#swims"', "", "link"),
        ('subject = "penguin"', 'subject = "pinguin"', "pinguin, which does not exist"),
        ('"It flies"', '"It flew"', "It flew, which does not exist"),
    ],
)
def test_reasons_with_a_fault_are_refused(
    record: Record, capsys: pytest.CaptureFixture[str], right: str, wrong: str, fault: str
) -> None:
    record.reasons.write_text(REASON.replace(right, wrong), "utf-8")
    assert try_all(record, BIRDS, tried, check=True, in_part=False) == 2
    said = capsys.readouterr().err
    assert said.startswith("scripts/birds: reasons.toml")
    assert fault in said


def test_a_fault_that_appears_during_a_run_is_not_written_over(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    def edited(bird: Bird) -> Outcomes:
        record.page.write_text(TABLE.replace("✓", "yes"), "utf-8")
        return tried(bird)

    assert try_all(record, BIRDS[2:], edited, check=False, in_part=False) == 2
    assert "the mark 'yes'" in capsys.readouterr().err
    assert record.page.read_text("utf-8") == TABLE.replace("✓", "yes")


# ── arguments


@pytest.mark.parametrize("main", [agents.main, compat.main, servers.main])
@pytest.mark.parametrize(("names", "fault"), [("", "is named"), (" ,", "is named"), ("nobody", "'nobody'; there are ")])
def test_names_that_choose_nothing_are_refused(main: Callable[[], int], names: str, fault: str) -> None:
    status, _, said = run_here(main, "--check", "--only", names)
    assert status == 2
    assert fault in said


@pytest.mark.parametrize("main", [agents.main, servers.main])
def test_a_scenario_that_does_not_exist_is_refused(main: Callable[[], int]) -> None:
    status, _, said = run_here(main, "--check", "--scenario", "It flies")
    assert status == 2
    assert "no scenario has 'It flies' in its title" in said


# ── what cannot be had


@pytest.mark.parametrize("npm", [True, False])
def test_packages_without_a_lock_are_not_installed(tmp_path: Path, npm: bool) -> None:
    packages = PackageSet("robin", tmp_path, ("robin",), "scripts/birds", npm=npm)
    with pytest.raises(Unavailable, match="robin is not locked: run scripts/birds --lock --only robin"):
        packages.install(tmp_path / "place")


def test_a_lock_of_npm_stays_as_it_is_where_no_new_one_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "robin"
    folder.mkdir()
    files = {"package-lock.json": "{}", "package.json": '{"name": "robin"}'}
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="there is no npm"):
        lock_npm(["robin@latest"], folder)
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == files


@pytest.mark.parametrize("path", ["", "no-such-ollama"])
def test_a_given_program_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str) -> None:
    program = named("ollama")
    monkeypatch.setenv(program.given, path and str(tmp_path / path))
    assert program.is_there == bool(path)
    with pytest.raises(Unavailable, match="OLLAMA_BINARY does not say where Ollama is"):
        _ = program.version
