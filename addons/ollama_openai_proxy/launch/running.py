"""Runs a program, and a proxy for as long as the program runs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from .asking import LaunchError, is_reachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .target import Setup

START_PATIENCE = 60.0
"""Seconds that a proxy may take to answer after its start."""
STOP_PATIENCE = 40.0
"""Seconds that a proxy may take to stop."""
LOOPBACK = "127.0.0.1"
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_POLL = 0.1


@contextmanager
def own_folder(files: Mapping[str, str]) -> Iterator[str]:
    """Make a new folder that only this user can read, with files in it; remove the folder at the end of the `with` block.

    Args:
        files: the text of each file, by its name.

    Yields:
        The path of the folder.
    """
    folder = tempfile.mkdtemp(prefix="ollama-openai-proxy-")
    try:
        write_files(folder, files)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_files(folder: str, files: Mapping[str, str]) -> None:
    """Write files into a folder: the text of each, by its name."""
    for name, text in files.items():
        Path(folder, name).write_text(text, encoding="utf-8")


@contextmanager
def proxy_for_the_time(*, own_key: bool) -> Iterator[tuple[str, str]]:
    """Start a proxy on a free port of this machine, give its URL and its key, and stop the proxy in the end.

    Args:
        own_key: whether the proxy gets a key of its own, so that no other user of the machine can use it; not where the
            clients' keys are passed on to the back end.

    Raises:
        LaunchError: the proxy does not start; the error has what the proxy said.
    """
    port, key = _free_port(), token_hex(16) if own_key else ""
    url = f"http://{LOOPBACK}:{port}"
    environment = os.environ | {"PROXY_HOST": LOOPBACK, "PROXY_PORT": str(port), "LOG_LEVEL": "warning", "LOG_FORMAT": "text"}
    if own_key:
        environment |= {"PROXY_API_KEYS": key}
    with tempfile.TemporaryFile() as said:
        # In a session of its own: an interrupt at the terminal is the program's to handle.
        process = subprocess.Popen(
            [sys.executable, "-m", "ollama_openai_proxy", "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + START_PATIENCE
            while not is_reachable(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise LaunchError(f"the proxy did not start: {said.read().decode(errors='replace').strip()[-2000:]}")
                time.sleep(_POLL)
            yield url, key
        finally:
            _stop(process)


def run(command: str, arguments: Sequence[str], setup: Setup, url: str) -> int:
    """Run a program until its end; returns its exit status, as a shell would.

    Args:
        command: the path of the executable.
        arguments: of the program.
        setup: the variables.
        url: of the proxy, which is reached directly also where other servers are reached through a forward proxy.
    """
    environment = {name: value for name, value in os.environ.items() if name not in setup.unset}
    environment |= _reached_directly(environment, url) | dict(setup.environment)
    previous = {}
    process = subprocess.Popen([command, *arguments], env=environment)  # noqa: S603
    # The terminal sends an interrupt to both, and the program decides what comes of it. A handler, unlike SIG_IGN, is not
    # inherited.
    previous[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        status = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _reached_directly(environment: Mapping[str, str], url: str) -> dict[str, str]:
    """The variables that exempt the proxy from a forward proxy, if the environment names one."""
    if not any(environment.get(name) for name in _PROXY_VARIABLES):
        return {}
    host = url.partition("://")[2].rpartition(":")[0].strip("[]") or LOOPBACK
    known = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    exempt = ",".join(filter(None, [known, host, LOOPBACK, "localhost"]))
    return {"NO_PROXY": exempt, "no_proxy": exempt}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
