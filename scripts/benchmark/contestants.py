"""The programs that are compared, and the two that compare them, as processes."""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from ollama_openai_proxy.fix.method_map import ENDPOINTS

from scripts.ports import free_port
from scripts.processes import OPEN_FILES, ROOT, open_many_files, resident_bytes, running_server

from . import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from .load import Job, Outcome

BIN = Path(sys.executable).parent
START_SECONDS = 60.0
STOP_SECONDS = 10.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

type Mode = Literal["translate", "fix"]


class Failed(Exception):
    """Nothing could be measured. The message is for the user."""


@dataclass(frozen=True)
class Contestant:
    """One program.

    Attributes:
        name: how the command line and the results call it.
        mode: what it is compared in.
        command: starts it; None for the floor, which is the server behind the others.
        path: where it takes chats.
        has_all_paths: whether it also serves `/v1/chat/completions` and `/v1/messages`.
    """

    name: str
    mode: Mode
    command: tuple[str, ...] | None = None
    path: str = "/api/chat"
    has_all_paths: bool = False

    @property
    def is_floor(self) -> bool:
        """Whether it is the server behind the others."""
        return self.command is None


def own_contestants() -> list[Contestant]:
    """All that need nothing but this checkout, and nginx where it is installed."""
    console = str(BIN / "ollama-openai-proxy")
    dump = (str(BIN / "mitmdump"), "-s", str(ROOT / "addons" / "ollama.py"))
    reference = (sys.executable, str(Path(__file__).with_name("reference.py")))
    found = [
        Contestant("direct", "translate", path="/v1/chat/completions"),
        Contestant("console", "translate", (console,), has_all_paths=True),
        Contestant("mitmdump", "translate", dump, has_all_paths=True),
        Contestant("reference", "translate", reference),
        Contestant("fix-direct", "fix"),
        Contestant("fix-console", "fix", (console,)),
    ]
    if nginx := shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin"):
        found.append(Contestant("nginx", "fix", (nginx,)))
    return found


class Process:
    """A contestant that runs.

    Args:
        contestant: which.
        backend_port: of the server behind it.
        folder: for its files; it has no `.env` in it.
    """

    def __init__(self, contestant: Contestant, backend_port: int, folder: Path) -> None:
        self.contestant = contestant
        self.port = backend_port if contestant.is_floor else free_port()
        self.start_up = math.nan
        self._backend_port = backend_port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{contestant.name}.log"

    def __enter__(self) -> Self:
        if self.contestant.command is not None:
            self._start(list(self.contestant.command))
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            end(self._process)

    def cpu_seconds(self) -> float:
        """User and system time that it has used up; not a number for the floor, whose work is not a proxy's."""
        return sum(map(cpu_seconds, _family(self._process.pid))) if self._process is not None else math.nan

    def memory(self) -> float:
        """Resident bytes; not a number for the floor."""
        return float(sum(map(resident_bytes, _family(self._process.pid)))) if self._process is not None else math.nan

    def _start(self, command: list[str]) -> None:
        if self.contestant.name == "nginx":
            command += ["-p", str(self._folder), "-e", "stderr", "-c", str(self._nginx_configuration())]
        environment = {name: os.environ[name] for name in os.environ if name in ("PATH", "HOME", "LANG", "TMPDIR")} | {
            # Where Python keeps no compiled modules, half of each start would be compiling them.
            "PYTHONPYCACHEPREFIX": str(ROOT / ".cache" / "pycache"),
            "PROXY_MODE": self.contestant.mode,
            "PROXY_PORT": str(self.port),
            "OPENAI_API_BASE_URL": f"http://127.0.0.1:{self._backend_port}/v1",
            "OLLAMA_UPSTREAM_URL": f"http://127.0.0.1:{self._backend_port}",
        }
        with self._log.open("wb") as log:
            begun = time.perf_counter()
            self._process = subprocess.Popen(
                command, env=environment, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        while time.perf_counter() < begun + START_SECONDS and self._process.poll() is None:
            if self._answers():
                self.start_up = time.perf_counter() - begun
                return
            time.sleep(0.003)
        end(self._process)
        said = self._log.read_text(errors="replace").strip()[-2000:]
        raise Failed(f"{self.contestant.name} does not start; it said:\n{said}")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(5)
            try:
                probe.connect(("127.0.0.1", self.port))
                probe.sendall(b"GET /api/version HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                return probe.recv(1 << 10).split(b" ")[1:2] == [b"200"]
            except OSError:
                return False

    def _nginx_configuration(self) -> Path:
        # As in fix mode, HEAD and OPTIONS stay what they are.
        methods = "\n".join(
            f'    "~^(?!HEAD:|OPTIONS:)\\w+:{path}{"" if path.endswith("/") and path != "/" else "$"}" {endpoint.method};'
            for path, endpoint in ENDPOINTS.items()
            if endpoint.path is None
        )
        folders = "".join(f"  {kind}_temp_path {kind}_temp;\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        path = self._folder / "nginx.conf"
        path.write_text(
            "daemon off;\nmaster_process off;\nworker_processes 1;\npid nginx.pid;\n"
            f"events {{ worker_connections {OPEN_FILES // 2}; }}\n"
            f"http {{\n  access_log access.log;\n{folders}"
            f'  map "$request_method:$uri" $restored_method {{\n    default $request_method;\n{methods}\n  }}\n'
            f"  upstream ollama {{ server 127.0.0.1:{self._backend_port}; keepalive 64; }}\n"
            f"  server {{\n    listen 127.0.0.1:{self.port};\n    location / {{\n"
            "      proxy_pass http://ollama;\n      proxy_method $restored_method;\n      proxy_http_version 1.1;\n"
            '      proxy_set_header Connection "";\n      proxy_buffering off;\n    }\n  }\n}\n'
        )
        return path


class Load(NamedTuple):
    """The load generator, and the way to it."""

    pid: int
    jobs: Connection

    def do(self, job: Job) -> Outcome:
        """Give it a job, and wait for what came of it."""
        self.jobs.send(job)
        outcome: Outcome = self.jobs.recv()
        return outcome


@contextmanager
def helpers() -> Iterator[tuple[int, Load, Path]]:
    """The back end and the load generator; gives the back end's port, and a folder.

    Raises:
        OSError: the back end does not start.
    """
    open_many_files()
    with tempfile.TemporaryDirectory() as folder, running_server("scripts.benchmark.backend") as (port,):
        here, there = multiprocessing.Pipe()
        # A new interpreter has neither this program's memory nor its handlers of signals.
        generator = multiprocessing.get_context("spawn").Process(target=load.serve, args=(there,), daemon=True)
        generator.start()
        there.close()
        assert generator.pid is not None
        try:
            yield port, Load(generator.pid, here), Path(folder)
        finally:
            generator.terminate()
            generator.join()


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used up."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def _family(pid: int) -> list[int]:
    """A process and its workers."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop it, kindly at first."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
