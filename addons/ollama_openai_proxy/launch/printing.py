"""What `launch` prints: the setup as lines for a shell, and the list of programs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from .programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .programs import Program
    from .target import Setup

KEY_REFERENCE = "$OLLAMA_API_KEY"
"""What stands for the key, so that it is not shown."""
_END = "END"


def as_shell(program: Program, setup: Setup, arguments: Sequence[str], folder: str, key: str) -> str:
    """The setup as lines for a POSIX shell, which run the program as `launch` would.

    Args:
        program: the program.
        setup: its configuration, placed in the folder.
        arguments: of the run.
        folder: where the files are written.
        key: the client's key, in whose place a variable is shown; "" for none.
    """
    lines = []
    if setup.files:
        lines.append(f"mkdir -p {shlex.quote(folder)}")
    for name, text in setup.files.items():
        lines += [f"cat > {shlex.quote(f'{folder}/{name}')} <<{_END}", _expanded(text.rstrip("\n"), key), _END]
    if setup.unset:
        lines.append(f"unset {' '.join(setup.unset)}")
    lines += [f"export {name}={_word(value, key)}" for name, value in setup.environment.items()]
    lines.append(" ".join([program.command, *(_word(argument, key) for argument in arguments)]))
    return "\n".join(lines) + "\n"


def listing(find: Callable[[str], str | None]) -> str:
    """The programs that are installed, and those that are not with the way to install them.

    Args:
        find: the path of an executable; None if it is not installed.
    """
    there = [program for program in PROGRAMS if find(program.command)]
    others = [program for program in PROGRAMS if program not in there]
    parts = []
    if there:
        parts.append("Installed:\n" + _rows({program.name: program.title for program in there}))
    if others:
        parts.append("Not installed:\n" + _rows({program.name: program.install for program in others}))
    return "\n".join(parts)


def not_installed(program: Program) -> str:
    """The sentence for a program that is not there."""
    return f"{program.title} is not installed: there is no command {program.command}. Install it with: {program.install}"


def _rows(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows))
    return "".join(f"  {name:<{width}}  {text}\n" for name, text in rows.items())


def _word(text: str, key: str) -> str:
    if not key or key not in text:
        return shlex.quote(text)
    before, _, after = text.partition(key)
    return "".join([shlex.quote(before) if before else "", f'"{KEY_REFERENCE}"', _word(after, key) if after else ""])


def _expanded(text: str, key: str) -> str:
    """The text of a here-document, in which only the reference to the key is expanded."""
    escaped = text.replace("\\", "\\\\").replace("$", "\\$").replace("`", "\\`")
    return escaped.replace(key, KEY_REFERENCE) if key else escaped
