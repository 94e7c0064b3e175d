"""The proxy and the back end as processes, and what can be seen of them from outside."""

from __future__ import annotations

import mmap
import os
import resource
import signal
import struct
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from mitmproxy.certs import CertStore

from scripts.ports import free_port
from scripts.processes import ROOT, resident_bytes, running_server
from tests.live import proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cases import Mode

DRAIN_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Backend:
    """The back end that runs.

    Attributes:
        port: of it.
        encrypted_port: the same over TLS, with a certificate that nobody trusts.
        models_file: a models file with the back ends that cannot be reached.
    """

    port: int
    encrypted_port: int
    models_file: Path

    def ask(self, action: str) -> dict[str, Any]:
        """Ask the back end itself for something: `state`, `rest` closes idle connections, `away?1` its port for a second."""
        answer: dict[str, Any] = _get(f"http://127.0.0.1:{self.port}/soak/{action}").json()
        return answer


@contextmanager
def running_backend(folder: Path) -> Iterator[Backend]:
    """Run the back end; a folder holds the files that a proxy needs to use it.

    Raises:
        OSError: the back end does not start.
    """
    CertStore.create_store(folder, "soak", 2048)
    with running_server("scripts.soaking.backend", str(folder / "soak-ca.pem")) as (port, encrypted_port):
        urls = {
            "refused": f"http://127.0.0.1:{free_port()}/v1",
            "tls": f"https://127.0.0.1:{port}/v1",
            "selfsigned": f"https://127.0.0.1:{encrypted_port}/v1",
        }
        models_file = folder / "models.toml"
        models_file.write_text(
            "".join(
                f'[backends.{name}]\nurl = "{url}"\n[models.{name}]\nbackend = "{name}"\nmodel = "soak"\n'
                for name, url in urls.items()
            )
        )
        yield Backend(port, encrypted_port, models_file)


class ProxyProcess(proxy.ProxyProcess):
    """A proxy.

    Args:
        mode: of it.
        backend: the server behind it.
        folder: where it runs; it has no `.env` in it.
        silence: seconds after which it gives up a server, and a client, that says nothing.
        port: to listen on; 0 is any.
        board: with which the program `scripts.soaking.inside` moves its clock and counts its tasks.
        settings: further environment variables.
    """

    def __init__(
        self,
        mode: Mode,
        backend: Backend,
        folder: Path,
        *,
        silence: float,
        port: int = 0,
        board: Board | None = None,
        **settings: str,
    ) -> None:
        self._board = board
        command = None if board is None else [sys.executable, "-m", "scripts.soaking.inside", str(board.path)]
        url = f"http://127.0.0.1:{backend.port}"
        defaults: dict[str, Any] = {
            "PROXY_MODE": mode,
            "PROXY_PORT": str(port or free_port()),
            "REQUEST_TIMEOUT": str(silence),
            "STREAM_IDLE_TIMEOUT": str(silence),
            "CLIENT_TIMEOUT": str(silence),
            "DRAIN_SECONDS": str(DRAIN_SECONDS),
            "LOG_LEVEL": "warning",
            "LOG_FORMAT": "json",
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": str(ROOT),
        }
        if mode == "fix":
            defaults["OLLAMA_UPSTREAM_URL"] = url
        else:
            defaults |= {"OPENAI_API_BASE_URL": f"{url}/v1", "MODELS_FILE": str(backend.models_file)}
        super().__init__(command=command, cwd=folder, **defaults | settings)

    def __exit__(self, *_: object) -> None:
        if not self._has_ended():
            self.end(signal.SIGKILL)

    @property
    def complaints(self) -> list[str]:
        """Lines of its log that tell of mistakes in the proxy itself."""
        return [line for line in self.log.splitlines() if '"traceback"' in line or not line.startswith('{"time"')]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send it a signal and wait for its end; gives the exit status, or None for one that had to be killed."""
        if number == signal.SIGKILL:
            os.kill(self.worker, number)
        try:
            return self.stop(number)
        except AssertionError:
            return None

    def limit_files(self, most: int) -> None:
        """Let it open so many files at most."""
        resource.prlimit(self.worker, resource.RLIMIT_NOFILE, (most, most))

    def files(self) -> int:
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.worker}/fd"))  # noqa: PTH208  # each is a link to nowhere

    def sockets(self) -> int:
        """How many sockets it has open."""
        found = 0
        for entry in Path(f"/proc/{self.worker}/fd").iterdir():
            try:
                found += str(entry.readlink()).startswith("socket:")
            except FileNotFoundError:
                continue
        return found

    def memory(self) -> int:
        """Its resident memory in KiB."""
        return resident_bytes(self.worker) >> 10

    def in_flight(self) -> int:
        """How many requests it says that it is answering, without the one for the metrics themselves."""
        lines = _get(f"{self.url}/metrics").text.splitlines()
        line = next(line for line in lines if line.startswith("ollama_proxy_requests_in_flight "))
        return int(float(line.split()[1]))

    def tasks(self) -> int:
        """Let a proxy that has a board count its tasks.

        Raises:
            OSError: it does not.
        """
        assert self._board is not None
        before = self._board.counts()
        os.kill(self.worker, signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while (now := self._board.counts()) == before:
            if time.monotonic() > deadline:
                raise OSError("the proxy does not count its tasks")
            time.sleep(0.01)
        return now[0]


class Board:
    """A page of memory that is shared with a proxy: its clock's offset in seconds, and the number of its tasks."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "board"
        self.path.write_bytes(bytes(mmap.PAGESIZE))
        with self.path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def move_clock(self, seconds: float) -> None:
        """Let the proxy's clock be ahead by so many seconds."""
        struct.pack_into("d", self._map, 0, seconds)

    def counts(self) -> tuple[int, int]:
        """The number of tasks when they were counted last, and how often they were."""
        tasks, counted = struct.unpack_from("qq", self._map, 8)
        return tasks, counted


def _get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=60, trust_env=False)
