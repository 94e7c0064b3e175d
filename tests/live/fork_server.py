"""Processes that have imported the proxy's modules, and fork a proxy whenever a test wants one.

A run of the tests starts some five hundred proxies. Nine tenths of what a start computes are imports, which all proxies have
in common. A fork server does them once. A fork of the server then runs the script of the console command, or of mitmproxy's
tool, as a new interpreter would.

Run as a program with the names of modules, this file is such a server: it reads a `Start` as JSON from its standard input, a
socket, with two files: the proxy's output, and a pipe. Into the pipe it writes the process id, and later the exit status, each
in a line.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_READ = 1 << 20
MAPPINGS = Path("/proc/self/maps")
MADV_POPULATE_READ = 22


class Start(TypedDict):
    """What a fork becomes.

    Attributes:
        command: a Python script and its arguments.
        environment: all of the environment variables.
        folder: the working directory.
    """

    command: list[str]
    environment: dict[str, str]
    folder: str


# -- In the tests' process


class ForkedProcess:
    """A process that a fork server has started; of `subprocess.Popen`, what `ProxyProcess` needs."""

    def __init__(
        self, modules: Sequence[str], command: list[str], env: Mapping[str, str], cwd: Path, output: IO[bytes]
    ) -> None:
        reading, writing = os.pipe()
        start: Start = {"command": command, "environment": dict(env), "folder": str(cwd)}
        server, lock = _server(tuple(modules))
        with lock:
            socket.send_fds(server, [json.dumps(start).encode()], [output.fileno(), writing])
        os.close(writing)
        self._lines = os.fdopen(reading, "rb")
        self.args = command
        self.pid = int(self._lines.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, as `Popen.poll` gives it."""
        if self.returncode is None and select.select([self._lines], [], [], 0)[0]:
            self._read()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._lines], [], [], timeout)[0]:
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


@functools.cache
def _server(modules: tuple[str, ...]) -> tuple[socket.socket, threading.Lock]:
    """The fork server that has these modules, which is started for the first of its processes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # -P: a proxy finds no module beside this file.
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, *modules], stdin=theirs.fileno(), env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    theirs.close()

    def stop() -> None:
        ours.close()
        process.wait()

    atexit.register(stop)
    return ours, threading.Lock()


# -- In the server's process


def serve(modules: Sequence[str]) -> Start:
    """Fork for each start that is asked for; returns in the fork only."""
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that forks share the memory
    if MAPPINGS.exists():
        os.register_at_fork(after_in_child=_map_files)
    channel = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    told: dict[int, int] = {}
    while True:
        if woken in select.select([channel.fileno(), woken], [], [])[0]:
            os.read(woken, MOST_READ)
            _tell_ends(told)
            continue
        message, files, _, _ = socket.recv_fds(channel, MOST_READ, 2)
        if not message:
            os._exit(0)
        output, status = files
        start: Start = json.loads(message)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            channel.detach()
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            return start
        os.close(output)
        os.write(status, b"%d\n" % pid)
        told[pid] = status


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


def _tell_ends(told: dict[int, int]) -> None:
    """Write the exit status of each process that has ended where it is waited for."""
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        pipe = told.pop(pid)
        os.write(pipe, b"%d\n" % os.waitstatus_to_exitcode(status))
        os.close(pipe)


def become(start: Start) -> NoReturn:
    """Run a script in this process, as Python does."""
    os.environ.clear()
    os.environ.update(start["environment"])
    time.tzset()
    os.chdir(start["folder"])
    sys.argv[:] = start["command"]
    runpy.run_path(sys.argv[0], run_name="__main__")
    raise SystemExit


if __name__ == "__main__":
    become(serve(sys.argv[1:]))
