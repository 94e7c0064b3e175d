"""An answer as a reader wants it: whatever API it belongs to, and whatever has become of it."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.mitm.views.response_reader import read_answer
from ollama_openai_proxy.mitm.views.response_text import MOST_FRAMES, answer_text, events_text

from tests.standins import chat_completion, message, response
from tests.unit.mitm.views.samples import SAMPLES, recorded, sample

WEATHER = '→ weather(city: "Paris")'


def said(data: bytes) -> tuple[str, str, list[str]]:
    """Thinking, text and tool calls of the first choice."""
    texts = events_text(read_answer(data).choices.get(0, []))
    return texts["thinking"], texts["text"], texts["tool calls"].splitlines()


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def heading(data: bytes) -> str:
    return answer_text(data).partition("\n")[0]


# -- What is put together ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "thinking", "text", "calls"),
    [
        # Ollama
        ("chat.ndjson", "The user wants the weather.", "I look it up: ü✓", ['→ weather(city: "Paris", days: 3)']),
        ("generate.ndjson", "", "Hello", []),
        ("broken_off.ndjson", "", "Hel", []),
        # OpenAI
        ("chat.sse", "Let me think.", "Hello", [WEATHER, "→ time()"]),
        ("completions.sse", "", "Hello", []),
        ("responses.sse", "Hmm.", "Hello", [WEATHER]),
        # Anthropic
        ("messages.sse", "Hmm.", "Hello", [WEATHER]),
    ],
)
def test_a_stream_is_put_together(name: str, thinking: str, text: str, calls: list[str]) -> None:
    assert said(sample(name)) == (thinking, text, calls)


@pytest.mark.parametrize(
    ("whole", "text"),
    [
        ({"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": True}, "Hello"),
        ({"model": "m", "response": "Hello", "done": True}, "Hello"),
        (chat_completion("Hello"), "Hello"),
        (response("Hello"), "Hello"),
        (message("Hello"), "Hello"),
    ],
)
def test_a_whole_answer_reads_as_a_streamed_one(whole: dict[str, Any], text: str) -> None:
    assert said(encoded(whole))[1] == text
    assert f"\n{text}\n" in answer_text(encoded(whole))


def events(*frames: dict[str, Any]) -> bytes:
    return b"".join(b"event: " + frame["type"].encode() + b"\ndata: " + encoded(frame) + b"\n\n" for frame in frames)


def ollama_call(name: str, **arguments: Any) -> bytes:
    return encoded({"message": {"content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}}) + b"\n"


ENDED = encoded({"message": {"content": ""}, "done": True, "done_reason": "stop"})
ADDED, DELTA, DONE = (
    {"type": f"response.{kind}", "output_index": 0}
    for kind in ("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done")
)
PATCH: dict[str, Any] = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": ""}
BLOCK, PIECE = ({"type": f"content_block_{kind}", "index": 0} for kind in ("start", "delta"))


@pytest.mark.parametrize(
    ("data", "calls"),
    [
        pytest.param(ollama_call("now") * 2 + ENDED, ["→ now()"] * 2, id="Ollama, two calls that are alike"),
        pytest.param(ollama_call("now") + ollama_call("then", day=1), ["→ now()", "→ then(day: 1)"], id="Ollama, two calls"),
        pytest.param(
            events(ADDED | {"item": PATCH}, DELTA | {"delta": 'a "b"\n'}, DELTA | {"delta": "ü"}, DONE),
            ['→ patch(input: "a \\"b\\"\\nü")'],
            id="Responses, free text",
        ),
        pytest.param(
            events(ADDED | {"item": PATCH}, DELTA | {"delta": "a"}), ['→ patch({"input": "a)'], id="Responses, free text, cut"
        ),
        pytest.param(
            encoded({"object": "response", "output": [PATCH | {"input": "a"}]}), ['→ patch(input: "a")'], id="Responses, whole"
        ),
        pytest.param(
            encoded(
                {
                    "type": "message",
                    "content": [{"type": "tool_use", "id": "t", "name": "now", "input": {}}],
                    "stop_reason": "tool_use",
                }
            ),
            ["→ now()"],
            id="Anthropic, whole",
        ),
        pytest.param(
            events(
                BLOCK | {"content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
                PIECE | {"delta": {"type": "input_json_delta", "partial_json": '{"a": '}},
            ),
            ['→ f({"a": )'],
            id="Anthropic, cut",
        ),
    ],
)
def test_tool_calls_of_every_api_are_shown_as_far_as_they_came(data: bytes, calls: list[str]) -> None:
    assert said(data)[2] == calls


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"model": "m", "response": "", "done": True, "done_reason": "load"}, "load"),
        ({"object": "response", "model": "m", "status": "completed", "output": []}, "completed"),
        (
            {"object": "response", "model": "m", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "max_output_tokens",
        ),
        ({"type": "message", "model": "m", "content": [], "stop_reason": "end_turn"}, "end_turn"),
    ],
)
def test_the_first_line_says_why_an_answer_ended_in_the_words_of_its_api(frame: dict[str, Any], reason: str) -> None:
    assert heading(encoded(frame)) == f"m · {reason}"


def test_the_blocks_come_in_the_order_of_reading() -> None:
    text = answer_text(sample("chat.ndjson"))
    places = [text.index(f"── {title}") for title in ("thinking", "text", "tool calls", "counters", "frames (6)")]
    assert places == sorted(places)
    assert text.startswith("llama3.2 · stop · 298 tokens · 63.4 tokens/s\n")


def test_counters_of_ollama_have_speeds_and_the_time_to_the_first_token() -> None:
    lines = [line.split() for line in answer_text(sample("chat.ndjson")).splitlines()]
    assert ["prompt", "tokens", "26", "130", "ms", "200.0", "tokens/s"] in lines
    assert ["answer", "tokens", "298", "4.7", "s", "63.4", "tokens/s"] in lines
    assert ["time", "to", "first", "token", "142", "ms"] in lines
    assert ["in", "all", "5.0", "s"] in lines


def test_counters_of_openai_have_details_and_what_llama_cpp_measured() -> None:
    lines = [line.split() for line in answer_text(sample("chat.sse")).splitlines()]
    assert ["of", "them", "cached", "8"] in lines
    assert ["of", "them", "reasoning", "5"] in lines
    assert ["answer", "tokens", "34", "1.7", "s", "20.0", "tokens/s"] in lines


def test_what_the_proxy_measured_is_shown_besides() -> None:
    text = answer_text(sample("chat.sse"), {"first_part": 0.156, "duration": 2.5})
    assert "first part sent after" in text
    assert "156 ms" in text
    assert "2.5 s" in text


def test_several_choices_stand_apart() -> None:
    choices = [{"index": index, "message": {"content": text}} for index, text in enumerate(("yes", "no"))]
    text = answer_text(encoded({"choices": choices}))
    assert "── text 1 ──" in text
    assert "── text 2 ──" in text


def test_an_error_in_the_middle_of_a_stream_is_shown_first() -> None:
    text = answer_text(sample("broken_off.ndjson"))
    assert text.startswith("llama3.2 · error\n")
    assert "the back end broke off" in text.partition("── text")[0]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ({"error": 'model "x" not found'}, 'model "x" not found'),
        ({"error": {"message": "no", "type": "invalid_request_error", "code": "x"}}, "no (invalid_request_error, x)"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, "busy (overloaded_error)"),
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "no"}}}, "no (server_error)"),
        ({"object": "error", "type": "BadRequestError", "code": 400, "message": "no"}, "no (BadRequestError, 400)"),
        ({"object": "response", "status": "failed", "error": {"code": "x", "message": "no"}}, "no (x)"),
    ],
)
def test_every_form_of_an_error_is_known(error: dict[str, Any], shown: str) -> None:
    assert f"\n{shown}\n" in answer_text(encoded(error))
    assert f"\n{shown}\n" in answer_text(b"data: " + encoded(error) + b"\n\n")


def test_a_pull_shows_how_far_each_step_came() -> None:
    text = " ".join(answer_text(sample("pull.ndjson")).split())
    assert text.count("pulling 6a0746a1ec1a 4.0 GB of 4.0 GB") == 1
    assert "unfinished" in answer_text(sample("pull.ndjson").split(b"\n")[0] + b"\n")


@pytest.mark.parametrize(
    "embeddings",
    [
        {"embeddings": [[3.0, 4.0]] * 30},
        {"object": "list", "data": [{"index": index, "embedding": [3, 4]} for index in range(30)]},
    ],
)
def test_embeddings_are_shown_by_their_size_and_length(embeddings: dict[str, Any]) -> None:
    text = answer_text(encoded(embeddings))
    assert "── embeddings (30) ──" in text
    assert "0: 2 numbers: [3" in text
    assert "… 10 more" in text


def test_anything_else_is_shown_as_json() -> None:
    assert '"version": "1.2.3"' in answer_text(encoded({"version": "1.2.3"}))
    assert '"models": []' in answer_text(encoded({"models": []}))


def test_recorded_answers_of_ollama_are_all_shown() -> None:
    for request, body in recorded():
        text = answer_text(body)
        if body.startswith(b'{"error"'):
            assert "── error ──" in text, request
        if request["path"] in ("/api/chat", "/api/generate") and b'"eval_count"' in body:
            assert "answer tokens" in text, request


# -- What has been broken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_a_stream_may_end_at_any_byte(name: str) -> None:
    data = sample(name)
    whole = said(data)[1]
    for length in range(len(data)):
        text = answer_text(data[:length])
        assert whole.startswith(said(data[:length])[1])
        text.encode()


def test_half_a_frame_is_told_of_and_shown() -> None:
    text = answer_text(sample("chat.ndjson")[:-30])
    assert "unfinished · a part is not readable" in text.partition("\n")[0]
    assert "I look it up" in text
    assert '"eval_count"' in text


def test_a_stream_without_its_end_is_unfinished() -> None:
    assert "unfinished" in heading(b"".join(sample("generate.ndjson").splitlines(keepends=True)[:2]))


def test_frames_that_are_no_json_are_told_of_and_the_others_read() -> None:
    data = sample("generate.ndjson").replace(b"\n", b"\n\xff\x00garbage\n", 1)
    assert said(data)[1] == "Hello"
    assert heading(data).endswith("a part is not readable")
    assert "not readable" not in heading(sample("generate.ndjson"))


@given(st.binary(max_size=2_000))
def test_any_bytes_can_be_shown(data: bytes) -> None:
    answer_text(data).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
NAMES = """
    message content thinking tool_calls function name arguments response done error status choices delta index text usage
    prompt_tokens prompt_tokens_details timings prompt_ms embeddings data embedding output object type item content_block
    total total_duration eval_count model incomplete_details reason output_index refusal created_at done_reason
"""
EVENTS = """
    response response.output_text.delta response.output_item.added response.completed message error message_start
    message_delta content_block_start content_block_delta tool_use function_call text
"""
KNOWN = st.sampled_from(NAMES.split())
TYPES = st.sampled_from(EVENTS.split())
FRAMES = st.recursive(
    JSON | TYPES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN, inner, max_size=5),
    max_leaves=15,
)


@given(st.lists(FRAMES, max_size=4), st.booleans())
def test_frames_with_known_names_may_hold_anything(frames: list[Any], events: bool) -> None:
    lines = [json.dumps(frame).encode() for frame in frames]
    data = b"".join(b"data: " + line + b"\n\n" for line in lines) if events else b"\n".join(lines)
    answer_text(data).encode()


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b'{"error":' + b"[" * 900 + b"]" * 900 + b"}"])
def test_deep_nesting_is_no_trouble(text: bytes) -> None:
    answer_text(text)
    answer_text(b"data: " + text + b"\n\n")


@pytest.mark.parametrize("depth", [100, 600, 900])
def test_parts_within_parts_are_no_trouble(depth: int) -> None:
    part = b'[{"text":' * depth + b'"x"' + b"}]" * depth
    assert "frames" in answer_text(b'{"message":{"content":' + part + b"}}\n" * 2)


def test_half_a_character_is_replaced() -> None:
    assert "\ufffd!" in answer_text(b'{"message":{"content":"\\ud83d!"}}')


# -- What is large -----------------------------------------------------------------------------------------------------


def test_many_frames_are_cut_short_but_the_last_one_is_there() -> None:
    frame = sample("generate.ndjson").splitlines(keepends=True)
    text = answer_text(frame[0] * 1000 + frame[-1])
    assert f"… {1001 - MOST_FRAMES - 1} more frames" in text
    assert text.rstrip().endswith(frame[-1].decode().rstrip())
    assert said(frame[0] * 1000)[1] == "Hel" * 1000


def test_a_long_frame_is_cut_short() -> None:
    assert len(answer_text(b'{"models":"' + b"x" * 1_000_000 + b'"}')) < 50_000


CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "x"}}],
}
CALL = {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "xyz"}}]}}]}
REPEATED = {
    "frames": sample("generate.ndjson").splitlines(keepends=True)[0],
    "chunks": b"data: " + encoded(CHUNK) + b"\n\n",
    "pieces of a call": b"data: " + encoded(CALL) + b"\n\n",
    "noise": random.Random(1).randbytes(1000),
    "braces": b"{\n",
    "line ends": b"\r\n",
    "empty events": b"data:\n\n",
    "one line": b"x",
    "brackets": b"[",
}


@pytest.mark.parametrize("piece", REPEATED.values(), ids=REPEATED)
def test_megabytes_take_time_in_proportion(piece: bytes) -> None:
    def seconds(size: int) -> float:
        data = piece * (size // len(piece))
        started = time.process_time()
        answer_text(data)
        return time.process_time() - started

    small = max(min(seconds(200_000) for _ in range(2)), 0.01)
    assert seconds(2_000_000) < 25 * small
