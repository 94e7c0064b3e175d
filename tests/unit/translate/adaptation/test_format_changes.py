"""Formats that are told in words, and answers that are taken out of the object around them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.adaptation.changes import Call
from ollama_openai_proxy.translate.adaptation.format_changes import (
    RefuseFormats,
    SayJson,
    SchemaInWords,
    Unwrapper,
    WrapSchema,
    fingerprint,
    in_words,
    is_object,
    with_instruction,
    wrap,
)

USER = {"role": "user", "content": "hi"}
LIST = {"type": "array", "items": {"type": "integer"}}


def unwrapped(pieces: list[str]) -> str:
    unwrapper = Unwrapper()
    return "".join([*map(unwrapper.feed, pieces), unwrapper.finish()])


@given(st.data(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), st.sampled_from([None, 2]))
def test_a_value_is_taken_out_of_its_object_however_the_answer_is_cut(
    data: st.DataObject, value: Any, indent: int | None
) -> None:
    text = json.dumps({"value": value}, indent=indent) + data.draw(st.sampled_from(["", "\n", " \n"]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert json.loads(unwrapped(pieces)) == value


@pytest.mark.parametrize("text", ["[1, 2]", "I cannot do this", '{"other": 1}', "", '{"val', "5"])
def test_an_answer_that_is_no_such_object_passes_as_it_is(text: str) -> None:
    assert unwrapped(list(text)) == text
    assert unwrapped([text]) == text


def test_an_answer_that_was_cut_loses_nothing_of_its_value() -> None:
    assert unwrapped(['{"value": [{"a": {"b": 1}}, {"a"']) == '[{"a": {"b": 1}}, {"a"'


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, True),
        ({"properties": {}}, True),
        ({"type": ["object", "null"]}, True),
        ({"$ref": "#/$defs/a"}, True),
        ({"type": "array"}, False),
        ({"type": ["string", "null"]}, False),
    ],
)
def test_the_top_of_a_schema_is_an_object_or_not(schema: dict[str, Any], expected: bool) -> None:
    assert is_object(schema) is expected


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([USER], [{"role": "system", "content": "do"}, USER]),
        ([], [{"role": "system", "content": "do"}]),
        ([{"role": "system", "content": "be"}, USER], [{"role": "system", "content": "be\n\ndo"}, USER]),
        ([{"role": "developer", "content": ""}], [{"role": "developer", "content": "do"}]),
        (
            [{"role": "system", "content": [{"type": "text", "text": "be"}]}],
            [{"role": "system", "content": [{"type": "text", "text": "be"}, {"type": "text", "text": "do"}]}],
        ),
    ],
)
def test_an_instruction_joins_the_system_message(messages: list[dict[str, Any]], told: list[dict[str, Any]]) -> None:
    assert with_instruction(messages, "do") == told


def test_a_list_is_told_in_words_as_it_is_where_no_format_is_left() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": LIST}}
    call = RefuseFormats(frozenset({"json_object", "json_schema"})).apply(Call({"messages": [USER], "response_format": form}))
    assert not call.unwrap
    assert call.parameters == {"messages": [{"role": "system", "content": in_words(LIST)}, USER]}
    assert "JSON object" not in in_words(LIST)


def test_a_list_is_told_in_words_within_an_object_where_objects_are_left() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": LIST}}
    call = RefuseFormats(frozenset({"json_schema"})).apply(Call({"messages": [USER], "response_format": form}))
    assert call.unwrap
    assert call.parameters["messages"][0]["content"] == in_words(wrap(LIST))


@pytest.mark.parametrize("change", [RefuseFormats(frozenset({"json_schema"})), SchemaInWords("x"), WrapSchema(), SayJson()])
@pytest.mark.parametrize(
    "form", [{}, {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}}]
)
def test_other_calls_stay_as_they_are(change: Any, form: dict[str, Any]) -> None:
    call = Call({"messages": [USER], "tools": []} | form)
    beside = RefuseFormats(frozenset({"json_schema"}), frozenset({"tools"}))
    if not (form and isinstance(change, RefuseFormats)):
        assert change.apply(call) == call
    assert beside.apply(call) == call


def test_changes_say_what_they_do() -> None:
    assert RefuseFormats(frozenset({"json_schema"}), frozenset({"tools"})).describe() == (
        "the format json_schema is told in other ways beside tools"
    )
    assert all(change.describe() and change.settles for change in (SchemaInWords("x"), WrapSchema(), SayJson()))
    one, other = RefuseFormats(frozenset({"json_schema"})), RefuseFormats(frozenset({"json_object"}))
    assert one.merged(other).types == {"json_schema", "json_object"}


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1})
