"""The proxy as a real process, through any of its doors."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx

from scripts.ports import free_port as free_port
from tests.fork_server import ForkedProcess, fork_server
from tests.patience import PATIENCE, wait_until

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[2]
EVERY_LINE = {"time", "level", "logger", "message"}
DOCUMENTED = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "operations.md").read_text("utf-8"), re.MULTILINE))
BIN = Path(sys.executable).parent

type Door = Literal["console", "module", "mitmdump", "mitmweb"]

DOORS: dict[Door, list[str]] = {
    "console": [str(BIN / "ollama-openai-proxy")],
    "module": [sys.executable, "-m", "ollama_openai_proxy"],
    "mitmdump": [str(BIN / "mitmdump"), "-s", str(ROOT / "addons/ollama.py")],
    "mitmweb": [str(BIN / "mitmweb"), "--no-web-open-browser", "-s", str(ROOT / "addons/ollama.py")],
}


IMPORTED = {
    DOORS["console"][0]: (
        "ollama_openai_proxy.__main__",
        "ollama_openai_proxy.workers.supervisor",
        "ollama_openai_proxy.workers.worker",
    ),
    DOORS["mitmdump"][0]: ("mitmproxy.tools.dump", "ollama_openai_proxy.mitm.script"),
    DOORS["mitmweb"][0]: ("mitmproxy.tools.web.master", "ollama_openai_proxy.mitm.script"),
}
"""What each program imports, for its fork server."""
QUIET = ("warning", "error")
WHERE = re.compile(r"Ollama API on http://\S+?:(\d+) \(|proxy to \S+ listening at \S+?:(\d+)[. ]")
"""How the console command's log, and mitmproxy's, name the port that a proxy listens on."""


class ProxyProcess:
    """Starts the proxy on any free port, waits until it answers, and stops it with SIGTERM.

    Args:
        door: how it is started.
        arguments: further command line arguments.
        settings: environment variables; nothing else of the tests' environment that concerns the proxy is passed on.
        wait: False for a proxy that is expected not to start; then `exit_code` waits for its end.
        cwd: the working directory, where the proxy looks for `.env`.
        url: where it answers, if something else than `PROXY_PORT` decides that; else its log says so.
        command: what to run instead of the door's own command.
        fresh: True for a new interpreter; otherwise a fork server has done the imports, where there can be one.
    """

    def __init__(
        self,
        *,
        door: Door = "console",
        arguments: list[str] | None = None,
        wait: bool = True,
        cwd: Path = ROOT,
        url: str | None = None,
        command: list[str] | None = None,
        fresh: bool = False,
        **settings: str,
    ) -> None:
        # One that says little does not say where it listens.
        own = settings.setdefault("PROXY_PORT", str(free_port()) if settings.get("LOG_LEVEL") in QUIET else "0")
        self._url = url
        self._port = int(url.rpartition(":")[2]) if url else int(own) if own.isdigit() else 0
        self._command = (command or DOORS[door]) + (arguments or [])
        # What decides on imports, and on how Python starts, a fork server has read already.
        fresh = fresh or not hasattr(os, "fork") or any(name.startswith("PYTHON") for name in settings)
        self._imported = () if fresh else IMPORTED.get(self._command[0], ())
        self._wait = wait
        self._cwd = cwd
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "OLLAMA_", "PROXY_"))}
        if command is None and door in ("console", "module"):
            settings.setdefault("LOG_FORMAT", "json")
        self._json = settings.get("LOG_FORMAT") == "json"
        self._environment = kept | {"PYTHONUNBUFFERED": "1"} | settings
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None
        # A file: a pipe that nobody reads would stop a proxy that has much to say.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the process has ended
        self._last_log = ""

    def __enter__(self) -> Self:
        if self._imported:
            with Path(os.devnull).open("rb") as nothing:
                files = (nothing.fileno(), self._output.fileno(), self._output.fileno())
                server = fork_server(*self._imported)
                self._process = ForkedProcess(server, self._command, self._environment, self._cwd, files)
        else:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=self._cwd, stdout=self._output, stderr=subprocess.STDOUT
            )
        if self._wait:
            self._wait_until_it_answers()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if self._json and error is None and self._wait:
            check_log(self.log)

    @property
    def port(self) -> int:
        """The port that it listens on; waits until it has said so where it chooses the port itself."""
        if not self._port:
            wait_until(lambda: self._said_port() or self._has_ended(), lambda: f"the proxy says no port:\n{self.log}")
            assert self._said_port(), f"the proxy says no port:\n{self.log}"
            self._port = self._said_port()
        return self._port

    @property
    def url(self) -> str:
        return self._url or f"http://127.0.0.1:{self.port}"

    def _said_port(self) -> int:
        found = WHERE.search(self.log)
        return int(found[1] or found[2]) if found else 0

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that serve, as far as they have started; behind mitmproxy's tools this is the process itself."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return ([int(pid) for pid in children.read_text().split()] if children.exists() else []) or [self.pid]

    @property
    def worker(self) -> int:
        """The process that serves, where there is one only."""
        (pid,) = self.workers
        return pid

    @property
    def log(self) -> str:
        """What it has written so far, on stdout and stderr."""
        if self._output.closed:
            return self._last_log
        # Not by seeking: the process shares the file's position.
        return os.pread(self._output.fileno(), os.fstat(self._output.fileno()).st_size, 0).decode()

    def access(self, reply: httpx.Response) -> dict[str, Any]:
        """The log line of a request."""
        return self.access_of(reply.headers["X-Request-Id"])

    def access_of(self, request_id: str) -> dict[str, Any]:
        """The log line of the request with this id, when the request has ended."""
        found: list[dict[str, Any]] = []

        def ended() -> bool:
            lines = [json.loads(line) for line in self.log.splitlines() if request_id in line]
            found[:] = [line for line in lines if line["message"] == "request"]
            return bool(found)

        wait_until(ended, lambda: f"no line for {request_id}")
        return found[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as a service manager would; returns the exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.exit_code()

    def exit_code(self, timeout: float = PATIENCE) -> int:
        """Wait for its end; afterwards `log` holds all that it wrote."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the proxy did not end:\n{self.log}") from None
        finally:
            self._last_log = self.log
            self._output.close()

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"the proxy ended with status {self.exit_code()}:\n{self.log}")
            if not (self._port or self._said_port()):
                time.sleep(0.02)
                continue
            try:
                httpx.head(f"{self.url}/api/version", timeout=PATIENCE, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise AssertionError(f"the proxy does not answer:\n{self.log}")


def check_log(text: str) -> None:
    """Make sure that every line is a JSON object with the documented keys and no others."""
    for line in text.splitlines():
        if line.startswith("ollama-openai-proxy: "):
            continue  # the one sentence about a wrong setting, before there is a log
        entry = json.loads(line)
        assert entry.keys() >= EVERY_LINE
        assert entry.keys() <= EVERY_LINE | DOCUMENTED, entry.keys() - EVERY_LINE - DOCUMENTED
