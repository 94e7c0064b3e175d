"""`scripts/memory`: the proxy hands on what is larger than it may ever become."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.proxy import ROOT
from tests.patience import PATIENCE

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the script reads /proc")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/memory.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_the_proxy_grows_by_less_than_the_limit_while_more_passes_through_it() -> None:
    ended = run("--size", "64")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = re.findall(r"^(blob upload|pull stream) +\d+\.\d +([+-]\d+\.\d) +[+-]\d+\.\d +\d+\.\d$", ended.stdout, re.MULTILINE)
    assert [name for name, _ in rows] == ["blob upload", "pull stream"]
    assert all(float(peak) <= 32 for _, peak in rows)


@pytest.mark.parametrize(("peak_kib", "status"), [(32 * 1024, 0), (32 * 1024 + 1, 1)])
def test_more_than_the_limit_is_told_by_the_exit_status(
    peak_kib: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("memory_script", ROOT / "scripts" / "memory.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    growths = [script.Growth("blob upload", 0, 0, 0, 1.0), script.Growth("pull stream", 0, peak_kib, 0, 1.0)]
    monkeypatch.setattr(script, "measure", lambda size: growths)
    monkeypatch.setattr(sys, "argv", ["memory"])
    assert script.main() == status
    assert ("the limit is 32 MiB" in capsys.readouterr().err) == bool(status)


@pytest.mark.parametrize("wrong", [("--size", "0"), ("--limit", "little"), ("--unknown",)])
def test_a_wrong_argument_is_refused(wrong: tuple[str, ...]) -> None:
    ended = run(*wrong)
    assert ended.returncode == 2
    assert "usage: scripts/memory" in ended.stderr
