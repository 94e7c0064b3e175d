"""`scripts/soak`: nothing is lost, leaked or hung; and where something is, the soak sees it."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts import soak as script
from scripts.soaking import phases
from scripts.soaking.cases import parse_case
from scripts.soaking.judging import Verdict, judge
from scripts.soaking.phases import Options, Soak
from scripts.soaking.processes import running_backend
from scripts.soaking.tally import Failure, Tally
from tests.command_runner import run_here
from tests.live.proxy import ROOT
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.soaking.cases import Case
    from scripts.soaking.clients import Seen

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the script reads /proc")

ENOUGH = 80.0
"""Seconds after which an answer hangs. The proxy gives up a silent server after 12 of them, before it sends a sign of life."""
NUMBERS = ("silent_truncations", "wrong_answers", "hangs", "log_complaints", "failed")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.soak", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10 * PATIENCE, check=False)


def test_nothing_is_lost_leaked_or_hung(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    ended = run("--requests", "240", "--seed", "1", "--patience", str(ENOUGH), "--json", str(file))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    modes: dict[str, Any] = json.loads(file.read_text())["modes"]
    assert list(modes) == ["translate", "fix"]
    for counts in modes.values():
        assert [counts[name] for name in NUMBERS] == [0] * len(NUMBERS)
        assert set(counts["left"].values()) == {0}
        assert counts["requests"] == counts["right"] + counts["errors_shown"] + counts["clients_left"]
        assert min(counts["right"], counts["errors_shown"]) > 50
        assert counts["phases"]["crowd"] > 0
        assert counts["cut_positions"]["walked"] > 50


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Seen]:
    """A case, and the right answer to it as a client got it."""
    case = parse_case("translate/chat/none/stay/17")
    folder = tmp_path_factory.mktemp("soak")
    with running_backend(folder) as backend:
        soak = Soak(case.mode, Options(1, 1, PATIENCE), backend, folder, Tally(case.mode))
        (seen,), (judgement,) = asyncio.run(soak.alone(case))
    assert judgement.verdict is Verdict.RIGHT
    return case, seen


SPOILED: dict[str, tuple[Callable[[Seen], Seen], Verdict]] = {
    "without the last frame": (
        lambda seen: replace(seen, body=b"".join(seen.body.splitlines(keepends=True)[:-1])),
        Verdict.TRUNCATED,
    ),
    "with another letter": (
        lambda seen: replace(seen, body=re.sub(rb'(?<="content":")[A-Za-z]', b"~", seen.body, count=1)),
        Verdict.WRONG,
    ),
    "cut": (lambda seen: replace(seen, end="cut"), Verdict.WRONG),
    "without an end": (lambda seen: replace(seen, end="hang"), Verdict.HANG),
}


@pytest.mark.parametrize(("spoil", "verdict"), SPOILED.values(), ids=SPOILED)
def test_an_answer_that_is_not_what_the_back_end_meant_to_say_is_noticed(
    tried: tuple[Case, Seen], spoil: Callable[[Seen], Seen], verdict: Verdict
) -> None:
    case, seen = tried
    assert judge(case, spoil(seen)).verdict is verdict


def test_a_connection_that_stays_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "SETTLE_SECONDS", 0.5)
    tally = Tally("translate")

    async def leave_one_open(soak: Soak) -> None:
        async with soak._proxy() as (proxy, _):
            idle = await soak._settled(proxy)
            _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            await soak._check_left(proxy, idle)
            writer.close()

    with running_backend(tmp_path) as backend:
        asyncio.run(leave_one_open(Soak("translate", Options(1, 1, PATIENCE), backend, tmp_path, tally)))
    assert tally.left == {"sockets": 1}
    assert tally.bad


def test_a_run_in_which_something_was_wrong_fails_and_tells_how_to_try_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def find(self: Soak) -> None:
        self._tally.fail(Failure(Verdict.WRONG, "crowd", "translate/chat/none/stay/1", "another letter"))

    monkeypatch.setattr(Soak, "run", find)
    options = argparse.Namespace(mode="translate", seed=1, minutes=1.0, patience=1.0, requests=0, json=None)
    with running_backend(tmp_path) as backend:
        assert script._soak(options, backend, tmp_path) == 1
    assert "again, alone: scripts/soak --case translate/chat/none/stay/1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        ("translate/chat-whole/cut=600/new/1", "error"),
        ("fix/generate/stall=300/new/0", "error"),
        ("fix/v1/none/pipeline=3/99", "right"),
    ],
)
def test_a_case_can_be_tried_alone(case: str, verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = argparse.Namespace(seed=1, patience=ENOUGH)
    with running_backend(tmp_path) as backend:
        assert asyncio.run(script._alone(parse_case(case), options, backend, tmp_path)) == 0
    assert verdict_of(case, capsys.readouterr().out) == verdict


def test_the_command_tries_a_case_alone() -> None:
    case = "translate/chat/none/stay/17"
    ended = run("--case", case)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert verdict_of(case, ended.stdout) == "right"


def verdict_of(case: str, output: str) -> str:
    assert f"[[soak {case}]]" in output
    verdicts: list[str] = re.findall(r"^(right|error|truncated|wrong|hang)\b", output, re.MULTILINE)
    return verdicts[-1]


@pytest.mark.parametrize(
    "wrong",
    [("--minutes", "0"), ("--case", "nonsense"), ("--case", "fix/chat/beauty/stay/1"), ("--requests", "1"), ("--unknown",)],
)
def test_a_wrong_argument_is_refused(wrong: tuple[str, ...]) -> None:
    status, _, complaint = run_here(script.main, *wrong)
    assert status == 2
    assert "usage: scripts/soak" in complaint
