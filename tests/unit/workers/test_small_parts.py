"""The small parts of what supervisor and workers share: messages, sums of metrics, counts of calls, log lines."""

from __future__ import annotations

import json
import logging
from datetime import date
from typing import Any

import pytest
from ollama_openai_proxy.observe.log import JsonFormatter, TextFormatter
from ollama_openai_proxy.workers import rate_windows
from ollama_openai_proxy.workers.link_messages import MessageReader, encode
from ollama_openai_proxy.workers.metric_sums import add_up, lasting
from ollama_openai_proxy.workers.rate_windows import RateWindows
from ollama_openai_proxy.workers.supervisor_log import LOGGER, SupervisorLog, line

MESSAGES: list[dict[str, Any]] = [{"op": "told", "id": 1}, {"value": "two\nlines ü"}, {}]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_arrive_however_they_are_cut(size: int) -> None:
    data = b"".join(map(encode, MESSAGES))
    reader = MessageReader()
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    assert [message for part in parts for message in reader.feed(part)] == MESSAGES


def test_what_json_does_not_know_is_text() -> None:
    assert MessageReader().feed(encode({"when": date(2026, 1, 2)})) == [{"when": "2026-01-02"}]


def family(kind: str, *samples: tuple[str, dict[str, str], float], name: str = "x") -> dict[str, Any]:
    return {"name": name, "type": kind, "help": "", "samples": [list(sample) for sample in samples]}


SUMS: dict[str, tuple[dict[str, Any], dict[str, Any], list[list[Any]]]] = {
    "counters": (family("counter", ("x", {}, 1)), family("counter", ("x", {}, 2)), [["x", {}, 3]]),
    "labels": (
        family("counter", ("x", {"a": "1"}, 1), ("x", {"a": "2"}, 1)),
        family("counter", ("x", {"a": "2"}, 2), ("x", {"a": "3"}, 5)),
        [["x", {"a": "1"}, 1], ["x", {"a": "2"}, 3], ["x", {"a": "3"}, 5]],
    ),
    "gauges": (family("gauge", ("x", {}, 4)), family("gauge", ("x", {}, 3)), [["x", {}, 7]]),
    "times": (family("gauge", ("x_created", {}, 4)), family("gauge", ("x_created", {}, 3)), [["x_created", {}, 3]]),
    "what is the same everywhere": (family("info", ("x", {}, 1)), family("info", ("x", {}, 1)), [["x", {}, 1]]),
}


@pytest.mark.parametrize(("one", "other", "samples"), SUMS.values(), ids=SUMS)
def test_reports_are_added_up(one: dict[str, Any], other: dict[str, Any], samples: list[list[Any]]) -> None:
    assert add_up([[one], [], [other]]) == [one | {"samples": samples}]


def test_the_version_of_python_is_not_added_up() -> None:
    python = family("gauge", ("python_info", {"version": "3.13"}, 1), name="python_info")
    assert add_up([[python], [python]]) == [python]


def test_what_can_decrease_ends_with_its_process() -> None:
    kept = [family("counter"), family("histogram")]
    assert lasting([*kept, family("gauge"), family("info")]) == kept


def test_a_window_counts_in_the_proportion_in_which_it_is_still_there() -> None:
    windows = RateWindows()
    assert [windows.acquire("a", 4, 10, 1, 100.0) for _ in range(5)] == [True] * 4 + [False]
    assert windows.acquire("b", 4, 10, 4, 100.0)
    assert windows.acquire("a", 4, 20, 1, 100.0)
    # Half of the four calls count in the middle of the next window.
    assert [windows.acquire("a", 4, 10, 1, 115.0) for _ in range(3)] == [True, True, False]
    assert windows.counts("a", 10, 115.0) == (4, 5.0, 2, 15.0)
    assert windows.counts("a", 10, 200.0) == (0, 0.0, 0, 20.0)


def test_windows_that_do_not_count_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_windows, "PURGE_AT", 3)
    windows = RateWindows()
    for number in range(3):
        windows.acquire(str(number), 1, 10, 1, 100.0)
    windows.acquire("later", 1, 10, 1, 110.0)
    assert len(windows._calls) == 4
    for number in range(3):
        windows.acquire(f"late {number}", 1, 10, 1, 125.0)
    assert {key for key, *_ in windows._calls} >= {"later", "late 0"}
    assert not {"0", "1", "2"} & {key for key, *_ in windows._calls}


def record(now: float) -> logging.LogRecord:
    made = logging.LogRecord(LOGGER, logging.INFO, "", 0, "what happened", None, None)
    made.created, made.msecs = now, int(now * 1000) % 1000
    return made


def test_lines_have_the_form_of_all_lines() -> None:
    now = 1_700_000_000.25
    assert line(now, "info", "what happened", "text") == TextFormatter().format(record(now))
    assert json.loads(line(now, "info", "what happened", "json")) == json.loads(JsonFormatter().format(record(now)))


@pytest.mark.parametrize(("level", "lines"), [("debug", 2), ("info", 2), ("warning", 1), ("error", 1)])
def test_the_level_counts(level: str, lines: int, capsys: pytest.CaptureFixture[str]) -> None:
    log = SupervisorLog()
    log.level = level
    log.info("this")
    log.error("that")
    assert len(capsys.readouterr().err.splitlines()) == lines
