"""Processes that have done their imports, and fork a new one whenever the tests want one.

A run of the tests starts some five hundred proxies, and several processes that run tests side by side. Nine tenths of what a
start computes are imports, which all of them have in common. A fork server does them once for the whole run. A fork of the
server then runs a script, or code, as a new interpreter would.

Run as a program, this file is one of two things:

* `fork_server.py LISTENER ALIVE MODULE...` is a fork server. Each connection to its listening Unix socket asks for one fork: it
  brings a `Start` as a line of JSON, with the fork's three standard files, and gets the process id, and later the exit status,
  each in a line. The server ends when nobody has the named pipe ALIVE open for writing.
* `fork_server.py run SOCKET ARGUMENT...` is a Python interpreter that such a server has started: it has the server's
  imports, and its own standard files, arguments, environment and folder.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHARED = "TESTS_FORK_SERVERS"
"""The environment variable with the folder of the sockets, for the parallel processes of a run."""
ALIVE = "alive"
"""The named pipe in that folder."""
MAPPINGS = Path("/proc/self/maps")
MADV_POPULATE_READ = 22


class Start(TypedDict):
    """What a fork becomes.

    Attributes:
        command: the arguments of a Python interpreter: a script, or `-c` and code, and what follows.
        environment: all of the environment variables.
        folder: the working directory.
    """

    command: list[str]
    environment: dict[str, str]
    folder: str


# -- In the process that wants a fork


class ForkedProcess:
    """A process that a fork server has started; of `subprocess.Popen`, what `ProxyProcess` needs.

    Args:
        server: the socket of the fork server.
        command: as in `Start`.
        env: the process's environment.
        cwd: its working directory.
        files: its standard input, output and error output, as numbers of files that are open here.
    """

    def __init__(
        self, server: Path, command: Sequence[str], env: Mapping[str, str], cwd: Path, files: tuple[int, int, int]
    ) -> None:
        self.args = command
        self.returncode: int | None = None
        start: Start = {"command": list(command), "environment": dict(env), "folder": str(cwd)}
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(server))
        socket.send_fds(self._connection, [b"{"], files)
        self._connection.sendall(json.dumps(start)[1:].encode() + b"\n")
        self._lines = self._connection.makefile("rb")
        self.pid = int(self._lines.readline())

    def poll(self) -> int | None:
        """The exit status, as `Popen.poll` gives it."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self._read()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._read()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)

    def _read(self) -> None:
        self.returncode = int(self._lines.readline())
        self._lines.close()
        self._connection.close()


def share() -> None:
    """Have this process and its children, which run tests side by side, use the same fork servers."""
    os.environ[SHARED] = str(_folder())


@functools.cache
def fork_server(*modules: str) -> Path:
    """The socket of the fork server that has these modules; whoever wants it first starts it.

    The first of the modules gives the server its name.
    """
    path = Path(os.environ.get(SHARED) or _folder()) / modules[0]
    own = path.with_name(f"{path.name}-{os.getpid()}-{threading.get_ident()}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(own))
        listener.listen(socket.SOMAXCONN)
        try:
            os.link(own, path)
        except FileExistsError:
            return path
        # -P: a proxy finds no module beside this file.
        command = [sys.executable, "-P", __file__, str(listener.fileno()), str(path.with_name(ALIVE)), *modules]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[listener.fileno()], env=environment)
    return path


def python_with(*modules: str) -> str:
    """The command line of a Python that has these modules from its start."""
    return shlex.join([sys.executable, "-S", __file__, "run", str(fork_server(*modules))])


@functools.cache
def _folder() -> Path:
    """A new folder for sockets. The servers in it end when no process has its pipe open for writing, as this one has."""
    folder = Path(tempfile.mkdtemp(prefix="fork-servers-"))
    atexit.register(shutil.rmtree, folder)
    os.mkfifo(folder / ALIVE)
    os.open(folder / ALIVE, os.O_RDWR)
    return folder


def run(server: str, *command: str) -> NoReturn:
    """Have a fork run a command with the standard files of this process, and end with the fork's exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fork gets the signal, too
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    process = ForkedProcess(Path(server), command, os.environ, Path.cwd(), (0, 1, 2))
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    status = process.wait()
    if status < 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    raise SystemExit(status)


# -- In the server's process


def serve(listener: socket.socket, alive: int, modules: Sequence[str]) -> Start:
    """Fork for each start that is asked for; returns in the forks only."""
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that forks share the memory
    if MAPPINGS.exists():
        os.register_at_fork(after_in_child=_map_files)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    asked: dict[int, socket.socket] = {}
    while True:
        ready = select.select([listener.fileno(), alive, woken], [], [])[0]
        if alive in ready:
            os._exit(0)
        if woken in ready:
            os.read(woken, 1 << 10)
            _tell_ends(asked)
        if listener.fileno() not in ready:
            continue
        connection, _ = listener.accept()
        first, files, _, _ = socket.recv_fds(connection, 1, 3)
        with connection.makefile("rb") as lines:
            start: Start = json.loads(first + lines.readline())
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for standard, file in enumerate(files):
                os.dup2(file, standard)
            for each in (connection, listener, *asked.values()):
                each.detach()
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            return start
        for file in files:
            os.close(file)
        connection.sendall(b"%d\n" % pid)
        asked[pid] = connection


def _map_files() -> None:
    """Count the pages of libraries to a fork's memory at once, as they count to that of a process that has imported them.

    Linux lets a fork find them again page by page, which would look like memory that an attack takes.
    """
    madvise = ctypes.CDLL(None).madvise
    for line in MAPPINGS.read_text().splitlines():
        addresses, permissions, _, _, inode, *_ = line.split()
        if inode != "0" and permissions.startswith("r"):
            begin, end = (int(each, 16) for each in addresses.split("-"))
            madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), MADV_POPULATE_READ)


def _tell_ends(asked: dict[int, socket.socket]) -> None:
    """Send the exit status of each fork that has ended to whoever asked for it."""
    while asked:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with asked.pop(pid) as connection, contextlib.suppress(BrokenPipeError):
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def become(start: Start) -> None:
    """Run a script or code in this process, as Python does."""
    os.environ.clear()
    os.environ.update(start["environment"])
    time.tzset()
    os.chdir(start["folder"])
    sys.argv[:] = [argument for argument in start["command"] if argument != "-u"]
    if sys.argv[0] == "-c":
        exec(sys.argv.pop(1), {"__name__": "__main__"})
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["run", server, *command]:
            run(server, *command)
        case [listener, alive, *modules]:
            with_listener = socket.socket(fileno=int(listener))
            become(serve(with_listener, os.open(alive, os.O_RDONLY | os.O_NONBLOCK), modules))
