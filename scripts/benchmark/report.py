"""What a run came to: medians with their spread, the ratios that were aimed at, as text and as JSON."""

from __future__ import annotations

import math
import os
import platform
import re
import statistics
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .measures import MEASURES, Results, Sizes, by_mode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


@dataclass(frozen=True)
class Reached:
    """How far a target was reached. The value is the median of those of the rounds."""

    text: str
    contestant: str
    limit: float
    at_least: bool
    value: float
    least: float
    most: float
    met: bool


def spread(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Median, least and most of what is there."""
    there = [value for value in values if not math.isnan(value)]
    return (statistics.median(there), min(there), max(there)) if there else None


def reached(results: Results, sizes: Sizes) -> list[Reached]:
    """The targets that can be told from the results."""
    found = []
    for target in TARGETS:
        own = results.get(target.contestant, {}).get(target.measure)
        others = results.get(target.other, {}).get(target.measure) if target.other else None
        minus = results.get(target.contestant, {}).get(target.minus) if target.minus else None
        if own is None or (target.other and others is None) or (target.minus and minus is None):
            continue
        scale = MEASURES[target.measure].scale
        if others is not None:
            # Contestants are compared within each round, so that what disturbed a round disturbs both.
            values = [mine / other if other > 0 else math.nan for mine, other in zip(own, others, strict=True)]
        elif minus is not None:
            values = [(mine - former) * scale for mine, former in zip(own, minus, strict=True)]
        else:
            values = [value * scale for value in own]
        if (summary := spread(values)) is None:
            continue
        median, least, most = summary
        met = median >= target.limit if target.at_least else median <= target.limit
        text = target.text.format(**asdict(sizes))
        found.append(Reached(text, target.contestant, target.limit, target.at_least, median, least, most, met))
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
                own[key] = {
                    "unit": measure.unit,
                    **dict(zip(("median", "min", "max"), summary, strict=True)),
                    "values": [None if math.isnan(value) else value for value in scaled],
                }
    return {
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "sizes": asdict(sizes),
        "results": measured,
        "targets": [asdict(target) for target in reached(results, sizes)],
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
    for mode, some in by_mode(contestants).items():
        names = [contestant.name for contestant in some]
        keys = [key for key in MEASURES if any(key in results[name] for name in names)]
        rows = [["", *names]]
        for key in keys:
            label = MEASURES[key].label.format(**asdict(sizes))
            unit = f", {MEASURES[key].unit}" if MEASURES[key].unit not in ("", "1/s") else ""
            rows.append([label + unit, *(_cell(key, results[name].get(key)) for name in names)])
        parts[mode] = _table(rows)
    if found := reached(results, sizes):
        rows = [["target", "of", "wanted", "is", "met"]]
        rows += [
            [
                it.text,
                it.contestant,
                f"{'≥' if it.at_least else '≤'} {it.limit:,g}",
                _plain(it.value) + (f" ({_plain(it.least)}–{_plain(it.most)})" if it.least != it.most else ""),  # noqa: RUF001
                "yes" if it.met else "NO",
            ]
            for it in found
        ]
        parts["targets"] = _table(rows)
    if notes:
        parts["notes"] = "\n".join(f"* {note}" for note in notes)
    return parts


def into_page(page: str, parts: Mapping[str, str]) -> str:
    """A page with what stands between `<!-- bench: NAME -->` and `<!-- end -->` replaced by the part of that name."""

    def renewed(found: re.Match[str]) -> str:
        return f"{found[1]}\n{parts[found[2]]}\n{found[3]}" if found[2] in parts else found[0]

    return re.sub(r"(<!-- bench: (\w+) -->)\n.*?\n?(<!-- end -->)", renewed, page, flags=re.DOTALL)


def _cell(key: str, values: Sequence[float] | None) -> str:
    measure = MEASURES[key]
    summary = spread([value * measure.scale for value in values]) if values else None
    if summary is None:
        return "–"  # noqa: RUF001
    median, least, most = (f"{number:,.{measure.digits}f}" for number in summary)
    return median if least == most else f"{median} ({least}–{most})"  # noqa: RUF001


def _plain(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.2f}"


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(row: list[str]) -> str:
        cells = [
            text.ljust(width) if not column else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    ruler = "|".join("-" * (width + 2) if not column else "-" * (width + 1) + ":" for column, width in enumerate(widths))
    return "\n".join([line(rows[0]), f"|{ruler}|", *map(line, rows[1:])])
