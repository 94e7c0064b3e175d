"""One message of a conversation, in the shape of any of the APIs, as a reader wants it: role, text, calls, results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .attachments import described
from .formatting import compact, indented, read_json, short, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_THINKING = ("thinking", "reasoning_content", "reasoning")
_SHOWN = frozenset(
    (
        *_THINKING,
        *("role", "content", "refusal", "images", "tool_calls", "function_call"),
        *("tool_name", "tool_call_id", "name", "type", "id", "status"),
    )
)


def call_line(name: object, arguments: object, call_id: object = None) -> str:
    """A tool call: `→ weather(city: "Paris", days: 3)  [call_1]`. Arguments may be an object or JSON text."""
    if isinstance(arguments, str):
        try:
            read = read_json(arguments) if arguments.strip() else {}
        except ValueError:
            read = arguments
        arguments = read if isinstance(read, dict) else arguments
    if isinstance(arguments, dict):
        inner = ", ".join(f"{key}: {compact(value)}" for key, value in arguments.items())
    else:
        inner = "" if arguments is None else text_of(arguments)
    tail = f"  [{call_id}]" if isinstance(call_id, str) and call_id else ""
    return f"→ {text_of(name) or '?'}({inner}){tail}"


def message_text(message: object) -> str:
    """A message: its role in a line, and what it says below, moved to the right."""
    if not isinstance(message, dict):
        return f"?\n{indented(short(message))}"
    kind = message.get("type")
    if "role" not in message and isinstance(kind, str) and kind != "message":
        return _item(kind, message)
    lines = []
    for name in _THINKING:
        if isinstance(message.get(name), str) and message[name]:
            lines.append(f"(thinking)\n{indented(message[name])}")
            break
    lines.extend(content_lines(message.get("content")))
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        lines.append(f"(refusal) {message['refusal']}")
    lines.extend(described(image) for image in _list(message.get("images")))
    lines.extend(_call(call) for call in _list(message.get("tool_calls")))
    if isinstance(message.get("function_call"), dict):
        lines.append(_call(message["function_call"]))
    further = {name: value for name, value in message.items() if name not in _SHOWN and value is not None}
    if further:
        lines.append(f"({short(further)})")
    return _below(_heading(message), lines or ["(nothing)"])


def content_lines(content: object) -> list[str]:
    """A message's content, which is a text or a list of parts, part by part."""
    if isinstance(content, list):
        return [line for part in content if (line := part_text(part))]
    if isinstance(content, dict):
        return [part_text(content)]
    text = text_of(content)
    return [text] if text else []


def part_text(part: object) -> str:
    """One part of a message's content."""
    if not isinstance(part, dict):
        return text_of(part)
    match part:
        case {"type": "text" | "input_text" | "output_text" | "summary_text" | "reasoning_text", "text": text}:
            return text_of(text)
        case {"type": "thinking", "thinking": text}:
            return f"(thinking)\n{indented(text_of(text))}"
        case {"type": "refusal", "refusal": text}:
            return f"(refusal) {text_of(text)}"
        case {"type": "image_url" | "input_image", "image_url": image}:
            return described(image.get("url") if isinstance(image, dict) else image)
        case {"type": "image" | "document" as kind, "source": {"data": data}}:
            return described(data, kind)
        case {"type": "image" | "document" as kind, "source": {"url": url}}:
            return described(url, kind)
        case {"type": "input_audio", "input_audio": {"data": data, **rest}}:
            return described(data, f"{text_of(rest.get('format'))} sound".strip())
        case {"type": "file", "file": {"file_data": data}} | {"type": "input_file", "file_data": data}:
            return described(data, "file")
        case {"type": "tool_use" | "server_tool_use", "name": name}:
            return call_line(name, part.get("input"), part.get("id"))
        case {"type": "tool_result"}:
            failed = "error of" if part.get("is_error") else "result of"
            return _below(f"({failed} {text_of(part.get('tool_use_id')) or 'a tool'})", content_lines(part.get("content")))
    return short(part)


def _item(kind: str, item: Mapping[str, Any]) -> str:
    """What stands beside messages in the input of the Responses API, or a part in a message's place."""
    match kind:
        case "function_call":
            return _below("assistant", [call_line(item.get("name"), item.get("arguments"), item.get("call_id"))])
        case "function_call_output":
            return _below(f"tool  [{text_of(item.get('call_id'))}]", content_lines(item.get("output")))
        case "reasoning":
            texts = [*content_lines(item.get("summary")), *content_lines(item.get("content"))]
            return _below("assistant", [f"(thinking)\n{indented(text)}" for text in texts])
    return _below(kind, [part_text(dict(item))])


def _heading(message: Mapping[str, Any]) -> str:
    role = text_of(message.get("role")) or "?"
    named = [text_of(message[key]) for key in ("tool_name", "name") if message.get(key)]
    if message.get("tool_call_id"):
        named.append(f"[{text_of(message['tool_call_id'])}]")
    return "  ".join([role, *named])


def _call(call: object) -> str:
    if not isinstance(call, dict):
        return short(call)
    nested = call.get("function", call.get("custom"))
    function = nested if isinstance(nested, dict) else call
    return call_line(function.get("name"), function.get("arguments", function.get("input")), call.get("id"))


def _below(heading: str, lines: list[str]) -> str:
    return "\n".join([heading, *map(indented, lines)])


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
