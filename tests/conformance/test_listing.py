"""The table of known differences, and what a report makes of it."""

from __future__ import annotations

import pytest

from tests.conformance.compare import Difference
from tests.conformance.listing import HEADING, Report, Result, listed

TABLE = f"""\
# Title

| `not` | `this` | table |

## {HEADING}

Words.

| Exchange | Place | Why |
| --- | --- | --- |
| `one`, `two` | `status`, `models[].size` | Because. |
| `three` | `body` | So. |

## More

| `nor` | `this` | table |
"""


def test_a_row_stands_for_each_exchange_and_place() -> None:
    assert listed(TABLE) == {
        ("one", "status"),
        ("one", "models[].size"),
        ("two", "status"),
        ("two", "models[].size"),
        ("three", "body"),
    }


def test_a_document_without_the_table_lists_nothing() -> None:
    assert listed("# Title\n") == frozenset()


@pytest.mark.parametrize("row", ["| `one` | status | Because. |", "| one | `status` | Because. |", "| `one` | `status` | |"])
def test_a_row_that_says_too_little_is_refused(row: str) -> None:
    with pytest.raises(ValueError, match="a row must name"):
        listed(f"## {HEADING}\n\n| Exchange | Place | Why |\n| --- | --- | --- |\n{row}\n")


def test_a_report_tells_listed_from_unlisted_and_gone() -> None:
    results = [
        Result("one", (Difference("status", "x"), Difference("allow", "x"))),
        Result("two", ()),
        Result("three", (Difference("body", "x"),)),
        Result("four", ()),
    ]
    report = Report(results, frozenset({("one", "status"), ("two", "body"), ("three", "body"), ("elsewhere", "body")}))
    assert report.unlisted == {("one", "allow")}
    assert report.gone == {("two", "body")}
    assert report.unknown == {"elsewhere"}
    assert report.closing_line() == "2 of 4 exchanges without a difference (50.0 %), 2 listed differences, 1 unlisted"
    assert [line.split() for line in report.table().splitlines()] == [
        ["one", "listed", "status:", "x"],
        ["UNLISTED", "allow:", "x"],
        ["two", "ok"],
        ["three", "listed", "body:", "x"],
        ["four", "ok"],
        ["two", "GONE", "body:", "listed,", "but", "it", "no", "longer", "differs"],
    ]
