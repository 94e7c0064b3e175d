"""The sub-commands `web` and `dump`: mitmproxy's tools with the proxy in them, as the image's entry point starts them."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import ollama
import pytest

from tests.live.proxy import BIN, ROOT, ProxyProcess, free_port
from tests.patience import PATIENCE, wait_until
from tests.standins import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = str(BIN / "ollama-openai-proxy")
PASSWORD = "of-this-test"


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as server:
        yield server


def test_web_shows_the_calls_behind_a_password(backend: ScriptedBackend, tmp_path: Path) -> None:
    port = free_port()
    options = ["--no-web-open-browser", "--set", f"web_port={port}", "--set", f"web_password={PASSWORD}"]
    settings = {"OPENAI_API_BASE_URL": backend.base_url, "LOG_FORMAT": "text", "HOME": str(tmp_path)}
    with ProxyProcess(command=[COMMAND, "web", *options], cwd=tmp_path, **settings) as proxy:  # type: ignore[arg-type]
        assert len(ollama.Client(proxy.url, trust_env=False).list().models) == 2
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + PATIENCE
        while "Web server listening" not in proxy.log and time.monotonic() < deadline:
            time.sleep(0.05)
        assert httpx.get(f"{url}/flows", trust_env=False).status_code == 403
        headers = {"Authorization": f"Bearer {PASSWORD}"}
        flows = httpx.get(f"{url}/flows", headers=headers, trust_env=False, timeout=PATIENCE).json()
        assert [flow["request"]["path"] for flow in flows if flow["request"]["method"] == "GET"] == ["/api/tags"]
        assert proxy.stop() == 0


def test_dump_saves_the_calls(backend: ScriptedBackend, tmp_path: Path) -> None:
    file = tmp_path / "calls.mitm"
    settings = {"OPENAI_API_BASE_URL": backend.base_url, "LOG_FORMAT": "text", "HOME": str(tmp_path)}
    with ProxyProcess(command=[COMMAND, "dump", "-w", str(file)], cwd=tmp_path, **settings) as proxy:  # type: ignore[arg-type]
        assert len(ollama.Client(proxy.url, trust_env=False).list().models) == 2
        assert proxy.stop() == 0
    assert b"/api/tags" in file.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.parametrize("command", [[COMMAND, "tui"], [str(BIN / "mitmproxy"), "-s", str(ROOT / "addons/ollama.py")]])
def test_the_user_interface_of_the_terminal_serves(backend: ScriptedBackend, tmp_path: Path, command: list[str]) -> None:
    import fcntl
    import pty
    import termios

    port = free_port()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    settings = {"OPENAI_API_BASE_URL": backend.base_url, "PROXY_PORT": str(port), "HOME": str(tmp_path), "TERM": "xterm"}
    shown = bytearray()

    def read() -> None:
        # Until the program closes the terminal, which is an error here.
        with suppress(OSError):
            while part := os.read(ours, 1 << 16):
                shown.extend(part)

    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | settings, cwd=tmp_path, start_new_session=True
    )
    os.close(theirs)
    reader = threading.Thread(target=read)
    reader.start()

    def lists_models() -> bool:
        with suppress(httpx.TransportError):
            url = f"http://127.0.0.1:{port}/api/tags"
            return len(httpx.get(url, trust_env=False, timeout=PATIENCE).json()["models"]) == 2
        return process.poll() is not None

    try:
        wait_until(lists_models, lambda: shown.decode(errors="replace"))
        wait_until(lambda: b"tags" in shown, lambda: shown.decode(errors="replace"))
        process.terminate()
        assert process.wait(PATIENCE) == 0, shown.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(ours)


def test_where_there_is_no_home_the_certificate_has_a_place_nevertheless(backend: ScriptedBackend, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file, in which nothing can be made")
    settings = {"OPENAI_API_BASE_URL": backend.base_url, "LOG_FORMAT": "text", "HOME": str(home)}
    with ProxyProcess(command=[COMMAND, "dump"], cwd=tmp_path, **settings) as proxy:  # type: ignore[arg-type]
        assert httpx.get(f"{proxy.url}/api/tags", trust_env=False, timeout=PATIENCE).status_code == 200
        assert proxy.stop() == 0


def test_a_wrong_setting_is_said_and_ends_the_tool(tmp_path: Path) -> None:
    settings = {"OPENAI_API_BASE_URL": "no-url", "LOG_FORMAT": "text", "HOME": str(tmp_path)}
    with ProxyProcess(command=[COMMAND, "dump"], cwd=tmp_path, wait=False, **settings) as proxy:  # type: ignore[arg-type]
        assert proxy.exit_code() == 1
    assert "OPENAI_API_BASE_URL is wrong" in proxy.log
