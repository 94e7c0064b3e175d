"""Tools and JSON schemas in the short form in which a programmer would write them: `weather(city: string, days?: integer)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .formatting import compact, short

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_LEVELS = 4
MOST_MEMBERS = 40
MOST_TYPES = 7
"""JSON schema knows no more."""


def tool_signature(tool: object) -> str:
    """A tool of any of the three APIs as a signature, with its description."""
    if not isinstance(tool, dict):
        return short(tool)
    nested = tool.get("function")
    function: Mapping[str, Any] = nested if isinstance(nested, dict) else tool
    name = function.get("name") or tool.get("type")
    if not isinstance(name, str):
        return short(tool)
    schema = function.get("parameters", function.get("input_schema"))
    if schema is None and function.get("type", "function") not in ("function", "custom"):
        return f"{name} (built into the back end)"
    text = f"{name}({_members(schema, 1) if isinstance(schema, dict) else ''})"
    description = function.get("description")
    if isinstance(description, str) and description.strip():
        text += f" – {short(description)}"  # noqa: RUF001  # a dash
    return text


def shape(schema: object, level: int = 0) -> str:
    """A JSON schema as a type: `{name: string, tags?: string[]}`."""
    if not isinstance(schema, dict):
        return "any" if schema is True or schema is None else short(schema)
    if level > MOST_LEVELS:
        return "…"
    match schema:
        case {"enum": [_, *_] as values}:
            return _either([compact(value) for value in values])
        case {"const": value}:
            return short(value) if not isinstance(value, str) else compact(value)
        case {"anyOf": [_, *_] as members} | {"oneOf": [_, *_] as members}:
            return _either([shape(member, level + 1) for member in members[:MOST_MEMBERS]])
        case {"allOf": [member]}:
            return shape(member, level + 1)
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = list(dict.fromkeys(one for one in kind if isinstance(one, str)))[:MOST_TYPES]
        return _either([shape({**schema, "type": one}, level + 1) for one in kinds]) or "any"
    if kind == "array" or "items" in schema:
        item = shape(schema.get("items"), level + 1)
        return f"({item})[]" if " | " in item else f"{item}[]"
    if isinstance(schema.get("properties"), dict):
        return f"{{{_members(schema, level + 1)}}}"
    return kind if isinstance(kind, str) else "any"


def _members(schema: Mapping[str, Any], level: int) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return ""
    listed = schema.get("required")
    required = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    members = [
        f"{name}{'' if name in required else '?'}: {shape(member, level)}"
        for name, member in list(properties.items())[:MOST_MEMBERS]
    ]
    return ", ".join(members + ["…"] * (len(properties) > MOST_MEMBERS))


def _either(kinds: list[str]) -> str:
    return " | ".join(dict.fromkeys(kinds[:MOST_MEMBERS])) + (" | …" if len(kinds) > MOST_MEMBERS else "")
