"""Real coding agents do with the proxy what `docs/clients.md` says, and `scripts/agents` notices when they do not."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.launch.programs import PROGRAMS

from scripts import agents
from scripts.coding_agents.agents import AGENTS, LOCKS, MILLISECONDS, PACKAGES, SECONDS, Agent, Package, Patience, package_of
from scripts.coding_agents.results import RECORD, SCENARIOS
from scripts.coding_agents.stage import TEXT, end_all_of, environment, plain
from scripts.locked_packages import Unavailable
from scripts.recorded_results import PASSED
from tests.command_runner import run_here
from tests.live.proxy import ROOT
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "scripts.agents"]
SHORT = 12
"""Seconds of a long silence here; the page is made with longer ones."""


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=3600, check=False)


# ── the agents themselves


@pytest.mark.nightly
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_an_agent_does_what_the_page_says(agent: Agent) -> None:
    try:
        agent.install()
    except Unavailable as error:
        pytest.skip(f"{agent.title} cannot be installed here ({error}): give npm and uv a registry, or set OLLAMA_PROXY_AGENTS")
    ended = script("--check", "--only", agent.name, "--seconds", str(SHORT))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr.count(f"{agent.name}: ") == len(SCENARIOS), ended.stderr


# ── the page, the results and the reasons


def test_every_agent_is_recorded_and_every_failure_has_a_reason() -> None:
    page = RECORD.page.read_text("utf-8")
    recorded = RECORD.read(page)
    assert RECORD.written(page, recorded) == page
    notes = {(reason.subject, reason.note) for reason in RECORD.read_reasons()}
    assert list(recorded) == [agent.name for agent in AGENTS]
    for agent in AGENTS:
        version, outcomes = recorded[agent.name]
        assert version == agent.version
        assert list(outcomes) == [it.title for it in SCENARIOS]
    shown = {(agent, it) for agent, (_, outcomes) in recorded.items() for it in outcomes.values() if it != PASSED}
    assert notes == shown


def test_a_task_fails_no_agent() -> None:
    """The first scenario is what everybody expects, and no reason is good enough."""
    recorded = RECORD.read(RECORD.page.read_text("utf-8"))
    assert {outcomes[SCENARIOS[0].title] for _, outcomes in recorded.values()} == {PASSED}


# ── the locks and the parts


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_program_is_locked_with_hashes_and_names_no_index(package: Package) -> None:
    assert package.program.versions == (package.version,)
    text = package.locked.lock.read_text("utf-8")
    assert "://" not in text
    if package.locked.npm:
        entries = {place: entry for place, entry in json.loads(text)["packages"].items() if place}
        assert entries
        assert all("integrity" in entry for entry in entries.values())
    else:
        packages = re.findall(r"^[a-z0-9][^\n]*(?:\n +--hash[^\n]*)*", text, re.MULTILINE | re.IGNORECASE)
        assert packages
        assert all("--hash=sha256:" in each for each in packages)


def test_nothing_is_locked_that_nobody_installs() -> None:
    assert {path.name.removesuffix(".txt") for path in LOCKS.iterdir()} == {package.name for package in PACKAGES}
    assert {agent.name for agent in AGENTS} <= {package.name for package in PACKAGES}
    assert {it.name for it in PROGRAMS if it.versions} == {package.name for package in PACKAGES}


def test_a_package_without_a_lock_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("scripts.coding_agents.agents.LOCKS", tmp_path)
    for name in ("claude", "aider"):
        with pytest.raises(Unavailable, match=f"--lock --only {name}"):
            _ = package_of(name).version


def test_patience_is_told_in_the_unit_of_each_program() -> None:
    told = Patience({"IDLE": MILLISECONDS}, ("--timeout", SECONDS), {"file": f"[{MILLISECONDS}]"}).of(2.5)
    assert told == Patience({"IDLE": "2500"}, ("--timeout", "2"), {"file": "[2500]"})
    for agent in AGENTS:
        for name, text in agent.patience.of(3).files.items():
            if name.endswith(".json"):
                assert "3000" in str(json.loads(text))


def test_a_home_is_empty_and_has_no_variables_of_the_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "own-key")
    variables = environment(AGENTS[0], tmp_path / "bin", tmp_path / "home", Patience({"IDLE": "1"}))
    assert variables["HOME"] == str(tmp_path / "home")
    assert not variables.keys() & {"HTTPS_PROXY", "ANTHROPIC_API_KEY"}


def test_what_a_program_leaves_behind_is_ended_by_its_home(tmp_path: Path) -> None:
    sleeping = [
        subprocess.Popen(["sleep", "3600"], env={"HOME": str(home)}, start_new_session=True)
        for home in (tmp_path / "home", tmp_path / "home2")
    ]
    try:
        end_all_of(tmp_path / "home")
        assert sleeping[0].wait(PATIENCE) == -signal.SIGKILL
        assert sleeping[1].poll() is None
    finally:
        for process in sleeping:
            process.kill()
            process.wait()


def test_codes_of_a_terminal_are_no_output() -> None:
    assert plain(f"\x1b[1m{TEXT}\x1b[0m\x1b]0;title\x07") == TEXT


def test_the_help_names_every_agent_and_wrong_names_are_refused() -> None:
    status, text, _ = run_here(agents.main, "--help")
    assert status == 0
    for agent in AGENTS:
        assert f"  {agent.name} " in text
    assert run_here(agents.main, "--only", "nobody")[0] == 2
