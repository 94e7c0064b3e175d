"""The table of programs that `launch` knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..api.path_table import CHAT, MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from . import setups

if TYPE_CHECKING:
    from collections.abc import Callable

    from .target import Setup, Target


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and how it is configured and run.

    Attributes:
        name: for `launch`.
        title: as its makers write the name.
        command: the executable.
        install: the command that installs the program.
        api: the path of the API that the program calls.
        setup: makes the configuration.
        page: where the program's configuration is described.
        task: arguments before the text of a task that the program does without a screen; empty if it cannot.
        unattended: arguments without which such a task may not edit files in its own folder.
        decided_by: beginnings of arguments by which the user decides about this instead.
        package: the name in the registry that `install` names.
        versions: the versions that tests ran; empty for a program that no test runs.
        note: what else a user should know, as a sentence.
    """

    name: str
    title: str
    command: str
    install: str
    api: str
    setup: Callable[[Target], Setup]
    page: str
    task: tuple[str, ...] = ()
    unattended: tuple[str, ...] = ()
    decided_by: tuple[str, ...] = ()
    package: str = ""
    versions: tuple[str, ...] = ()
    note: str = ""


def _npm(package: str) -> str:
    return f"npm install --global {package}"


PROGRAMS: tuple[Program, ...] = (
    Program(
        "claude",
        "Claude Code",
        "claude",
        _npm("@anthropic-ai/claude-code"),
        MESSAGES,
        setups.claude,
        "https://code.claude.com/docs/en/llm-gateway",
        task=("-p",),
        unattended=("--permission-mode", "acceptEdits"),
        decided_by=("--permission-mode", "--allowed", "--dangerously", "--allow-dangerously", "--settings"),
        package="@anthropic-ai/claude-code",
        versions=("2.1.332",),
    ),
    Program(
        "codex",
        "Codex",
        "codex",
        _npm("@openai/codex"),
        OPENAI_RESPONSES,
        setups.codex,
        "https://developers.openai.com/codex/config-reference",
        task=("exec",),
        unattended=("--skip-git-repo-check", "--sandbox", "workspace-write"),
        decided_by=("--sandbox", "-s", "--dangerously", "--yolo", "--full-auto", "--approve-for-me"),
        package="@openai/codex",
        versions=("0.171.0",),
        note="Codex warns that it has no metadata for the model; the context length is given nevertheless.",
    ),
    Program(
        "opencode",
        "opencode",
        "opencode",
        _npm("opencode-ai"),
        OPENAI_CHAT,
        setups.opencode,
        "https://opencode.ai/docs/config",
        task=("run",),
        package="opencode-ai",
        versions=("1.18.33",),
    ),
    Program(
        "qwen",
        "Qwen Code",
        "qwen",
        _npm("@qwen-code/qwen-code"),
        OPENAI_CHAT,
        setups.qwen,
        "https://qwenlm.github.io/qwen-code-docs",
        task=("-p",),
        unattended=("--approval-mode", "auto-edit"),
        decided_by=("--approval-mode", "--yolo", "-y", "--allowed-tools"),
        package="@qwen-code/qwen-code",
        versions=("0.24.4",),
    ),
    Program(
        "copilot",
        "GitHub Copilot CLI",
        "copilot",
        _npm("@github/copilot"),
        OPENAI_CHAT,
        setups.copilot,
        "https://docs.github.com/en/copilot/how-tos/copilot-cli",
        task=("-p",),
        unattended=("--allow-tool", "write"),
        decided_by=("--allow", "--deny-tool", "--yolo"),
        package="@github/copilot",
        versions=("1.0.102",),
        note="`COPILOT_OFFLINE=true` keeps it from asking GitHub for anything.",
    ),
    Program(
        "cline",
        "Cline",
        "cline",
        _npm("cline"),
        OPENAI_CHAT,
        setups.cline,
        "https://docs.cline.bot",
        task=("--auto-approve", "true"),
        package="cline",
        versions=("3.0.65",),
    ),
    Program(
        "continue",
        "Continue",
        "cn",
        _npm("@continuedev/cli"),
        OPENAI_CHAT,
        setups.continue_,
        "https://docs.continue.dev/reference",
        task=("-p",),
        unattended=("--allow", "Write", "--allow", "Edit", "--allow", "MultiEdit"),
        decided_by=("--allow", "--ask", "--exclude", "--auto", "--readonly"),
        package="@continuedev/cli",
        versions=("1.5.47",),
    ),
    Program(
        "aider",
        "aider",
        "aider",
        "python -m pip install aider-chat",
        OPENAI_CHAT,
        setups.aider,
        "https://aider.chat/docs/llms/openai-compat.html",
        task=("--message",),
        unattended=("--yes-always",),
        decided_by=("--yes",),
        package="aider-chat",
        versions=("0.86.2",),
    ),
    Program(
        "pi",
        "pi",
        "pi",
        _npm("@mariozechner/pi-coding-agent"),
        OPENAI_CHAT,
        setups.pi,
        "https://github.com/badlogic/pi-mono",
        task=("-p",),
        package="@mariozechner/pi-coding-agent",
        versions=("0.73.1",),
    ),
    Program(
        "gptme",
        "gptme",
        "gptme",
        "pipx install gptme",
        OPENAI_CHAT,
        setups.gptme,
        "https://gptme.org/docs/providers.html",
        task=("--non-interactive",),
        package="gptme",
        versions=("0.35.1",),
    ),
    Program(
        "llm",
        "llm",
        "llm",
        "pipx install llm && llm install llm-ollama",
        CHAT,
        setups.llm,
        "https://github.com/taketwo/llm-ollama",
        package="llm",
        versions=("0.36",),
    ),
    Program(
        "aichat",
        "aichat",
        "aichat",
        "cargo install aichat",
        OPENAI_CHAT,
        setups.aichat,
        "https://github.com/sigoden/aichat/wiki/Configuration-Guide",
        package="aichat",
        note="It shows an answer that breaks off as if it were whole.",
    ),
    Program(
        "oterm",
        "oterm",
        "oterm",
        "pipx install oterm",
        CHAT,
        setups.oterm,
        "https://ggozad.github.io/oterm",
        package="oterm",
        note="Choose the model in the program.",
    ),
    Program(
        "ollama",
        "Ollama's command",
        "ollama",
        "curl -fsSL https://ollama.com/install.sh | sh",
        CHAT,
        setups.ollama,
        "https://docs.ollama.com/cli",
        note="Give its own words behind `--`, as in `-- run MODEL`. It sends no key.",
    ),
)
"""All programs, in the order in which they are listed."""

ALIASES = {"claude-code": "claude", "cn": "continue", "qwen-code": "qwen", "github-copilot": "copilot"}


def find_program(name: str) -> Program | None:
    """The program of a name, whatever its case; None if the table has none."""
    wanted = name.strip().lower()
    wanted = ALIASES.get(wanted, wanted)
    return next((program for program in PROGRAMS if program.name == wanted), None)
