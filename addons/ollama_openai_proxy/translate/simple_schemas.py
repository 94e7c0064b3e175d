"""Schemas of tools' parameters in the words that the strictest servers know.

For servers that refuse JSON Schema's richer words: Gemini knows one type at each place and no references, Moonshot and OpenAI
no alternatives at the top. What a schema says with them is kept as far as plain words can say it: a model reads the schema as
a description, and the client checks the arguments all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

type Schema = dict[str, Any]

_ALTERNATIVES = ("anyOf", "oneOf", "allOf")
_DEEPEST = 12
"""Levels that are kept."""
_MOST = 2000
"""Places that are kept: references may lead to one schema many times, or in circles."""


def simplified_parameters(schema: Mapping[str, Any]) -> Schema:
    """The schema of a tool's parameters, at each place with one type, its description, and what the type needs.

    Args:
        schema: an object's, as `completed_parameters` gives it.
    """
    return {**_Simplifier(schema).simple({**schema, "type": "object"}, 0), "type": "object"}


class _Simplifier:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._left = _MOST
        self._definitions = {
            f"#/{place}/{name}": inner for place in ("$defs", "definitions") for name, inner in _dict(schema.get(place)).items()
        }

    def simple(self, schema: Any, depth: int) -> Schema:
        self._left -= 1
        if not isinstance(schema, dict) or depth > _DEEPEST or self._left < 0:
            return {"type": "string"}
        merged = self._merged(schema, depth)
        kind = _one_type(merged)
        simple: Schema = {"type": kind}
        if isinstance(text := merged.get("description"), str):
            simple["description"] = text
        if kind == "string" and (texts := [value for value in _list(merged.get("enum")) if isinstance(value, str) and value]):
            simple["enum"] = texts
        if kind == "object":
            named = _dict(merged.get("properties"))
            simple["properties"] = {name: self.simple(inner, depth + 1) for name, inner in named.items()}
            required = {name: None for name in _list(merged.get("required")) if isinstance(name, str) and name in named}
            if required:
                simple["required"] = list(required)
        if kind == "array":
            simple["items"] = self.simple(merged.get("items"), depth + 1)
        return simple

    def _merged(self, schema: Schema, depth: int) -> Schema:
        """A schema with what it refers to, and with its first alternative that is not null."""
        self._left -= 1
        for _ in range(_DEEPEST):
            reference = schema.get("$ref")
            found = self._definitions.get(reference) if isinstance(reference, str) else None
            if not isinstance(found, dict):
                break
            schema = {**found, **{name: value for name, value in schema.items() if name != "$ref"}}
        for word in _ALTERNATIVES:
            inner = [each for each in _list(schema.get(word)) if isinstance(each, dict) and each.get("type") != "null"]
            if not inner or depth > _DEEPEST or self._left < 0:
                continue
            parts = [self._merged(each, depth + 1) for each in inner]
            schema = _joined({name: value for name, value in schema.items() if name != word}, parts, every=word == "allOf")
        return schema


def _joined(schema: Schema, parts: list[Schema], *, every: bool) -> Schema:
    """A schema with the first of its alternatives, or with the properties of all."""
    if not every and not all("properties" in part for part in parts):
        return {**parts[0], **schema}
    of_all = {name: value for part in (*parts, schema) for name, value in _dict(part.get("properties")).items()}
    lists = [_list(part.get("required")) for part in ((schema, *parts) if every else (schema,))]
    return {**parts[0], **schema, "properties": of_all, "required": [name for names in lists for name in names]}


def _one_type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    found = next((each for each in (*_list(kind), kind) if isinstance(each, str) and each != "null"), "")
    return found or ("object" if _dict(schema.get("properties")) else "array" if "items" in schema else "string")


def _dict(value: Any) -> Schema:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
