"""The proxy and the back end as processes, and what can be seen of them from outside."""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from scripts.ports import free_port

if TYPE_CHECKING:
    from .cases import Mode

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
START_SECONDS = 60.0
STOP_SECONDS = 60.0
DRAIN_SECONDS = 3.0
KIB = 1 << 10
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """The soak cannot go on. The message is for the user."""


class BackendProcess:
    """The back end, with the files that a proxy needs to use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.encrypted_port = 0

    def __enter__(self) -> Self:
        certificate = self._folder / "certificate.pem"
        certificate.write_bytes(_self_signed())
        command = [sys.executable, "-m", "scripts.soaking.backend", "--certificate", str(certificate)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ports = self._process.stdout.readline().split()
        if len(ports) != 2:
            raise Failed("the back end does not start")
        self.port, self.encrypted_port = int(ports[0]), int(ports[1])
        (self._folder / "models.toml").write_text(self._models())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def models_file(self) -> Path:
        """A models file with the back ends that cannot be reached."""
        return self._folder / "models.toml"

    def ask(self, action: str) -> dict[str, Any]:
        """Ask the back end itself for something: `state`, `rest` closes idle connections, `away?1` its port for a second."""
        with _DIRECT.open(f"http://127.0.0.1:{self.port}/soak/{action}", timeout=60) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer

    def _models(self) -> str:
        urls = {
            "refused": f"http://127.0.0.1:{free_port()}/v1",
            "tls": f"https://127.0.0.1:{self.port}/v1",
            "selfsigned": f"https://127.0.0.1:{self.encrypted_port}/v1",
        }
        return "".join(
            f'[backends.{name}]\nurl = "{url}"\n[models.{name}]\nbackend = "{name}"\nmodel = "soak"\n'
            for name, url in urls.items()
        )


class ProxyProcess:
    """A proxy.

    Args:
        mode: of it.
        backend: the server behind it.
        folder: where it runs; it has no `.env` in it.
        silence: seconds after which it gives up a server, and a client, that says nothing.
        port: to listen on; 0 is any.
        inside: whether the program `scripts.soaking.inside` starts it, which moves its clock and counts its tasks.
        settings: further environment variables.
    """

    def __init__(
        self,
        mode: Mode,
        backend: BackendProcess,
        folder: Path,
        *,
        silence: float,
        port: int = 0,
        inside: bool = False,
        **settings: str,
    ) -> None:
        self.port = port or free_port()
        self._folder = folder
        self._inside = inside
        url = f"http://127.0.0.1:{backend.port}"
        self._settings = {
            "PROXY_MODE": mode,
            "PROXY_PORT": str(self.port),
            "REQUEST_TIMEOUT": str(silence),
            "STREAM_IDLE_TIMEOUT": str(silence),
            "CLIENT_TIMEOUT": str(silence),
            "DRAIN_SECONDS": str(DRAIN_SECONDS),
            "LOG_LEVEL": "warning",
            "LOG_FORMAT": "json",
            "PYTHONFAULTHANDLER": "1",
        }
        if mode == "fix":
            self._settings["OLLAMA_UPSTREAM_URL"] = url
        else:
            self._settings |= {"OPENAI_API_BASE_URL": f"{url}/v1", "MODELS_FILE": str(backend.models_file)}
        self._settings |= settings
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._board = Board(folder) if inside else None

    def __enter__(self) -> Self:
        command = [str(BIN / "ollama-openai-proxy")]
        kept = {name: os.environ[name] for name in os.environ if name.startswith(("COVERAGE", "LANG", "LC_", "PATH", "TMP"))}
        if self._board is not None:
            command = [sys.executable, "-m", "scripts.soaking.inside", str(self._board.path)]
            kept["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            command, env=kept | self._settings, cwd=self._folder, stdout=self._log, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = self.log[-2000:]
                self.end(signal.SIGKILL)
                raise Failed(f"the proxy does not start:\n{text}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self.end(signal.SIGKILL)
        self._log.close()
        if self._board is not None:
            self._board.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def worker(self) -> int:
        """The pid of the process that serves: a child of the process that was started, or that process itself."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[0]) if children else self.pid

    @property
    def board(self) -> Board:
        """What a proxy that runs `inside` is told and tells."""
        assert self._board is not None
        return self._board

    @property
    def log(self) -> str:
        """What it has written."""
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    @property
    def complaints(self) -> list[str]:
        """Lines of its log that tell of mistakes in the proxy itself."""
        return [line for line in self.log.splitlines() if '"traceback"' in line or not line.startswith('{"time"')]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; what its supervisor does not pass on goes to the process that serves."""
        assert self._process is not None
        if number in (signal.SIGKILL, signal.SIGUSR1):
            os.kill(self.worker, number)
        if number != signal.SIGUSR1:
            self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send it a signal and wait for its end; gives the exit status, or None for one that had to be killed."""
        self.send(number)
        return self.wait()

    def wait(self, seconds: float = STOP_SECONDS) -> int | None:
        """Wait for its end; gives the exit status, or None for one that had to be killed."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
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
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{self.worker}/status").read_text().splitlines())
        return int(fields["VmRSS"].split()[0])

    def in_flight(self) -> int:
        """How many requests it says that it is answering, without the one for the metrics themselves."""
        text = self._get("/metrics").decode()
        line = next(line for line in text.splitlines() if line.startswith("ollama_proxy_requests_in_flight "))
        return int(float(line.split()[1]))

    def _get(self, path: str) -> bytes:
        with _DIRECT.open(f"http://127.0.0.1:{self.port}{path}", timeout=60) as reply:
            content: bytes = reply.read()
            return content

    def _answers(self) -> bool:
        try:
            self._get("/healthz")
        except (urllib.error.URLError, OSError):
            return False
        return True


class Board:
    """A page of memory that is shared with a proxy: its clock's offset in seconds, and the number of its tasks."""

    _LAYOUT = struct.Struct("dqq")

    def __init__(self, folder: Path) -> None:
        self.path = folder / "board"
        self.path.write_bytes(bytes(mmap.PAGESIZE))
        with self.path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def close(self) -> None:
        """Forget it."""
        self._map.close()

    def move_clock(self, seconds: float) -> None:
        """Let the proxy's clock be ahead by so many seconds."""
        struct.pack_into("d", self._map, 0, seconds)

    def tasks(self, proxy: ProxyProcess) -> int:
        """Let the proxy count its tasks.

        Raises:
            Failed: it does not.
        """
        _, _, before = self._LAYOUT.unpack_from(self._map)
        proxy.send(signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            _, tasks, counted = self._LAYOUT.unpack_from(self._map)
            if counted != before:
                return int(tasks)
            time.sleep(0.01)
        raise Failed("the proxy does not count its tasks")


def _self_signed() -> bytes:
    """A key and a certificate for it that nobody has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(encoding)
