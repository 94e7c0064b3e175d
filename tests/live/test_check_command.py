"""What `ollama-openai-proxy check` says of real servers: a running proxy, one over TLS that nobody vouches for, a Redis."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.live.proxy import ProxyProcess, free_port
from tests.live.redis_server import PASSWORD, PROGRAM, RedisServer
from tests.live.tls_server import tls_server
from tests.patience import PATIENCE
from tests.standins import ScriptedBackend, StrictOllama

if TYPE_CHECKING:
    from pathlib import Path


def checked(**settings: str) -> tuple[list[str], int]:
    """The lines that the command prints, and its exit status."""
    settings.setdefault("PROXY_PORT", str(free_port()))
    command = [sys.executable, "-m", "ollama_openai_proxy", "check"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "OLLAMA_", "PROXY_"))}
    done = subprocess.run(command, env=kept | settings, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines(), done.returncode


def test_a_proxy_that_runs_is_recognised() -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        lines, status = checked(OPENAI_API_BASE_URL=backend.base_url, PROXY_PORT=str(proxy.port))
    assert status == 0
    assert lines == [
        f"ok       the proxy listens on {proxy.url} already",
        "ok       only this machine reaches 127.0.0.1, and clients need no key",
        f"ok       the back end at {backend.base_url} is of the kind generic and lists 2 models: gpt-test, text-embedding-test",
    ]


def test_a_proxy_in_the_place_of_ollama_is_recognised() -> None:
    with (
        StrictOllama() as ollama,
        ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=ollama.url) as proxy,
    ):
        lines, status = checked(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=proxy.url)
        assert checked(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=ollama.url)[1] == 0
    assert status == 1
    assert lines[2] == (
        f"problem  what answers at {proxy.url} is a proxy like this one: set OLLAMA_UPSTREAM_URL to the Ollama behind it"
    )


def test_a_certificate_that_nobody_vouches_for_is_told_from_a_trusted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_server(tmp_path) as port:
        url = f"https://127.0.0.1:{port}/v1"
        lines, status = checked(OPENAI_API_BASE_URL=url)
        assert status == 1
        assert lines[2].startswith(
            f"problem  the certificate of the back end at {url} is not trusted (self-signed certificate)"
        )
        assert "set SSL_CERT_FILE" in lines[2]

        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        lines, status = checked(OPENAI_API_BASE_URL=url)
        assert status == 0
        assert lines[2] == f"ok       the back end at {url} is of the kind generic and lists 1 model: over-tls"

        lines, status = checked(OPENAI_API_BASE_URL=url.replace("https:", "http:"))
        assert status == 1


@pytest.mark.parametrize(
    ("settings", "beginning"),
    [
        ({}, "OPENAI_API_KEY is not set: set it"),
        ({"PROXY_MODE": "both"}, "PROXY_MODE is wrong: it must be"),
    ],
)
def test_what_would_stop_the_start_is_a_problem(
    settings: dict[str, str], beginning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (line,), status = checked(**settings)
    assert (line[:9], status) == ("problem  ", 1)
    assert line[9:].startswith(beginning)


@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"there is no {PROGRAM} (Debian, Ubuntu: apt install redis-server)")
def test_a_redis_is_asked(tmp_path: Path) -> None:
    with ScriptedBackend() as backend, RedisServer(tmp_path) as redis:
        wanted = {"OPENAI_API_BASE_URL": backend.base_url, "RATE_LIMIT": "9/minute"}
        lines, status = checked(RATE_LIMIT_STORAGE=redis.url, **wanted)
        assert status == 0
        assert lines[3].startswith("ok       RATE_LIMIT_STORAGE at 127.0.0.1:")

        lines, status = checked(RATE_LIMIT_STORAGE=redis.url.replace(PASSWORD, "wrong-password"), **wanted)
        assert status == 1
        assert lines[3].endswith("refuses the password: correct it in the URL")
        assert "wrong-password" not in lines[3]
