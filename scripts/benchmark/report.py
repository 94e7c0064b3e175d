"""What a run came to: medians with their spread, the ratios that were aimed at, as text and as JSON."""

from __future__ import annotations

import math
import os
import platform
import re
import statistics
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from .figures import MEASURES, Results, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .contestants import Contestant

PACKAGES = ("mitmproxy", "openai", "starlette", "uvicorn")


@dataclass(frozen=True)
class Target:
    """Something that was aimed at.

    Attributes:
        text: what.
        contestant: whose.
        measure: what of it.
        other: the contestant that it is divided by, or none.
        minus: the measure that is subtracted, or none.
        at_least: whether `limit` is the least, and not the most, that will do.
    """

    text: str
    contestant: str
    measure: str
    limit: float
    other: str = ""
    minus: str = ""
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value will do."""
        return value >= self.limit if self.at_least else value <= self.limit


TARGETS = (
    Target("frames/s at 16 streams, to the reference's", "console", "rate_16", 2.5, "reference", at_least=True),
    Target("frames/s at 16 streams, to the reference's", "mitmdump", "rate_16", 2.0, "reference", at_least=True),
    Target("added time to first frame, to the reference's", "console", "added_first_frame", 1.2, "reference"),
    Target("added time to first frame, to the reference's", "mitmdump", "added_first_frame", 2.5, "reference"),
    Target("lag, {lag_streams} paced streams: median, ms", "console", "lag_median", 1.0),
    Target("lag, {lag_streams} paced streams: 99th percentile, ms", "console", "lag_p99", 8.0),
    Target("lag, {crowd_streams} paced streams: 99th percentile, to the reference's", "console", "crowd_p99", 1.5, "reference"),
    Target("streams lost of {crowd_streams}", "console", "crowd_lost", 0),
    Target("memory per open stream, kB", "console", "memory_stream", 100),
    Target("memory after {late:,} requests less that after {early:,}, MB", "console", "memory_late", 5.0, minus="memory_early"),
    Target("added time to first byte, to nginx's", "fix-console", "added_first_byte", 6.0, "nginx"),
    Target("frames/s at 16 streams", "fix-console", "rate_16", 15_000, at_least=True),
)


class Spread(NamedTuple):
    """Of the values of the rounds."""

    median: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread | None:
    """The spread of what is there."""
    there = [value for value in values if not math.isnan(value)]
    return Spread(statistics.median(there), min(there), max(there)) if there else None


def reached(results: Results, sizes: Sizes) -> list[tuple[Target, Spread]]:
    """The targets that can be told from the results, with what was reached of them."""
    found = []
    for target in TARGETS:
        own = results.get(target.contestant, {}).get(target.measure)
        other = results.get(target.other or target.contestant, {}).get(target.minus or target.measure)
        if own is None or other is None:
            continue
        scale = MEASURES[target.measure].scale
        # Contestants are compared within each round, so that what disturbed a round disturbs both.
        if target.other:
            values = [mine / its if its > 0 else math.nan for mine, its in zip(own, other, strict=True)]
        elif target.minus:
            values = [(mine - former) * scale for mine, former in zip(own, other, strict=True)]
        else:
            values = [value * scale for value in own]
        if summary := spread(values):
            found.append((replace(target, text=target.text.format(**asdict(sizes))), summary))
    return found


def as_json(contestants: Sequence[Contestant], results: Results, sizes: Sizes, notes: Sequence[str]) -> dict[str, Any]:
    """All of it, in the units of `MEASURES`."""
    measured: dict[str, Any] = {}
    for contestant in contestants:
        own = measured.setdefault(contestant.mode, {}).setdefault(contestant.name, {})
        for key, values in results[contestant.name].items():
            measure = MEASURES[key]
            scaled = [value * measure.scale for value in values]
            if summary := spread(scaled):
                told = [None if math.isnan(value) else value for value in scaled]
                own[key] = {"unit": measure.unit, **summary._asdict(), "values": told}
    return {
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "sizes": asdict(sizes),
        "results": measured,
        "targets": [
            asdict(target) | summary._asdict() | {"met": target.is_met(summary.median)}
            for target, summary in reached(results, sizes)
        ],
        "notes": list(notes),
    }


def as_parts(contestants: Sequence[Contestant], results: Results, sizes: Sizes, notes: Sequence[str] = ()) -> dict[str, str]:
    """What there is to read, in Markdown: `machine`, a table for each mode, `targets` and `notes`, as far as there are any."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    rounds = "1 round" if sizes.rounds == 1 else f"{sizes.rounds} rounds"
    parts = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}.\n"
        f"Medians of {rounds}, in parentheses the least and the most."
    }
    for mode in dict.fromkeys(it.mode for it in contestants):
        names = [it.name for it in contestants if it.mode == mode]
        keys = [key for key in MEASURES if any(key in results[name] for name in names)]
        rows = [["", *names]]
        for key in keys:
            label = MEASURES[key].label.format(**asdict(sizes))
            unit = f", {MEASURES[key].unit}" if MEASURES[key].unit not in ("", "1/s") else ""
            rows.append([label + unit, *(_cell(key, results[name].get(key, ())) for name in names)])
        parts[mode] = _table(rows)
    if found := reached(results, sizes):
        rows = [["target", "of", "wanted", "is", "met"]]
        for target, summary in found:
            wanted = f"{'≥' if target.at_least else '≤'} {target.limit:,g}"
            digits = 0 if abs(summary.median) >= 1000 else 2
            met = "yes" if target.is_met(summary.median) else "NO"
            rows.append([target.text, target.contestant, wanted, _shown(summary, digits), met])
        parts["targets"] = _table(rows)
    if notes:
        parts["notes"] = "\n".join(f"* {note}" for note in notes)
    return parts


def into_page(page: str, parts: Mapping[str, str]) -> str:
    """A page with what stands between `<!-- bench: NAME -->` and `<!-- end -->` replaced by the part of that name."""

    def renewed(found: re.Match[str]) -> str:
        return f"{found[1]}\n{parts[found[2]]}\n{found[3]}" if found[2] in parts else found[0]

    return re.sub(r"(<!-- bench: (\w+) -->)\n.*?\n?(<!-- end -->)", renewed, page, flags=re.DOTALL)


def _cell(key: str, values: Sequence[float]) -> str:
    measure = MEASURES[key]
    summary = spread(value * measure.scale for value in values)
    return _shown(summary, measure.digits) if summary else "–"  # noqa: RUF001


def _shown(summary: Spread, digits: int) -> str:
    median, least, most = (f"{number:,.{digits}f}" for number in summary)
    return median if least == most else f"{median} ({least}–{most})"  # noqa: RUF001


def _table(rows: list[list[str]]) -> str:
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    ruler = ["-" * first, *("-" * (width - 1) + ":" for width in others)]
    lines = []
    for name, *cells in (rows[0], ruler, *rows[1:]):
        aligned = [name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))]
        lines.append(f"| {' | '.join(aligned)} |")
    return "\n".join(lines)
