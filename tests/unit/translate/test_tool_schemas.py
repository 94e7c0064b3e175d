"""Schemas of tools are completed so that strict servers take them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.tool_schemas import completed_parameters

STRING = {"type": "string"}


def parameters(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    "schema", [None, {}, {"type": "object"}, {"properties": None}, {"type": None}, {"type": ""}, {"type": ["object", "null"]}]
)
def test_a_tool_without_parameters_has_an_object_without_properties(schema: Any) -> None:
    assert completed_parameters(schema) == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    "schema",
    [
        parameters(),
        parameters(a={"type": "string", "description": "d", "enum": ["x"]})
        | {"required": ["a"], "additionalProperties": False},
        parameters(a={"type": "array", "items": parameters(b={"type": ["integer", "null"], "default": None})}),
        parameters(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": {"type": "boolean"}}},
        parameters(a={"anyOf": [STRING, {"type": "null"}]}),
        parameters(a={"type": "object", "properties": {}, "additionalProperties": {}}),
        parameters(a={"type": "array", "prefixItems": [STRING]}),
        parameters(a={"type": "array", "items": True}),
        parameters(a=False),
        parameters() | {"required": []},
    ],
)
def test_a_schema_that_is_complete_stays(schema: dict[str, Any]) -> None:
    assert completed_parameters(schema) == schema


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        # no type, an empty one, or one in other words
        ({"description": "d"}, {"description": "d", "type": "string"}),
        ({"type": ""}, STRING),
        ({"type": None}, STRING),
        ({"type": []}, STRING),
        ({"type": "STRING"}, STRING),
        ({"type": "str"}, STRING),
        ({"type": "int"}, {"type": "integer"}),
        ({"type": "float"}, {"type": "number"}),
        ({"type": "any"}, STRING),
        ({"type": "alien"}, STRING),
        ({"type": ["str", "none"]}, {"type": ["string", "null"]}),
        ({"type": 5}, STRING),
        (None, STRING),
        (True, STRING),
        # what says the type
        ({"enum": [1, 2]}, {"enum": [1, 2], "type": "integer"}),
        ({"enum": [None, 1.5]}, {"enum": [None, 1.5], "type": "number"}),
        ({"enum": [True]}, {"enum": [True], "type": "boolean"}),
        ({"const": "x"}, {"const": "x", "type": "string"}),
        ({"default": [1]}, {"default": [1], "type": "array", "items": STRING}),
        ({"default": {}}, {"default": {}, "type": "object", "properties": {}}),
        ({"items": {}}, {"type": "array", "items": STRING}),
        ({"properties": {"b": {}}}, {"type": "object", "properties": {"b": STRING}}),
        ({"anyOf": [{}, {"type": "null"}]}, {"anyOf": [STRING, {"type": "null"}]}),
        ({"type": "", "$ref": "#/x"}, {"$ref": "#/x"}),
        # lists and objects that are null, or something else
        ({"type": "string", "enum": None}, STRING),
        ({"type": "string", "enum": []}, STRING),
        ({"type": "string", "anyOf": None, "items": None, "description": None}, STRING),
        ({"type": "string", "default": None}, {"type": "string", "default": None}),
        ({"type": "object", "required": None}, {"type": "object", "properties": {}}),
        ({"type": "object", "required": "b"}, {"type": "object", "properties": {}}),
        ({"type": "object", "required": ["b", 1]}, {"type": "object", "properties": {}, "required": ["b"]}),
        ({"type": "object", "properties": []}, {"type": "object", "properties": {}}),
        ({"type": "object", "$defs": 1}, {"type": "object", "properties": {}}),
        ({"type": "array"}, {"type": "array", "items": STRING}),
        ({"type": "array", "items": None}, {"type": "array", "items": STRING}),
        ({"type": "array", "items": [{}, {"type": "int"}]}, {"type": "array", "items": [STRING, {"type": "integer"}]}),
        # further places
        (
            {"type": "object", "additionalProperties": {"type": ""}},
            {"type": "object", "properties": {}, "additionalProperties": STRING},
        ),
        ({"type": "string", "not": {"enum": [""]}}, {"type": "string", "not": {"enum": [""], "type": "string"}}),
    ],
)
def test_a_property_is_completed(given: Any, completed: Any) -> None:
    assert completed_parameters(parameters(a=given)) == parameters(a=completed)
    nested = completed_parameters(parameters(x={"type": "array", "items": parameters(a=given)}))
    assert nested == parameters(x={"type": "array", "items": parameters(a=completed)})


def test_the_clients_own_schema_stays_as_it_is() -> None:
    own: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "", "items": None}}, "required": None}
    completed_parameters(own)
    assert own == {"type": "object", "properties": {"a": {"type": "", "items": None}}, "required": None}


def test_a_schema_of_any_depth_is_taken() -> None:
    schema: dict[str, Any] = {}
    for _ in range(500):
        schema = {"type": "object", "properties": {"a": schema}}
    assert completed_parameters(schema)["properties"]["a"]["type"] == "object"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "string", "object", "array"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "required", "enum", "anyOf", "a", "$defs", "additionalProperties"]),
            inner,
            max_size=4,
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["type", "properties", "required", "anyOf", "items"]), _JSON))
def test_any_schema_becomes_an_object_with_properties(schema: dict[str, Any]) -> None:
    completed = completed_parameters(schema)
    assert completed["type"] == "object"
    assert isinstance(completed["properties"], dict)
    assert completed_parameters(completed) == completed
