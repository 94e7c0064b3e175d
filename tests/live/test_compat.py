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
from scripts.compatibility.environments import ENVIRONMENTS, LOCKS, SCENARIOS, titles
from scripts.compatibility.playing import perform, together
from scripts.compatibility.results import RECORD
from scripts.compatibility.stage import stage
from scripts.locked_packages import Unavailable
from scripts.recorded_results import LACKING, PASSED
from tests.command_runner import run_here
from tests.live.proxy import ROOT
from tests.pages import anchors

if TYPE_CHECKING:
    from scripts.compatibility.environments import Environment

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
            environment.install()
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
        assert re.search(rf"^{re.escape(name)}: \d\d passed, ", ended.stderr, re.MULTILINE)


def test_every_client_is_recorded_in_its_locked_version_and_every_failure_has_a_reason() -> None:
    page = RECORD.page.read_text("utf-8")
    recorded = RECORD.read(page)
    assert RECORD.written(page, recorded) == page
    assert list(recorded) == [environment.name for environment in ENVIRONMENTS]
    for environment in ENVIRONMENTS:
        version, outcomes = recorded[environment.name]
        assert version == environment.version
        assert list(outcomes) == titles(environment.table)
    notes = {reason.note for reason in RECORD.read_reasons()}
    assert {it for _, outcomes in recorded.values() for it in outcomes.values() if it not in (PASSED, LACKING)} == notes


def test_every_note_of_the_page_leads_to_a_section() -> None:
    for reason in RECORD.read_reasons():
        assert reason.link.removeprefix("#") in anchors(RECORD.page)


# ── from a script to outcomes


@pytest.mark.nightly
def test_a_method_without_a_scenario_is_noticed_and_named() -> None:
    """The SDK of the tests' own environment gets one more method."""
    environment = named("ollama-python-newest")
    invent = "ollama.Client.teleport = ollama.AsyncClient.teleport = lambda self: None"
    module = environment.script.removesuffix(".py")
    run = f"sys.path.insert(0, {str(SCENARIOS)!r}); runpy.run_module({module!r}, None, '__main__')"
    program = f"import ollama, runpy, sys; {invent}; {run}"
    with (
        stage("translate") as here,
        pytest.raises(
            Unavailable, match=r"no scenario calls Client.teleport, AsyncClient.teleport: write one in ollama_python"
        ),
    ):
        perform(environment, [sys.executable, "-c", program], here)


def test_a_script_that_breaks_off_or_says_something_else_is_no_success() -> None:
    flies = json.dumps({"results": {"It flies": {"client": PASSED}}, "uncovered": []})
    programs = {
        "raise SystemExit('no such package')": "fix: status 1: no such package",
        f"print({flies!r})": "no row is called It flies",
    }
    with stage("fix") as here:
        for program, fault in programs.items():
            with pytest.raises(Unavailable, match=fault):
                perform(named("litellm"), [sys.executable, "-c", program], here)


@pytest.mark.parametrize(
    ("ways", "outcome"),
    [
        ({"fix, Client": PASSED, "fix, AsyncClient": PASSED}, PASSED),
        ({"fix, Client": LACKING, "fix, AsyncClient": LACKING}, LACKING),
        ({}, LACKING),
        ({"fix, Client": PASSED, "fix, AsyncClient": LACKING}, "fix, AsyncClient: lacking"),
        ({"translate, Client": PASSED, "fix, Client": "ValueError: old\nmore"}, "fix, Client: ValueError: old"),
        ({"translate, Client": "old", "fix, Client": "older"}, "translate, Client: old\nfix, Client: older"),
    ],
)
def test_an_outcome_is_that_of_all_modes_and_ways_of_calling(ways: dict[str, str], outcome: str) -> None:
    assert together(ways) == outcome


def test_the_rows_of_a_table_are_the_sentences_of_its_script() -> None:
    for table, known in {"python": "`close` closes the client", "javascript": "`webFetch` asks the server"}.items():
        assert known in titles(table)  # type: ignore[arg-type]
    for script_of_client in ("langchain_js.mjs", "ai_provider_v2.mjs"):
        keys = re.findall(r'^  (?:"(.+?)"|(\w+)): async', (SCENARIOS / script_of_client).read_text("utf-8"), re.MULTILINE)
        assert {quoted or bare for quoted, bare in keys} <= set(titles("clients"))


# ── the environments and the command


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment.name)
def test_every_environment_is_locked_with_hashes_and_names_no_index(environment: Environment) -> None:
    assert environment.version
    text = environment.locked.lock.read_text("utf-8")
    assert "://" not in text
    if not environment.locked.npm:
        packages = re.findall(r"^[a-z0-9][^\n]*(?:\n +--hash[^\n]*)*", text, re.MULTILINE | re.IGNORECASE)
        assert packages
        assert all("--hash=sha256:" in package for package in packages)
    else:
        locked = json.loads(text)["packages"]
        assert all("integrity" in package for place, package in locked.items() if place)


def test_nothing_is_locked_that_no_environment_uses() -> None:
    names = {environment.locked.name for environment in ENVIRONMENTS}
    assert {path.name.removesuffix(".txt") for path in LOCKS.iterdir()} == names


def test_the_help_names_every_client_and_wrong_names_are_refused() -> None:
    status, text, _ = run_here(compat.main, "--help")
    assert status == 0
    for environment in ENVIRONMENTS:
        assert f"  {environment.name}\n" in text
    assert run_here(compat.main, "--only", "nobody")[0] == 2
