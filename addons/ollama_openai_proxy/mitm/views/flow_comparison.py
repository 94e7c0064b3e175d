"""Several calls side by side: the difference of two answers, and figures for each model."""

from __future__ import annotations

import difflib
import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

from .flow_list import speed
from .formatting import number, printable, section, span, table, text_of
from .response_reader import read_answer
from .response_text import measured, said

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .response_reader import Answer

MOST_LINES = 5_000
"""Of an answer; a difference takes longer than in proportion to them."""


class Side(NamedTuple):
    """One of two answers: what tells it from the other, its body, and what the proxy measured."""

    title: str
    answer: bytes
    info: Mapping[str, Any] = {}  # nobody changes it


def difference(left: Side, right: Side) -> str:
    """Thinking, text and tool calls of two answers, line by line, and their counters beside each other."""
    blocks = [f"- {left.title}\n+ {right.title}"]
    answers = [(read_answer(side.answer), side) for side in (left, right)]
    before, after = (_lines(answer) for answer, _ in answers)
    # Its first two lines would name files.
    changed = list(difflib.unified_diff(before[:MOST_LINES], after[:MOST_LINES], lineterm="", n=2))[2:]
    blocks.append(section("answers", "\n".join(changed) if changed else "They say the same."))
    if max(len(before), len(after)) > MOST_LINES:
        blocks.append(f"(only the first {MOST_LINES:,} lines were compared)")
    rows = [_counters(answer, side) for answer, side in answers]
    if names := list(dict.fromkeys([*rows[0], *rows[1]])):
        blocks.append(section("counters", table([(name, rows[0].get(name, "-"), rows[1].get(name, "-")) for name in names])))
    return printable("\n\n".join(blocks) + "\n")


def statistics_of(calls: Iterable[Mapping[str, Any]]) -> str:
    """Figures for each model.

    Args:
        calls: of each call, what `flow.metadata["ollama"]` holds; those about no model count where they failed.
    """
    models: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        if call.get("model") or call.get("error"):
            models.setdefault(text_of(call.get("model")) or "(no model)", []).append(call)
    if not models:
        return "There is no call to count.\n"
    heading = ("model", "requests", "errors", "prompt tokens", "answer tokens", "tokens/s", "median first part")
    return table([heading, *[_figures(model, own) for model, own in sorted(models.items())]]) + "\n"


def _figures(model: str, calls: list[Mapping[str, Any]]) -> tuple[str, ...]:
    rates = [rate for call in calls if (rate := speed(call)) is not None]
    firsts = [first for call in calls if (first := number(call.get("first_part"))) is not None]
    return (
        model,
        f"{len(calls):,}",
        f"{sum(bool(call.get('error')) for call in calls):,}",
        *(f"{sum(number(call.get(f'{kind}_tokens')) or 0 for call in calls):,.0f}" for kind in ("prompt", "completion")),
        f"{statistics.median(rates):,.1f}" if rates else "-",
        span(statistics.median(firsts)) if firsts else "-",
    )


def _lines(answer: Answer) -> list[str]:
    return [line for title, text in said(answer) for line in (f"({title})", *text.split("\n"))]


def _counters(answer: Answer, side: Side) -> dict[str, str]:
    rows = {"why it ended": answer.reason} if answer.reason else {}
    return rows | {name: "  ".join(figures) for name, *figures in (*answer.counters.rows(), *measured(side.info))}
