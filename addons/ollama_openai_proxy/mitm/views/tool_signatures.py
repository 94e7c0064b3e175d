"""Tools and JSON schemas in the short form in which a programmer would write them: `weather(city: string, days?: integer)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .formatting import compact, list_of, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    description = function.get("description")
    behind = f" – {short(description)}" if isinstance(description, str) and description.strip() else ""  # noqa: RUF001  # a dash
    return f"{name}({_members(schema, 1)}){behind}"


def shape(schema: object, level: int = 0) -> str:
    """A JSON schema as a type: `{name: string, tags?: string[]}`."""
    if not isinstance(schema, dict):
        return "any" if schema is True or schema is None else short(schema)
    if level > MOST_LEVELS:
        return "…"
    match schema:
        case {"enum": [_, *_] as values}:
            return _either(map(compact, values[: MOST_MEMBERS + 1]))
        case {"const": value}:
            return compact(value)
        case {"anyOf": [_, *_] as members} | {"oneOf": [_, *_] as members} | {"allOf": [_] as members}:
            return _either(shape(member, level + 1) for member in members[: MOST_MEMBERS + 1])
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"type": list(kinds)}:
            kinds = list(dict.fromkeys(kind for kind in kinds if isinstance(kind, str)))[:MOST_TYPES]
            return _either(shape({**schema, "type": kind}, level + 1) for kind in kinds) or "any"
        case {"type": "array"} | {"items": _}:
            item = shape(schema.get("items"), level + 1)
            return f"({item})[]" if " | " in item else f"{item}[]"
        case {"properties": dict()}:
            return f"{{{_members(schema, level + 1)}}}"
        case {"type": str(kind)}:
            return kind
    return "any"


def _members(schema: object, level: int) -> str:
    if not isinstance(schema, dict) or not isinstance(properties := schema.get("properties"), dict):
        return ""
    required = {name for name in list_of(schema.get("required")) if isinstance(name, str)}
    members = [
        f"{name}{'' if name in required else '?'}: {shape(member, level)}"
        for name, member in list(properties.items())[:MOST_MEMBERS]
    ]
    return ", ".join(members + ["…"] * (len(properties) > MOST_MEMBERS))


def _either(kinds: Iterable[str]) -> str:
    different = list(dict.fromkeys(kinds))
    return " | ".join(different[:MOST_MEMBERS] + ["…"] * (len(different) > MOST_MEMBERS))
