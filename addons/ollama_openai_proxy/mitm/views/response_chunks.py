"""The frames of Ollama, Anthropic and Responses as chunks of a chat completion, for the one reader of answers.

`translate.reader.stream_reader` puts chunks together, whatever a server makes of them. So nothing is put together here: each
frame is rewritten by itself. A call of a custom tool, whose input is free text, becomes a call with one argument, `input`.
"""

from __future__ import annotations

import json
from typing import Any

from .formatting import compact, list_of

type Frame = dict[str, Any]

_CALLS = ("tool_use", "server_tool_use", "function_call", "custom_tool_call", "mcp_call")


def chat_chunk(frame: Frame) -> Frame:
    """The chunk that says what a frame says; empty for a frame that says nothing."""
    match frame:
        case {"error": error} if error:
            return frame
        case {"choices": _} | {"type": "error"}:
            return frame
        # Anthropic
        case {"type": "message_start", "message": dict(message)} | ({"type": "message"} as message):
            return _whole(message, message.get("content"), message.get("stop_reason"))
        case {"type": "content_block_start", "index": index, "content_block": dict(block)}:
            return _delta(tool_calls=[_call(block, index)]) if block.get("type") in _CALLS else _delta(content=[block])
        case {"type": "content_block_delta", "delta": {"text": text}}:
            return _delta(content=text)
        case {"type": "content_block_delta", "delta": {"thinking": text}}:
            return _delta(thinking=text)
        case {"type": "content_block_delta", "index": index, "delta": {"partial_json": piece}}:
            return _delta(tool_calls=[_arguments(index, piece)])
        case {"type": "message_delta", "delta": {"stop_reason": reason}}:
            return _chunk({"delta": {}, "finish_reason": reason}, frame.get("usage"))
        # Responses
        case {"type": "response.output_text.delta" | "response.refusal.delta", "delta": text}:
            return _delta(content=text)
        case {"type": "response.reasoning_text.delta" | "response.reasoning_summary_text.delta", "delta": text}:
            return _delta(thinking=text)
        case {"type": "response.output_item.added", "output_index": index, "item": {"type": "custom_tool_call"} as item}:
            return _delta(tool_calls=[_call({**item, "input": '{"input": "'}, index)])
        case {"type": "response.custom_tool_call_input.delta", "output_index": index, "delta": str(text)}:
            return _delta(tool_calls=[_arguments(index, json.dumps(text)[1:-1])])
        case {"type": "response.custom_tool_call_input.done", "output_index": index}:
            return _delta(tool_calls=[_arguments(index, '"}')])
        case {"type": "response.output_item.added", "output_index": index, "item": {"type": kind} as item} if kind in _CALLS:
            return _delta(tool_calls=[_call(item, index)])
        case {"type": "response.function_call_arguments.delta", "output_index": index, "delta": piece}:
            return _delta(tool_calls=[_arguments(index, piece)])
        case {"type": str(), "response": dict(response)} | ({"object": "response"} as response):
            return _response(response)
        case {"type": str()}:
            return {}
        # Ollama
        case {"message": dict(message)}:
            return _ollama(frame, message)
        case {"response": text}:
            return _ollama(frame, {"content": text, "thinking": frame.get("thinking")})
        case {"embeddings": _} | {"embedding": _}:
            return {"usage": frame}
        case {"status": str()} | {"data": list()}:
            return {"usage": frame.get("usage")}
    return frame


def _ollama(frame: Frame, message: Frame) -> Frame:
    reason = frame.get("done_reason") or ("done" if frame.get("done") is True else None)
    return {"model": frame.get("model")} | _chunk({"delta": message, "finish_reason": reason}, frame)


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


def _delta(**delta: Any) -> Frame:
    return _chunk({"delta": delta})


def _chunk(choice: Frame, usage: object = None) -> Frame:
    return {"choices": [choice], "usage": usage}


def _call(item: Frame, index: object, *, whole: bool = False) -> Frame:
    """The fragment of a call; Anthropic begins a streamed one with an empty object."""
    arguments = item.get("arguments") or item.get("input")
    if whole and item.get("type") == "custom_tool_call":
        arguments = {"input": arguments}
    elif whole and not arguments:
        arguments = {}
    text = arguments if isinstance(arguments, str) else compact(arguments) if arguments or whole else ""
    call_id = item.get("call_id") or item.get("id")
    return {"index": index, "id": call_id, "function": {"name": item.get("name"), "arguments": text}}


def _arguments(index: object, piece: object) -> Frame:
    return {"index": index, "function": {"arguments": piece}}
