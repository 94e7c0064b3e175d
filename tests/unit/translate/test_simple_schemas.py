"""Schemas of tools in the words that the strictest servers know."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.simple_schemas import simplified_parameters

STRING = {"type": "string"}


def simple(schema: Any, **more: Any) -> Any:
    """What becomes of the schema of one property."""
    return simplified_parameters({"type": "object", "properties": {"a": schema}, **more})["properties"]["a"]


@pytest.mark.parametrize(
    ("schema", "then"),
    [
        pytest.param({"type": ["string", "null"], "default": None}, STRING, id="a list of types"),
        pytest.param({"type": ["null"]}, STRING, id="null alone"),
        pytest.param({"type": "string", "format": "uri", "maxLength": 9}, STRING, id="keywords that say more"),
        pytest.param({"type": "string", "description": "d"}, STRING | {"description": "d"}, id="a description"),
        pytest.param({"enum": ["x", 1, ""]}, STRING | {"enum": ["x"]}, id="values"),
        pytest.param({"enum": [1]}, STRING, id="values that are no texts"),
        pytest.param({"type": "integer", "enum": [1]}, {"type": "integer"}, id="values of a number"),
        pytest.param({"type": "array"}, {"type": "array", "items": STRING}, id="a list of anything"),
        pytest.param({"items": {"type": "integer"}}, {"type": "array", "items": {"type": "integer"}}, id="a list by its items"),
        pytest.param(
            {"properties": {"b": {"type": "number"}}, "required": ["b", "c"], "additionalProperties": False},
            {"type": "object", "properties": {"b": {"type": "number"}}, "required": ["b"]},
            id="an object by its properties",
        ),
        pytest.param({"type": "object", "properties": None}, {"type": "object", "properties": {}}, id="no properties"),
        pytest.param(
            {"anyOf": [{"type": "null"}, {"type": "integer"}], "description": "d"},
            {"type": "integer", "description": "d"},
            id="or null",
        ),
        pytest.param({"oneOf": [{"type": "boolean"}, {"type": "integer"}]}, {"type": "boolean"}, id="the first of several"),
        pytest.param({"anyOf": [{"type": "null"}, 5]}, STRING, id="no alternative"),
        pytest.param(
            {
                "anyOf": [
                    {"properties": {"b": STRING}, "required": ["b"]},
                    {"properties": {"c": STRING}, "required": ["c"]},
                ],
                "required": [],
            },
            {"type": "object", "properties": {"b": STRING, "c": STRING}},
            id="objects of which one is wanted",
        ),
        pytest.param(
            {
                "allOf": [
                    {"properties": {"b": STRING}, "required": ["b"]},
                    {"properties": {"c": STRING}, "required": ["c"]},
                ]
            },
            {"type": "object", "properties": {"b": STRING, "c": STRING}, "required": ["b", "c"]},
            id="objects of which all are wanted",
        ),
        pytest.param({"$ref": "#/$defs/Q", "description": "own"}, {"type": "integer", "description": "own"}, id="a reference"),
        pytest.param({"$ref": "#/elsewhere"}, STRING, id="a reference that leads nowhere"),
        pytest.param(True, STRING, id="anything"),
    ],
)
def test_each_place_has_one_type_and_plain_words(schema: Any, then: dict[str, Any]) -> None:
    assert simple(schema, **{"$defs": {"Q": {"type": "integer", "description": "n"}}}) == then


def test_references_in_circles_end() -> None:
    circle = {"Q": {"properties": {"q": {"$ref": "#/$defs/Q"}}}, "R": {"$ref": "#/$defs/R"}}
    assert simple({"$ref": "#/$defs/Q"}, **{"$defs": circle})["type"] == "object"
    assert simple({"$ref": "#/$defs/R"}, **{"$defs": circle}) == STRING


def test_references_to_one_schema_many_times_stay_few() -> None:
    many = {f"d{n}": {"properties": {name: {"$ref": f"#/$defs/d{n + 1}"} for name in "abcd"}} for n in range(12)}
    assert len(str(simple({"$ref": "#/$defs/d0"}, **{"$defs": many}))) < 400_000


def test_alternatives_without_end_end() -> None:
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(40):
        deep = {"anyOf": [deep]}
    assert simple(deep) in (STRING, {"type": "integer"})


def test_the_top_is_an_object() -> None:
    assert simplified_parameters({"anyOf": [{"type": "array"}], "definitions": None}) == {"type": "object", "properties": {}}


_KEYS = st.sampled_from(["type", "properties", "items", "anyOf", "allOf", "$ref", "enum", "required", "$defs", "a"])
_VALUES = st.sampled_from(
    [
        *(None, True, 5, "string", "object", "null", "#/$defs/a", [], {}, ["string", None], [{"type": "object"}], {"a": None}),
        *({"type": "array"}, {"$ref": "#/$defs/a"}, {"a": {"anyOf": [{"properties": {"a": 5}, "required": 5}]}}),
    ]
)


@given(st.dictionaries(_KEYS, _VALUES | st.dictionaries(_KEYS, _VALUES, max_size=3), max_size=5))
def test_any_schema_is_simplified(schema: dict[str, Any]) -> None:
    assert simplified_parameters(schema)["type"] == "object"
