"""The wheel, and `scripts/run`: how others come to a running proxy."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import ollama
import ollama_openai_proxy
import pytest

from tests.live.proxy import BIN, ROOT, ProxyProcess, free_port
from tests.patience import PATIENCE
from tests.standins import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = "ollama_openai_proxy"
GREETING = "Hello! I am the demo model behind this proxy. How can I help?"


def run(*command: str | Path) -> str:
    ended = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (built,) = folder.iterdir()
    return built


# -- The wheel ---------------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    metadata = {name for name in names if name.startswith(f"{PACKAGE}-{ollama_openai_proxy.__version__}.dist-info/")}
    folder = ROOT / "addons" / PACKAGE
    modules = {path.relative_to(folder.parent).as_posix() for path in folder.rglob("*.py")}
    assert names - metadata == modules | {f"{PACKAGE}/py.typed"}
    assert {Path(name).name for name in metadata} >= {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "LICENSE"}


def test_the_wheel_is_for_every_platform_and_tells_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = archive.read(name).decode()
    assert wheel.name.endswith("-py3-none-any.whl")
    assert "\nRequires-Python: >=3.12\n" in metadata
    needed = set(re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", metadata, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert needed == {re.split(r"[<>=]", each)[0] for each in project["dependencies"]}


def test_an_installed_wheel_serves_the_ollama_api(wheel: Path, tmp_path: Path) -> None:
    uv, python = BIN / "uv", tmp_path / "venv" / "bin" / "python"
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    install = (uv, "pip", "install", "--quiet", "--python", python)
    run(*install, "--require-hashes", "-r", "requirements/runtime.txt")
    run(*install, "--no-deps", wheel)
    command = [str(python.parent / "ollama-openai-proxy")]
    with ScriptedBackend() as backend:
        settings = {"OPENAI_API_BASE_URL": backend.base_url, "OLLAMA_VERSION": "1.2.3"}
        with ProxyProcess(command=command, cwd=tmp_path, **settings) as proxy:  # type: ignore[arg-type]  # all texts
            assert httpx.get(f"{proxy.url}/api/version", trust_env=False).json() == {"version": "1.2.3"}
            assert len(ollama.Client(proxy.url, trust_env=False).list().models) == 2
            assert proxy.stop() == 0
    where = run(python, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)")
    assert Path(where.strip()).is_relative_to(tmp_path)


# -- scripts/run -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("bash") is None, reason="the scripts are for bash")
def test_run_without_settings_answers_from_a_demo_and_ctrl_c_ends_all_of_it() -> None:
    pytest.importorskip("xllamacpp")
    if (ROOT / ".env").exists():
        pytest.skip("the settings in .env decide what scripts/run starts")
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "OLLAMA_", "PROXY_"))}
    with tempfile.TemporaryFile() as output:

        def log() -> str:
            return os.pread(output.fileno(), 1 << 20, 0).decode()

        process = subprocess.Popen(
            [ROOT / "scripts" / "run"],
            env=kept | {"PROXY_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until(lambda: process.poll() is not None or "Try it:" in log(), log)
            client = ollama.Client(f"http://127.0.0.1:{port}", trust_env=False)
            messages = [{"role": "user", "content": "Hello"}]
            parts = list(client.chat("demo", messages, stream=True))
            assert "".join(part.message.content for part in parts) == GREETING
            assert len(parts) > 2
            assert "To stop, press Ctrl-C here." in log()
            demo = re.search(r"in front of http://127\.0\.0\.1:(\d+)/v1", log())
            assert demo is not None
            assert (listens(port), listens(int(demo[1]))) == (True, True)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=PATIENCE) in (0, 130)
            wait_until(lambda: not listens(port) and not listens(int(demo[1])), log)
            wait_until(lambda: not members_of(process.pid), log)
            assert "Traceback" not in log()
        finally:
            for member in members_of(process.pid):
                os.kill(member, signal.SIGKILL)
            process.wait()


def wait_until(condition: Callable[[], bool], log: Callable[[], str], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, log()
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def members_of(group: int) -> list[int]:
    """The running processes of a process group."""
    listed = run("ps", "-A", "-o", "pid=,pgid=,stat=").splitlines()
    fields = [line.split() for line in listed]
    return [int(pid) for pid, of, state in fields if int(of) == group and not state.startswith("Z")]
