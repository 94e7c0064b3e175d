"""What `docs/compatibility.md` says of the official SDKs is so, and `scripts/compat` notices when it is not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scripts import compat
from scripts.compat import told
from scripts.compatibility import page
from scripts.compatibility.environments import ENVIRONMENTS, LOCKS, SCENARIOS, make
from scripts.compatibility.matrix import REASONS, ROWS_OF_CLIENTS, Matrix, Reason, columns, reasons
from scripts.compatibility.playing import Performance, perform
from scripts.compatibility.stage import MODES, stage
from scripts.locked_packages import Unavailable
from tests.command_runner import run_here
from tests.live.proxy import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scripts.compatibility.environments import Environment
    from scripts.compatibility.stage import Mode

CI = bool(os.environ.get("CI"))
OFFICIAL = [
    environment for environment in ENVIRONMENTS if environment.table == "python" or environment.name == "ollama-js-newest"
]
COMMAND = [sys.executable, "-m", "scripts.compat"]


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=280, check=False)


def named(name: str) -> Environment:
    return next(environment for environment in ENVIRONMENTS if environment.name == name)


# ── the page


def available(environments: list[Environment]) -> list[Environment]:
    """Those that can be installed here; in CI, all of them."""
    found, lacking = [], []
    for environment in environments:
        try:
            make(environment)
        except Unavailable as error:
            if CI:
                raise
            lacking.append(f"{environment.name}: {error}")
        else:
            found.append(environment)
    if not found:
        pytest.skip("no client can be installed here: " + "; ".join(lacking))
    return found


@pytest.mark.nightly
def test_the_official_sdks_do_what_the_page_says() -> None:
    names = [environment.name for environment in available(OFFICIAL)]
    ended = script("--check", "--only", ",".join(names))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for name in names:
        for mode in MODES:
            assert re.search(rf"^{re.escape(name)}, {mode}: \d\d passed, ", ended.stderr, re.MULTILINE)


def test_the_page_has_a_column_for_every_client_in_its_locked_version() -> None:
    text = page.PAGE.read_text("utf-8")
    for table in ("python", "javascript", "clients"):
        head = text.partition(f"<!-- compat: {table} -->\n")[2].lstrip().partition("\n")[0]
        assert [cell.strip() for cell in head.strip("|").split("|")][1:] == [column.title for column in columns(table)]


def test_every_note_of_the_page_leads_to_a_section() -> None:
    text = page.PAGE.read_text("utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    for reason in reasons(REASONS.read_text("utf-8")):
        assert reason.section in headings
        assert reason.footnote in text


# ── what no scenario calls


@pytest.mark.nightly
def test_a_method_without_a_scenario_is_noticed_and_named() -> None:
    """The SDK of the tests' own environment gets one more method."""
    environment = named("ollama-python-newest")
    invent = "ollama.Client.teleport = ollama.AsyncClient.teleport = lambda self: None"
    module = environment.script.removesuffix(".py")
    run = f"sys.path.insert(0, {str(SCENARIOS)!r}); runpy.run_module({module!r}, None, '__main__')"
    program = f"import ollama, runpy, sys; {invent}; {run}"
    with stage("translate") as here:
        performance = perform(environment, [sys.executable, "-c", program], here)
    assert performance.failure == ""
    assert performance.uncovered == ("Client.teleport", "AsyncClient.teleport")
    assert any("no scenario calls Client.teleport" in mistake for mistake in Matrix([performance], []).mistakes)


def test_a_run_with_a_method_without_a_scenario_fails(capsys: pytest.CaptureFixture[str]) -> None:
    whole = Matrix(performances("ollama-python-0.1.9"), [])
    assert told(whole, []) == 0
    assert told(Matrix(performances("ollama-python-0.1.9", uncovered=("Client.teleport",)), []), []) == 1
    assert "no scenario calls Client.teleport: write one in ollama_python.py" in capsys.readouterr().out


def test_a_script_that_breaks_off_is_no_success() -> None:
    environment = named("ollama-python-0.1.9")
    with stage("fix") as here:
        performance = perform(environment, [sys.executable, "-c", "raise SystemExit('no such package')"], here)
    assert performance.failure == "status 1: no such package"
    assert told(Matrix([performance], []), []) == 1


# ── from outcomes to cells

type Outcomes = Mapping[str, Mapping[str, str]]

LACKING_IN_TIME = Reason(("ollama-python-0.1.*",), ("It chats",), "too old", "It is too old.", "What is old, and why")


def performances(
    *names: str, outcomes: Outcomes | None = None, modes: tuple[Mode, ...] = MODES, uncovered: tuple[str, ...] = ()
) -> list[Performance]:
    played = {"It chats": {"Client": "passed"}} if outcomes is None else outcomes
    return [Performance(named(name), mode, played, uncovered) for name in names for mode in modes]


def cell(outcomes: Mapping[str, str], listed: list[Reason] | None = None) -> str:
    matrix = Matrix(performances("ollama-python-0.1.9", outcomes={"It chats": outcomes}), listed or [])
    return matrix.cell("python", matrix.columns("python")[0], "It chats")


def test_a_cell_says_what_came_of_all_ways_of_calling() -> None:
    assert cell({"Client": "passed", "AsyncClient": "passed"}) == "✓"
    assert cell({"Client": "lacking", "AsyncClient": "lacking"}) == "–"  # noqa: RUF001
    assert cell({"Client": "passed", "AsyncClient": "lacking"}) == "✗"
    assert cell({"Client": "passed", "AsyncClient": "ValueError: too old"}) == "✗"
    assert cell({"Client": "passed", "AsyncClient": "ValueError: too old"}, [LACKING_IN_TIME]) == "(1)"
    assert cell({"Client": "passed", "AsyncClient": "ValueError: too young"}, [LACKING_IN_TIME]) == "✗"


def test_a_mode_alone_can_spoil_a_cell() -> None:
    good = performances("ollama-python-0.1.9", modes=("translate",))
    bad = performances("ollama-python-0.1.9", modes=("fix",), outcomes={"It chats": {"Client": "too old"}})
    matrix = Matrix([*good, *bad], [])
    assert matrix.cell("python", matrix.columns("python")[0], "It chats") == "✗"
    assert [failure.mode for failure in matrix.unexplained] == ["fix"]
    assert matrix.unexplained == Matrix([*good, *bad], [LACKING_IN_TIME]).failures


def test_failures_need_a_reason_and_reasons_a_failure() -> None:
    failing = performances("ollama-python-0.1.9", outcomes={"It chats": {"Client": "too old"}})
    assert told(Matrix(failing, []), []) == 1
    assert told(Matrix(failing, [LACKING_IN_TIME]), []) == 0
    assert told(Matrix(performances("ollama-python-0.1.9"), [LACKING_IN_TIME]), []) == 1
    # A run without the version in question cannot tell.
    assert told(Matrix(performances("ollama-python-0.2.1"), [LACKING_IN_TIME]), []) == 0


def test_a_note_leads_to_its_section() -> None:
    assert LACKING_IN_TIME.footnote == "It is too old. ([What is old, and why](#what-is-old-and-why))"


def test_an_incomplete_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="section"):
        reasons('[[reason]]\nenvironments = ["*"]\nscenarios = ["It chats"]\nerror = ""\ntext = "So it is."\n')


def test_a_row_that_no_other_client_has_is_a_mistake() -> None:
    assert Matrix(performances("litellm", outcomes={ROWS_OF_CLIENTS[0]: {"ollama/": "passed"}}), []).mistakes == []
    assert len(Matrix(performances("litellm", outcomes={"It flies": {"ollama/": "passed"}}), []).mistakes) == 2


# ── from cells to the page

EMPTY = "".join(f"<!-- compat: {table} -->\n<!-- end -->\n" for table in ("python", "javascript", "clients"))
JAVASCRIPT = [environment.name for environment in ENVIRONMENTS if environment.table == "javascript"]


def test_a_table_is_written_when_all_of_it_was_tried_and_stays_as_it_is() -> None:
    matrix = Matrix(performances(*JAVASCRIPT), [])
    written = page.written(EMPTY, matrix)
    assert "| It chats | ✓ | ✓ | ✓ |\n<!-- end -->" in written
    assert written.count("It chats") == 1
    assert page.written(written, matrix) == written
    assert page.disagreements(written, matrix) == []
    assert page.disagreements(EMPTY, matrix) != []


def test_a_part_of_a_table_is_only_compared() -> None:
    full = page.written(EMPTY, Matrix(performances(*JAVASCRIPT), []))
    lacking: Outcomes = {"It chats": {"Client": "lacking"}}
    for modes in (MODES, ("translate",)):
        part = Matrix(performances(JAVASCRIPT[0], modes=modes, outcomes=lacking), [])
        assert page.written(full, part) == full
        assert len(page.disagreements(full, part)) == 1
    assert page.disagreements(full, Matrix(performances(JAVASCRIPT[0]), [])) == []
    assert page.disagreements(full, Matrix(performances("ollama-js-0.5", outcomes={"It flies": {"Client": "passed"}}), []))


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="javascript"):
        page.written("", Matrix(performances(*JAVASCRIPT), []))


# ── the environments and the command


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment.name)
def test_every_environment_is_locked_with_hashes_and_names_no_index(environment: Environment) -> None:
    assert environment.version
    text = environment.lock.read_text("utf-8")
    assert "://" not in text
    if environment.python:
        packages = re.findall(r"^[a-z0-9][^\n]*(?:\n +--hash[^\n]*)*", text, re.MULTILINE | re.IGNORECASE)
        assert packages
        assert all("--hash=sha256:" in package for package in packages)
    else:
        locked = json.loads(text)["packages"]
        assert all("integrity" in package for place, package in locked.items() if place)


def test_nothing_is_locked_that_no_environment_uses() -> None:
    names = {environment.name for environment in ENVIRONMENTS}
    assert {path.name.removesuffix(".txt") for path in LOCKS.iterdir()} == names


def test_the_help_names_every_client_and_wrong_names_are_refused() -> None:
    status, text, _ = run_here(compat.main, "--help")
    assert status == 0
    for environment in ENVIRONMENTS:
        assert f"  {environment.name}\n" in text
    assert run_here(compat.main, "--only", "nobody")[0] == 2
    assert run_here(compat.main, "--mode", "mend")[0] == 2
