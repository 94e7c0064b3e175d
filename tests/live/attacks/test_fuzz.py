"""`scripts/fuzz`: a client without a key neither fills the memory nor makes others wait; if one does, the fuzzer sees it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.live.attacks.targets import on_linux
from tests.live.proxy import ROOT
from tests.patience import PATIENCE

pytestmark = on_linux


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.fuzz", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10 * PATIENCE, check=False)


@pytest.mark.nightly
def test_whatever_is_sent_without_a_key_costs_others_little() -> None:
    ended = fuzz("--requests", "500", "--seconds", "300")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_what_is_beyond_a_limit_is_seen() -> None:
    ended = fuzz("--requests", "30", "--seconds", "60", "--wait", "0")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "answers to the client with a key" in ended.stdout
