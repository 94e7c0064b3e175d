"""The frames of Ollama, Anthropic and Responses as chunks of a chat completion, for the one reader of answers.

`translate.reader.stream_reader` puts chunks together, whatever a server makes of them. So nothing is put together here: each
frame is rewritten by itself. A call of a custom tool, whose input is free text, becomes a call with one argument, `input`.
"""

from __future__ import annotations

import json
from typing import Any

from .formatting import list_of

type Frame = dict[str, Any]

_CALLS = ("tool_use", "server_tool_use", "function_call", "custom_tool_call", "mcp_call")
_SILENT = ("ping", "message_", "content_block_", "response.")


def chat_chunk(frame: Frame, number: int) -> Frame:
    """The chunk that says what a frame says; empty for a frame that says nothing.

    Args:
        frame: of any of the APIs; one of a chat completion is given back.
        number: of the frame in its answer, which tells calls of one frame of Ollama from those of the next.
    """
    match frame:
        case {"error": error} if error:
            return frame
        case {"choices": _} | {"type": "error"}:
            return frame
        # Anthropic, Responses
        case {"type": "message_start", "message": dict(message)} | ({"type": "message"} as message):
            return _whole(message, message.get("content"), message.get("stop_reason"))
        case {"type": "message_delta", "delta": {"stop_reason": reason}}:
            return _chunk({"delta": {}, "finish_reason": reason}, frame.get("usage"))
        case {"type": str(), "response": dict(response)} | ({"object": "response"} as response):
            return _response(response)
        case {"type": "content_block_start", "index": index, "content_block": dict(item)}:
            return _begun(item, index)
        case {"type": "content_block_delta", "index": index, "delta": {"partial_json": piece}}:
            return _arguments(index, piece)
        case {"type": "content_block_delta", "delta": dict(delta)}:
            return _delta(content=delta.get("text"), thinking=delta.get("thinking"))
        case {"type": "response.output_item.added", "output_index": index, "item": dict(item)}:
            return _begun(item, index)
        case {"type": "response.output_text.delta" | "response.refusal.delta", "delta": text}:
            return _delta(content=text)
        case {"type": "response.reasoning_text.delta" | "response.reasoning_summary_text.delta", "delta": text}:
            return _delta(thinking=text)
        case {"type": "response.function_call_arguments.delta", "output_index": index, "delta": piece}:
            return _arguments(index, piece)
        case {"type": "response.custom_tool_call_input.delta", "output_index": index, "delta": str(text)}:
            return _arguments(index, json.dumps(text)[1:-1])
        case {"type": "response.custom_tool_call_input.done", "output_index": index}:
            return _arguments(index, '"}')
        case {"type": str(kind)} if kind.startswith(_SILENT):
            return {}
        # Ollama
        case {"message": dict(message)}:
            return _ollama(frame, message, number)
        case {"response": text}:
            return _ollama(frame, {"content": text, "thinking": frame.get("thinking")}, number)
        case {"embeddings": _} | {"embedding": _}:
            return {"usage": frame}
        case {"status": str()} | {"data": list()}:
            return {"usage": frame.get("usage")}
    return frame


def _ollama(frame: Frame, message: Frame, number: int) -> Frame:
    done = frame.get("done") is True
    calls = [call for call in list_of(message.get("tool_calls")) if isinstance(call, dict)]
    if calls:
        message = {**message, "tool_calls": [{**call, "index": (number << 20) + place} for place, call in enumerate(calls)]}
    choice = {"delta": message, "finish_reason": frame.get("done_reason") or ("done" if done else None)}
    return {"model": frame.get("model")} | _chunk(choice, frame if done else None)


def _response(response: Frame) -> Frame:
    """The chunk of the object that events of Responses carry; the reader skips its content where that came in deltas."""
    if response.get("error"):
        return response
    parts: list[Any] = []
    for item in list_of(response.get("output")):
        parts += list_of(item.get("content")) if isinstance(item, dict) and item.get("type") == "message" else [item]
    status = response.get("status")
    match response:
        case {"incomplete_details": {"reason": str(reason)}}:
            status = reason
    return _whole(response, parts, None if status in ("in_progress", "queued") else status)


def _whole(message: Frame, parts: object, reason: object) -> Frame:
    """The chunk of a message whose calls stand among the parts of its content."""
    blocks = [part for part in list_of(parts) if isinstance(part, dict)]
    calls = [part for part in blocks if part.get("type") in _CALLS]
    said = {
        "content": [part for part in blocks if part.get("type") not in _CALLS],
        "tool_calls": [_call(call, place, whole=True) for place, call in enumerate(calls)],
    }
    return {"model": message.get("model")} | _chunk({"message": said, "finish_reason": reason}, message.get("usage"))


def _call(item: Frame, index: object, *, whole: bool = False) -> Frame:
    """The fragment of a call that is whole, or that begins: Anthropic begins one with an empty object."""
    arguments = item.get("arguments") or item.get("input")
    if item.get("type") == "custom_tool_call":
        arguments = {"input": arguments} if whole else '{"input": "'
    function = {"name": item.get("name"), "arguments": arguments or ({} if whole else "")}
    return {"index": index, "id": item.get("call_id") or item.get("id"), "function": function}


def _begun(item: Frame, index: object) -> Frame:
    return _delta(tool_calls=[_call(item, index)]) if item.get("type") in _CALLS else _delta(content=[item])


def _arguments(index: object, piece: object) -> Frame:
    return _delta(tool_calls=[{"index": index, "function": {"arguments": piece}}])


def _delta(**delta: Any) -> Frame:
    return _chunk({"delta": delta})


def _chunk(choice: Frame, usage: object = None) -> Frame:
    return {"choices": [choice], "usage": usage}
