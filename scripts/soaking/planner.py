"""Chooses what is tried, for the kinds of clients that a crowd has."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from .cases import CALLS, ELSEWHERE, NUMBERS, Case
from .delivery import TYPES, answer_length
from .speech import ODD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cases import Mode

_STEP = 0.6180339887
_FAULTS = ("status", "html", "error", "garbage", "odd", "type", "unstreamed", "redirect", "loop")
_SIZES = {
    "status": (400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529),
    "html": (200, 403, 404, 500, 502, 503, 521),
    "odd": range(len(ODD)),
    "type": range(len(TYPES)),
}


class Planner:
    """Gives cases without end.

    Args:
        mode: of the proxy.
        seed: decides everything.

    Attributes:
        cuts: call, number and byte of all places at which an answer can be cut.
    """

    def __init__(self, mode: Mode, seed: int) -> None:
        self._mode = mode
        self._seed = seed
        self._chance = random.Random(f"{mode} {seed}")
        self._walked = 0
        self.cuts = [
            (call, number, position)
            for call in CALLS[mode]
            for number in range(NUMBERS)
            for position in range(1, answer_length(Case(mode, call, number=number)))
        ]

    @property
    def walked(self) -> int:
        """At how many of the places one was cut."""
        return min(self._walked, len(self.cuts))

    def quick(self) -> Case:
        """A case that takes little time: most are cuts, each at the next byte."""
        share = self._chance.random()
        if share < 0.6:
            return self.cut()
        if share >= 0.93:
            return self._leaving()
        fault, size = ("none", 0) if share < 0.8 else self._fault()
        return self._case(fault, size, "new" if self._chance.random() < 0.2 else "stay")

    def cut(self) -> Case:
        """The next byte at which an answer is cut. Steps of the golden ratio visit every byte, and soon all regions."""
        total = len(self.cuts)
        step = round(total * _STEP) | 1
        while math.gcd(step, total) > 1:
            step += 2
        call, number, position = self.cuts[(self._seed + self._walked * step) % total]
        self._walked += 1
        # Every further walk takes the other half of the positions by reset.
        reset = (position + self._walked // total) % 2
        return Case(self._mode, call, "reset" if reset else "cut", position, "stay" if position % 3 else "new", 0, number)

    def waiting(self) -> Case:
        """A case that takes its time."""
        match self._chance.randrange(4):
            case 0:
                manner = self._chance.choice(("linger-head", "linger-body"))
                return self._case("none", 0, manner, self._chance.randrange(1, 60))
            case 1:
                return self._small("slow")
        case = self._small("new")
        return replace(case, fault="stall", size=self._chance.randrange(1, answer_length(case)))

    def heavy(self) -> Iterator[Case]:
        """Cases that are large, in turn."""
        while True:
            yield self._case("none", 0, "big", 20)
            yield self._case("huge", 4)
            yield self._case("tiny", 100_000)

    def paced(self, pieces: int, manner: str = "new", amount: int = 0) -> Case:
        """A stream that takes a fifth of a second for each piece."""
        calls = [call for call in CALLS[self._mode] if not call.endswith("-whole")]
        return replace(self._case("paced", pieces, manner, amount), call=self._chance.choice(calls))

    def plain(self) -> Case:
        """A case without a fault."""
        return self._case("none", 0)

    def kept(self) -> Case:
        """A case without a fault, on a connection that is used again and again."""
        return self._small("stay")

    def pipelined(self) -> Case:
        """A case without a fault, of several on one connection."""
        return self._case("none", 0, "pipeline", self._chance.randint(2, 5))

    def _case(self, fault: str, size: int, manner: str = "new", amount: int = 0) -> Case:
        call, number = self._chance.choice(CALLS[self._mode]), self._chance.randrange(NUMBERS, 1_000_000)
        return Case(self._mode, call, fault, size, manner, amount, number)

    def _small(self, manner: str) -> Case:
        return replace(self._case("none", 0, manner), number=self._chance.randrange(NUMBERS))

    def _fault(self) -> tuple[str, int]:
        fault = self._chance.choice((*_FAULTS, *(ELSEWHERE if self._mode == "translate" else ())))
        return fault, self._chance.choice(_SIZES.get(fault, (0,)))

    def _leaving(self) -> Case:
        chance = self._chance
        match chance.randrange(4):
            case 0:
                return self._case("none", 0, "leave-head", chance.randrange(1, 90))
            case 1:
                return self._case("none", 0, "leave-body", chance.randrange(1, 200))
            case 2:
                return self.paced(10, "leave-wait")
        return self.paced(10, "leave-stream", chance.randrange(1, 800))
