"""The request of an Ollama, OpenAI or Anthropic call as a readable conversation.

What is known comes in the order of reading: system, messages or prompt, tools, settings. Whatever else is in the request
stands among the settings, so nothing of it is hidden. A body that is no JSON object is shown as it came.
"""

from __future__ import annotations

from typing import Any

from ...api.paths import OPENAI_RESPONSES, find_route, surface_of
from .attachments import described
from .conversation_text import call_line, content_lines, message_text
from .formatting import clipped, compact, indented, number, printable, read_json, section, short, table, text_of
from .tool_signatures import shape, tool_signature

__all__ = ["call_line", "conversation_of", "model_of", "read_body"]

MOST_RAW = 20_000
"""Characters of a body that cannot be understood."""
MOST_INPUTS = 50
"""Texts of an embeddings call that are shown one by one."""


def conversation_of(path: str, body: bytes, method: str = "POST") -> str:
    """The text of a request.

    Args:
        path: of the call, which tells what an omitted `stream` means.
        body: as received, without content coding.
        method: of the call.
    """
    path = path.partition("?")[0]
    heading = f"{method} {path}"
    request = read_body(body)
    if request is not None:
        try:
            return printable("\n\n".join(_blocks(path, heading, request)) + "\n")
        except RecursionError:  # parts within parts within parts …
            pass
    return printable(f"{heading}\n\n{_unreadable(body)}\n")


def read_body(body: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is, and None where it is none."""
    try:
        request = read_json(body.decode(errors="replace"))
    except ValueError:
        return None
    return request if isinstance(request, dict) else None


def model_of(request: dict[str, Any]) -> str:
    """The model that a request names."""
    return next((name for key in ("model", "name") if isinstance(name := request.get(key), str) and name), "")


def _blocks(path: str, heading: str, request: dict[str, Any]) -> list[str]:
    said = dict(request)
    model, streamed = model_of(request), said.pop("stream", None)
    for name in ("model", "name"):
        if said.get(name) == model:
            del said[name]
    if streamed is None and surface_of(path) == "ollama" and (route := find_route(path)) is not None and route.streams:
        streamed = True  # the default of Ollama
    blocks = [" · ".join([heading, *([model] if model else []), *_mode(streamed)])]
    blocks.extend(_spoken(path, said))
    if isinstance(tools := said.get("tools"), list):
        del said["tools"]
        if tools:
            blocks.append(section(f"tools ({len(tools)})", "\n".join(map(tool_signature, tools))))
    if rows := [(name, _setting(name, value)) for name, value in said.items() if value is not None]:
        blocks.append(section("settings", table(list(rows))))
    return blocks


def _spoken(path: str, said: dict[str, Any]) -> list[str]:
    """What is said in a request, block by block; it is taken out of `said`."""
    blocks = [
        f"{name}\n" + "\n".join(map(indented, content_lines(said.pop(name))))
        for name in ("system", "instructions")
        if said.get(name)
    ]
    for name in ("messages", "input"):
        if isinstance(said.get(name), list) and (name == "messages" or _holds_messages(said[name])):
            blocks.extend(map(message_text, said.pop(name)))
    if "input" in said:
        blocks.append(_inputs(said.pop("input"), "user" if path == OPENAI_RESPONSES else "input"))
    blocks.extend(_inputs(said.pop(name), name) for name in ("prompt", "suffix") if said.get(name))
    images = said.get("images")
    if isinstance(images, list) and images:
        del said["images"]
        blocks.append("images\n" + "\n".join(indented(described(image)) for image in images))
    return blocks


def _holds_messages(items: list[Any]) -> bool:
    return any(isinstance(item, dict) for item in items)


def _inputs(value: object, title: str) -> str:
    if isinstance(value, list) and not all(isinstance(item, int) for item in value):
        lines = [f"{place}: {_tokens(item) or text_of(item)}" for place, item in enumerate(value[:MOST_INPUTS])]
        if len(value) > MOST_INPUTS:
            lines.append(f"… {len(value) - MOST_INPUTS:,} more")
        return "\n".join([f"{title} ({len(value):,})", *map(indented, lines)])
    return f"{title}\n{indented(_tokens(value) or text_of(value))}"


def _tokens(value: object) -> str:
    return f"({len(value):,} tokens, as numbers)" if isinstance(value, list) else ""


def _setting(name: str, value: object) -> str:
    match name, value:
        case "context", list():
            return f"{len(value):,} tokens from the answer before"
        case "options", dict():
            return ", ".join(f"{key} {short(each)}" for key, each in value.items()) or "(none)"
        case "format", dict():
            return clipped(f"JSON: {shape(value)}")
        case "response_format", {"json_schema": {"schema": schema}}:
            return clipped(f"JSON: {shape(schema)}")
        case "text", {"format": {"schema": schema}}:
            return clipped(f"JSON: {shape(schema)}")
        case "keep_alive", _ if (seconds := number(value)) is not None:
            return f"{seconds:g} s" if seconds else "0 (unload)"
        case "files" | "adapters", dict():
            return clipped(", ".join(value)) or "(none)"
    return short(value)


def _mode(streamed: object) -> list[str]:
    if isinstance(streamed, bool):
        return ["streamed" if streamed else "not streamed"]
    return [] if streamed is None else [f"stream {compact(streamed)}"]


def _unreadable(body: bytes) -> str:
    if not body:
        return "(no body)"
    text = body.decode(errors="replace")
    return f"(no JSON object that can be shown, {len(body):,} bytes)\n{clipped(text, MOST_RAW)}"
