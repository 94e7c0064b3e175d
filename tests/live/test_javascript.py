"""Every method of the official JavaScript client, through a mangling proxy and during a long silence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.proxy import ROOT, ProxyProcess
from tests.patience import PATIENCE
from tests.standins import Mangler, StrictOllama

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(__file__).parent / "js"
CACHE = ROOT / ".cache" / "js"
BEAT = 0.1
LOADING = 0.35

type Results = dict[str, Any]


@pytest.fixture(scope="session")
def script() -> Path:
    """The script, beside the packages that it imports."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no node and npm")
    CACHE.mkdir(parents=True, exist_ok=True)
    lock = "package-lock.json"
    current = (CACHE / "node_modules").is_dir() and (CACHE / lock).exists()
    if not current or (CACHE / lock).read_bytes() != (SOURCES / lock).read_bytes():
        for name in ("package.json", ".npmrc"):
            shutil.copyfile(SOURCES / name, CACHE / name)
        (CACHE / lock).unlink(missing_ok=True)
        shutil.copyfile(SOURCES / lock, CACHE / "package-lock.json")
        installed = subprocess.run([npm, "ci", "--prefer-offline"], cwd=CACHE, capture_output=True, text=True, timeout=PATIENCE)
        if installed.returncode:
            (CACHE / lock).unlink()
            pytest.fail(f"npm ci failed: {installed.stderr}")
    return Path(shutil.copy(SOURCES / "every_method.mjs", CACHE))


@pytest.fixture(scope="module")
def ollama_server() -> Iterator[StrictOllama]:
    with StrictOllama() as server:
        yield server


@pytest.fixture
def upstream(ollama_server: StrictOllama) -> Iterator[StrictOllama]:
    """An Ollama that takes a moment for each frame, so that an abort comes in the middle of a stream."""
    ollama_server.frame_delay = 0.03
    ollama_server.first_frame_delay = 0
    ollama_server.requests.clear()
    yield ollama_server
    assert ollama_server.wait_idle()


@pytest.fixture(scope="module")
def direct(ollama_server: StrictOllama, script: Path) -> Results:
    """What the client gets of Ollama itself."""
    ollama_server.frame_delay = 0.03
    return run(script, ollama_server.url, ollama_server)


def run(script: Path, url: str, upstream: StrictOllama) -> Results:
    """The result of each method; afterwards the upstream has its models again."""
    models = list(upstream.models)
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    ended = subprocess.run(
        ["node", script, url], cwd=script.parent, env=environment, capture_output=True, encoding="utf-8", timeout=PATIENCE
    )
    assert ended.returncode == 0, ended.stderr
    # One departure is the abort's.
    assert upstream.wait_for_disconnect() is not None
    assert upstream.wait_for_disconnect(timeout=0) is None
    upstream.models[:] = models
    printed = json.loads(ended.stdout)
    assert printed["missed"] == []
    results: Results = printed["results"]
    return results


def test_the_results_that_are_compared_are_what_they_are_meant_to_be(direct: Results) -> None:
    failed = {name: result for name, result in direct.items() if isinstance(result, dict) and "error" in result}
    assert failed == {
        "systemone that this version does not have": {"error": "404 page not found", "status": 404},
        "chat with an unknown model": {"error": "model 'nonsense' not found", "status": 404},
        "chat streamed by an unknown model": {"error": "model 'nonsense' not found", "status": 404},
        "chat that is refused": {"error": '"tiny" does not support thinking', "status": 400},
        "abort": {"error": "AbortError", "parts": 1},
    }
    assert {model["name"] for model in direct["list after all that"]["models"]} == {
        *("tiny:latest", "another:latest", "made:latest", "copied:latest")
    }
    assert direct["chat streamed"][-1]["done"] is True
    assert direct["pull"] == direct["copy"] == {"status": "success"}


def test_every_method_gives_the_same_through_a_mangling_proxy(upstream: StrictOllama, direct: Results, script: Path) -> None:
    with ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url) as proxy, Mangler(proxy.url) as pod:
        upstream.requests.clear()
        through = run(script, pod.url, upstream)
    assert {request.method for request in upstream.requests} == {"POST", "GET", "DELETE"}
    assert {request.headers["Authorization"] for request in upstream.requests} == {"Bearer marked"}
    for name, result in direct.items():
        assert (name, through[name]) == (name, result)


def test_no_method_notices_the_empty_frames_of_a_long_silence(upstream: StrictOllama, direct: Results, script: Path) -> None:
    beating = ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url, HEARTBEAT_SECONDS=str(BEAT))
    with beating as proxy, Mangler(proxy.url) as pod:
        upstream.first_frame_delay = LOADING
        through = run(script, pod.url, upstream)
    for name in ("chat streamed", "generate streamed"):
        assert len(through[name]) >= len(direct[name]) + 2
        assert {part["model"] for part in through[name]} == {"tiny"}
    for name, result in direct.items():
        assert (name, spoken(through[name])) == (name, spoken(result))


def spoken(result: Any) -> Any:
    """A result without the frames that say nothing."""
    if not isinstance(result, list):
        return result
    return [
        part
        for part in result
        if part.get("done") is not False or part.get("response") or part.get("message", {}).get("content")
    ]
