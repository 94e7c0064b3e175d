"""What is run: a program with the arguments of its setup and those of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .programs import Program
    from .target import Setup

_TASK = "-p"


def arguments_of(program: Program, setup: Setup, given: Sequence[str]) -> list[str]:
    """The arguments of a run.

    `-p TEXT` asks each program to do one task without a screen, whatever the program's own words for that are. Such a run has
    nobody whom it could ask, so it may edit files in its own folder unless the user's arguments decide otherwise.

    Args:
        program: the program.
        setup: its configuration, placed in a folder.
        given: the user's arguments.
    """
    own = list(given)
    if program.task and program.task != (_TASK,) and len(own) > 1 and own[0] == _TASK and len(own[1].split()) > 1:
        own[:1] = program.task
    if not _decided(program, own) and _is_task(program, own):
        # Options of a sub-command follow its name.
        place = 0 if own[0].startswith("-") else 1
        own[place:place] = program.unattended
    return [*setup.arguments, *own]


def _is_task(program: Program, own: Sequence[str]) -> bool:
    if not program.task:
        return False
    first = program.task[0]
    return first in own if first.startswith("-") else own[:1] == [first]


def _decided(program: Program, own: Sequence[str]) -> bool:
    # A single-letter option may have its value behind it; a longer one is looked for by its beginning.
    return any(
        argument == beginning or (beginning.startswith("--") and argument.startswith(beginning))
        for argument in own
        for beginning in program.decided_by
    )
