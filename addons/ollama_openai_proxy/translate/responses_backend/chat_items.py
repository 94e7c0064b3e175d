"""Makes the input items of Responses of the messages of a chat completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..opaque_state import split_id
from .reasoning_items import DETAILS, items_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

type Message = Mapping[str, Any]
type Item = dict[str, Any]

_SYSTEM = frozenset({"system", "developer"})


def instructions(messages: Sequence[Message]) -> str:
    """The text of the system messages with which a conversation begins."""
    texts = []
    for message in messages:
        if message.get("role") not in _SYSTEM:
            break
        texts.append(_text(message.get("content")))
    return "\n\n".join(filter(None, texts))


def input_items(messages: Sequence[Message]) -> list[Item]:
    """The items of a conversation, without the system messages with which it begins."""
    items: list[Item] = []
    leading = True
    for message in messages:
        leading = leading and message.get("role") in _SYSTEM
        if not leading:
            items += _items(message, items)
    return items


def restored_messages(messages: Sequence[Message]) -> list[Message]:
    """The messages of a client of chat completions, with the state that the ids of their tool calls carry put in its place."""
    restored = []
    for message in messages:
        calls = message.get("tool_calls")
        result_of = message.get("tool_call_id")
        if isinstance(calls, list):
            state: dict[str, Any] = {}
            plain = []
            for call in calls:
                call_id, found = split_id(str(call.get("id", "")))
                state = {**found, **state}
                plain.append({**call, "id": call_id})
            message = {**message, "tool_calls": plain} | ({DETAILS: state[DETAILS]} if DETAILS in state else {})
        elif isinstance(result_of, str):
            message = {**message, "tool_call_id": split_id(result_of)[0]}
        restored.append(message)
    return restored


def _items(message: Message, before: Sequence[Item]) -> Iterator[Item]:
    role, content = message.get("role"), message.get("content")
    match role:
        case "tool":
            yield {"type": "function_call_output", "call_id": message.get("tool_call_id", ""), "output": _output(content)}
        case "function":
            yield {"type": "function_call_output", "call_id": _last_call_id(before), "output": _output(content)}
        case "assistant":
            yield from items_of(message.get(DETAILS))
            if text := _text(content) or _text(message.get("refusal")):
                yield {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
            yield from _calls(message, len(before))
        case _:
            role = role if role in _SYSTEM else "user"
            yield {"type": "message", "role": role, "content": [_part(part) for part in _parts(content)]}


def _calls(message: Message, place: int) -> Iterator[Item]:
    calls = list(message.get("tool_calls") or ())
    if isinstance(function := message.get("function_call"), dict):
        calls.append({"id": f"call_{place}", "type": "function", "function": function})
    for call in calls:
        if isinstance(custom := call.get("custom"), dict):
            yield {"type": "custom_tool_call", "call_id": call.get("id", ""), **_picked(custom, "name", "input")}
        else:
            function = call.get("function") or {}
            yield {"type": "function_call", "call_id": call.get("id", ""), **_picked(function, "name", "arguments")}


def _picked(source: Mapping[str, Any], *names: str) -> dict[str, str]:
    return {name: str(source.get(name) or "") for name in names}


def _last_call_id(items: Sequence[Item]) -> str:
    return next((item["call_id"] for item in reversed(items) if item["type"] == "function_call"), "call_0")


def _parts(content: Any) -> list[Mapping[str, Any]]:
    if isinstance(content, list):
        return [part for part in content if isinstance(part, dict)]
    return [{"type": "text", "text": str(content or "")}]


def _part(part: Mapping[str, Any]) -> Item:
    """A part of a user's message."""
    match part:
        case {"type": "text", "text": text}:
            return {"type": "input_text", "text": text}
        case {"type": "image_url", "image_url": {"url": url, **more}}:
            return {"type": "input_image", "image_url": url, "detail": more.get("detail", "auto")}
        case {"type": "file", "file": dict(file)}:
            return {"type": "input_file", **file}
    return dict(part)


def _output(content: Any) -> str | list[Item]:
    """The result of a tool: text, or parts where there is more than text."""
    if isinstance(content, list) and any(part.get("type") != "text" for part in content if isinstance(part, dict)):
        return [_part(part) for part in _parts(content)]
    return _text(content)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text") or part.get("refusal") or "") for part in _parts(content or []))
