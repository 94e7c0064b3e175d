"""A server as a process, and how to know that it answers."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from scripts.locked_packages import Unavailable
from scripts.real_servers.programs import KEY, MODEL, Launch, named, working_folder
from tests.live.proxy import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.real_servers.programs import Kind, Program

START_PATIENCE = 600
"""Seconds that a server may take to answer first."""
_FOREIGN = ("OPENAI_", "OLLAMA_", "PROXY_", "LITELLM_", "VLLM_", "HF_", "PYTHON", "VIRTUAL_ENV", "COVERAGE_")


class ServerProcess:
    """A server that can be started, killed, and started again at the same port."""

    def __init__(self, program: Program, launch: Launch) -> None:
        self._program = program
        self._command = program.command(launch)
        self._folder = launch.folder
        self.base_url = f"http://127.0.0.1:{launch.port}/v1"
        self._process: subprocess.Popen[bytes] | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed in stop

    def start(self) -> None:
        """Start the server, and wait until it answers.

        Raises:
            Unavailable: the server does not start here; the error has the end of its output.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        self._process = subprocess.Popen(
            self._command.line,
            env=kept | {"PYTHONUNBUFFERED": "1"} | dict(self._command.environment),
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            # vLLM's engine is a process of its own, which must end with its parent.
            start_new_session=True,
        )
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Unavailable(f"{self._program.title} ended with status {self._process.returncode}:\n{self.log[-3000:]}")
            if self._answers():
                return
            time.sleep(0.2)
        self.kill()
        raise Unavailable(f"{self._program.title} did not answer within {START_PATIENCE} s:\n{self.log[-3000:]}")

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return os.pread(self._output.fileno(), os.fstat(self._output.fileno()).st_size, 0).decode(errors="replace")

    def kill(self) -> None:
        """End the server and all processes that it started, at once."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """End the server for good."""
        self.kill()
        self._output.close()

    def _answers(self) -> bool:
        headers = {"Authorization": f"Bearer {KEY}"}
        try:
            answer = httpx.get(f"{self.base_url}/models", headers=headers, timeout=20, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.is_success and f'"{MODEL}' in answer.text


@contextmanager
def running(program: Program, kind: Kind) -> Iterator[ServerProcess]:
    """Install and run a server, and the server behind it if it is a gateway.

    Raises:
        Unavailable: the server cannot be installed, or does not start.
    """
    launch = Launch(free_port(), kind, program.install(), working_folder(), "")
    if program.behind:
        with running(named(program.behind), kind) as behind:
            yield from _run(program, replace(launch, behind=behind.base_url))
    else:
        yield from _run(program, launch)


def _run(program: Program, launch: Launch) -> Iterator[ServerProcess]:
    server = ServerProcess(program, launch)
    try:
        server.start()
        yield server
    finally:
        server.stop()
