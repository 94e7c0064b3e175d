"""What programs share that run the proxy, or a server behind it, as processes. Linux tells them what those use."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
OPEN_FILES = 8192


def open_many_files() -> None:
    """Let this process, and those that it starts, open many files: each stream through a proxy takes two sockets."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


@contextmanager
def running_server(module: str, *arguments: str) -> Iterator[list[int]]:
    """Run a server of this repository that says its ports in one line; gives them.

    Raises:
        OSError: the server does not start.
    """
    command = [sys.executable, "-m", module, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # The server ends with its standard input, so also when this process is killed.
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ports = [int(port) for port in process.stdout.readline().split()]
            if not ports:
                raise OSError(f"{module} does not start")
            yield ports
        finally:
            process.terminate()


def resident_bytes(pid: int) -> int:
    """How much memory of a process is resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
