"""The request of an Ollama, OpenAI or Anthropic call as a readable conversation.

What is known comes in the order of reading: system, messages or prompt, tools, settings. Whatever else is in the request
stands among the settings, so nothing of it is hidden. A body that is no JSON object is shown as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...api.path_table import OPENAI_RESPONSES, find_route, surface_of
from .attachments import described
from .conversation_text import content_lines, message_text
from .formatting import clipped, compact, indented, list_of, number, printable, read_json, section, short, table, text_of
from .tool_signatures import shape, tool_signature

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    text = body.decode(errors="replace")
    why = f"(no JSON object that can be shown, {len(body):,} bytes)\n{clipped(text, MOST_RAW)}" if body else "(no body)"
    return printable(f"{heading}\n\n{why}\n")


def read_body(body: bytes) -> dict[str, Any] | None:
    """The JSON object that a body is, and None where it is none."""
    request = read_json(body.decode(errors="replace"))
    return request if isinstance(request, dict) else None


def model_of(request: dict[str, Any]) -> str:
    """The model that a request names."""
    return next((name for key in ("model", "name") if isinstance(name := request.get(key), str) and name), "")


def _blocks(path: str, heading: str, request: dict[str, Any]) -> Iterator[str]:
    rest = {name: value for name, value in request.items() if value is not None}
    model, streamed = model_of(request), rest.pop("stream", None)
    for name in ("model", "name"):
        if rest.get(name) == model:
            del rest[name]
    if streamed is None and surface_of(path) == "ollama" and (route := find_route(path)) is not None and route.streams:
        streamed = True  # the default of Ollama
    match streamed:
        case None | True | False:
            mode = {None: "", True: "streamed", False: "not streamed"}[streamed]
        case _:
            mode = f"stream {compact(streamed)}"
    yield " · ".join(filter(None, (heading, model, mode)))
    for name in ("system", "instructions"):
        if rest.get(name):
            yield "\n".join([name, *map(indented, content_lines(rest.pop(name)))])
    for name in ("messages", "input"):
        if isinstance(rest.get(name), list) and (name == "messages" or any(isinstance(item, dict) for item in rest[name])):
            yield from map(message_text, rest.pop(name))
    for name, title in (("input", "user" if path == OPENAI_RESPONSES else "input"), ("prompt", "prompt"), ("suffix", "suffix")):
        if name in rest:
            yield _inputs(rest.pop(name), title)
    if images := list_of(rest.get("images")):
        del rest["images"]
        yield "\n".join(["images", *(indented(described(image)) for image in images)])
    if isinstance(tools := rest.get("tools"), list):
        del rest["tools"]
        if tools:
            yield section(f"tools ({len(tools)})", "\n".join(map(tool_signature, tools)))
    if rest:
        yield section("settings", table([(name, _setting(name, value)) for name, value in rest.items()]))


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
        case ("response_format", {"json_schema": {"schema": schema}}) | ("text", {"format": {"schema": schema}}):
            return clipped(f"JSON: {shape(schema)}")
        case "format", dict():
            return clipped(f"JSON: {shape(value)}")
        case "keep_alive", _ if (seconds := number(value)) is not None:
            return f"{seconds:g} s" if seconds else "0 (unload)"
        case "files" | "adapters", dict():
            return clipped(", ".join(value)) or "(none)"
    return short(value)
