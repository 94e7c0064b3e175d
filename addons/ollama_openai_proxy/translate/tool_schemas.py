"""Schemas of tools' parameters, completed so that strict back ends take them.

Clients hand on what MCP servers and frameworks give them: an object without `properties`, `null` for a list, no or an empty
`type`, Python's or Gemini's names of types. Ollama takes all of it. OpenAI wants an object with properties, Moonshot and Gemini
a type at each place, and each refuses the whole call otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

type Schema = dict[str, Any]

_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_OTHER_NAMES = {
    "any": "",
    "bool": "boolean",
    "date": "string",
    "dict": "object",
    "double": "number",
    "enum": "string",
    "file": "string",
    "float": "number",
    "int": "integer",
    "list": "array",
    "map": "object",
    "none": "null",
    "str": "string",
    "text": "string",
    "tuple": "array",
}
"""JSON Schema's name for each of the types that clients call otherwise; "" is any type."""

_SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_SCHEMA_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMA = frozenset({"items", "not", "if", "then", "else", "contains", "propertyNames"})
_WITH_SCHEMAS = _SCHEMAS_BY_NAME | _SCHEMA_LISTS | _SCHEMA | {"additionalProperties"}
_LISTS = frozenset({"required", "enum", "examples"}) | _SCHEMA_LISTS
_TO_LOOK_AT = _LISTS | _WITH_SCHEMAS
_PLAIN_KEYWORDS = frozenset({"type", "properties", "required", "additionalProperties"})
_SIMPLE_TYPES = frozenset({"string", "number", "integer", "boolean"})
_MAY_BE_NULL = frozenset({"default", "const", "example"})
_SAYS_THE_TYPE = frozenset({"anyOf", "oneOf", "allOf", "$ref", "not", "if"})
"""Keywords beside which a schema needs no type of its own."""

_DEEPEST = 60
"""Levels to which a schema is completed; what is below them stays as it is."""


def completed_parameters(schema: Mapping[str, Any] | None) -> Schema:
    """Complete the schema of a tool's parameters; the client's own stays as it is.

    Returns:
        A schema of type object with `properties`. At each place within it there is a `type` or a keyword that stands for one,
        and no keyword is null that must not be.
    """
    if schema and _is_plain(schema):
        return dict(schema)
    return _completed({**(schema or {}), "type": "object"}, 0)


def _is_plain(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is complete: an object of simple properties, as most tools have it."""
    if schema.get("type") != "object" or not schema.keys() <= _PLAIN_KEYWORDS:
        return False
    properties, required = schema.get("properties"), schema.get("required", ())
    return (
        properties.__class__ is dict
        and schema.get("additionalProperties", False).__class__ is bool
        and all(value.__class__ is dict and _is_simple(value) for value in properties.values())
        and required.__class__ in (list, tuple)
        and all(name.__class__ is str for name in required)
    )


def _completed(schema: Mapping[str, Any], depth: int) -> Schema:
    whole = {name: value for name, value in schema.items() if value is not None or name in _MAY_BE_NULL}
    for name in _LISTS & whole.keys():
        if not isinstance(whole[name], list) or (not whole[name] and name != "required"):
            del whole[name]
    if isinstance(whole.get("required"), list):
        whole["required"] = [name for name in whole["required"] if isinstance(name, str)]
    kind = _type(whole)
    if kind:
        whole["type"] = kind
    else:
        whole.pop("type", None)
    if _is(kind, "object") and not isinstance(whole.get("properties"), dict):
        whole["properties"] = {}
    if _is(kind, "array") and not isinstance(whole.get("items"), dict | list | bool) and "prefixItems" not in whole:
        whole["items"] = {"type": "string"}
    return _with_inner(whole, depth + 1) if depth < _DEEPEST else whole


def _with_inner(whole: Schema, depth: int) -> Schema:
    """Complete the schemas within a schema."""
    for name in _WITH_SCHEMAS & whole.keys():
        inner = whole[name]
        if name in _SCHEMAS_BY_NAME:
            if isinstance(inner, dict):
                whole[name] = {key: _inner(value, depth) for key, value in inner.items()}
            else:
                del whole[name]
        elif isinstance(inner, list):
            whole[name] = [_inner(value, depth) for value in inner]
        # An empty schema of additional properties means "anything", as does a boolean.
        elif isinstance(inner, dict) and (inner or name != "additionalProperties"):
            whole[name] = _inner(inner, depth)
    return whole


def _inner(schema: Any, depth: int) -> Any:
    match schema:
        case dict():
            return schema if _is_simple(schema) else _completed(schema, depth)
        case None | True:
            return {"type": "string"}
    return schema


def _is_simple(schema: Schema) -> bool:
    """Whether a schema needs no look: most are a type, a description, and perhaps bounds."""
    kind = schema.get("type")
    return kind.__class__ is str and kind in _SIMPLE_TYPES and _TO_LOOK_AT.isdisjoint(schema) and None not in schema.values()


def _type(schema: Mapping[str, Any]) -> str | list[str]:
    """The type of a schema, in JSON Schema's words; "" where other keywords say it."""
    match schema.get("type"):
        case str(text) if known := _known(text):
            return known
        case list(names) if known_names := [known for name in names if isinstance(name, str) and (known := _known(name))]:
            return list(dict.fromkeys(known_names))
    if not _SAYS_THE_TYPE.isdisjoint(schema):
        return ""
    if "properties" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    for value in (*schema.get("enum", ()), schema.get("const"), schema.get("default")):
        if value is not None:
            return _type_of(value)
    return "string"


def _known(name: str) -> str:
    lower = name.strip().lower()
    return lower if lower in _TYPES else _OTHER_NAMES.get(lower, "")


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
        case dict():
            return "object"
    return "string"


def _is(kind: str | list[str], name: str) -> bool:
    return name == kind or (isinstance(kind, list) and name in kind)
