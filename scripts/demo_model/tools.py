"""Describe tools, calls of tools, and what the model says when a call has returned."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

type Message = dict[str, Any]
type Tool = dict[str, Any]

_TYPES = {str: "string", int: "integer"}


def to_json(value: object) -> str:
    """Return JSON as llama.cpp's template engine writes it."""
    return json.dumps(value, ensure_ascii=False)


def tool(name: str, arguments: Mapping[str, Any], **enums: list[str]) -> Tool:
    """Return the description of a tool that takes arguments like these; some are one of a list of values."""
    properties: dict[str, Any] = {key: {"type": _TYPES[type(value)]} for key, value in arguments.items()}
    for key, values in enums.items():
        properties[key] = {"type": "string", "enum": values}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def name_of(tool: Tool) -> str:
    """Return the name of a tool, or of the tool that a call calls."""
    name: str = tool["function"]["name"]
    return name


def called(tool: Tool, arguments: Mapping[str, Any]) -> Message:
    """Return a call of a tool."""
    return {"type": "function", "function": {"name": name_of(tool), "arguments": dict(arguments)}}


def filled_in(tool: Tool, value: str) -> dict[str, Any]:
    """Return arguments for a tool: a value for texts, the first of a list of values, and 1 for numbers."""
    return {
        key: schema["enum"][0] if "enum" in schema else value if schema["type"] == "string" else 1
        for key, schema in tool["function"]["parameters"]["properties"].items()
    }


def tool_name(verb: str, noun: str, chance: Random) -> str:
    """Return the name of a tool in one of the usual spellings."""
    words = [verb, *noun.split("_")]
    camel = verb + "".join(part.capitalize() for part in words[1:])
    return chance.choice(("_".join(words), "_".join(words), camel, verb))


def verb_of(tool: Tool) -> str:
    """Return the beginning of a tool's name, by which a question chooses between tools."""
    return re.split(r"_|(?=[A-Z])", name_of(tool))[0]


def call_text(call: Message) -> str:
    """Return a tool call as the model writes it."""
    function = call["function"]
    return f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {to_json(function["arguments"])}}}\n</tool_call>'
