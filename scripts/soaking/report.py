"""What a run came to, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .judging import Verdict
from .tally import BAD, LEFT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .tally import Failure, Tally

VERDICTS = {
    Verdict.RIGHT: "answers right",
    Verdict.ERROR: "errors shown as errors",
    Verdict.LEFT: "clients that left",
    Verdict.TRUNCATED: "silent truncations",
    Verdict.WRONG: "wrong answers",
    Verdict.HANG: "hangs",
}
LOG = "mistakes in the log"
MUST_BE_ZERO = {LOG, *(VERDICTS[verdict] for verdict in BAD), *(f"{what} left" for what in LEFT)}


def as_text(tallies: Sequence[Tally], seed: int) -> str:
    """The counts of each mode side by side, and what failed."""
    columns = [_column(it) for it in tallies]
    lines = [f"{'':<36}" + "".join(f"{it.mode:>20}" for it in tallies)]
    for name in columns[0]:
        cells = "".join(f"{column[name]:>20}" for column in columns)
        lines.append(f"{name:<36}{cells}" + ("  (must be 0)" if name in MUST_BE_ZERO else ""))
    for it in tallies:
        gone = ", ".join(f"{name} {count}" for name, count in it.phases.items())
        lines.append(f"\n{it.mode}: {gone or 'no phase was completed'}")
        if it.skipped:
            lines.append(f"not tried for lack of time: {', '.join(it.skipped)}")
        lines += [_failure(failure) for failure in it.failures]
        if it.failed > len(it.failures):
            lines.append(f"… and {it.failed - len(it.failures)} more")
    lines.append(f"\nseed {seed}")
    return "\n".join(lines)


def _column(it: Tally) -> dict[str, str]:
    memory = [crowd[-1][1] / 1024 for crowd in it.samples]
    slope = it.slope()
    return {
        "requests": f"{it.requests:,}",
        **{name: f"{it.verdicts[verdict]:,}" for verdict, name in VERDICTS.items()},
        **{f"{what} left": f"{it.left[what]:,}" for what in LEFT},
        LOG: f"{it.complaints:,}",
        "bytes at which answers were cut": f"{it.walked:,} of {it.positions:,}",
        "most requests on a connection": f"{it.most_uses:,}",
        "memory, first and last, MiB": f"{memory[0]:.1f} → {memory[-1]:.1f}" if memory else "-",
        "its growth, KiB per 1,000 requests": f"{slope.value:.1f} ± {slope.error:.1f}" if slope else "-",
        "seconds": f"{it.seconds:.0f}",
    }


def _failure(failure: Failure) -> str:
    lines = [f"\n{failure.kind} ({failure.phase}): {failure.why}"]
    if failure.case:
        lines.append(f"  again, alone: scripts/soak --case {failure.case}")
    if failure.seen:
        lines.append(f"  the client got: {failure.seen}")
    return "\n".join(lines)
