"""Answers as neutral events, clocks that tell a time of one's own, and how events come in several reads."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.events import (
    Event,
    Failure,
    Finish,
    ReasoningState,
    Text,
    Thinking,
    ToolCallArguments,
    ToolCallBegin,
    ToolCallEnd,
)
from ollama_openai_proxy.translate.writers.answer_timing import AnswerTiming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ollama_openai_proxy.translate.answer_machine import Writer

USAGE = Usage(input_tokens=10, output_tokens=5)
STOP = Finish("stop", USAGE)
STATE = ReasoningState([{"type": "reasoning.encrypted", "data": "abc"}])
LOGPROB = {"token": "a", "logprob": -0.5, "bytes": [97]}

texts = st.text(max_size=4) | st.text(st.sampled_from('\u2028\u2029\x85\x0b\x0c\x1c\r\n"\\<>&é😀'), max_size=4)


class Clock:
    """Counts up by one millisecond with each look."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1_000_000
        return self.now


class StoppedClock:
    """Always tells the same time, unless it is set."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def timing(clock: Callable[[], int] | None = None, unix_seconds: int = 1_795_232_316) -> AnswerTiming:
    return AnswerTiming(clock or StoppedClock(), lambda: unix_seconds * 1_000_000_000)


def call(
    name: str = "read", call_id: str = "call_1", index: int = 0, *, pieces: int = 1, complete: bool = True, **arguments: Any
) -> list[Event]:
    """The events of a tool call whose arguments come in about as many pieces."""
    text = json.dumps(arguments, ensure_ascii=False)
    if not complete:
        text = text[: len(text) // 2]
    size = max(len(text) // pieces, 1)
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    return [
        ToolCallBegin(index, call_id, name),
        *map(ToolCallArguments, parts),
        ToolCallEnd(arguments if complete else None),
    ]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def answers(draw: st.DrawFn, *, complete: bool = False, inputs_only: bool = False) -> list[Event]:
    """Any answer, in the order that the contract of the events demands."""
    events: list[Event] = []
    calls = 0
    said_state = False
    for kind in draw(st.lists(st.sampled_from(["text", "thinking", "call", "state"]), max_size=6)):
        if kind == "text":
            events.append(Text(draw(texts), draw(st.sampled_from([(), [LOGPROB]]))))
        elif kind == "thinking":
            events.append(Thinking(draw(texts.filter(bool)), draw(st.sampled_from([(), [LOGPROB]]))))
        elif kind == "state" and not calls and not said_state:
            said_state = True
            events.append(STATE)
        elif kind == "call":
            arguments = {"input": draw(texts)} if inputs_only else draw(st.dictionaries(texts, values, max_size=2))
            begin = ToolCallBegin(calls, f"call_{calls}", draw(st.sampled_from(["read", "patch"])))
            text = json.dumps(arguments, ensure_ascii=draw(st.booleans()))
            middle: list[Event] = [ToolCallArguments(piece) for piece in draw(cut(text))]
            end = ToolCallEnd(arguments)
            if not complete and draw(st.booleans()):
                middle, end = middle[: draw(st.integers(0, len(middle)))], ToolCallEnd(None)
            events += [begin, *middle, end]
            calls += 1
    usage = Usage(10, 5, draw(st.sampled_from([None, 0, 3])), draw(st.sampled_from([0, 2])))
    return [*events, Finish(draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"])), usage)]


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """The text in pieces that are not empty."""
    places = sorted(draw(st.sets(st.integers(1, max(len(text) - 1, 1)), max_size=5)))
    return [piece for a, b in pairwise([0, *places, len(text)]) if (piece := text[a:b])]


def batches(events: list[Event], sizes: list[int]) -> Iterator[list[Event]]:
    """The events as several reads bring them; an empty read brings none."""
    at = 0
    for size in sizes:
        yield events[at : at + size]
        at += size
    yield events[at:]


def written(writer: Writer, *reads: list[Event]) -> bytes:
    """All that a writer writes of the events of several reads."""
    return writer.begin() + b"".join(writer.write(read) for read in reads)


FAILURE: Event = Failure(ApiError(502, ""))
"""An event that a writer must not get."""
