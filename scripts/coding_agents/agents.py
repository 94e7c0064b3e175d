"""The coding agents, their locked packages, and what each is told for a scenario."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ollama_openai_proxy.launch.programs import PROGRAMS, Program, find_program

from scripts.locked_packages import ROOT
from scripts.package_sets import PackageSet

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCKS = ROOT / "requirements" / "agents"
PYTHON = "3.12"
"""For programs from PyPI, some of which have no wheels for newer versions."""
MILLISECONDS, SECONDS = "{milliseconds}", "{seconds}"
"""Stand for how long a program waits while nothing comes."""
TASK, SESSION = "{task}", "{session}"
"""Stand for the text of a task, and for the session that a run goes on with."""


def cache() -> Path:
    """The folder of installed programs: `OLLAMA_PROXY_AGENTS`, or a folder of this checkout."""
    return Path(os.environ.get("OLLAMA_PROXY_AGENTS") or ROOT / ".cache" / "agents")


# -- Packages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Package:
    """A locked program of npm or PyPI: an entry in the table of `launch`."""

    program: Program

    @property
    def name(self) -> str:
        """What the command line and the lock call the program."""
        return self.program.name

    @property
    def title(self) -> str:
        """What the program calls itself."""
        return self.program.title

    @property
    def head(self) -> str:
        """What stands at the head of the column."""
        return f"[{self.title}]({self.program.page})"

    @property
    def locked(self) -> PackageSet:
        """The packages."""
        packages = ("llm", "llm-ollama") if self.name == "llm" else (self.program.package,)
        npm = self.program.install.startswith("npm ")
        return PackageSet(self.name, LOCKS, packages, "scripts/agents", npm=npm, python=PYTHON)

    @property
    def version(self) -> str:
        """The program's version, as it is locked."""
        return self.locked.version

    def install(self) -> Path:
        """Install the program, unless that has been done; return the folder of its commands.

        Raises:
            Unavailable: the program cannot be installed here.
        """
        return self.locked.install(cache() / f"{self.name}-{self.version}")


PACKAGES = tuple(Package(it) for it in PROGRAMS if it.versions and it.install.startswith(("npm", "p")))
"""All programs that tests install."""


def package_of(name: str) -> Package:
    """The package of a program, by the program's name."""
    return next(it for it in PACKAGES if it.name == name)


# -- Agents ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agent(Package):
    """A coding agent that does a task without a screen.

    Attributes:
        once: the arguments of a run with one task.
        again: the arguments of a run that goes on with the last conversation.
        sessions: the arguments that list the sessions, where `again` needs the id of one.
        environment: variables of every run: nothing is told or asked elsewhere.
        patience: how the program is told to wait only so long while nothing comes, where it can be told: variables,
            arguments, or files in the home.
    """

    once: tuple[str, ...] = ("-p", TASK)
    again: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    patience: Patience = field(default_factory=lambda: Patience())


@dataclass(frozen=True, slots=True)
class Patience:
    """Where a program reads how long it may wait, with `MILLISECONDS` or `SECONDS` in the place of the time."""

    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    """Before the arguments of the task."""
    files: Mapping[str, str] = field(default_factory=dict)

    def of(self, seconds: float) -> Patience:
        """The patience of so many seconds."""

        def told(text: str) -> str:
            return text.replace(MILLISECONDS, str(round(seconds * 1000))).replace(SECONDS, str(round(seconds)))

        return Patience(
            {name: told(value) for name, value in self.environment.items()},
            tuple(map(told, self.arguments)),
            {name: told(text) for name, text in self.files.items()},
        )


def _agent(name: str, **details: Any) -> Agent:
    program = find_program(name)
    assert program is not None
    return Agent(program, **details)


AGENTS = (
    _agent(
        "claude",
        again=("-c", "-p", TASK),
        environment={"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
        # For the head of an answer; within an answer it never waits for less than five minutes.
        patience=Patience(environment={"API_TIMEOUT_MS": MILLISECONDS}),
    ),
    _agent(
        "codex",
        again=("exec", "resume", "--last", TASK),
        patience=Patience(
            files={
                ".codex/config.toml": f"[model_providers.ollama-openai-proxy]\nstream_idle_timeout_ms = {MILLISECONDS}\n",
            }
        ),
    ),
    _agent(
        "opencode",
        again=("run", "-c", TASK),
        environment={"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
        patience=Patience(
            files={
                ".config/opencode/opencode.json": '{"provider": {"ollama-openai-proxy": {"options": '
                f'{{"chunkTimeout": {MILLISECONDS}, "headerTimeout": {MILLISECONDS}}}}}}}}}'
            }
        ),
    ),
    _agent(
        "qwen",
        again=("-c", "-p", TASK),
        patience=Patience(
            files={
                ".qwen/settings.json": '{"model": {"generationConfig": '
                f'{{"timeout": {MILLISECONDS}, "streamIdleTimeoutMs": {MILLISECONDS}}}}}}}'
            }
        ),
    ),
    _agent("cline", again=("--auto-approve", "true", "--id", SESSION, TASK), sessions=("history", "--json")),
    _agent("continue", again=("--resume", "-p", TASK), environment={"CONTINUE_TELEMETRY_ENABLED": "0"}),
    _agent(
        "aider",
        # It has no tools: the result of a failed test is what it gives back to the model.
        once=("--message", TASK, "--auto-test", "--test-cmd", "cat notes.txt; false"),
        again=("--restore-chat-history", "--message", TASK, "--auto-test", "--test-cmd", "cat second.txt; false"),
        environment={"AIDER_ANALYTICS": "false", "AIDER_CHECK_UPDATE": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        patience=Patience(arguments=("--timeout", SECONDS)),
    ),
)
"""The agents of the matrix, in the order of their columns."""
