"""Tool calls are put together from fragments, however badly a back end numbers them."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import BackendError
from ollama_openai_proxy.translate.tool_call_assembly import ToolCalls, new_call_id


def fragment(
    index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: object = None
) -> dict[str, Any]:
    """A fragment as back ends send it: what is not there is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    parts = {"index": index, "id": call_id, "function": function}
    return {key: value for key, value in parts.items() if value is not None}


def gather(*deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    calls = ToolCalls()
    for delta in deltas:
        calls.feed(delta)
    return calls.finish()


def brief(calls: list[dict[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    assert [call["function"]["index"] for call in calls] == list(range(len(calls)))
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls]


F, G = ("A", "f", {"x": 1}), ("B", "g", {"y": 2})


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        pytest.param(
            [[fragment(0, "A", "f", "")], [fragment(0, arguments='{"x"')], [fragment(0, arguments=":1}")]],
            [F],
            id="as OpenAI streams a call",
        ),
        pytest.param(
            [
                *([fragment(0, "A", "f", "")], [fragment(1, "B", "g", "")], [fragment(1, arguments='{"y"')]),
                *([fragment(0, arguments='{"x":')], [fragment(1, arguments=":2}"), fragment(0, arguments="1}")]),
            ],
            [F, G],
            id="two calls interleaved by index",
        ),
        pytest.param(
            [[fragment(0, "A", "f", '{"x":1}'), fragment(1, "B", "g", '{"y":2}')]], [F, G], id="whole calls in one chunk"
        ),
        pytest.param(
            [[fragment(None, "A", "f", '{"x":1}'), fragment(None, "B", "g", '{"y":2}')]],
            [F, G],
            id="a whole message, without indexes",
        ),
        pytest.param(
            [
                *([fragment(None, "A", "f")], [fragment(arguments='{"x"')], [fragment(arguments=":1}")]),
                *([fragment(None, "B", "g")], [fragment(arguments='{"y":2}')]),
            ],
            [F, G],
            id="no indexes",
        ),
        pytest.param(
            [
                *([fragment(0, "A", "f", '{"x"')], [fragment(0, arguments=":1}")]),
                *([fragment(0, "B", "g", '{"y"')], [fragment(0, arguments=":2}")]),
            ],
            [F, G],
            id="all indexes 0, new ids",
        ),
        pytest.param(
            [
                *([fragment(0, "A", "f", '{"x"')], [fragment(0, "A", "f", ":1}")]),
                *([fragment(1, "B", "g", '{"y"')], [fragment(1, "B", "g", ":2}")]),
            ],
            [F, G],
            id="id and name in each fragment",
        ),
        pytest.param(
            [
                [fragment(0, "A", "f", '{"x"'), fragment(0, "B", "g", '{"y"')],
                [fragment(0, "A", None, ":1}"), fragment(0, "B", None, ":2}")],
            ],
            [F, G],
            id="interleaved by id, all indexes 0",
        ),
        pytest.param(
            [[fragment(None, "A", "f", '{"x"')], [fragment(None, "A", None, ":1}")]], [F], id="id in each fragment, no index"
        ),
        pytest.param([[fragment(0, None, "f")], [fragment(0, "A", None, '{"x":1}')]], [F], id="the id comes late"),
        pytest.param([[fragment(0, "A", None, '{"x":1}')], [fragment(0, None, "f")]], [F], id="the name comes last"),
        pytest.param([[fragment(3, "A", "f", '{"x":1}')], [fragment(7, "B", "g", '{"y":2}')]], [F, G], id="indexes with gaps"),
        pytest.param([[fragment(0, "A", "f", {"x": 1})]], [F], id="arguments as an object"),
        pytest.param([[fragment(0, "A", "f", {"x": 1}), fragment(0, "A", "f", "")]], [F], id="an object, then nothing"),
        pytest.param(
            [[fragment(0, "A", "f", '{"x":1}')], [fragment(0, None, "f", "")]], [F], id="an empty fragment at the end"
        ),
        pytest.param([[fragment(0, "A", "f")]], [("A", "f", {})], id="arguments missing"),
        pytest.param([[fragment(0, "A", "f", "")]], [("A", "f", {})], id="arguments empty"),
        pytest.param([[fragment(0, "A", "f", " \n")]], [("A", "f", {})], id="arguments blank"),
        pytest.param([[fragment(0, "A", "f", "null")]], [("A", "f", {})], id="arguments null"),
        pytest.param([[fragment(0, "A", "f", ' {"x":1}\n')]], [F], id="space around the arguments"),
        pytest.param([[{"index": 0, "id": "A", "function": None}]], [("A", "", {})], id="function null"),
        pytest.param([], [], id="no calls"),
    ],
)
def test_calls_are_put_together(deltas: list[list[dict[str, Any]]], calls: list[tuple[str, str, dict[str, Any]]]) -> None:
    assert brief(gather(*deltas)) == calls


@pytest.mark.parametrize("index", [None, 0])
@pytest.mark.parametrize(
    ("parts", "calls"),
    [
        pytest.param([("f", '{"x":1}'), ("g", '{"y":2}')], [("f", {"x": 1}), ("g", {"y": 2})], id="two tools"),
        pytest.param([("f", '{"x":1}'), ("f", '{"x":2}')], [("f", {"x": 1}), ("f", {"x": 2})], id="one tool twice"),
        pytest.param([("f", {"x": 1}), ("f", {"x": 2})], [("f", {"x": 1}), ("f", {"x": 2})], id="one tool twice, as objects"),
        pytest.param([("f", '{"x"'), ("f", ":1}")], [("f", {"x": 1})], id="the name in each fragment"),
        pytest.param([("f", ""), ("f", '{"x":1}')], [("f", {"x": 1})], id="an empty fragment first"),
    ],
)
def test_calls_without_ids_are_told_apart_by_name_and_whole_arguments(
    index: int | None, parts: list[tuple[str, object]], calls: list[tuple[str, dict[str, Any]]]
) -> None:
    gathered = brief(gather(*[[fragment(index, None, name, arguments)] for name, arguments in parts]))
    assert [call[1:] for call in gathered] == calls
    assert len({call[0] for call in gathered}) == len(calls)


@pytest.mark.parametrize(
    "arguments", ['{"x":', "[1]", '"x"', "5", "true", "{'x':1}", '{"x":NaN}', '{"x":1e999}', "[" * 100_000]
)
def test_arguments_that_are_no_object_are_the_back_ends_fault(arguments: str) -> None:
    with pytest.raises(BackendError) as caught:
        gather([fragment(0, "A", "f", arguments)])
    message = 'the back end sent arguments for the tool "f" that are no JSON object'
    assert (caught.value.status, caught.value.message) == (500, message)


def test_a_character_cut_in_half_between_two_fragments_is_whole() -> None:
    calls = gather([fragment(0, "A", "f", '{"x":"\ud83d')], [fragment(0, arguments='\ude00"}')])
    assert calls[0]["function"]["arguments"] == {"x": "😀"}


def test_a_second_answer_begins_without_the_calls_of_the_first() -> None:
    calls = ToolCalls()
    calls.feed([fragment(0, "A", "f", "{}")])
    assert len(calls.finish()) == 1
    assert calls.finish() == []


def test_a_missing_id_is_made_as_ollama_makes_them() -> None:
    assert re.fullmatch(r"call_[a-z0-9]{8}", new_call_id())
    [call] = gather([fragment(0, None, "f", "{}")])
    assert re.fullmatch(r"call_[a-z0-9]{8}", call["id"])


_ARGUMENTS = st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.booleans()), min_size=1)


@given(
    calls=st.lists(st.tuples(st.text("fg", min_size=1), _ARGUMENTS), min_size=1, max_size=3),
    step=st.integers(1, 9),
    indexes=st.sampled_from(["right", "zero", "none"]),
    repeat=st.booleans(),
)
def test_any_cut_of_the_arguments_gives_the_same_calls(
    calls: list[tuple[str, dict[str, Any]]], step: int, indexes: str, repeat: bool
) -> None:
    gatherer = ToolCalls()
    for number, (name, arguments) in enumerate(calls):
        index = {"right": number, "zero": 0, "none": None}[indexes]
        text = json.dumps(arguments, ensure_ascii=False)
        for start in range(0, len(text), step):
            first = start == 0 or repeat
            piece = text[start : start + step]
            gatherer.feed([fragment(index, f"id{number}" if first else None, name if first else None, piece)])
    assert brief(gatherer.finish()) == [(f"id{n}", name, arguments) for n, (name, arguments) in enumerate(calls)]
