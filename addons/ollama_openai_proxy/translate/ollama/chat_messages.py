"""Ollama's messages as OpenAI's: roles, images, and tool results paired with the calls they answer."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...schemas.ollama.requests import Message, ToolCall

type OpenAIMessage = dict[str, Any]

_ROLES = frozenset({"system", "developer", "user", "assistant"})
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


def openai_messages(messages: Sequence[Message], *, reasoning_back: bool = False) -> list[OpenAIMessage]:
    """The same conversation for a back end; `reasoning_back` is for one that wants the reasoning behind its tool calls.

    OpenAI wants each tool call answered, by id, right after the message that made it. Ollama's clients often send results
    without ids or names, leave some out, or put other messages in between; see `_turn`.
    """
    result: list[OpenAIMessage] = []
    position = 0
    calls_made = 0
    while position < len(messages):
        message = messages[position]
        position += 1
        if message.role == "assistant" and message.tool_calls:
            end = position
            while end < len(messages) and messages[end].role != "assistant":
                end += 1
            asked, *answered = _turn(message, messages[position:end], calls_made)
            if reasoning_back and message.thinking:
                asked["reasoning_content"] = message.thinking
            result += [asked, *answered]
            calls_made += len(message.tool_calls)
            position = end
        else:
            result += _plain(message)
    return result


def shorten_call_ids(messages: list[OpenAIMessage]) -> None:
    """Replace the ids of tool calls by nine letters and digits each; the same id always by the same."""
    for message in messages:
        for call in message.get("tool_calls") or ():
            call["id"] = _short(call["id"])
        if "tool_call_id" in message:
            message["tool_call_id"] = _short(message["tool_call_id"])


def image_url(image: str) -> str:
    """The data URL of a base64 image; its type is read from its first bytes."""
    head = base64.b64decode(image[:24])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        mime = "image/webp"
    else:
        mime = next((mime for signature, mime in _SIGNATURES if head.startswith(signature)), "image/jpeg")
    return f"data:{mime};base64,{image}"


def _short(call_id: str) -> str:
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]


def _plain(message: Message) -> Iterator[OpenAIMessage]:
    # An unknown role is a user's, and so is the result of a call that nobody made: it is information all the same.
    role = message.role if message.role in _ROLES else "user"
    if role == "user" and message.images:
        yield {"role": "user", "content": _parts(message.content, message.images)}
        return
    yield {"role": role, "content": message.content}
    if message.images:
        yield {"role": "user", "content": _parts("", message.images)}


def _parts(text: str, images: Sequence[str]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    return parts + [{"type": "image_url", "image_url": {"url": image_url(image)}} for image in images]


def _turn(asking: Message, following: Sequence[Message], calls_before: int) -> Iterator[OpenAIMessage]:
    """A message with tool calls, one result for each of them, then whatever else came before the next answer.

    A result belongs to the call whose id it names, else to the first open one of its name, else to the first open one. An id
    that is missing is made from the call's place in the conversation: the same history always gives the same ids, so that a
    back end's prompt cache keeps working.
    """
    calls = _with_ids(asking.tool_calls, calls_before)
    yield {
        "role": "assistant",
        "content": asking.content or None,
        "tool_calls": [_call(call_id, call) for call_id, call in calls.items()],
    }
    results = _answers(calls, [message for message in following if message.role == "tool"])
    pictures = list(asking.images)
    for call_id in calls:
        result = results.get(call_id)
        yield {"role": "tool", "tool_call_id": call_id, "content": result.content if result else ""}
        pictures += result.images if result else []
    if pictures:
        yield {"role": "user", "content": _parts("", pictures)}
    used = {id(result) for result in results.values()}
    for message in following:
        if id(message) not in used:
            yield from _plain(message)


def _with_ids(calls: Sequence[ToolCall], calls_before: int) -> dict[str, ToolCall]:
    """The calls by id; two calls of a message never share one."""
    result: dict[str, ToolCall] = {}
    for number, call in enumerate(calls, calls_before):
        call_id = call.id or f"call_{number:08d}"
        while call_id in result:
            call_id += "_"
        result[call_id] = call
    return result


def _answers(calls: Mapping[str, ToolCall], results: Sequence[Message]) -> dict[str, Message]:
    """The result of each call that has one."""
    answers: dict[str, Message] = {}
    for belongs in (_names_id, _names_tool, _comes_next):
        left: list[Message] = []
        for result in results:
            open_calls = ((call_id, call) for call_id, call in calls.items() if call_id not in answers)
            call_id = next((call_id for call_id, call in open_calls if belongs(result, call_id, call)), None)
            if call_id is None:
                left.append(result)
            else:
                answers[call_id] = result
        results = left
    return answers


def _names_id(result: Message, call_id: str, _call: ToolCall) -> bool:
    return result.tool_call_id == call_id


def _names_tool(result: Message, _call_id: str, call: ToolCall) -> bool:
    return result.tool_name == call.function.name


def _comes_next(_result: Message, _call_id: str, _call: ToolCall) -> bool:
    return True


def _call(call_id: str, call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(call.function.arguments, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": call.function.name, "arguments": arguments}}
