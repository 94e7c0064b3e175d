"""The sub-commands `web` and `dump`: mitmproxy's tools with the proxy in them, as the image's entry point starts them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import ollama
import pytest

from tests.live.proxy import BIN, ProxyProcess, free_port
from tests.patience import PATIENCE
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
