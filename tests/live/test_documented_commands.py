"""The commands and programs of the pages, run as they stand there: against a real proxy, with only its address replaced."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.live.proxy import BIN, ROOT, ProxyProcess, free_port
from tests.pages import PAGES, Block, Command, blocks, commands, name_of
from tests.patience import PATIENCE
from tests.standins import ScriptedBackend, StrictOllama

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT = 11434
"""Where the pages find the proxy."""
COMMANDS = {f"{command.page} {command.line}": command for page in PAGES for command in commands(page)}
CALLS = [
    name
    for name, command in COMMANDS.items()
    if command.program == "curl" and f"127.0.0.1:{PORT}" in command.line and command.page != "docs/debugging.md"
]
"""Those of docs/debugging.md need a saved session, or mitmweb: their own tests play them."""
OWN_TESTS = [["launch"], ["web"], ["dump"], ["tui"]]
"""Sub-commands that tests of their own run."""
CHECKS = [name for name, command in COMMANDS.items() if command.words[:2] == ["ollama-openai-proxy", "check"]]
SERVED = [
    name
    for name, command in COMMANDS.items()
    if command.program in ("ollama-openai-proxy", "mitmdump")
    and "check" not in command.words
    and command.words[1:2] not in OWN_TESTS
    and "--help" not in command.words
    and command.page != "docs/debugging.md"
    and command.settings.get("PROXY_PORT") != "eleven"
]
PROGRAMS = [block for page in PAGES for block in blocks(page) if block.language == "python" and f":{PORT}" in block.text]


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as server:
        server.models = [server.models[0] | {"id": name} for name in ("demo", "gpt-4o-mini", "Qwen/Qwen3-8B", "qwen3:8b")]
        yield server


@pytest.fixture(scope="module")
def proxy(backend: ScriptedBackend) -> Iterator[ProxyProcess]:
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as running:
        yield running


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "OLLAMA_", "PROXY_"))}
    return kept | {"PATH": f"{BIN}{os.pathsep}{kept['PATH']}", "NO_PROXY": "127.0.0.1"} | settings


def run(words: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=ROOT, env=environment(**settings), capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_a_page_is_answered(name: str, proxy: ProxyProcess) -> None:
    command = COMMANDS[name]
    words = [word.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{proxy.port}") for word in command.words]
    done = run([*words, "--silent", "--show-error", "--write-out", "\n%{http_code}"])
    body, _, status = done.stdout.rpartition("\n")
    assert (done.returncode, status) == (0, "200"), done.stderr
    assert body
    if "/api/chat" in command.line:
        frames = [json.loads(line) for line in body.splitlines()]
        assert [frame["done"] for frame in frames] == [False] * (len(frames) - 1) + [True]


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"{block.page} {block.text.split()[1]}")
def test_a_program_of_a_page_prints_an_answer(block: Block, proxy: ProxyProcess) -> None:
    if "langchain" in block.text:
        pytest.importorskip("langchain_ollama")
    done = run([sys.executable, "-c", block.text.replace(f":{PORT}", f":{proxy.port}")])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


@pytest.mark.parametrize("name", CHECKS)
def test_check_runs_with_the_settings_of_a_page(name: str, backend: ScriptedBackend) -> None:
    command = COMMANDS[name]
    settings = {"OPENAI_API_BASE_URL": backend.base_url, "PROXY_PORT": str(free_port())}
    if "OPENAI_API_BASE_URL" in command.settings:
        # The page leaves /v1 away, and shows what is then said.
        assert not command.settings["OPENAI_API_BASE_URL"].endswith("/v1")
        settings["OPENAI_API_BASE_URL"] = backend.base_url.removesuffix("/v1")
    done = run(command.words, **settings)
    lines = [line.split(None, 1) for line in done.stdout.splitlines()]
    problem = "OPENAI_API_BASE_URL" in command.settings
    assert done.returncode == int(problem)
    assert [word for word, _ in lines] == ["ok", "ok", "problem" if problem else "ok"]
    if problem:
        assert lines[-1][1].startswith("OPENAI_API_BASE_URL lacks /v1 at its end: set it to ")


@pytest.mark.parametrize("name", SERVED)
def test_the_proxy_starts_as_a_page_says(name: str, backend: ScriptedBackend) -> None:
    command = COMMANDS[name]
    port = str(free_port())
    fixing = "fix" in command.words or "proxy_mode=fix" in command.words
    words, own = list(command.words), dict(command.settings)
    with StrictOllama() as ollama:
        if "--port" in words:
            words[words.index("--port") + 1] = port
        replaced = {"openai_api_base_url=http://127.0.0.1:8000/v1": f"openai_api_base_url={backend.base_url}"}
        words = [replaced.get(word, word) for word in words]
        words[0] = str(BIN / command.program)
        own |= {"PROXY_PORT": port, "OPENAI_API_BASE_URL": backend.base_url}
        if "METRICS_PORT" in own:
            own["METRICS_PORT"] = str(free_port())
        if fixing:
            own["OLLAMA_UPSTREAM_URL"] = ollama.url
        own = {variable: value.replace("…", "test") for variable, value in own.items()}
        own.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)  # nothing would take the traces
        with ProxyProcess(command=words, **own) as running:  # type: ignore[arg-type]  # all texts
            answer = run(["curl", "--silent", f"{running.url}/api/tags"])
            assert json.loads(answer.stdout)["models"]
            assert running.stop() == 0


def test_a_wrong_setting_is_told_as_the_page_shows() -> None:
    (name,) = [name for name, command in COMMANDS.items() if command.settings.get("PROXY_PORT") == "eleven"]
    done = run(COMMANDS[name].words, PROXY_PORT="eleven", OPENAI_API_BASE_URL="http://127.0.0.1:9/v1")
    assert done.returncode == 1
    assert done.stderr.strip() in (ROOT / "docs/configuration.md").read_text("utf-8")


def test_help_names_every_setting_of_the_page() -> None:
    shown = run(["ollama-openai-proxy", "--help"]).stdout
    named = re.findall(r"^#### (\w+)$", (ROOT / "docs/configuration.md").read_text("utf-8"), re.MULTILINE)
    assert named
    assert [each for each in named if f"  {each}\n" not in shown] == []


@pytest.mark.parametrize("script", ["docs", "run", "setup", "test", "conformance", "screenshots", "system", "train_demo_model"])
def test_every_script_that_contributors_are_told_of_says_what_it_does(script: str) -> None:
    shown = run([str(ROOT / "scripts" / script), "--help"])
    assert shown.returncode == 0
    assert shown.stdout.lower().startswith("usage: scripts/")


def test_a_call_is_translated_as_the_page_shows(backend: ScriptedBackend, tmp_path: Path) -> None:
    (page,) = [page for page in PAGES if name_of(page) == "docs/translate-mode.md"]
    asked, sent, frame = (json.loads(block.text) for block in blocks(page) if block.language == "json")
    (tmp_path / "models.toml").write_text('[models."llama3.2"]\nmodel = "gpt-4o-mini"\n')
    settings = {"OPENAI_API_BASE_URL": backend.base_url, "BACKEND_PROFILE": "openai", "MODELS_FILE": "models.toml"}
    with ProxyProcess(cwd=tmp_path, **settings) as running:  # type: ignore[arg-type]  # all texts
        done = run(["curl", "--silent", f"{running.url}/api/chat", "-d", json.dumps(asked)])
    assert backend.requests[-1].json == sent
    first = json.loads(done.stdout.splitlines()[0])
    assert list(first) == list(frame)
    assert (first["model"], first["done"]) == (frame["model"], frame["done"])


def test_the_lists_of_commands_are_not_empty() -> None:
    assert min(len(CALLS), len(CHECKS), len(SERVED), len(PROGRAMS)) >= 3
    assert all(isinstance(command, Command) for command in COMMANDS.values())
