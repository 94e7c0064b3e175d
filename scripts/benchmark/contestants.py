"""The programs that are compared, and the two that compare them, as processes."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from ollama_openai_proxy.fix.method_map import ENDPOINTS

from scripts.ports import free_port

from .load import Job, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
START_SECONDS = 60.0
STOP_SECONDS = 10.0
OPEN_FILES = 8192
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

type Mode = Literal["translate", "fix"]


class Failed(Exception):
    """Nothing could be measured. The message is for the user."""


@dataclass(frozen=True)
class Contestant:
    """One program.

    Attributes:
        name: how the command line and the results call it.
        label: what it is.
        mode: what it is compared in.
        command: starts it; None for what runs already.
        settings: environment variables, beside those that name its port and the back end.
        port: of what runs already.
        path: where it takes chats.
        method: how it is asked in fix mode.
        is_floor: whether it is the server behind the others.
        has_all_paths: whether it also serves `/v1/chat/completions` and `/v1/messages`.
    """

    name: str
    label: str
    mode: Mode
    command: tuple[str, ...] | None = None
    settings: tuple[tuple[str, str], ...] = ()
    port: int = 0
    path: str = "/api/chat"
    method: str = "POST"
    is_floor: bool = False
    has_all_paths: bool = False


def own_contestants(backend_port: int) -> list[Contestant]:
    """All that need nothing but this checkout, and nginx where it is installed."""
    console = str(BIN / "ollama-openai-proxy")
    dump = (str(BIN / "mitmdump"), "-s", str(ROOT / "addons" / "ollama.py"))
    reference = (sys.executable, str(Path(__file__).with_name("reference.py")))
    fixing = (("PROXY_MODE", "fix"),)
    found = [
        Contestant("direct", "the back end itself", "translate", port=backend_port, path="/v1/chat/completions", is_floor=True),
        Contestant("console", "ollama-openai-proxy", "translate", (console,), has_all_paths=True),
        Contestant("mitmdump", "mitmdump -s", "translate", dump, has_all_paths=True),
        Contestant("reference", "Starlette, typed SDK", "translate", reference),
        Contestant("fix-direct", "the Ollama itself", "fix", port=backend_port, is_floor=True),
        Contestant("fix-console", "ollama-openai-proxy --mode fix", "fix", (console,), fixing, method="GET"),
    ]
    if nginx := shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin"):
        found.append(Contestant("nginx", "nginx, same method map", "fix", (nginx,), method="GET"))
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
        self.port = contestant.port or free_port()
        self.start_up = 0.0
        self._backend_port = backend_port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{contestant.name}.log"
        self._pid = None if contestant.is_floor else _listener(self.port) if contestant.port else None

    def __enter__(self) -> Self:
        if self.contestant.command is not None:
            self._start(list(self.contestant.command))
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            end(self._process)

    @property
    def pid(self) -> int | None:
        """Of the process that does the work; None where it is not known, and for the floor."""
        return self._process.pid if self._process is not None else self._pid

    def cpu_seconds(self) -> float | None:
        """User and system time that it has used up."""
        return None if self.pid is None else sum(map(cpu_seconds, _family(self.pid)))

    def memory(self) -> int | None:
        """Resident bytes."""
        if self.pid is None:
            return None
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _family(self.pid)) * PAGE

    def _start(self, command: list[str]) -> None:
        if self.contestant.name == "nginx":
            command += ["-p", str(self._folder), "-e", "stderr", "-c", str(self._nginx_configuration())]
        environment = _environment() | {
            "PROXY_PORT": str(self.port),
            "OPENAI_API_BASE_URL": f"http://127.0.0.1:{self._backend_port}/v1",
            "OLLAMA_UPSTREAM_URL": f"http://127.0.0.1:{self._backend_port}",
            **dict(self.contestant.settings),
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


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in os.environ if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    # Where Python keeps no compiled modules, half of each start would be compiling them.
    return kept | {"PYTHONPYCACHEPREFIX": str(ROOT / ".cache" / "pycache")}


class Load:
    """The load generator."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def cpu_seconds(self) -> float:
        """User and system time that it has used up."""
        return cpu_seconds(self._process.pid)

    def begin(self, job: Job) -> None:
        """Give it a job."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()

    def outcome(self) -> Outcome:
        """Wait for what came of it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed("the load generator ended.")
        return Outcome(**json.loads(line))

    def do(self, job: Job) -> Outcome:
        """Both."""
        self.begin(job)
        return self.outcome()


@contextmanager
def helpers(backend_port: int) -> Iterator[tuple[int, Load, Path]]:
    """The back end and the load generator; gives the back end's port, and a folder."""
    # 500 streams are 1,000 sockets for a proxy.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with tempfile.TemporaryDirectory() as folder, _helper("backend", "--port", str(backend_port)) as backend:
        assert backend.stdout is not None
        port = backend.stdout.readline().strip()
        if not port.isdigit():
            raise Failed("the back end does not start.")
        with _helper("load") as load:
            yield int(port), Load(load), Path(folder)


@contextmanager
def _helper(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = _environment() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"scripts.benchmark.{module}", *arguments]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            end(process)


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


def end(process: subprocess.Popen[Any]) -> None:
    """Stop it, kindly at first."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _listener(port: int) -> int | None:
    """The process that listens on a port, if that can be known."""
    sockets = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in sockets:
                return int(descriptor.parts[2])
        except OSError:
            continue
    return None
