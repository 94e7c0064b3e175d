"""Dockerfiles, as far as the tests have to understand them."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Instruction(NamedTuple):
    """One instruction, on one line and without what follows its name."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """What one FROM begins: `base` is an image or an earlier stage."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def texts(self, name: str) -> list[str]:
        """The texts of all instructions of one kind."""
        return [instruction.text for instruction in self.instructions if instruction.name == name]

    def environment(self) -> dict[str, str]:
        """What its ENV sets, unexpanded."""
        return {name: value for text in self.texts("ENV") for name, value in variables(text).items()}


def read_dockerfile(path: Path) -> list[Stage]:
    """The stages of a Dockerfile in their order."""
    source = path.read_text(encoding="utf-8")
    lines = [line for line in source.splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, text = line.split(None, 1)
        if name == "FROM":
            base, *named = text.split()
            stages.append(Stage(base, named[1] if named else ""))
        else:
            stages[-1].instructions.append(Instruction(name, text.strip()))
    return stages


def variables(text: str) -> dict[str, str]:
    """What an ENV or a LABEL sets."""
    return dict(word.split("=", 1) for word in shlex.split(text))


def command_of(text: str) -> list[str]:
    """The command of an ENTRYPOINT, a CMD or a HEALTHCHECK, which has to be a list."""
    command = json.loads(text[text.index("[") :])
    if not isinstance(command, list):
        raise TypeError(text)
    return command
