"""The list of scenarios with coding agents, to which `task_scenarios` and `failure_scenarios` add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.coding_agents.stage import Stage

    type Play = Callable[[Stage], None]

SCENARIOS: list[Scenario[Stage]] = []


def scenario(title: str) -> Callable[[Play], Play]:
    """Add a function to the list of scenarios."""

    def add(play: Play) -> Play:
        SCENARIOS.append(Scenario(title, play))
        return play

    return add
