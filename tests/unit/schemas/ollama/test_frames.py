"""Frames are ASCII lines in Ollama's key order, whatever text they carry."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.schemas.ollama.frames import (
    ChatFrames,
    Counters,
    Delta,
    Frames,
    GenerateFrames,
    encode_json,
    error_body,
    timestamp,
)

COUNTERS = Counters("stop", 1, 2, 3, 4, 5, 6)
METRICS = {
    "total_duration": 1,
    "load_duration": 2,
    "prompt_eval_count": 3,
    "prompt_eval_duration": 4,
    "eval_count": 5,
    "eval_duration": 6,
}
CALL = {"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {"b": 1, "a": "é"}}}
LOGPROB = {"token": "a", "logprob": -0.5, "bytes": [97]}
FULL = Delta("Hi", "Hm", [CALL], [LOGPROB])

texts = st.text() | st.text(st.sampled_from('\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r\n"\\<>&é😀\ud83d'))


def chat(model: str = "m") -> ChatFrames:
    return ChatFrames(model)


def generate(model: str = "m") -> GenerateFrames:
    return GenerateFrames(model, lambda _answer: [1, 2])


def read(frame: bytes) -> dict[str, Any]:
    """The frame without its time, as long as it has one."""
    value: dict[str, Any] = json.loads(frame)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", value.pop("created_at"))
    return value


# ── keys and their order


@pytest.mark.parametrize(
    ("delta", "keys", "message"),
    [
        (Delta("Hel"), "model created_at message done", {"content": "Hel"}),
        (Delta(thinking="Hm"), "model created_at message done", {"content": "", "thinking": "Hm"}),
        (Delta(tool_calls=[CALL]), "model created_at message done", {"content": "", "tool_calls": [CALL]}),
        (FULL, "model created_at message done logprobs", {"content": "Hi", "thinking": "Hm", "tool_calls": [CALL]}),
    ],
    ids=["content", "thinking", "tool calls", "everything"],
)
def test_a_chat_frame_has_ollamas_keys_in_ollamas_order(delta: Delta, keys: str, message: dict[str, Any]) -> None:
    frame = json.loads(chat().delta(delta))
    assert list(frame) == keys.split()
    assert list(frame["message"].items()) == [("role", "assistant"), *message.items()]
    assert frame["done"] is False


def test_the_last_chat_frame_has_the_reason_and_the_metrics() -> None:
    line = chat().final(COUNTERS)
    message = {"role": "assistant", "content": ""}
    expected = {"model": "m", "message": message, "done": True, "done_reason": "stop", **METRICS}
    assert list(read(line).items()) == list(expected.items())
    assert line.endswith(b"}\n")


def test_a_whole_chat_answer_has_its_metrics_after_the_logprobs() -> None:
    body = chat().whole(FULL, COUNTERS)
    message = {"role": "assistant", "content": "Hi", "thinking": "Hm", "tool_calls": [CALL]}
    expected = {"model": "m", "message": message, "done": True, "done_reason": "stop", "logprobs": [LOGPROB], **METRICS}
    assert list(read(body).items()) == list(expected.items())
    assert list(json.loads(body)["message"]) == list(message)
    assert not body.endswith(b"\n")


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        (Delta("Hel"), {"response": "Hel", "done": False}),
        (Delta(thinking="Hm"), {"response": "", "thinking": "Hm", "done": False}),
        (FULL, {"response": "Hi", "thinking": "Hm", "done": False, "tool_calls": [CALL], "logprobs": [LOGPROB]}),
    ],
    ids=["content", "thinking", "everything"],
)
def test_a_generate_frame_has_ollamas_keys_in_ollamas_order(delta: Delta, expected: dict[str, Any]) -> None:
    assert list(read(generate().delta(delta)).items()) == [("model", "m"), *expected.items()]


def test_the_last_generate_frame_has_the_context_of_all_that_was_streamed() -> None:
    asked: list[str] = []

    def context(answer: str) -> list[int]:
        asked.append(answer)
        return [7]

    frames = GenerateFrames("m", context)
    for text in ("Hel", "", "lo"):
        frames.delta(Delta(text))
    expected = {"model": "m", "response": "", "done": True, "done_reason": "stop", "context": [7], **METRICS}
    assert list(read(frames.final(COUNTERS)).items()) == list(expected.items())
    assert asked == ["Hello"]


def test_a_whole_generate_answer_has_its_metrics_before_the_logprobs() -> None:
    body = generate().whole(FULL, COUNTERS)
    expected = {
        "model": "m",
        "response": "Hi",
        "thinking": "Hm",
        "done": True,
        "done_reason": "stop",
        "context": [1, 2],
        **METRICS,
        "tool_calls": [CALL],
        "logprobs": [LOGPROB],
    }
    assert list(read(body).items()) == list(expected.items())


def test_an_answer_without_context_leaves_it_out() -> None:
    assert "context" not in read(GenerateFrames("m", None).whole(Delta("a"), COUNTERS))


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_an_idle_answer_has_a_reason_and_no_metrics(reason: str) -> None:
    head = {"done": True, "done_reason": reason}
    assert read(chat().idle(reason)) == {"model": "m", "message": {"role": "assistant", "content": ""}, **head}
    assert read(generate().idle(reason)) == {"model": "m", "response": "", **head}
    assert not generate().idle(reason).endswith(b"\n")


def test_an_error_is_an_object_with_a_text() -> None:
    assert error_body("no <é>") == b'{"error":"no <\\u00e9>"}'


# ── bytes


def is_one_ascii_line(frame: bytes) -> bool:
    return frame.isascii() and frame.count(b"\n") == 1 and len(frame.decode().splitlines()) == 1


@pytest.mark.parametrize("make", [chat, generate], ids=["chat", "generate"])
@given(model=texts, content=texts, thinking=texts)
def test_any_text_comes_back_from_a_frame_that_is_one_ascii_line(make: Any, model: str, content: str, thinking: str) -> None:
    frames: Frames = make(model)
    delta = Delta(content, thinking, [{"function": {"name": thinking}}], [{"token": content}])
    for line in (frames.delta(delta), frames.whole(delta, COUNTERS) + b"\n", frames.final(COUNTERS)):
        assert is_one_ascii_line(line)
        assert json.loads(line)["model"] == model
    frame = json.loads(frames.delta(delta))
    answer = frame.get("message", frame)
    assert (answer["content"] if "content" in answer else answer["response"]) == content
    assert answer.get("thinking", "") == thinking
    assert answer["tool_calls"] == [{"function": {"name": thinking}}]
    assert frame["logprobs"] == [{"token": content}]


@given(texts)
def test_any_error_is_one_ascii_line(text: str) -> None:
    assert is_one_ascii_line(error_body(text) + b"\n")
    assert json.loads(error_body(text)) == {"error": text}


def test_what_is_no_json_is_never_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_json({"logprob": float("-inf")})


# ── times


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (10_000_000_000, "1970-01-01T00:00:10Z"),
        (1_795_232_316_628_300_000, "2026-11-21T03:38:36.6283Z"),
    ],
)
def test_a_time_has_no_trailing_zeros(nanoseconds: int, text: str) -> None:
    assert timestamp(nanoseconds) == text


@given(st.integers(0, 9_000_000_000 * 10**9))
def test_any_time_can_be_read_back(nanoseconds: int) -> None:
    microseconds = nanoseconds // 1000
    read_back = datetime.fromisoformat(timestamp(microseconds * 1000))
    assert (read_back - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == microseconds
