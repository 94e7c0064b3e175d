"""One message of a conversation, in the shape of any of the APIs, as a reader wants it: role, text, calls, results.

The translation of requests leaves out, joins and refuses; a reader wants to see what was sent, so requests are not translated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .attachments import described
from .formatting import compact, indented, list_of, read_json, short, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_THINKING = ("thinking", "reasoning_content", "reasoning")
_SHOWN = frozenset(
    (
        *_THINKING,
        *("role", "content", "refusal", "images", "tool_calls", "function_call", "tool_name", "tool_call_id", "name"),
        *("type", "id", "status"),
    )
)
_MEDIA = ("image_url", "input_image", "image", "computer_screenshot", "document", "input_audio", "file", "input_file")


def call_line(name: object, arguments: object, call_id: object = None) -> str:
    """A tool call: `→ weather(city: "Paris", days: 3)  [call_1]`. Arguments may be an object or JSON text."""
    read = read_json(arguments) if isinstance(arguments, str) else arguments
    if isinstance(read, dict):
        inner = ", ".join(f"{key}: {compact(value)}" for key, value in read.items())
    else:
        inner = text_of(arguments)
    tail = f"  [{call_id}]" if isinstance(call_id, str) and call_id else ""
    return f"→ {text_of(name) or '?'}({inner}){tail}"


def message_text(message: object) -> str:
    """A message: its role in a line, and what it says below, moved to the right."""
    if not isinstance(message, dict):
        return _below("?", [short(message)])
    kind = message.get("type")
    if "role" not in message and isinstance(kind, str) and kind != "message":
        # An item beside messages in the input of Responses.
        if kind.endswith("_call_output") and "output" in message:
            return _below(f"tool  [{text_of(message.get('call_id'))}]", content_lines(message["output"]))
        return _below("assistant" if kind == "reasoning" or kind.endswith("_call") else kind, content_lines(message))
    thinking = next((text for name in _THINKING if isinstance(text := message.get(name), str) and text), "")
    lines = [_below("(thinking)", [thinking])] if thinking else []
    lines += content_lines(message.get("content"))
    if message.get("refusal"):
        lines.append(f"(refusal) {text_of(message['refusal'])}")
    lines += map(described, list_of(message.get("images")))
    function_call = message.get("function_call")
    lines += map(_call, [*list_of(message.get("tool_calls")), *([function_call] if function_call else [])])
    if further := {name: value for name, value in message.items() if name not in _SHOWN and value is not None}:
        lines.append(f"({short(further)})")
    named = [text_of(message[key]) for key in ("tool_name", "name") if message.get(key)]
    named += [f"[{text_of(message['tool_call_id'])}]"] if message.get("tool_call_id") else []
    return _below("  ".join([text_of(message.get("role")) or "?", *named]), lines or ["(nothing)"])


def content_lines(content: object) -> list[str]:
    """What is said in a message's content, which is a text, a part, or a list of parts."""
    if isinstance(content, list):
        return [line for part in content for line in content_lines(part)]
    text = _part(content) if isinstance(content, dict) else text_of(content)
    return [text] if text else []


def _part(part: Mapping[str, Any]) -> str:
    match part:
        case {"type": str(kind), "text": text} if kind.endswith("text"):
            return text_of(text)
        case {"type": "thinking", "thinking": text}:
            return _below("(thinking)", content_lines(text))
        case {"type": "reasoning"}:
            texts = [*content_lines(part.get("summary")), *content_lines(part.get("content"))]
            return "\n".join(_below("(thinking)", [text]) for text in texts)
        case {"type": "refusal", "refusal": text}:
            return f"(refusal) {text_of(text)}"
        case {"type": str(kind), "name": _} if kind.endswith(("_call", "tool_use")):
            return _call(part)
        case {"type": "tool_result"}:
            failed = "error of" if part.get("is_error") else "result of"
            return _below(f"({failed} {text_of(part.get('tool_use_id')) or 'a tool'})", content_lines(part.get("content")))
        case {"type": str(kind)} if kind in _MEDIA:
            place = part.get("source", part.get(kind, part.get("image_url", part)))
            inner = place if isinstance(place, dict) else {"url": place}
            kind = kind.removeprefix("input_").removesuffix("_url").replace("audio", f"{text_of(inner.get('format'))} sound")
            for name in ("data", "url", "file_data"):
                if name in inner:
                    return described(inner[name], kind.strip())
    return short(part)


def _call(call: object) -> str:
    if not isinstance(call, dict):
        return short(call)
    nested = call.get("function", call.get("custom"))
    function = nested if isinstance(nested, dict) else call
    call_id = call.get("call_id") or call.get("id")
    return call_line(function.get("name"), function.get("arguments", function.get("input")), call_id)


def _below(heading: str, lines: list[str]) -> str:
    return "\n".join([heading, *map(indented, lines)])
