"""Scenarios of a matrix: functions of a stage that raise an error where a user would be surprised."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.recorded_results import PASSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class Scenario[S]:
    """What is tried with a stage.

    Attributes:
        title: a sentence about the product: what stands in the table.
        play: raises an error if the sentence is wrong.
        kind: the kind of stage that the scenario needs, where there are several.
        keyed: whether it is about the server's key.
    """

    title: str
    play: Callable[[S], None]
    kind: str = ""
    keyed: bool = False


def try_scenarios[S](name: str, stage: S, scenarios: Iterable[Scenario[S]]) -> dict[str, str]:
    """Try scenarios one after the other, and tell what comes of each.

    Returns:
        `PASSED` or what went wrong, by title.
    """
    outcomes = {}
    for scenario in scenarios:
        try:
            scenario.play(stage)
        except Exception as error:
            outcomes[scenario.title] = describe(error)
            print(f"{name}: FAILED: {scenario.title}\n    {outcomes[scenario.title]}", file=sys.stderr)
        else:
            outcomes[scenario.title] = PASSED
            print(f"{name}: {PASSED}: {scenario.title}", file=sys.stderr)
    return outcomes


def describe(error: Exception) -> str:
    """One line about an error: what it is, and the line of the scenario that found it."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith("_scenarios.py")]
    place = f" [{own[-1].line}]" if own else ""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}{place}"
