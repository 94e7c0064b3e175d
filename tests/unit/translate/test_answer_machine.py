"""The machine joins a reader and a writer, and keeps what the driver has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.answer_machine import AnswerMachine
from ollama_openai_proxy.translate.events import (
    Event,
    Failure,
    Finish,
    ReasoningState,
    Text,
    Thinking,
    ToolCallBegin,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = Usage(1, 2)
FINISH = Finish("stop", USAGE)
BROKEN = ApiError(502, "broke off")


class Told:
    """A reader that gives lists of events, one for each call."""

    def __init__(self, *steps: list[Event]) -> None:
        self._steps = list(steps)
        self.framed: bool | None = None

    def feed(self, data: bytes) -> list[Event]:
        return self._steps.pop(0)

    def finish(self, *, framed: bool) -> list[Event]:
        self.framed = framed
        return self._steps.pop(0)


class Naming:
    """A writer that names the events."""

    def begin(self) -> bytes:
        return b"<"

    def write(self, events: Sequence[Event]) -> bytes:
        return " ".join(type(event).__name__ for event in events).encode()

    def keep_alive(self) -> bytes:
        return b"*"

    def fail(self, error: ApiError) -> bytes:
        return f"[{error.message}]".encode()


def machine(*steps: list[Event]) -> AnswerMachine:
    return AnswerMachine(Told(*steps), Naming())


def test_what_comes_before_and_in_a_silence_is_the_writers() -> None:
    answer = machine()
    assert (answer.begin(), answer.keep_alive(), answer.cut_after_failure) == (b"<", b"*", False)


def test_events_are_written_as_they_come() -> None:
    answer = machine([], [Text("a")], [Text("b"), FINISH])
    assert [answer.feed(b"") for _ in range(3)] == [b"", b"Text", b"Text Finish"]
    assert (answer.ended, answer.usage, answer.failure) == (True, USAGE, None)
    assert answer.finish(framed=True) == answer.fail(BROKEN) == b"", "what has ended says nothing more"
    assert answer.failure is None


@pytest.mark.parametrize("framed", [True, False])
def test_the_end_of_the_body_is_the_readers_to_judge(framed: bool) -> None:
    reader = Told([FINISH])
    answer = AnswerMachine(reader, Naming())
    assert answer.finish(framed=framed) == b"Finish"
    assert (reader.framed, answer.ended) == (framed, True)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Text("a"), True),
        (Thinking("a"), True),
        (ToolCallBegin(0, "1", "f"), True),
        (ReasoningState([{}]), False),
        (FINISH, False),
    ],
)
def test_it_is_known_whether_a_piece_of_content_has_come(event: Event, said: bool) -> None:
    answer = machine([event])
    answer.feed(b"")
    assert answer.said is said


def test_a_failure_of_the_server_is_written_behind_what_was_said() -> None:
    answer = machine([Text("a"), Failure(BROKEN)])
    assert answer.feed(b"") == b"Text[broke off]"
    assert (answer.ended, answer.said, answer.failure) == (True, True, BROKEN)


def test_a_failure_alone_has_said_nothing() -> None:
    answer = machine([Failure(BROKEN)])
    assert answer.feed(b"") == b"[broke off]"
    assert (answer.said, answer.failure) == (False, BROKEN)


def test_a_failure_from_outside_ends_it() -> None:
    answer = machine([Text("a")])
    answer.feed(b"")
    assert answer.fail(BROKEN) == b"[broke off]"
    assert (answer.ended, answer.failure) == (True, BROKEN)
