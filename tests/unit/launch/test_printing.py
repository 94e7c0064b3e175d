"""What `launch` prints."""

from __future__ import annotations

import pytest
from ollama_openai_proxy.launch.printing import as_shell, listing, not_installed
from ollama_openai_proxy.launch.programs import PROGRAMS
from ollama_openai_proxy.launch.target import Setup

CLAUDE = next(program for program in PROGRAMS if program.name == "claude")


def test_a_setup_as_lines_for_a_shell() -> None:
    setup = Setup({"URL": "http://x", "KEY": "secret"}, files={"a.json": '{"key": "secret"}\n'}, unset=("OLD", "OTHER"))
    assert as_shell(CLAUDE, setup, ["--model", "a b"], "/home/me/x y", "secret") == (
        "mkdir -p '/home/me/x y'\n"
        "cat > '/home/me/x y/a.json' <<END\n"
        '{"key": "$OLLAMA_API_KEY"}\n'
        "END\n"
        "unset OLD OTHER\n"
        "export URL=http://x\n"
        'export KEY="$OLLAMA_API_KEY"\n'
        "claude --model 'a b'\n"
    )


def test_nothing_is_written_where_there_is_no_file() -> None:
    assert as_shell(CLAUDE, Setup(), [], "/home/me", "") == "claude\n"


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("a$b`c", "", "a\\$b\\`c"),
        ("back\\slash", "", "back\\\\slash"),
        ("$secret", "secret", "\\$$OLLAMA_API_KEY"),
    ],
)
def test_only_the_key_of_a_file_is_expanded(text: str, key: str, expected: str) -> None:
    assert expected in as_shell(CLAUDE, Setup(files={"f": text}), [], "/x", key).splitlines()


@pytest.mark.parametrize(
    ("argument", "expected"),
    [("secret", '"$OLLAMA_API_KEY"'), ("a secret", "'a '\"$OLLAMA_API_KEY\""), ("secret b", "\"$OLLAMA_API_KEY\"' b'")],
)
def test_the_key_in_an_argument_is_not_shown(argument: str, expected: str) -> None:
    assert as_shell(CLAUDE, Setup(), [argument], "/x", "secret") == f"claude {expected}\n"


def test_the_list_tells_how_to_install_what_is_not_there() -> None:
    some = listing(lambda command: "/bin/claude" if command == "claude" else None)
    assert some.startswith("Installed:\n  claude  Claude Code\n\nNot installed:\n")
    assert "  codex     npm install --global @openai/codex\n" in some
    assert listing(lambda _: "/x").startswith("Installed:\n")
    assert "Not installed" not in listing(lambda _: "/x")
    assert listing(lambda _: None).startswith("Not installed:\n")
    assert listing(lambda _: None).count("\n") == len(PROGRAMS) + 1


def test_a_missing_program_is_named_with_the_way_to_install_it() -> None:
    assert not_installed(CLAUDE) == (
        "Claude Code is not installed: there is no command claude. "
        "Install it with: npm install --global @anthropic-ai/claude-code"
    )
