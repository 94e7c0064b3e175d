"""The list of scenarios, and how they are tried.

A scenario is a function of a `Stage` that raises an error where a user of Ollama, OpenAI or Anthropic would be surprised.
Scenarios are tried in the order of their definition; the last ones end the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.recorded_results import PASSED, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.real_servers.programs import Kind, Program
    from scripts.real_servers.stage import Stage

    type Play = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is tried."""

    title: str
    kind: Kind
    play: Play
    keyed: bool = False
    """Whether it is about the server's key."""

    def belongs_to(self, program: Program) -> bool:
        """Whether the server has what the scenario is about."""
        return self.kind in program.kinds and (program.keyed or not self.keyed)


SCENARIOS: list[Scenario] = []


def scenario(title: str, kind: Kind = "chat", *, keyed: bool = False) -> Callable[[Play], Play]:
    """Add a function to the list of scenarios."""

    def add(play: Play) -> Play:
        SCENARIOS.append(Scenario(title, kind, play, keyed))
        return play

    return add


def try_scenarios(stage: Stage, wanted: str = "") -> Iterator[tuple[Scenario, str]]:
    """Try the scenarios of a stage's kind; give each with `PASSED` or what went wrong.

    Args:
        stage: what the scenarios are tried with.
        wanted: a text of the titles of the scenarios to be tried.
    """
    for it in SCENARIOS:
        if it.kind == stage.kind and it.belongs_to(stage.program) and wanted.lower() in it.title.lower():
            try:
                it.play(stage)
            except Exception as error:
                yield it, describe(error)
            else:
                yield it, PASSED


def refusal(call: Callable[[], object]) -> Exception | None:
    """The error of a call; None where the call works."""
    try:
        call()
    except Exception as error:
        return error
    return None
