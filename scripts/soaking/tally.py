"""Counts verdicts, and keeps some of what failed."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .judging import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cases import Mode

MOST_FAILURES = 25
BAD = (Verdict.TRUNCATED, Verdict.WRONG, Verdict.HANG)
LEFT = ("sockets", "tasks", "requests", "back-end calls")
"""What may be left behind."""
_EXCERPT = 600
_SETTLING = 2
"""Samples at the beginning of a crowd that do not count, since memory of what was there before is still given back."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that must not be."""

    kind: str
    phase: str
    case: str
    why: str
    seen: str = ""


class Slope(NamedTuple):
    """How much memory grows: KiB per 1,000 requests, and its standard error."""

    value: float
    error: float


@dataclass(slots=True)
class Tally:
    """What one mode came to.

    Attributes:
        left: what was left behind: sockets, tasks, requests, calls of the back end.
        phases: how often each was gone through.
        skipped: phases for which there was no time.
        positions: how many bytes there are at which an answer can be cut.
        walked: at how many of them one was.
        most_uses: the most requests on one connection.
        samples: requests and KiB of resident memory, each second of each crowd without large calls.
    """

    mode: Mode
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    complaints: int = 0
    failures: list[Failure] = field(default_factory=list)
    failed: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    positions: int = 0
    walked: int = 0
    most_uses: int = 0
    seconds: float = 0.0
    samples: list[list[tuple[int, int]]] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many requests were made."""
        return self.verdicts.total()

    @property
    def bad(self) -> bool:
        """Whether a number that must be 0 is not."""
        return bool(self.failed)

    def fail(self, failure: Failure) -> None:
        """Count something that must not be."""
        self.failed += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(failure)

    def leave(self, what: str, count: int, phase: str) -> None:
        """Note how much of something was left behind."""
        if count > 0:
            self.left[what] += count
            self.fail(Failure("left", phase, "", f"{count} {what} too many when all clients had gone"))

    def complain(self, lines: Sequence[str], phase: str) -> None:
        """Note lines of the log that must not be."""
        self.complaints += len(lines)
        for line in lines:
            self.fail(Failure("log", phase, "", line[:_EXCERPT]))

    def slope(self) -> Slope | None:
        """How memory grew within the crowds without large calls; None where there was too little of them to tell.

        A large call may leave the memory at another level. So each crowd has a level of its own, and all have one slope.
        """
        crowds = [crowd[_SETTLING:] for crowd in self.samples if len(crowd) > _SETTLING + 1]
        points: list[tuple[float, float]] = []
        for crowd in crowds:
            mean_x, mean_y = (sum(values) / len(crowd) for values in zip(*crowd, strict=True))
            points += [(x - mean_x, y - mean_y) for x, y in crowd]
        free = len(points) - len(crowds) - 1
        spread = sum(x * x for x, _ in points)
        if free < 1 or not spread:
            return None
        value = sum(x * y for x, y in points) / spread
        rest = sum((y - value * x) ** 2 for x, y in points)
        return Slope(value * 1000, math.sqrt(rest / free / spread) * 1000)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        slope = self.slope()
        return {
            "requests": self.requests,
            "right": self.verdicts[Verdict.RIGHT],
            "errors_shown": self.verdicts[Verdict.ERROR],
            "clients_left": self.verdicts[Verdict.LEFT],
            "silent_truncations": self.verdicts[Verdict.TRUNCATED],
            "wrong_answers": self.verdicts[Verdict.WRONG],
            "hangs": self.verdicts[Verdict.HANG],
            "left": {what: self.left[what] for what in LEFT},
            "log_complaints": self.complaints,
            "failed": self.failed,
            "failures": [asdict(failure) for failure in self.failures],
            "phases": dict(self.phases),
            "skipped": self.skipped,
            "faults": dict(sorted(self.faults.items())),
            "cut_positions": {"walked": self.walked, "of": self.positions},
            "most_requests_on_a_connection": self.most_uses,
            "seconds": round(self.seconds, 1),
            "memory_kib": [crowd[-1][1] for crowd in self.samples],
            "memory_slope": slope._asdict() if slope else None,
            "samples": self.samples,
        }
