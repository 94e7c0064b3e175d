"""What a run came to, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .judging import Verdict
from .tally import LEFT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .tally import Failure, Tally

MUST_BE_ZERO = "  (must be 0)"


def as_text(tallies: Sequence[Tally], seed: int) -> str:
    """The counts of each mode side by side, and what failed."""
    rows: list[tuple[str, Callable[[Tally], str], bool]] = [
        ("requests", lambda it: f"{it.requests:,}", False),
        ("answers right", lambda it: f"{it.verdicts[Verdict.RIGHT]:,}", False),
        ("errors shown as errors", lambda it: f"{it.verdicts[Verdict.ERROR]:,}", False),
        ("clients that left", lambda it: f"{it.verdicts[Verdict.LEFT]:,}", False),
        ("silent truncations", lambda it: f"{it.verdicts[Verdict.TRUNCATED]:,}", True),
        ("wrong answers", lambda it: f"{it.verdicts[Verdict.WRONG]:,}", True),
        ("hangs", lambda it: f"{it.verdicts[Verdict.HANG]:,}", True),
        *((f"{what} left", lambda it, what=what: f"{it.left[what]:,}", True) for what in LEFT),
        ("mistakes in the log", lambda it: f"{it.complaints:,}", True),
        ("bytes at which answers were cut", lambda it: f"{it.walked:,} of {it.positions:,}", False),
        ("most requests on a connection", lambda it: f"{it.most_uses:,}", False),
        ("memory, first and last, MiB", _memory, False),
        ("its growth, KiB per 1,000 requests", _slope, False),
        ("seconds", lambda it: f"{it.seconds:.0f}", False),
    ]
    lines = [f"{'':<36}" + "".join(f"{it.mode:>20}" for it in tallies)]
    for name, cell, must_be_zero in rows:
        lines.append(f"{name:<36}" + "".join(f"{cell(it):>20}" for it in tallies) + (MUST_BE_ZERO if must_be_zero else ""))
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


def _memory(it: Tally) -> str:
    return f"{it.samples[0][-1][1] / 1024:.1f} → {it.samples[-1][-1][1] / 1024:.1f}" if it.samples else "-"


def _slope(it: Tally) -> str:
    slope = it.slope()
    return f"{slope.value:.1f} ± {slope.error:.1f}" if slope else "-"


def _failure(failure: Failure) -> str:
    lines = [f"\n{failure.kind} ({failure.phase}): {failure.why}"]
    if failure.case:
        lines.append(f"  again, alone: scripts/soak --case {failure.case}")
    if failure.seen:
        lines.append(f"  the client got: {failure.seen}")
    return "\n".join(lines)
