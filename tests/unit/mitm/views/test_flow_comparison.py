"""Several calls side by side."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ollama_openai_proxy.mitm.views.flow_comparison import MOST_LINES, Side, difference, statistics_of

from tests.unit.mitm.views.samples import sample


def answer(text: str, **members: Any) -> bytes:
    return json.dumps({"model": "m", "message": {"role": "assistant", "content": text}, "done": True} | members).encode()


def compared(left: bytes, right: bytes) -> str:
    return difference(Side("one", left), Side("two", right))


def test_lines_that_differ_are_marked() -> None:
    text = compared(answer("same\n--old\nend"), answer("same\nnew\nend"))
    assert text.startswith("- one\n+ two\n")
    assert "\n same\n---old\n+new\n end\n" in text


def test_answers_of_two_apis_can_be_compared() -> None:
    text = compared(sample("generate.ndjson"), sample("completions.sse"))
    assert "They say the same." in text
    assert [line.split() for line in text.splitlines() if line.startswith("why")] == [["why", "it", "ended", "length", "stop"]]


def test_thinking_calls_and_errors_count_as_well() -> None:
    text = compared(sample("chat.ndjson"), sample("broken_off.ndjson"))
    assert "-The user wants the weather." in text
    assert '-→ weather(city: "Paris", days: 3)' in text
    assert "+(error)\n+the back end broke off\n" in text


def test_counters_stand_beside_each_other() -> None:
    rows = [line.split() for line in compared(answer("a", total_duration=10**9, eval_count=5), answer("b")).splitlines()]
    assert ["answer", "tokens", "5", "-"] in rows
    assert ["in", "all", "1.0", "s", "-"] in rows
    text = difference(Side("one", b"", {"duration": 2.0}), Side("two", b"", {"duration": 0.5}))
    assert ["whole", "answer", "sent", "after", "2.0", "s", "500", "ms"] in [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("line", ["x", "{}"])
def test_long_answers_are_compared_in_part(line: str) -> None:
    text = compared(answer("\n".join(line.format(n) + str(n) for n in range(MOST_LINES + 1))), answer(f"{line}\n" * MOST_LINES))
    assert "only the first 5,000 lines" in text


def test_what_is_no_answer_can_be_compared() -> None:
    assert "They say the same." in compared(b"\xff", b"")


def test_figures_are_given_for_each_model() -> None:
    call: dict[str, Any] = {
        "model": "b",
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "first_part": 0.5,
        "duration": 1.5,
        "error": "",
    }
    calls = [
        call,
        call | {"first_part": 0.1, "duration": 1.1},
        call | {"first_part": 0.3, "duration": 10.3},
        {"model": "b", "error": "backend_failed"},
        {"model": "a"},
        {},
        {"error": "unauthorized"},
    ]
    rows = [line.split("  ") for line in statistics_of(calls).splitlines()]
    assert [[cell.strip() for cell in row if cell] for row in rows] == [
        ["model", "requests", "errors", "prompt tokens", "answer tokens", "tokens/s", "median first part"],
        ["(no model)", "1", "1", "0", "0", "-", "-"],
        ["a", "1", "0", "0", "0", "-", "-"],
        ["b", "4", "1", "30", "60", "20.0", "300 ms"],
    ]


def test_no_calls_give_a_sentence() -> None:
    assert statistics_of([]) == "There is no call to count.\n"
