"""`scripts/soak`: nothing is lost, leaked or hung; and where something is, the soak sees it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.proxy import ROOT

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the script reads /proc")

MINUTES = "1" if os.environ.get("CI") else "0.25"
NUMBERS = ("silent_truncations", "wrong_answers", "hangs", "log_complaints", "failed")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.soak", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_nothing_is_lost_leaked_or_hung(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    ended = run("--minutes", MINUTES, "--seed", "1", "--json", str(file))
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


@pytest.mark.parametrize(
    ("spoil", "kind"), [("truncate", "truncated"), ("alter", "wrong"), ("hang", "hang"), ("leak", "sockets")]
)
def test_answers_that_are_spoiled_on_their_way_are_counted(spoil: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    ended = run(
        *("--mode", "translate", "--minutes", "0.05", "--patience", "5", "--seed", "1"), "--spoil", spoil, "--json", str(file)
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    counts = json.loads(file.read_text())["modes"]["translate"]
    found = {
        "truncated": counts["silent_truncations"],
        "wrong": counts["wrong_answers"],
        "hang": counts["hangs"],
        "sockets": counts["left"]["sockets"],
    }
    assert found[kind] > 0
    assert (found["hang"] > 0, found["sockets"] > 0) == (spoil == "hang", spoil == "leak")
    if spoil != "leak":
        assert "again, alone: scripts/soak --case translate/" in ended.stdout


@pytest.mark.parametrize(
    ("case", "verdict"),
    [
        ("translate/chat/none/stay/17", "right"),
        ("translate/chat-whole/cut=600/new/1", "error"),
        ("fix/generate/stall=300/new/0", "error"),
        ("fix/v1/none/pipeline=3/99", "right"),
    ],
)
def test_a_case_can_be_tried_alone(case: str, verdict: str) -> None:
    ended = run("--case", case)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"[[soak {case}]]" in ended.stdout
    assert re.findall(r"^(right|error|truncated|wrong|hang)\b", ended.stdout, re.MULTILINE)[-1] == verdict


@pytest.mark.parametrize(
    "wrong",
    [("--minutes", "0"), ("--case", "nonsense"), ("--case", "fix/chat/beauty/stay/1"), ("--spoil", "x"), ("--unknown",)],
)
def test_a_wrong_argument_is_refused(wrong: tuple[str, ...]) -> None:
    ended = run(*wrong)
    assert ended.returncode == 2
    assert "usage: scripts/soak" in ended.stderr
