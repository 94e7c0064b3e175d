"""The start script of the Runpod example, with a stand-in for the `ollama` program and the real proxy."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import ollama
import pytest

from tests.conftest import IMPORTED
from tests.fork_server import python_with
from tests.live.proxy import BIN, ROOT, ProxyProcess, free_port
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCRIPT = ROOT / "examples" / "runpod" / "start.sh"
KEY = "sk-only-for-clients"
FAKE_OLLAMA = f"""\
import json, os, pathlib, signal, sys, urllib.request

sys.path.insert(0, {str(ROOT)!r})
from tests.standins import StrictOllama
from tests.patience import PATIENCE

host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
if host != "127.0.0.1":
    sys.exit("OLLAMA_HOST is " + os.environ["OLLAMA_HOST"])
if sys.argv[1] == "serve":
    ends = {{signal.SIGTERM: 0, signal.SIGUSR1: 7}}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with StrictOllama(port=int(port)):
        seen = {{"pid": os.getpid(), "environment": dict(os.environ)}}
        pathlib.Path(os.environ["FAKE_OLLAMA_NOTES"]).write_text(json.dumps(seen))
        sys.exit(ends[signal.sigwait(ends)])
request = urllib.request.Request(f"http://127.0.0.1:{{port}}/api/pull", json.dumps({{"model": sys.argv[2]}}).encode())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
frames = [json.loads(line) for line in opener.open(request)]
print("pulling manifest", end="\\r", file=sys.stderr)
if "error" in frames[-1]:
    sys.exit("Error: " + frames[-1]["error"])
"""

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or not Path("/proc/self/environ").exists(), reason="the example is for Linux containers"
)


BIN_NAME = "ollama-openai-proxy"


def children_of(parent: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(process.name))
    return found


def command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


class Pod:
    """The start script as it runs in a pod."""

    def __init__(self, folder: Path, **settings: str) -> None:
        programs = folder / "bin"
        programs.mkdir()
        fake = programs / "ollama"
        # A first line `#!` could not name an interpreter in a path with spaces.
        fake.write_text(f'#!/bin/sh\nexec {python_with(*IMPORTED)} {shlex.quote(str(folder / "ollama.py"))} "$@"\n')
        (folder / "ollama.py").write_text(FAKE_OLLAMA)
        fake.chmod(0o755)
        self._notes = folder / "notes.json"
        self.private_port = free_port()
        # What is not given keeps the default, and the first two are as in Ollama's own image.
        self.environment = {
            "OLLAMA_HOST": "0.0.0.0:11434",
            "PATH": os.pathsep.join([str(programs), str(BIN), os.environ["PATH"]]),
            "OLLAMA_PRIVATE_PORT": str(self.private_port),
            "FAKE_OLLAMA_NOTES": str(self._notes),
            # The script itself tells the port of the pod.
            "PROXY_PORT": str(free_port()),
            **settings,
        }
        self.process = ProxyProcess(command=[str(SCRIPT)], cwd=folder, **self.environment)  # type: ignore[arg-type]  # texts

    @property
    def url(self) -> str:
        return self.process.url

    @property
    def log(self) -> str:
        return self.process.log

    @property
    def ollama_pid(self) -> int:
        return int(json.loads(self._notes.read_text())["pid"])

    @property
    def ollama_environment(self) -> dict[str, str]:
        seen: dict[str, str] = json.loads(self._notes.read_text())["environment"]
        return seen

    @property
    def proxy_pid(self) -> int:
        # Not by `ps`, which cuts long commands.
        (pid,) = [pid for pid in children_of(self.process.pid) if any(Path(word).name == BIN_NAME for word in command_of(pid))]
        return pid

    @property
    def proxy_environment(self) -> dict[str, str]:
        fields = (Path("/proc") / str(self.proxy_pid) / "environ").read_text().split("\0")
        return dict(field.split("=", 1) for field in fields if field)

    def is_gone(self) -> bool:
        return not listens("127.0.0.1", self.private_port) and not listens("127.0.0.1", self.process.port)


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """A pod with a key, of which two models are pulled and a third is not found."""
    models = "llama3.2, nope\nqwen3:8b"
    pod = Pod(
        tmp_path_factory.mktemp("pod"), PROXY_API_KEYS=KEY, OLLAMA_PULL=models, UPSTREAM_WAIT_SECONDS="50", RUNPOD_POD_ID="abc"
    )
    with pod.process:
        yield pod


@pytest.fixture
def open_pod(tmp_path: Path) -> Iterator[Pod]:
    """A pod without a key, which a test may end."""
    pod = Pod(tmp_path)
    with pod.process:
        yield pod


def listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def wait_until(condition: Callable[[], bool], log: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, log()
        time.sleep(0.05)


def check(pod: Pod, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = pod.environment | {"PROXY_PORT": str(pod.process.port)} | changes
    return subprocess.run([SCRIPT, "--check"], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_clients_are_served_and_a_lost_method_is_restored(pod: Pod) -> None:
    client = ollama.Client(pod.url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False)
    parts = list(client.generate("tiny", "Why?", stream=True))
    client.close()
    assert parts[-1].done
    body = json.dumps({"model": "tiny", "prompt": "Why?", "stream": False})
    headers = {"Authorization": f"Bearer {KEY}"}
    reply = httpx.request("GET", f"{pod.url}/api/generate", content=body, headers=headers, trust_env=False)
    assert (reply.status_code, reply.json()["done"]) == (200, True)


def test_only_the_proxy_is_reached_from_elsewhere(pod: Pod) -> None:
    # Another address of this machine: a program that listens on 127.0.0.1 only is not there.
    assert listens("127.0.0.1", pod.private_port)
    assert not listens("127.0.0.2", pod.private_port)
    assert listens("127.0.0.2", pod.process.port)


def test_models_are_pulled_once_ollama_answers_and_one_that_is_not_found_stops_nothing(pod: Pod) -> None:
    wait_until(lambda: "pulled qwen3:8b" in pod.log, lambda: pod.log)
    assert "start.sh: pulled llama3.2\n" in pod.log
    assert "start.sh: nope could not be pulled: Error: pull model manifest: file does not exist\n" in pod.log
    headers = {"Authorization": f"Bearer {KEY}"}
    tags = httpx.get(f"{pod.url}/api/tags", headers=headers, trust_env=False).json()
    assert {"llama3.2:latest", "qwen3:8b"} <= {model["name"] for model in tags["models"]}


def test_the_proxy_alone_gets_the_keys_and_nobody_prints_them(pod: Pod) -> None:
    assert pod.proxy_environment["PROXY_API_KEYS"] == KEY
    assert "PROXY_API_KEYS" not in pod.ollama_environment
    assert "Everyone who can reach" not in pod.log
    assert KEY not in pod.log


def test_settings_have_defaults_that_fit_a_pod_and_can_be_changed(pod: Pod) -> None:
    seen = pod.proxy_environment
    names = ("PROXY_MODE", "PROXY_HOST", "HEARTBEAT_SECONDS", "UPSTREAM_WAIT_SECONDS", "OLLAMA_UPSTREAM_URL")
    assert [seen[name] for name in names] == ["fix", "0.0.0.0", "20", "50", f"http://127.0.0.1:{pod.private_port}"]


def test_it_says_where_clients_find_it(pod: Pod) -> None:
    assert f" https://abc-{pod.process.port}.proxy.runpod.net\n" in pod.log


def test_the_check_tells_a_pod_that_answers_from_one_that_does_not(pod: Pod, tmp_path: Path) -> None:
    assert check(pod).returncode == 0
    key_file = tmp_path / "keys"
    key_file.write_text(f"# for clients\n\n{KEY}  # the only one\n")
    assert check(pod, PROXY_API_KEYS="", PROXY_API_KEYS_FILE=str(key_file)).returncode == 0
    ended = check(pod, PROXY_PORT=str(free_port()))
    assert ended.returncode == 1
    assert ended.stderr.startswith("http://127.0.0.1:")
    assert "Traceback" not in ended.stderr


def test_a_missing_key_is_warned_of_in_one_line(open_pod: Pod) -> None:
    warnings = [line for line in open_pod.log.splitlines() if "Everyone who can reach" in line]
    assert len(warnings) == 1
    assert "PROXY_API_KEYS" in warnings[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both_with_success(open_pod: Pod, number: signal.Signals) -> None:
    assert open_pod.process.stop(number) == 0
    assert open_pod.is_gone()
    assert "ended with status" not in open_pod.log


def test_a_signal_ends_a_pod_that_is_pulling(tmp_path: Path) -> None:
    pod = Pod(tmp_path, OLLAMA_PULL="llama3.2")
    with pod.process:
        assert pod.process.stop() == 0
    assert pod.is_gone()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, 137), (signal.SIGUSR1, 7)])
def test_without_ollama_the_pod_ends_with_its_status(open_pod: Pod, number: signal.Signals, status: int) -> None:
    os.kill(open_pod.ollama_pid, number)
    assert open_pod.process.exit_code() == status
    assert open_pod.is_gone()
    assert f"start.sh: ollama ended with status {status}; the proxy ends too." in open_pod.log


def test_without_the_proxy_the_pod_ends_with_its_status(open_pod: Pod) -> None:
    os.kill(open_pod.proxy_pid, signal.SIGKILL)
    assert open_pod.process.exit_code() == 137
    assert open_pod.is_gone()
    assert "start.sh: the proxy ended with status 137; ollama ends too." in open_pod.log


def test_an_ollama_that_does_not_start_ends_the_pod(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    (tmp_path / "bin" / "ollama").write_text("#!/bin/sh\nexit 3\n")
    pod.process._wait = False
    with pod.process:
        assert pod.process.exit_code() == 3
    assert pod.is_gone()


def test_a_proxy_that_does_not_start_ends_the_pod(tmp_path: Path) -> None:
    pod = Pod(tmp_path, PROXY_PORT="nonsense")
    pod.process._wait = False
    with pod.process:
        assert pod.process.exit_code() == 1
    assert "PROXY_PORT is wrong" in pod.log
    assert not listens("127.0.0.1", pod.private_port)


def test_its_help_names_what_it_reads() -> None:
    shown = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    for name in ("PROXY_PORT", "PROXY_API_KEYS", "OLLAMA_PULL", "HEARTBEAT_SECONDS", "UPSTREAM_WAIT_SECONDS"):
        assert f"  {name} " in shown
    assert subprocess.run([SCRIPT, "--wrong"], capture_output=True, timeout=PATIENCE, check=False).returncode == 2
