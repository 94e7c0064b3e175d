"""The application on an ASGI server of its own: `uvicorn ollama_openai_proxy.asgi:app`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.live.proxy import ProxyProcess, free_port
from tests.patience import PATIENCE, wait_until
from tests.standins import ScriptedBackend

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURED = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"own": {"format": "own %(name)s"}},
    "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
    "root": {"level": "INFO", "handlers": ["own"]},
}


def served(tmp_path: Path, *arguments: str, **settings: Any) -> str:
    """The log of a server that has answered one call."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "ollama_openai_proxy.asgi:app", "--port", str(port), "--no-access-log"]
    with (
        ScriptedBackend() as backend,
        ProxyProcess(
            command=[*command, *arguments],
            url=f"http://127.0.0.1:{port}",
            cwd=tmp_path,
            OPENAI_API_BASE_URL=backend.base_url,
            **settings,
        ) as proxy,
    ):
        assert httpx.get(f"{proxy.url}/api/tags", trust_env=False, timeout=PATIENCE).status_code == 200
        wait_until(lambda: "access" in proxy.log or "/api/tags" in proxy.log or settings.get("LOG_LEVEL") == "warning")
        proxy.stop()
        return proxy.log


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_proxys_lines_have_the_form_of_the_settings(tmp_path: Path, form: str) -> None:
    # In a file: `ProxyProcess` takes the whole log for JSON if the environment says so, and uvicorn's own lines are none.
    (tmp_path / ".env").write_text(f"LOG_FORMAT={form}\n")
    line = next(line for line in served(tmp_path).splitlines() if "/api/tags" in line)
    if form == "json":
        assert json.loads(line)["status"] == 200
    else:
        assert "INFO GET /api/tags → 200" in line


def test_the_proxys_lines_have_the_level_of_the_settings(tmp_path: Path) -> None:
    assert "/api/tags" not in served(tmp_path, LOG_LEVEL="warning")


def test_where_logging_is_configured_it_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_text(json.dumps(CONFIGURED))
    log = served(tmp_path, "--log-config", str(tmp_path / "log.json"))
    assert "own ollama_openai_proxy.access" in log.splitlines()
    assert "/api/tags" not in log
