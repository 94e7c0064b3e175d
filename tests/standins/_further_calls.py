"""What a back end that has more than chat completions answers by default: OpenAI's Responses, Anthropic's messages, audio."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

type FurtherOperation = Literal["responses", "messages", "messages/count_tokens", "audio/transcriptions"]

FURTHER: frozenset[str] = frozenset({"responses", "messages", "messages/count_tokens", "audio/transcriptions"})
CREATED = 1_700_000_000
COUNTED = 42
"""What `messages/count_tokens` says."""


def response(text: str, *, model: str = "gpt-test", status: str = "completed") -> dict[str, Any]:
    """A whole Response with one message."""
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": "msg_test", "type": "message", "role": "assistant", "status": status, "content": [part]}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "resp_test",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "model": model,
        "output": [item] if text else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8, **details},
    }


def response_events(pieces: Sequence[str], *, model: str = "gpt-test") -> list[dict[str, Any]]:
    """The events of the same, streamed."""
    begun = response("", model=model, status="in_progress")
    ended = response("".join(pieces), model=model)
    [item] = ended["output"]
    [part] = item["content"]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **place, "part": part | {"text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []} for piece in pieces),
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": ended},
    ]
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def message(text: str, *, model: str = "gpt-test") -> dict[str, Any]:
    """A whole message of Anthropic's."""
    return {
        "id": "msg_test",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": "end_turn" if text else None,
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 3},
    }


def message_events(pieces: Sequence[str], *, model: str = "gpt-test") -> list[dict[str, Any]]:
    """The events of the same, streamed."""
    return [
        {"type": "message_start", "message": message("", model=model)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in pieces),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]


def answer(operation: str, body: Mapping[str, Any], pieces: Sequence[str]) -> dict[str, Any] | list[dict[str, Any]]:
    """What is answered to a call: an object, or the events of a stream."""
    model = str(body.get("model"))
    match operation, body.get("stream") is True:
        case "responses", True:
            return response_events(pieces, model=model)
        case "responses", False:
            return response("".join(pieces), model=model)
        case "messages", True:
            return message_events(pieces, model=model)
        case "messages", False:
            return message("".join(pieces), model=model)
        case "messages/count_tokens", _:
            return {"input_tokens": COUNTED}
    return {"text": "".join(pieces)}
