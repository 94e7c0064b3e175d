"""Adds up the metrics of several processes.

A report is what one process counts, as JSON can hold it: a list of families, each with its name, type, help text and samples. A
sample has a name, labels and a value.
"""

from __future__ import annotations

from typing import Any

type Family = dict[str, Any]
type Report = list[Family]

LASTING = frozenset({"counter", "histogram", "summary"})
"""Types whose values never decrease, and so are kept when a process ends."""
EARLIEST = ("_created", "start_time_seconds")
"""Ends of the names of times, of which the earliest counts."""
LIKE_EVERYWHERE = frozenset({"info"})
"""Types whose samples are the same in every process."""
LIKE_EVERYWHERE_NAMES = frozenset({"python_info"})


def add_up(reports: list[Report]) -> Report:
    """Make one report of several."""
    families: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in (family for report in reports for family in report):
        name = family["name"]
        families.setdefault(name, family)
        sums = values.setdefault(name, {})
        for sample, labels, value in family["samples"]:
            key = (sample, tuple(labels.items()))
            sums[key] = _combined(family, sample, sums[key], value) if key in sums else value
    return [
        family | {"samples": [[sample, dict(labels), value] for (sample, labels), value in values[name].items()]}
        for name, family in families.items()
    ]


def lasting(report: Report) -> Report:
    """The part of a report that still counts when its process has ended."""
    return [family for family in report if family["type"] in LASTING]


def _combined(family: Family, sample: str, one: float, other: float) -> float:
    if family["type"] in LIKE_EVERYWHERE or family["name"] in LIKE_EVERYWHERE_NAMES:
        return one
    return min(one, other) if sample.endswith(EARLIEST) else one + other
