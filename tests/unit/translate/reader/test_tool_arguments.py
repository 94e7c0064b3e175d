"""The pieces of a call's arguments become the text of one object, as early as that is certain."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.reader.tool_arguments import ArgumentText


def feed(*pieces: str) -> tuple[list[str], ArgumentText]:
    text = ArgumentText()
    return [text.feed(piece) for piece in pieces], text


@pytest.mark.parametrize(
    ("pieces", "given"),
    [
        (["", "{", '"a', '": 1', "}"], ["", "", '{"a', '": 1', "}"]),
        (["{}", '{"a"', ":1}"], ["", '{"a"', ":1}"]),
        (['""', '{"a":1}'], ["", '{"a":1}']),
        (["nu", "ll", '{"a":1}'], ["", "", '{"a":1}']),
        (["{", '{"a"', ":1}"], ["", '{"a"', ":1}"]),
        # Servers that send white space while the model is slow.
        ([" " * 50, "\n" * 50, '{"a":1}'], ["", "", '{"a":1}']),
        (["{}" + " " * 70, "{", '"a":1}'], ["", "", '{"a":1}']),
        (['"', '{\\"a', '\\": \\"b', '\\"}', '"'], ["", '{"a', '": "b', '"}', ""]),
        (['"{\\', '"a\\', '":\\"\\\\u00', 'e9\\"}"'], ["", '{"a', '":"', '\\u00e9"}']),
        (['"{\\"a\\": \\"\\ud83d', '\\ude00\\"}"'], ['{"a": "', '😀"}']),
        (['"{\\"a\\":\\"\\q\\"}"'], ['{"a":"\\\\q"}']),
        (['"\\"{\\\\\\"a\\\\\\":1}\\""'], ['{"a":1}']),
        (['{"a": "x', "\n", '\ty"}'], ['{"a": "x', "\\n", '\\ty"}']),
        (['{"a": "x\\', "n\\", "u00", "e9\\", "'", '\\d\\u12z"}'], ['{"a": "x', "\\n", "", "\\u00e9", "'", '\\\\d\\\\u12z"}']),
        (['{"a": [{"b": 1', '}, "{"', ']}{"a": 2}', "x"], ['{"a": [{"b": 1', '}, "{"', "]}", ""]),
        (['{"a', '{"a": {"a', '{"a": {"a": 1}}'], ['{"a', '": {"a', '": 1}}']),
        (['{"a": ', '{"a": 1}', "}"], ['{"a": ', '{"a": 1}', "}"]),
    ],
)
def test_each_piece_is_given_out_as_soon_as_it_is_certain(pieces: list[str], given: list[str]) -> None:
    found, text = feed(*pieces)
    assert found == given
    assert text.complete
    assert not text.broken
    assert text.value == json.loads("".join(given))
    assert text.finish(said_complete=True) == ""


@pytest.mark.parametrize(
    ("pieces", "value"),
    [
        ([], {}),
        (["  "], {}),
        (["{ }"], {}),
        (["null"], {}),
        (['"{}"'], {}),
        (["[]"], {}),
        (["None"], {}),
        (["{'a': True, 'b': [1, -2.5, (3,)], 'c': null}"], {"a": True, "b": [1, -2.5, [3]], "c": None}),
        (['{"a": True}'], {"a": True}),
        (['{"a": 1,}'], {"a": 1}),
        (['{"a": {"b": [1'], {"a": {"b": [1]}}),
        (['"{\\"a\\": 1'], {"a": 1}),
    ],
)
def test_what_is_certain_at_the_end(pieces: list[str], value: object) -> None:
    found, text = feed(*pieces)
    joined = "".join([*found, text.finish(said_complete=True)])
    assert text.complete
    assert text.value == value == json.loads(joined)


@pytest.mark.parametrize(
    "pieces",
    [
        ['{"a": "cut'],
        ['{"a": '],
        ['{"a": 1', ", b}"],
        ["Paris"],
        ["[1]"],
        ['"Paris"'],
        ["5"],
        ["{"],
        ["{'a': b}"],
        ["{'a': 1"],
        ["{1: 2}"],
        ["{**a}"],
        ["f(1)"],
        ['{"a": NaN}'],
        ['{"a": 1e999}'],
        ["{'a': 1e999}"],
        ['{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"],
        ["x" * 300_000],
        ["(" * 50_000],
    ],
)
def test_what_is_no_object_stays_incomplete(pieces: list[str]) -> None:
    _, text = feed(*pieces)
    text.finish(said_complete=True)
    assert text.broken
    assert not text.complete
    assert text.value is None
    assert text.feed("}") == ""


@pytest.mark.parametrize("pieces", [[], ["{}"], ['{"a": 1'], ['"{\\"a\\": 1'], ["{'a': 1"]])
def test_what_a_limit_has_cut_is_not_completed(pieces: list[str]) -> None:
    _, text = feed(*pieces)
    assert text.finish(said_complete=False) == ""
    assert text.value is None


def test_whether_anything_came_is_known() -> None:
    assert feed()[1].blank
    assert feed(" {}")[1].empty_object
    assert feed('"{}')[1].empty_object
    assert not feed("null")[1].empty_object
    assert not feed('{"a"')[1].blank
    assert feed('{"a":')[1].at_value
    assert feed('"{\\"a\\":')[1].at_value
    assert not feed('{"a"')[1].at_value


_TEXTS = st.text(max_size=10) | st.sampled_from(['"', "\\", '\\"', "é😀", "\n\t\x1f"])
_OBJECTS = st.dictionaries(
    _TEXTS,
    st.recursive(
        _TEXTS | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner), max_leaves=8
    ),
    min_size=1,
)


@given(value=_OBJECTS, ascii_only=st.booleans(), twice=st.booleans(), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_object_comes_out_of_any_pieces(value: object, ascii_only: bool, twice: bool, cuts: list[int]) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only)
    written = json.dumps(written) if twice else written
    places = [0, *sorted({at for at in cuts if 0 < at < len(written)}), len(written)]
    found, text = feed(*(written[start:end] for start, end in pairwise(places)))
    assert text.complete
    assert text.value == json.loads("".join(found)) == value
