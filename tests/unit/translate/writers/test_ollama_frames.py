"""Frames are ASCII lines in Ollama's key order, whatever text they carry, and an answer that is not streamed is one object."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.events import Finish, ReasoningState, Text, Thinking, ToolCallBegin
from ollama_openai_proxy.translate.writers.ollama_chat import ChatAnswerWriter, ChatForm, ChatStreamWriter
from ollama_openai_proxy.translate.writers.ollama_frames import idle_answer
from ollama_openai_proxy.translate.writers.ollama_generate import GenerateAnswerWriter, GenerateForm, GenerateStreamWriter

from .answers import (
    FAILURE,
    LOGPROB,
    STATE,
    STOP,
    USAGE,
    Clock,
    StoppedClock,
    answers,
    batches,
    call,
    texts,
    timing,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ollama_openai_proxy.translate.answer_machine import Writer
    from ollama_openai_proxy.translate.events import Event

AT = "2026-11-21T03:38:36Z"
HEAD = {"model": "m", "created_at": AT}
METRICS = {
    "total_duration": 1,
    "load_duration": 1,
    "prompt_eval_count": 10,
    "prompt_eval_duration": 1,
    "eval_count": 5,
    "eval_duration": 1,
}
CALL = {"id": "call_1", "function": {"index": 0, "name": "read", "arguments": {"b": 1, "a": "é"}}}
EVERYTHING: list[Event] = [
    Thinking("Hm", [LOGPROB]),
    Text("H"),
    Text("i", [LOGPROB]),
    *call(pieces=3, b=1, a="é"),
    Finish("tool_calls", USAGE),
]
CUT: list[Event] = [Text("Hi"), *call(complete=False, path="a"), STOP]


def chat(**more: Any) -> ChatStreamWriter:
    return ChatStreamWriter("m", timing(), **more)


def generate(**more: Any) -> GenerateStreamWriter:
    return GenerateStreamWriter("m", lambda _text: [1, 2], timing(), **more)


def whole_chat(**more: Any) -> ChatAnswerWriter:
    return ChatAnswerWriter("m", timing(), **more)


def whole_generate(**more: Any) -> GenerateAnswerWriter:
    return GenerateAnswerWriter("m", lambda _text: [1, 2], timing(), **more)


STREAMS = pytest.mark.parametrize("make", [chat, generate])
WHOLE = pytest.mark.parametrize("make", [whole_chat, whole_generate])
ALL = pytest.mark.parametrize("make", [chat, generate, whole_chat, whole_generate])


def frames(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def content(frame: dict[str, Any]) -> dict[str, Any]:
    """What a frame says, by the names of `/api/chat`."""
    if "message" in frame:
        message: dict[str, Any] = frame["message"]
        return message
    return {"content": frame["response"], **{name: frame[name] for name in ("thinking", "tool_calls") if name in frame}}


# ── keys and their order


def in_order(body: bytes) -> list[Any]:
    """The objects with their keys in order, which a comparison of dictionaries does not see."""
    return [json.loads(line, object_pairs_hook=list) for line in body.splitlines()]


def as_pairs(*values: dict[str, Any]) -> list[Any]:
    return in_order(b"\n".join(json.dumps(value).encode() for value in values))


def test_the_frames_of_a_chat() -> None:
    def frame(message: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {**HEAD, "message": {"role": "assistant", **message}, "done": False, **more}

    assert in_order(written(chat(), EVERYTHING)) == as_pairs(
        frame({"content": "", "thinking": "Hm"}, logprobs=[LOGPROB]),
        frame({"content": "H"}),
        frame({"content": "i"}, logprobs=[LOGPROB]),
        frame({"content": "", "tool_calls": [CALL]}),
        frame({"content": ""}) | {"done": True, "done_reason": "stop", **METRICS},
    )


def test_the_frames_of_a_completion() -> None:
    def frame(response: str, thinking: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {**HEAD, "response": response, **thinking, "done": False, **more}

    assert in_order(written(generate(), EVERYTHING)) == as_pairs(
        frame("", {"thinking": "Hm"}, logprobs=[LOGPROB]),
        frame("H", {}),
        frame("i", {}, logprobs=[LOGPROB]),
        frame("", {}, tool_calls=[CALL]),
        frame("", {}) | {"done": True, "done_reason": "stop", "context": [1, 2], **METRICS},
    )


def test_a_whole_chat_answer_has_its_metrics_after_the_logprobs() -> None:
    message = {"role": "assistant", "content": "Hi", "thinking": "Hm", "tool_calls": [CALL]}
    end = {"done": True, "done_reason": "stop", "logprobs": [LOGPROB, LOGPROB], **METRICS}
    assert in_order(written(whole_chat(), EVERYTHING)) == as_pairs({**HEAD, "message": message, **end})


def test_a_whole_completion_has_its_metrics_before_the_logprobs() -> None:
    end = {"done": True, "done_reason": "stop", "context": [1, 2], **METRICS}
    expected = {**HEAD, "response": "Hi", "thinking": "Hm", **end, "tool_calls": [CALL], "logprobs": [LOGPROB, LOGPROB]}
    assert in_order(written(whole_generate(), EVERYTHING)) == as_pairs(expected)


def test_what_is_not_said_has_no_key() -> None:
    assert frames(written(whole_chat(), [STOP]))[0]["message"] == {"role": "assistant", "content": ""}
    assert "thinking" not in frames(written(whole_generate(), [STOP]))[0]


@pytest.mark.parametrize("kind", [GenerateStreamWriter, GenerateAnswerWriter])
def test_the_context_is_made_of_all_that_was_said(kind: type[GenerateStreamWriter | GenerateAnswerWriter]) -> None:
    asked: list[str] = []

    def context(text: str) -> list[int]:
        asked.append(text)
        return [7]

    body = written(kind("m", context, timing()), [Text("Hel"), Thinking("x")], [Text("lo"), STOP])
    assert frames(body)[-1]["context"] == [7]
    assert asked == ["Hello"]
    assert "context" not in frames(written(kind("m", None, timing()), [Text("a"), STOP]))[-1]


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_an_idle_answer_has_a_reason_and_no_metrics(reason: str) -> None:
    end = {"done": True, "done_reason": reason}
    message = {"role": "assistant", "content": ""}
    assert in_order(idle_answer(ChatForm("m"), reason, timing())) == as_pairs({**HEAD, "message": message, **end})
    assert in_order(idle_answer(GenerateForm("m"), reason, timing())) == as_pairs({**HEAD, "response": "", **end})
    assert not idle_answer(ChatForm("m"), reason).endswith(b"\n")


# ── the counters of the last frame


@ALL
@pytest.mark.parametrize("cached", [0, 64])
def test_what_the_back_end_had_in_its_cache_stands_behind_the_tokens_of_the_prompt(make: Any, cached: int) -> None:
    last = frames(written(make(), [Text("a"), Finish("stop", Usage(100, 5, cached))]))[-1]
    keys = list(last)
    assert (last["prompt_eval_count"], last["prompt_eval_cached_count"]) == (100, cached)
    assert keys.index("prompt_eval_cached_count") == keys.index("prompt_eval_count") + 1


@pytest.mark.parametrize("kind", [ChatStreamWriter, ChatAnswerWriter])
def test_durations_run_from_the_request_by_the_head_and_the_first_event_to_the_end(
    kind: type[ChatStreamWriter | ChatAnswerWriter],
) -> None:
    clock = StoppedClock()
    writer = kind("m", timing(clock))
    clock.now = 10
    writer.begin()
    clock.now = 20
    writer.begin()
    assert writer.write([]) == b""
    clock.now = 300
    writer.write([Text("a")])
    clock.now = 4000
    writer.write([Text("a")])
    clock.now = 50000
    last = frames(writer.write([STOP]))[-1]
    durations = {name: value for name, value in last.items() if name.endswith("_duration")}
    assert durations == {
        "total_duration": 50000,
        "load_duration": 10,
        "prompt_eval_duration": 290,
        "eval_duration": 49700,
    }


def test_frames_tell_the_time_at_which_they_were_written() -> None:
    writer = ChatStreamWriter("m", timing(Clock()))
    times = [frames(writer.write([Text("a")]))[0]["created_at"] for _ in range(2000)]
    assert times[0] == "2026-11-21T03:38:36.002Z"
    assert "2026-11-21T03:38:37Z" in times
    moments = list(map(datetime.fromisoformat, times))
    assert moments == sorted(moments)
    assert moments[-1] - moments[0] == timedelta(milliseconds=1999)


@pytest.mark.parametrize(
    ("reason", "done_reason"), [("stop", "stop"), ("length", "length"), ("tool_calls", "stop"), ("content_filter", "stop")]
)
@ALL
def test_the_reason_of_the_end_is_put_in_ollamas_words(make: Any, reason: Any, done_reason: str) -> None:
    assert frames(written(make(), [Text("a"), Finish(reason, USAGE)]))[-1]["done_reason"] == done_reason


# ── tool calls


@ALL
def test_a_call_that_is_not_complete_is_dropped_and_the_answer_was_cut(make: Any) -> None:
    *_, last = said = frames(written(make(), CUT))
    assert "".join(content(frame)["content"] for frame in said) == "Hi"
    assert not any("tool_calls" in content(frame) for frame in said)
    assert last["done_reason"] == "length"


@ALL
def test_calls_are_counted_without_those_that_were_dropped(make: Any) -> None:
    events = [*call(complete=False, index=0, a=1), *call("f", "A", 1), *call("g", "B", 2, a=[1]), STOP]
    calls = [each for frame in frames(written(make(), events)) for each in content(frame).get("tool_calls", ())]
    assert calls == [
        {"id": "A", "function": {"index": 0, "name": "f", "arguments": {}}},
        {"id": "B", "function": {"index": 1, "name": "g", "arguments": {"a": [1]}}},
    ]


@ALL
def test_opaque_state_travels_in_the_ids_of_calls_and_that_of_the_reasoning_in_the_first(make: Any) -> None:
    def call_id(begun: ToolCallBegin, state: ReasoningState | None) -> str:
        return f"{begun.id}/{begun.state}/{state is STATE}"

    second = call("g", "B", 1)
    second[0] = ToolCallBegin(1, "B", "g", {"x": 1})
    said = frames(written(make(call_id=call_id), [STATE, *call("f", "A"), *second, STOP]))
    calls = [each["id"] for frame in said for each in content(frame).get("tool_calls", ())]
    assert calls == ["A/None/True", "B/{'x': 1}/False"]


# ── silence and failure


@STREAMS
def test_silence_is_filled_with_an_empty_frame(make: Any) -> None:
    writer = make()
    for _ in range(2):
        (frame,) = frames(writer.keep_alive())
        assert (content(frame)["content"], frame["done"]) == ("", False)
        assert written(writer, [Text("a")]).endswith(b"}\n")


@STREAMS
def test_a_stream_that_fails_ends_with_an_error(make: Any) -> None:
    assert make().fail(ApiError(502, "no <é>")) == b'{"error":"no <\\u00e9>"}\n'
    assert make().cut_after_failure is False


@WHOLE
def test_an_answer_that_is_not_streamed_has_nothing_but_its_end(make: Any) -> None:
    writer = make()
    assert (writer.begin(), writer.write([Text("a")]), writer.keep_alive(), writer.fail(ApiError(502, ""))) == (b"",) * 4


@ALL
def test_a_failure_adds_nothing_by_itself(make: Any) -> None:
    assert make().write([FAILURE]) == b""


# ── any answer


@ALL
@given(events=answers(), sizes=st.lists(st.integers(0, 3), max_size=5))
def test_however_the_events_come_the_bytes_are_the_same(
    make: Callable[[], Writer], events: list[Event], sizes: list[int]
) -> None:
    assert written(make(), *batches(events, sizes)) == written(make(), events)


@STREAMS
@given(model=texts, events=answers())
def test_each_frame_is_one_line_of_ascii(make: Any, model: str, events: list[Event]) -> None:
    body = written(make(), events)
    assert body.isascii()
    assert len(body.decode().splitlines()) == body.count(b"\n") == len(frames(body))


@given(events=answers(), model=texts)
def test_the_sdk_reads_the_answer_whole(events: list[Event], model: str) -> None:
    streamed = frames(written(ChatStreamWriter(model, timing()), events))
    (whole,) = frames(written(ChatAnswerWriter(model, timing()), events))
    for frame in (*streamed, whole):
        read = ollama.ChatResponse.model_validate(frame)
        assert read.model == model
    parts = [content(frame) for frame in streamed]
    assert "".join(part["content"] for part in parts) == whole["message"]["content"]
    assert "".join(part.get("thinking", "") for part in parts) == whole["message"].get("thinking", "")
    assert [each for part in parts for each in part.get("tool_calls", ())] == whole["message"].get("tool_calls", [])
    assert [each for frame in streamed for each in frame.get("logprobs", ())] == whole.get("logprobs", [])


@given(events=answers())
def test_the_sdk_reads_a_completion(events: list[Event]) -> None:
    for make in (generate, whole_generate):
        for frame in frames(written(make(), events)):
            ollama.GenerateResponse.model_validate(frame)


def test_arguments_are_not_kept_twice() -> None:
    """Fifty kilobytes in 10,000 pieces: the reader has them, the writer keeps none."""
    writer = chat()
    writer.write(call()[:1])
    kept = [writer.write([piece]) for piece in call(pieces=10_000, x="a" * 50_000)[1:-1]]
    assert set(kept) == {b""}
    assert writer._texts == []
