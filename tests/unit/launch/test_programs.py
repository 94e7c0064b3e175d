"""The table of programs."""

from __future__ import annotations

import pytest
from ollama_openai_proxy.launch.programs import ALIASES, PROGRAMS, find_program


def test_names_and_commands_are_unique() -> None:
    for values in ([each.name for each in PROGRAMS], [each.command for each in PROGRAMS]):
        assert len(values) == len(set(values))
    assert not set(ALIASES) & {each.name for each in PROGRAMS}


@pytest.mark.parametrize("name", ["claude", "codex", "opencode", "copilot", "qwen", "cline", "continue", "aider", "pi"])
def test_coding_agents_can_do_a_task_without_a_screen(name: str) -> None:
    program = find_program(name)
    assert program is not None
    assert program.task


@pytest.mark.parametrize(
    ("name", "found"), [("Claude", "claude"), (" cn ", "continue"), ("claude-code", "claude"), ("vi", None)]
)
def test_a_program_is_found_by_its_name_or_an_alias(name: str, found: str | None) -> None:
    program = find_program(name)
    assert (program.name if program else None) == found


def test_what_is_needed_for_a_task_can_be_decided_by_the_user() -> None:
    assert all(each.decided_by for each in PROGRAMS if each.unattended)
