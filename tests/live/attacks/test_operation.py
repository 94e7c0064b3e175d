"""What goes on around a proxy neither stops it, nor opens it, nor shows its secrets."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.live.attacks.targets import BEARER, DOORS, HELLO, KEY, NAMES, TARGETS, on_linux, target, threads
from tests.live.proxy import DOORS as COMMANDS
from tests.live.proxy import ProxyProcess, free_port
from tests.live.raw_http import exchange, get, post
from tests.patience import PATIENCE, wait_until
from tests.standins import ScriptedBackend

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.proxy import Door

pytestmark = on_linux

# -- A log that nobody reads


@pytest.mark.parametrize("door", DOORS)
def test_a_full_log_pipe_stops_nothing_and_lines_that_were_dropped_are_counted(door: Door) -> None:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "PROXY_"))}
    with ScriptedBackend() as backend:
        environment |= {"OPENAI_API_BASE_URL": backend.base_url, "PROXY_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        reading, writing = os.pipe()
        process = subprocess.Popen(COMMANDS[door], env=environment, stdout=writing, stderr=writing)
        os.close(writing)
        try:
            wait_until(lambda: _is_up(port))
            # More lines than a pipe holds.
            request = get("/api/version?" + "x" * 200)
            with ExitStack() as opened:
                connection = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
                for _ in range(1000):
                    connection.sendall(request)
                    assert b"version" in _response(connection)
            log = b""
            os.set_blocking(reading, False)

            def tells() -> bool:
                nonlocal log
                try:
                    while part := os.read(reading, 1 << 16):
                        log += part
                except BlockingIOError:
                    pass
                exchange(port, get("/api/version"))
                return b"lines of the log were dropped" in log

            wait_until(tells)
        finally:
            process.terminate()
            os.close(reading)
            assert process.wait(PATIENCE) == 0


def _is_up(port: int) -> bool:
    try:
        return exchange(port, get("/api/version")).status == 200
    except OSError:
        return False


def _response(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"}"):
        data += connection.recv(1 << 16)
    return data


# -- The port for metrics


@pytest.mark.parametrize(("door", "mode"), TARGETS, ids=NAMES)
def test_idle_connections_to_the_port_for_metrics_take_no_threads(door: object, mode: object) -> None:
    port = free_port()
    with target(door, mode, METRICS_PORT=str(port)) as running, ExitStack() as opened:  # type: ignore[arg-type]  # of the table
        before = threads(running.proxy.worker)
        for _ in range(100):
            opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        assert threads(running.proxy.worker) <= before + 1
        wait_until(lambda: _metrics(port))
        assert threads(running.proxy.worker) <= before + 1


def _metrics(port: int) -> bool:
    try:
        return "ollama_proxy" in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE, trust_env=False).text
    except httpx.TransportError:
        return False


# -- Settings that were meant

FILES: dict[str, tuple[bytes, str]] = {
    "UTF-16": ("\ufeffPROXY_API_KEYS=key-of-the-tests\n".encode("utf-16-le"), "UTF-16"),
    "UTF-16 without a mark": ("PROXY_API_KEYS=key-of-the-tests\n".encode("utf-16-le"), "UTF-16"),
    "another encoding": ("PROXY_API_KEYS=schlüssel-der-tests\n".encode("latin-1"), "UTF-8"),
    "one letter too few": (b"PROXY_API_KEY=key-of-the-tests\n", "PROXY_API_KEYS"),
    "two letters wrong": (b"PROXI_API_KEYZ=key-of-the-tests\n", "PROXY_API_KEYS"),
    "a dash": (b"PROXY-API-KEYS=key-of-the-tests\n", "PROXY_API_KEYS"),
    "no underscores": (b"RATELIMIT=60/minute\n", "RATE_LIMIT"),
}


@pytest.mark.parametrize(
    ("door", "file"),
    [("console", name) for name in FILES]
    # Both doors read settings in one way.
    + [pytest.param("mitmdump", name, marks=[pytest.mark.nightly] * (name not in ("UTF-16", "a dash"))) for name in FILES],
)
def test_a_file_of_settings_that_would_be_ignored_stops_the_start(tmp_path: Path, door: Door, file: str) -> None:
    content, named = FILES[file]
    (tmp_path / ".env").write_bytes(content)
    with ProxyProcess(door=door, cwd=tmp_path, wait=False, OPENAI_API_KEY="sk-x") as proxy:
        assert proxy.exit_code() == 1
    assert named in proxy.log
    assert "key-of-the-tests" not in proxy.log
    assert "Traceback" not in proxy.log


@pytest.mark.parametrize("door", DOORS)
def test_a_misspelt_variable_stops_the_start(tmp_path: Path, door: Door) -> None:
    with ProxyProcess(door=door, cwd=tmp_path, wait=False, OPENAI_API_KEY="sk-x", PROXY_API_KEY=KEY) as proxy:
        assert proxy.exit_code() == 1
    assert "PROXY_API_KEY is no setting of this proxy: set PROXY_API_KEYS instead" in proxy.log
    assert KEY not in proxy.log


def test_a_file_with_a_mark_of_its_encoding_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfPROXY_API_KEYS=key-of-the-tests\nUNKNOWN=1\n")
    with ProxyProcess(cwd=tmp_path, OPENAI_API_KEY="sk-x") as proxy:
        assert exchange(proxy.port, get("/api/version")).status == 401
        assert exchange(proxy.port, get("/api/version", BEARER)).status == 200


# -- An end during the start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_prints_no_traceback(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "ollama_openai_proxy"]
    for delay in range(0, 12, 2):
        environment = os.environ | {"PROXY_PORT": str(free_port()), "OPENAI_API_KEY": "sk-x"}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # Python itself takes a while until it has read the first line of the program.
        wait_until(lambda process=process: _has_begun(process.pid))  # type: ignore[misc]
        time.sleep(delay * 0.05)
        process.send_signal(number)
        output, _ = process.communicate(timeout=PATIENCE)
        assert b"Traceback" not in output, (delay, output)


def _has_begun(pid: int) -> bool:
    """Whether the program has taken SIGINT from Python, whose own way to end is an exception."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        fields = dict(line.split(":", 1) for line in file)
    loaded = "pydantic_core" in open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace").read()  # noqa: PTH123, SIM115
    return loaded or (not int(fields["SigCgt"], 16) & 2 and int(fields["VmRSS"].split()[0]) > 11_000)


# -- What is written to disk


@pytest.mark.parametrize(("before", "mark", "mode"), [(None, "", 0o600), (b"old", "", 0o600), (b"old", "+", 0o644)])
def test_saved_flows_are_for_their_owner_only(tmp_path: Path, before: bytes | None, mark: str, mode: int) -> None:
    saved = tmp_path / "flows" / "session.mitm"
    if before is not None:
        saved.parent.mkdir()
        saved.write_bytes(before)
        saved.chmod(0o644)
    previous = os.umask(0o022)
    try:
        with (
            ScriptedBackend() as backend,
            ProxyProcess(door="mitmdump", arguments=["-w", f"{mark}{saved}"], OPENAI_API_BASE_URL=backend.base_url) as proxy,
        ):
            call: dict[str, Any] = {"model": "gpt-test", "messages": HELLO, "stream": False}
            assert exchange(proxy.port, post("/api/chat", call)).status == 200
    finally:
        os.umask(previous)
    assert saved.stat().st_size > 3
    assert stat.S_IMODE(saved.stat().st_mode) == mode
