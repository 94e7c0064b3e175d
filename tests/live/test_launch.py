"""`ollama-openai-proxy launch`: with a program that notes how it was run, before a running proxy and before none."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.live.proxy import BIN, ProxyProcess, free_port
from tests.patience import PATIENCE
from tests.standins.coding_model import CodingModel

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE = f"""#!{sys.executable}
import json, os, pathlib, sys, urllib.request
url = next((value for name, value in os.environ.items() if name in ("ANTHROPIC_BASE_URL", "COPILOT_PROVIDER_BASE_URL")), "")
key = os.environ.get("ANTHROPIC_AUTH_TOKEN", "")
answer = None
if url and not url.endswith("/v1"):
    ask = urllib.request.Request(url + "/v1/models", headers={{"Authorization": "Bearer " + key}})
    answer = json.load(urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(ask))
files = {{word: pathlib.Path(word).read_text() for word in sys.argv if word.startswith("/") and word != sys.argv[0]}}
said = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "files": files, "models": answer}}
pathlib.Path(os.environ["NOTE"]).write_text(json.dumps(said))
if "wait" in sys.argv:
    import time
    pathlib.Path(os.environ["NOTE"] + ".waiting").touch()
    time.sleep(600)
sys.exit(7)
"""


class Ran(NamedTuple):
    status: int
    out: str
    err: str
    note: dict[str, Any]


class Launcher:
    """Runs the sub-command in an empty home, with stand-ins for the programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.note = folder / "note"
        self.home = folder / "home"
        self.bin = folder / "bin"
        for each in (self.home, self.bin):
            each.mkdir()
        for name in ("claude", "cn"):
            program = self.bin / name
            program.write_text(NOTE)
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def environment(self, settings: dict[str, str]) -> dict[str, str]:
        return {
            "PATH": f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(self.home),
            "NOTE": str(self.note),
            **settings,
        }

    def __call__(self, *arguments: str, **settings: str) -> Ran:
        done = subprocess.run(
            [BIN / "ollama-openai-proxy", "launch", *arguments],
            env=self.environment(settings),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr
        note = json.loads(self.note.read_text()) if self.note.exists() else {}
        return Ran(done.returncode, done.stdout, done.stderr, note)


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


@pytest.fixture(scope="module")
def model() -> Iterator[CodingModel]:
    with CodingModel() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(model: CodingModel) -> Iterator[ProxyProcess]:
    with ProxyProcess(OPENAI_API_BASE_URL=model.base_url) as running:
        yield running


def test_a_program_gets_the_running_proxy_and_the_facts_of_the_model(launch: Launcher, proxy: ProxyProcess) -> None:
    ran = launch("claude", "--model", "coder", "--", "-p", "hello there", PROXY_PORT=str(proxy.port), OPENAI_API_KEY="any")
    assert (ran.status, ran.out, ran.err) == (7, "", "")
    assert ran.note["environment"]["ANTHROPIC_BASE_URL"] == proxy.url
    assert ran.note["environment"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "65536"
    assert ran.note["arguments"] == ["--model", "coder", "--permission-mode", "acceptEdits", "-p", "hello there"]


def test_without_settings_of_a_back_end_a_proxy_is_found_where_it_listens(launch: Launcher, proxy: ProxyProcess) -> None:
    # OPENAI_API_KEY is missing, which only matters to a proxy that is started.
    ran = launch("claude", "--model", "coder", PROXY_PORT=str(proxy.port))
    assert (ran.status, ran.err) == (7, "")


def test_the_only_model_needs_no_name(launch: Launcher, proxy: ProxyProcess) -> None:
    assert launch("claude", "--url", proxy.url).note["arguments"] == ["--model", "coder"]


def test_a_program_with_a_file_gets_one_of_its_own_which_does_not_stay(launch: Launcher, proxy: ProxyProcess) -> None:
    ran = launch("continue", "--url", proxy.url)
    ((path, text),) = ran.note["files"].items()
    assert json.loads(text)["models"][0]["apiBase"] == f"{proxy.url}/v1"
    assert not Path(path).parent.exists()
    assert list(launch.home.iterdir()) == []


def test_variables_that_would_count_before_do_not_reach_the_program(launch: Launcher, proxy: ProxyProcess) -> None:
    ran = launch("claude", "--url", proxy.url, ANTHROPIC_API_KEY="of-another-server")
    assert "ANTHROPIC_API_KEY" not in ran.note["environment"]


def test_a_forward_proxy_is_not_asked_for_this_one(launch: Launcher, proxy: ProxyProcess) -> None:
    ran = launch("claude", "--url", proxy.url, HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="intern.example")
    assert ran.note["environment"]["NO_PROXY"].split(",")[:2] == ["intern.example", "127.0.0.1"]


def test_where_no_proxy_runs_one_is_started_for_the_time(launch: Launcher, model: CodingModel) -> None:
    port = str(free_port())
    ran = launch("claude", OPENAI_API_BASE_URL=model.base_url, OPENAI_API_KEY="any", PROXY_PORT=port)
    assert (ran.status, ran.err) == (7, "")
    url = ran.note["environment"]["ANTHROPIC_BASE_URL"]
    assert [entry["id"] for entry in ran.note["models"]["data"]] == ["coder"]
    # It lets nobody else in, and has ended with the program.
    assert len(ran.note["environment"]["ANTHROPIC_AUTH_TOKEN"]) == 32
    assert "does not answer" in launch("claude", "--url", url).err


def test_a_proxy_that_cannot_start_says_why(launch: Launcher) -> None:
    ran = launch("claude", PROXY_PORT=str(free_port()), OPENAI_API_BASE_URL="https://api.openai.com/v1")
    assert (ran.status, ran.note) == (1, {})
    assert "OPENAI_API_KEY is not set" in ran.err


@pytest.mark.parametrize("settings", [{}, {"OPENAI_API_BASE_URL": "https://api.openai.com/v1"}])
def test_where_no_proxy_runs_nothing_is_printed_and_no_key_is_demanded(launch: Launcher, settings: dict[str, str]) -> None:
    port = str(free_port())
    ran = launch("claude", "--print", "--model", "coder", PROXY_PORT=port, **settings)
    assert (ran.status, ran.out) == (1, "")
    assert f"no proxy answers at http://127.0.0.1:{port}: start one" in ran.err
    assert "OPENAI_API_KEY" not in ran.err


@pytest.mark.parametrize(("name", "value"), [("PROXY_PORT", "often"), ("LOG_LEVEL", "loud")])
def test_a_wrong_setting_is_said_where_no_proxy_runs(launch: Launcher, name: str, value: str) -> None:
    ran = launch("claude", "--model", "coder", **({"PROXY_PORT": str(free_port())} | {name: value}))
    assert (ran.status, ran.note) == (1, {})
    assert f"{name} is wrong" in ran.err


def test_a_key_of_the_settings_opens_the_running_proxy(launch: Launcher, model: CodingModel) -> None:
    with ProxyProcess(OPENAI_API_BASE_URL=model.base_url, PROXY_API_KEYS="first-long-key,second-long-key") as guarded:
        settings = {"PROXY_PORT": str(guarded.port), "OPENAI_API_BASE_URL": model.base_url}
        ran = launch("claude", **settings, PROXY_API_KEYS="first-long-key,second-long-key")
        assert ran.note["environment"]["ANTHROPIC_AUTH_TOKEN"] == "first-long-key"
        ran = launch("claude", "--url", guarded.url, OLLAMA_API_KEY="second-long-key")
        assert ran.note["environment"]["ANTHROPIC_AUTH_TOKEN"] == "second-long-key"
        launch.note.unlink()
        ran = launch("claude", "--url", guarded.url)
        assert (ran.status, ran.note) == (1, {})
        assert "set OLLAMA_API_KEY" in ran.err
        shown = launch("claude", "--url", guarded.url, "--print", OLLAMA_API_KEY="second-long-key").out
        assert "second-long-key" not in shown
        assert 'export ANTHROPIC_AUTH_TOKEN="$OLLAMA_API_KEY"\n' in shown


@pytest.mark.parametrize("name", ["claude", "continue"])
def test_what_is_printed_does_the_same_in_a_shell(launch: Launcher, proxy: ProxyProcess, name: str) -> None:
    ran = launch(name, "--url", proxy.url, "--", "-p", "it's a $HOME task")
    shown = launch(name, "--url", proxy.url, "--print", "--", "-p", "it's a $HOME task")
    assert shown.status == 0
    launch.note.unlink()
    environment = launch.environment({})
    done = subprocess.run(["sh", "-c", shown.out], env=environment, cwd=launch.home, timeout=PATIENCE, check=False)
    note = json.loads(launch.note.read_text())
    assert done.returncode == 7
    assert list(note["files"].values()) == list(ran.note["files"].values())
    assert note["arguments"][-2:] == ran.note["arguments"][-2:]
    named = [each for each in ran.note["environment"] if each.startswith(("ANTHROPIC", "CLAUDE"))]
    assert {each: note["environment"][each] for each in named} == {each: ran.note["environment"][each] for each in named}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ["codex"],
            127,
            "Codex is not installed: there is no command codex. Install it with: npm install --global @openai/codex",
        ),
        (["vi"], 2, "there is no program 'vi'; there are claude, codex, "),
        (["claude", "--model", "no-such-model"], 1, "there is no model 'no-such-model': name a model with --model; http"),
        (["claude", "--url", "http://127.0.0.1:9"], 1, "http://127.0.0.1:9 does not answer"),
        (["claude", "--url", "example"], 1, "example is no URL"),
    ],
)
def test_what_is_wrong_is_said(launch: Launcher, proxy: ProxyProcess, arguments: list[str], status: int, said: str) -> None:
    url = [] if "--url" in arguments else ["--url", proxy.url]
    ran = launch(*arguments, *url)
    assert (ran.status, ran.note) == (status, {})
    assert said in ran.err


def test_several_models_are_named(launch: Launcher) -> None:
    from tests.standins import ScriptedBackend

    with ScriptedBackend() as backend:
        backend.models = [backend.models[0] | {"id": name} for name in ("one", "two")]
        with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as several:
            ran = launch("claude", "--url", several.url)
    assert ran.status == 1
    assert "name a model with --model" in ran.err
    assert "one, two." in ran.err


def test_without_a_name_the_programs_are_listed(launch: Launcher) -> None:
    ran = launch()
    assert ran.status == 0
    assert ran.out.startswith("Installed:\n  claude    Claude Code\n  continue  Continue\n\nNot installed:\n")


def test_being_told_to_stop_ends_the_program_and_the_proxy(launch: Launcher, model: CodingModel) -> None:
    settings = {"OPENAI_API_BASE_URL": model.base_url, "OPENAI_API_KEY": "any", "PROXY_PORT": str(free_port())}
    command = [str(BIN / "ollama-openai-proxy"), "launch", "claude", "--", "wait"]
    process = subprocess.Popen(command, env=launch.environment(settings), cwd=launch.home)
    deadline = time.monotonic() + PATIENCE
    while not (launch.folder / "note.waiting").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    url = json.loads(launch.note.read_text())["environment"]["ANTHROPIC_BASE_URL"]
    assert "does not answer" in launch("claude", "--url", url).err
