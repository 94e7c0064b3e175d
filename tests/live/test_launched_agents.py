"""`ollama-openai-proxy launch` with the real programs, in an empty home: a file is written, read back and named.

The versions are those of the table. The programs are installed from their locks in requirements/agents, once, into the folder
that OLLAMA_PROXY_AGENTS names, or .cache/agents of this checkout.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from scripts.coding_agents.agents import PACKAGES, package_of
from scripts.coding_agents.stage import end_all_of
from scripts.locked_packages import Unavailable
from tests.live.proxy import BIN, ROOT, ProxyProcess
from tests.standins.coding_model import ANSWER, DONE, CodingModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ollama_openai_proxy.launch.programs import Program

pytestmark = pytest.mark.nightly

TEXT = "seven blue lamps"
TASK = f"write {TEXT} into notes.txt and read it back"
RUN_PATIENCE = 240
"""Seconds that a program may take: some look for updates first, where there is no network."""
INSTALL_PATIENCE = 900
TESTED = [package.program for package in PACKAGES if package.locked.npm]
MOST_CALLS = 5
"""Three for the task; some programs also want a title."""
OFFLINE = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CONTINUE_TELEMETRY_ENABLED": "0",
    "COPILOT_OFFLINE": "true",
    "DO_NOT_TRACK": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "PI_OFFLINE": "1",
}
"""What keeps the programs from asking anybody else."""


def in_empty_home(folder: Path, commands: Path, **settings: str) -> tuple[Path, dict[str, str]]:
    """A folder to work in, and the variables of a user who has nothing."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    path = os.pathsep.join([str(commands), os.environ["PATH"]])
    return work, {"PATH": path, "HOME": str(home), "TERM": "dumb", **OFFLINE, **settings}


def installed(program: Program) -> Path:
    """The folder with a program's command, installed first from its lock if it is not there."""
    try:
        return package_of(program.name).install()
    except Unavailable as error:
        pytest.skip(
            f"{program.title} cannot be installed here ({error}): give npm and uv a registry, or set OLLAMA_PROXY_AGENTS"
        )


@pytest.fixture(scope="module")
def model() -> Iterator[CodingModel]:
    with CodingModel(key="key-of-the-back-end") as running:
        yield running


@pytest.fixture(scope="module")
def proxy(model: CodingModel) -> Iterator[ProxyProcess]:
    settings = {"OPENAI_API_KEY": "key-of-the-back-end", "PROXY_API_KEYS": "key-of-a-client"}
    with ProxyProcess(OPENAI_API_BASE_URL=model.base_url, **settings) as running:  # type: ignore[arg-type]  # all texts
        yield running


def own_words(program: Program) -> list[str]:
    """A task in the program's own words, where `-p` is not one of them."""
    return [*program.task, TASK]


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """Cline leaves a service behind."""
    yield
    end_all_of(tmp_path / "home")


def output_of(command: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    """Run a program, which must succeed; returns what it says, and that with its errors."""
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stdout + done.stderr


def do_the_task(command: list[str | Path], folder: Path, environment: dict[str, str]) -> None:
    """Run a program that does the task, and says so."""
    said, everything = output_of(command, folder, environment)
    assert f"The file notes.txt holds: {TEXT}" in said, everything


@pytest.mark.parametrize(
    ("program", "words"),
    [(program, words) for program in TESTED for words in ("-p", "own") if words == "-p" or program.task != ("-p",)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_program_does_its_task_at_the_first_try(
    program: Program, words: str, proxy: ProxyProcess, model: CodingModel, tmp_path: Path
) -> None:
    commands = installed(program)
    folder, environment = in_empty_home(tmp_path, commands, OLLAMA_API_KEY="key-of-a-client")
    model.requests.clear()
    command: list[str | Path] = [
        *(BIN / "ollama-openai-proxy", "launch", program.name, "--url", proxy.url, "--model", model.model, "--"),
        *(["-p", TASK] if words == "-p" else own_words(program)),
    ]
    do_the_task(command, folder, environment)
    assert (folder / "notes.txt").read_text() == f"{TEXT}\n"
    # No other model was asked for, and no call was made in vain.
    calls = [request for request in model.requests if request.path == "/v1/chat/completions"]
    assert {request.json["model"] for request in calls} == {model.model}
    assert len(calls) <= MOST_CALLS


# -- Programs of PyPI --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("llm", ["Hello"], ANSWER),
        ("gptme", ["--non-interactive", "--tool-format", "tool", TASK], DONE.format(file="notes.txt", text=TEXT)),
    ],
    ids=["llm", "gptme"],
)
def test_a_program_answers(
    name: str, words: list[str], said: str, proxy: ProxyProcess, model: CodingModel, tmp_path: Path
) -> None:
    commands = installed(package_of(name).program)
    folder, environment = in_empty_home(tmp_path, commands, OLLAMA_API_KEY="key-of-a-client")
    launch: list[str | Path] = [BIN / "ollama-openai-proxy", "launch", name, "--url", proxy.url, "--model", model.model]
    output, everything = output_of([*launch, "--", *words], folder, environment)
    assert said in output, everything


# -- Compaction --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["OpenAI", "another"])
def test_codex_goes_on_after_its_conversation_was_compacted(
    provider: str, proxy: ProxyProcess, model: CodingModel, tmp_path: Path
) -> None:
    """Of a provider with the name of OpenAI, Codex wants the compaction; otherwise Codex asks the model itself."""
    (program,) = (program for program in TESTED if program.name == "codex")
    folder, environment = in_empty_home(tmp_path, installed(program), OLLAMA_API_KEY="key-of-a-client")
    model.requests.clear()
    given = [
        *("-c", f'model_providers.ollama-openai-proxy.name="{provider}"', "-c", "model_auto_compact_token_limit=1010"),
        *("exec", "--skip-git-repo-check", "--sandbox", "workspace-write", TASK),
    ]
    do_the_task([BIN / "ollama-openai-proxy", "launch", "codex", "--url", proxy.url, "--", *given], folder, environment)
    calls = [json.dumps(request.json["messages"]) for request in model.requests if request.path == "/v1/chat/completions"]
    introduced = [call for call in calls if "was replaced by a summary of it" in call]
    assert bool(introduced) == (provider == "OpenAI")
    assert any("The task: write" in call for call in calls)


# -- Ollama's own command ----------------------------------------------------------------------------------------------

GO = ROOT / "tests" / "live" / "go"
OLLAMAS_WORDS = {
    "claude": ["--permission-mode", "acceptEdits", "-p", TASK],
    "codex": ["--local-provider", "ollama", "exec", "--skip-git-repo-check", "--sandbox", "workspace-write", TASK],
    "opencode": ["run", TASK],
    "pi": ["-p", TASK],
}
"""What `ollama launch` is given behind `--`: it adds nothing for a run without a screen."""


@pytest.fixture(scope="module")
def ollama_launch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ollama's own `launch`, built from its source."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go (Debian: apt install golang), with which Ollama's launch is built")
    program: Path = tmp_path_factory.mktemp("ollama") / "ollama"
    command = [go, "build", "-o", str(program), "."]
    done = subprocess.run(command, cwd=GO, capture_output=True, text=True, timeout=INSTALL_PATIENCE, check=False)
    if done.returncode:
        pytest.skip(f"go could not build Ollama's launch: {done.stderr.strip()[-300:]}")
    return program


@pytest.mark.parametrize("name", OLLAMAS_WORDS)
def test_ollamas_own_launch_works_with_the_proxy(name: str, ollama_launch: Path, tmp_path: Path) -> None:
    (program,) = (program for program in TESTED if program.name == name)
    commands = installed(program)
    # It sends no key.
    with CodingModel() as model, ProxyProcess(OPENAI_API_BASE_URL=model.base_url) as proxy:
        folder, environment = in_empty_home(
            tmp_path,
            commands,
            OLLAMA_HOST=proxy.url,
            # Codex takes an Ollama for one on port 11434 otherwise.
            CODEX_OSS_BASE_URL=f"{proxy.url}/v1",
        )
        do_the_task([ollama_launch, "launch", name, "--model", model.model, "--", *OLLAMAS_WORDS[name]], folder, environment)
