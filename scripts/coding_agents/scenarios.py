"""The list of scenarios, and how they are tried.

A scenario is a function of a `Stage` that raises an error where a user of a coding agent would be surprised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.recorded_results import PASSED, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.coding_agents.stage import Stage

    type Play = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is tried."""

    title: str
    play: Play


SCENARIOS: list[Scenario] = []


def scenario(title: str) -> Callable[[Play], Play]:
    """Add a function to the list of scenarios."""

    def add(play: Play) -> Play:
        SCENARIOS.append(Scenario(title, play))
        return play

    return add


def try_scenarios(stage: Stage, wanted: str = "") -> Iterator[tuple[Scenario, str]]:
    """Try the scenarios whose title contains a text; give each with `PASSED` or what went wrong."""
    for it in SCENARIOS:
        if wanted.lower() in it.title.lower():
            try:
                it.play(stage)
            except Exception as error:
                yield it, describe(error)
            else:
                yield it, PASSED
