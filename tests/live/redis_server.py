"""A real Redis for the tests that share a budget."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import pytest

from tests.live.proxy import free_port
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

PROGRAM = "redis-server"
PASSWORD = "s3cret-of-redis"


class RedisServer:
    """A Redis of its own on a free port, which writes nothing to disk."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._folder = folder
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self._port}/1"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        options = {"port": self._port, "bind": "127.0.0.1", "requirepass": PASSWORD, "dir": self._folder, "appendonly": "no"}
        command = [PROGRAM, *(word for name, value in options.items() for word in (f"--{name}", str(value))), "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"{PROGRAM} ended with status {self._process.returncode}"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise AssertionError(f"{PROGRAM} does not answer")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """One that runs; the test is skipped where it is not installed, but not in CI."""
    if shutil.which(PROGRAM) is None:
        missing = f"there is no {PROGRAM} (Debian, Ubuntu: apt install redis-server)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with RedisServer(folder) as server:
        yield server
