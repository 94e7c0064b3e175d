"""`scripts/image_check`: what the Dockerfile's steps make can be used."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.live.proxy import ROOT


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("sh") is None or shutil.which("awk") is None, reason="the steps are for Linux containers")
def test_the_image_is_healthy_in_both_modes_and_ends_on_sigterm() -> None:
    command = [sys.executable, "scripts/image_check.py"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for mode in ("translate", "fix"):
        assert f"{mode} mode has answered, and ended with status 0\n" in ended.stdout
    assert "Traceback" not in ended.stderr
