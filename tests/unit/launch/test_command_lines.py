"""The arguments of a run."""

from __future__ import annotations

import pytest
from ollama_openai_proxy.launch.command_lines import arguments_of
from ollama_openai_proxy.launch.programs import find_program
from ollama_openai_proxy.launch.target import Setup

EDITS = ["--permission-mode", "acceptEdits"]
SANDBOX = ["--skip-git-repo-check", "--sandbox", "workspace-write"]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        # Interactive: the program asks its user.
        ("claude", [], []),
        ("claude", ["fix the tests"], ["fix the tests"]),
        ("codex", ["fix the tests"], ["fix the tests"]),
        ("codex", ["resume", "--last"], ["resume", "--last"]),
        # Without a screen nobody can be asked.
        ("claude", ["-p", "do it now"], [*EDITS, "-p", "do it now"]),
        ("claude", ["do it now", "-p"], ["do it now", *EDITS, "-p"]),
        ("codex", ["exec", "do it now"], ["exec", *SANDBOX, "do it now"]),
        ("opencode", ["run", "do it now"], ["run", "do it now"]),
        # One way to say it for all.
        ("codex", ["-p", "do it now"], ["exec", *SANDBOX, "do it now"]),
        ("opencode", ["-p", "do it now"], ["run", "do it now"]),
        ("cline", ["-p", "do it now"], ["--auto-approve", "true", "do it now"]),
        ("aider", ["-p", "do it now", "a.py"], ["--yes-always", "--message", "do it now", "a.py"]),
        # Codex's own -p names a profile.
        ("codex", ["-p", "work"], ["-p", "work"]),
        ("codex", ["-p"], ["-p"]),
        ("ollama", ["-p", "do it now"], ["-p", "do it now"]),
        # The user has decided.
        ("claude", ["--permission-mode", "plan", "-p", "do it"], ["--permission-mode", "plan", "-p", "do it"]),
        ("claude", ["--allowedTools=Read", "-p", "do it"], ["--allowedTools=Read", "-p", "do it"]),
        ("claude", ["--dangerously-skip-permissions", "-p", "x"], ["--dangerously-skip-permissions", "-p", "x"]),
        ("codex", ["exec", "-s", "read-only", "do it"], ["exec", "-s", "read-only", "do it"]),
        ("qwen", ["-y", "-p", "do it"], ["-y", "-p", "do it"]),
    ],
)
def test_arguments(name: str, given: list[str], expected: list[str]) -> None:
    program = find_program(name)
    assert program is not None
    assert arguments_of(program, Setup(arguments=("--model", "m")), given) == ["--model", "m", *expected]
