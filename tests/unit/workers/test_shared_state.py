"""What the supervisor answers its workers: the state they share, without any process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ollama_openai_proxy.workers import shared_state
from ollama_openai_proxy.workers.shared_state import SharedState

from tests.unit.clock import Clock

if TYPE_CHECKING:
    from ollama_openai_proxy.workers.link_messages import Message


class Worker:
    """A worker that remembers what it was sent."""

    def __init__(self, state: SharedState) -> None:
        self.state = state
        self.sent: list[Message] = []
        state.join(self)

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def says(self, operation: str, **fields: Any) -> list[Message]:
        """Send a message; returns what this worker is sent because of it."""
        self.sent.clear()
        assert self.state.take(self, {"op": operation} | fields)
        return self.sent


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def state(clock: Clock) -> SharedState:
    return SharedState(clock, clock)


@pytest.fixture
def one(state: SharedState) -> Worker:
    return Worker(state)


@pytest.fixture
def other(state: SharedState) -> Worker:
    return Worker(state)


def counter(value: float) -> list[Any]:
    return [{"name": "calls", "type": "counter", "help": "", "samples": [["calls_total", {}, value]]}]


def gauge(value: float) -> list[Any]:
    return [{"name": "open", "type": "gauge", "help": "", "samples": [["open", {}, value]]}]


def test_another_message_is_left_to_the_supervisor(state: SharedState, one: Worker) -> None:
    assert not state.take(one, {"op": "ready"})


def test_a_limit_counts_the_calls_of_all(one: Worker, other: Worker, clock: Clock) -> None:
    acquire = {"key": "a", "limit": 2, "seconds": 60, "amount": 1}
    assert one.says("acquire", id=1, **acquire) == [{"id": 1, "value": True}]
    assert other.says("acquire", id=1, **acquire) == [{"id": 1, "value": True}]
    assert one.says("acquire", id=2, **acquire) == [{"id": 2, "value": False}]
    clock.now = 1020.0  # the next minute begins
    assert other.says("counts", id=3, key="a", seconds=60) == [{"id": 3, "value": (2, 60.0, 0, 120.0)}]


def test_places_are_those_of_all(one: Worker, other: Worker) -> None:
    one.says("limits", most=1, most_waiting=1, several=False)
    assert one.says("enter", id=1, caller="a") == [{"id": 1, "value": True}]
    assert other.says("enter", id=1, caller="a") == []
    assert one.says("enter", id=2, caller="a") == [{"id": 2, "value": False}]
    assert one.says("leave", caller="a") == []
    assert other.sent == [{"id": 1, "value": True}]


def test_who_does_not_wait_any_more_is_answered(one: Worker) -> None:
    one.says("limits", most=1, most_waiting=1, several=False)
    one.says("enter", id=1, caller="a")
    one.says("enter", id=2, caller="a")
    assert one.says("withdraw", entering=2, caller="a") == [{"id": 2, "value": False}]
    assert one.says("withdraw", entering=1, caller="a") == []


def test_a_worker_that_has_ended_gives_back_its_places_and_its_place_in_the_queue(
    state: SharedState, one: Worker, other: Worker
) -> None:
    one.says("limits", most=1, most_waiting=5, several=False)
    one.says("enter", id=1, caller="a")
    one.says("enter", id=2, caller="a")
    other.says("enter", id=1, caller="a")
    one.sent.clear()
    state.leave(one)
    assert (one.sent, other.sent) == ([], [{"id": 1, "value": True}])


def test_larger_limits_let_in_who_waits(one: Worker) -> None:
    one.says("limits", most=1, most_waiting=5, several=False)
    one.says("enter", id=1, caller="a")
    one.says("enter", id=2, caller="a")
    assert one.says("limits", most=0, most_waiting=0, several=False) == [{"id": 2, "value": True}]


def test_what_one_tells_all_hear_in_one_order_and_later_ones_as_well(state: SharedState, one: Worker, other: Worker) -> None:
    for key, value in (("x", 1), ("y", 2), ("x", 3), ("z", 4), ("z", None)):
        told = {"op": "known", "table": "t", "key": key, "value": value}
        assert one.says("know", table="t", key=key, value=value) == [told]
        assert other.sent.pop() == told
    assert one.says("told", id=9) == [{"id": 9, "value": None}]
    assert [(each["key"], each["value"]) for each in Worker(state).sent] == [("y", 2), ("x", 3)]


def test_the_oldest_key_makes_way(state: SharedState, one: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_state, "MOST_KNOWN", 2)
    for key in "abc":
        one.says("know", table="t", key=key, value=1)
    assert [each["key"] for each in Worker(state).sent] == ["b", "c"]


def test_large_values_make_way_sooner(state: SharedState, one: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_state, "MOST_KNOWN_BYTES", 100)
    for key, size in (("a", 10), ("b", 60), ("c", 30), ("d", 500)):
        one.says("know", table="t", key=key, value="x" * size)
        kept = [each["key"] for each in Worker(state).sent]
        assert kept == {"a": ["a"], "b": ["a", "b"], "c": ["b", "c"], "d": []}[key]


def test_reports_of_the_others_are_gathered(one: Worker, other: Worker) -> None:
    assert one.says("gather", id=1) == []
    (asked,) = other.sent
    assert asked["op"] == "report"
    one.sent.clear()
    other.says("report", report=counter(3), to=asked["to"])
    other.says("report", report=counter(4), to=asked["to"])  # late, or twice
    assert one.sent == [{"id": 1, "value": [counter(3), []]}]


def test_who_is_alone_need_not_wait(one: Worker) -> None:
    assert one.says("gather", id=1) == [{"id": 1, "value": [[]]}]


def test_the_latest_report_of_a_slow_worker_counts(state: SharedState, one: Worker, other: Worker, clock: Clock) -> None:
    other.says("report", report=counter(3))
    assert state.next_deadline() is None
    assert one.says("gather", id=1) == []
    deadline = state.next_deadline()
    assert deadline is not None
    state.look()
    assert one.sent == []
    clock.now = deadline
    state.look()
    assert one.sent == [{"id": 1, "value": [counter(3), []]}]


def test_what_a_worker_counted_stays_when_it_has_ended(state: SharedState, one: Worker, other: Worker) -> None:
    other.says("report", report=counter(3) + gauge(7))
    one.says("gather", id=1)
    state.leave(other)
    assert one.sent == [{"id": 1, "value": [counter(3)]}]
    third = Worker(state)
    third.says("report", report=counter(2))
    state.leave(third)
    assert one.says("gather", id=2) == [{"id": 2, "value": [counter(5)]}]


def test_what_was_reported_counts_once_when_its_worker_ends_while_another_is_waited_for(
    state: SharedState, one: Worker, other: Worker
) -> None:
    third = Worker(state)
    one.says("gather", id=1)
    (asked,) = other.sent
    other.says("report", report=gauge(7), to=asked["to"])
    state.leave(other)
    assert one.sent == []
    third.says("report", report=gauge(2), to=asked["to"])
    assert one.sent == [{"id": 1, "value": [gauge(7), gauge(2), []]}]


def test_nobody_is_answered_who_has_ended(state: SharedState, one: Worker, other: Worker) -> None:
    third = Worker(state)
    one.says("gather", id=1)
    third.says("gather", id=1)
    state.leave(one)
    one.sent.clear()
    for asked in other.sent:
        other.state.take(other, {"op": "report", "report": [], "to": asked["to"]})
    assert (one.sent, third.sent) == ([], [{"id": 1, "value": [[], []]}])
