"""The list of scenarios with real servers, to which the modules `*_scenarios` add.

Scenarios are tried in the order of their definition; the last ones end the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.real_servers.programs import Kind
    from scripts.real_servers.stage import Stage

    type Play = Callable[[Stage], None]

SCENARIOS: list[Scenario[Stage]] = []


def scenario(title: str, kind: Kind = "chat", *, keyed: bool = False) -> Callable[[Play], Play]:
    """Add a function to the list of scenarios."""

    def add(play: Play) -> Play:
        SCENARIOS.append(Scenario(title, play, kind, keyed))
        return play

    return add


def refusal(call: Callable[[], object]) -> Exception | None:
    """The error of a call; None where the call works."""
    try:
        call()
    except Exception as error:
        return error
    return None
