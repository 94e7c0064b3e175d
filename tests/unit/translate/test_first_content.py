"""A stream that passes has begun with its first piece of content, in whichever API, and not before."""

import json
from typing import Any

import pytest
from ollama_openai_proxy.translate.first_content import FirstContent


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: Any = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason} | more]}


def watched(*parts: bytes) -> FirstContent:
    watch = FirstContent()
    for part in parts:
        watch.feed(part)
    return watch


@pytest.mark.parametrize(
    "part",
    [
        b": ping\n\n",
        b"",
        event(chunk({"role": "assistant", "content": ""})),
        event(chunk({"content": None, "tool_calls": None})),
        event(chunk(None)),
        event({"choices": []}),
        event({"choices": [], "prompt_filter_results": []}),
        event({"usage": {"prompt_tokens": 1}}),
        event({"type": "ping"}),
        event({"type": "message_start", "message": {}}),
        event({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
        event({"type": "response.created", "response": {"error": None}}),
        event({"type": "response.in_progress", "response": {}}),
        event({"type": "response.output_item.added", "item": {}}),
        event({"type": "keepalive"}),
    ],
)
def test_what_keeps_a_client_waiting_is_no_content(part: bytes) -> None:
    watch = watched(part, part)
    assert not watch.decided
    watch.finish()
    assert watch.failure is not None
    assert (watch.failure.status, watch.begun) == (502, False)


@pytest.mark.parametrize(
    "part",
    [
        event(chunk({"content": "Hi"})),
        event(chunk({"reasoning_content": "Hm"})),
        event(chunk({"tool_calls": [{"index": 0}]})),
        event(chunk({}, "stop")),
        event({"choices": [{"text": "Hi"}]}),
        event({"type": "content_block_delta", "delta": {"text": "Hi"}}),
        event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        event({"type": "response.output_text.delta", "delta": "Hi"}),
        event({"type": "response.completed", "response": {}}),
    ],
)
def test_content_begins_a_stream(part: bytes) -> None:
    watch = watched(part, event({"error": {"message": "too late"}}))
    assert watch.begun
    assert watch.failure is None
    watch.finish()
    assert watch.failure is None


@pytest.mark.parametrize(
    ("part", "status", "text"),
    [
        (event({"error": {"message": "slow down", "code": 429}}), 429, "slow down"),
        (b'event: error\ndata: {"message": "at capacity"}\n\n', 503, "at capacity"),
        (event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}), 503, "Overloaded"),
        (event({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "boom"}}}), 500, "boom"),
        (event(chunk({}, "error")), 502, "failed while it answered (error)"),
        (event({"choices": [{"error": {"message": "boom", "code": 502}}]}), 502, "boom"),
        (b"data: [DONE]\n\n", 502, "before the first piece"),
        (b'data: {"choices": [\n\n', 502, "before the first piece"),
    ],
)
def test_a_failure_is_told(part: bytes, status: int, text: str) -> None:
    watch = watched(part + event(chunk({"content": "late"})))
    assert watch.failure is not None
    assert watch.failure.status == status
    assert text in watch.failure.message


def test_words_in_place_of_events_are_told() -> None:
    watch = watched(b"the gateway is unhappy\n")
    watch.finish()
    assert watch.failure is not None
    assert watch.failure.message.endswith(": the gateway is unhappy")
