"""The proxy in front of real servers does what `docs/servers.md` says, and `scripts/servers` notices when it does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from scripts import servers
from scripts.locked_packages import Unavailable
from scripts.matrix_command import try_all
from scripts.real_servers.checkpoint import DEMO, checkpoint_name
from scripts.real_servers.programs import LOCKS, PROGRAMS, named, working_folder
from scripts.real_servers.relay import EVENTS, cut_answer
from scripts.real_servers.results import RECORD, SCENARIOS
from scripts.recorded_results import LACKING, PASSED, Reason, explain
from tests.command_runner import run_here
from tests.live.proxy import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.real_servers.programs import Program

CI = bool(os.environ.get("CI"))
COMMAND = [sys.executable, "-m", "scripts.servers"]
TITLES = [it.title for it in SCENARIOS]


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=1500, check=False)


# ── the servers themselves


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["llamacpp", "litellm"])
def test_the_proxy_does_what_the_page_says(name: str) -> None:
    try:
        named(name).install()
    except Unavailable as error:
        if CI:
            raise
        pytest.skip(f"{name} cannot be installed here: {error}")
    ended = script("--check", "--only", name)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr.count(f"{name}: {PASSED}: ") > 30


# ── the page, the results and the reasons


def test_every_recorded_outcome_is_of_a_scenario_and_has_a_reason_if_it_is_a_failure() -> None:
    page = RECORD.page.read_text("utf-8")
    recorded = RECORD.read(page)
    assert RECORD.written(page, recorded) == page
    notes = {(reason.subject, reason.note) for reason in RECORD.read_reasons()}
    assert len(recorded) >= 3
    for server, (version, outcomes) in recorded.items():
        assert version == named(server).version
        assert list(outcomes) == [title for table in RECORD.tables if named(server) in table.subjects for title in table.titles]
    shown = {
        (server, it) for server, (_, outcomes) in recorded.items() for it in outcomes.values() if it not in (PASSED, LACKING)
    }
    assert {(server, note) for server, note in notes if server in recorded} == shown


def test_a_failure_needs_a_reason_and_a_reason_a_failure() -> None:
    program, title = named("infinity"), TITLES[0]
    listed = [Reason("infinity", (title,), "too old", "It is too old.", "https://example.com")]
    cases = {
        PASSED: (PASSED, 1),
        "ValueError: too old": (listed[0].note, 0),
        "ValueError: too old\nValueError: too old": (listed[0].note, 0),
        "ValueError: too old\nValueError: too young": ("ValueError: too old\nValueError: too young", 2),
        LACKING: (LACKING, 0),
        "ValueError: too young": ("ValueError: too young", 2),
    }
    for outcome, (expected, faults) in cases.items():
        recorded, found = explain(program, {title: outcome}, listed)
        assert (recorded[title], len(found)) == (expected, faults), outcome
    assert explain(program, {title: PASSED}, []) == ({title: PASSED}, [])
    assert explain(program, {}, listed) == ({}, [])
    assert len(explain(program, {title: "too old"}, [])[1]) == 1


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ('subject = "infinity"\nscenarios = []\nerror = ""\ntext = ""', "link"),
        ('subject = "nobody"\nscenarios = []\nerror = ""\ntext = ""\nlink = ""', "nobody"),
        ('subject = "infinity"\nscenarios = ["It flies"]\nerror = ""\ntext = ""\nlink = ""', "It flies"),
    ],
)
def test_a_wrong_reason_is_refused(entry: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        RECORD.read_reasons(f"[[reason]]\n{entry}\n")


def test_a_table_has_a_column_for_each_server_that_was_tried() -> None:
    empty = "".join(f"<!-- servers: {kind} -->\n<!-- end -->\n" for kind in ("chat", "embeddings"))
    reason = Reason("llamacpp", (TITLES[1],), "", "It cannot.", "https://example.com")
    shown = dict.fromkeys(TITLES, PASSED) | {TITLES[1]: reason.note, TITLES[2]: LACKING}
    recorded = {"llamacpp": ("1.0", shown), "infinity": ("2.0", dict.fromkeys(RECORD.tables[1].titles, PASSED))}
    text = RECORD.written(empty, recorded)
    assert f"| {TITLES[0]} | ✓ |\n" in text
    assert f"| {TITLES[1]} | (1) |\n" in text
    assert f"| {TITLES[2]} | – |\n" in text  # noqa: RUF001
    assert f"| {RECORD.tables[1].titles[0]} | ✓ | ✓ |\n" in text
    assert "(1) It cannot. ([source](https://example.com))" in text
    assert RECORD.read(text) == recorded
    assert RECORD.written(text, recorded) == text


@pytest.mark.parametrize(
    ("outcome", "check", "status", "cell"), [(PASSED, False, 0, "✓"), (PASSED, True, 1, ""), ("too old", False, 1, "")]
)
def test_a_run_writes_the_page_or_compares_with_it(tmp_path: Path, outcome: str, check: bool, status: int, cell: str) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- servers: chat -->\n<!-- end -->\n<!-- servers: embeddings -->\n<!-- end -->\n", "utf-8")
    (tmp_path / "reasons.toml").touch()
    record = replace(RECORD, page=page, reasons=tmp_path / "reasons.toml")
    outcomes = dict.fromkeys(RECORD.tables[1].titles, outcome)
    infinity = [named("infinity")]
    assert try_all(record, infinity, lambda _: outcomes, check=check, in_part=False) == status
    assert set(record.read(page.read_text("utf-8"))) == ({"infinity"} if cell else set())
    assert f"| {cell} |\n" in page.read_text("utf-8") or not cell
    again = try_all(record, infinity, lambda _: outcomes, check=True, in_part=False)
    assert again == (0 if cell else 1)


# ── the parts


@pytest.mark.parametrize("program", [it for it in PROGRAMS if it.own], ids=lambda program: program.name)
def test_every_server_is_locked_with_hashes_and_names_no_index(program: Program) -> None:
    assert program.version
    text = program.locked.lock.read_text("utf-8")
    assert "://" not in text
    packages = re.findall(r"^[a-z0-9][^\n]*(?:\n +--hash[^\n]*)*", text, re.MULTILINE | re.IGNORECASE)
    assert packages
    assert all("--hash=sha256:" in package for package in packages)


def test_nothing_is_locked_that_no_server_uses() -> None:
    assert {path.stem for path in LOCKS.iterdir()} == {program.name for program in PROGRAMS if program.own}


@pytest.mark.parametrize("ending", [b"\n\n", b"\r\n\r\n"])
def test_a_held_answer_stops_after_its_first_events_however_it_is_cut(ending: bytes) -> None:
    events = [b"event %d" % number + ending for number in range(EVENTS + 3)]
    expected = b"".join(events[:EVENTS])
    assert cut_answer(b"".join(events), 0) == (expected, EVENTS)
    passed, given = 0, b""
    for event in events[:EVENTS]:
        part, passed = cut_answer(event, passed)
        given += part
    assert (given, passed) == (expected, EVENTS)


def test_tensors_get_the_names_of_a_checkpoint() -> None:
    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "blk.3.attn_q.bias": "model.layers.3.self_attn.q_proj.bias",
        "blk.11.ffn_down.weight": "model.layers.11.mlp.down_proj.weight",
    }
    assert {name: checkpoint_name(name) for name in names} == names
    with pytest.raises(ValueError, match="ssm"):
        checkpoint_name("blk.0.ssm.weight")


def test_checkouts_with_different_models_share_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVERS_CACHE", str(tmp_path / "cache"))
    other = tmp_path / "other.gguf"
    # What stands behind a model's tensors is not read.
    other.write_bytes(DEMO.read_bytes() + b"\0")
    first, second = working_folder(), working_folder(other)
    files = [path for path in first.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"demo.gguf", "config.json", "model.safetensors", "tokenizer.json"}
    assert (first / "demo.gguf").read_bytes() == DEMO.read_bytes()
    assert (second / "demo.gguf").read_bytes() == other.read_bytes()
    before = {path: path.stat().st_mtime_ns for path in files}
    assert working_folder() == first
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert sorted(path.name for path in first.parent.iterdir()) == sorted([first.name, second.name])


def test_the_help_names_every_server_and_wrong_names_are_refused() -> None:
    status, text, _ = run_here(servers.main, "--help")
    assert status == 0
    for program in PROGRAMS:
        assert f"  {program.name} " in text
    assert run_here(servers.main, "--only", "nobody")[0] == 2
