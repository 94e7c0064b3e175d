"""Embeddings: inputs as clients send them, vectors as clients want them."""

import base64
import json
import math
import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import BackendError, InvalidRequest
from ollama_openai_proxy.translate.ollama.embeddings import (
    batches,
    inputs,
    is_without_vectors,
    normalised_json,
    prompt_tokens,
    sendable,
    vectors,
)


@pytest.mark.parametrize(
    ("value", "texts"), [(None, []), ("", []), ([], []), ("a", ["a"]), (["a", "b"], ["a", "b"]), ([""], [""]), (" ", [" "])]
)
def test_an_input_is_a_text_or_several_or_none(value: object, texts: list[str]) -> None:
    assert inputs(value) == texts


@pytest.mark.parametrize("value", [3, 1.5, True, {}, [1], ["a", None], [["a"]]])
def test_another_input_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        inputs(value)
    assert (caught.value.status, caught.value.message) == (400, "invalid input type")


@given(st.permutations(range(6)))
def test_vectors_come_in_the_order_of_the_inputs(order: list[int]) -> None:
    data = [{"index": index, "embedding": [float(index)]} for index in order]
    assert vectors({"data": data}, 6) == [[float(n)] for n in range(6)]


@pytest.mark.parametrize("index", [{}, {"index": None}, {"index": 0}])
def test_vectors_without_indexes_keep_their_order(index: dict[str, Any]) -> None:
    assert vectors({"data": [{"embedding": [2], **index}, {"embedding": [1], **index}]}, 2) == [[2.0], [1.0]]


def test_of_vectors_for_each_token_the_last_one_counts() -> None:
    assert vectors({"data": [{"embedding": [[1.0, 2.0], [3.0, 4.0]]}, {"embedding": [[5, 6]]}]}, 2) == [[3.0, 4.0], [5.0, 6.0]]


def normalised(vector: list[float], dimensions: int = 0) -> list[float]:
    return json.loads(normalised_json(vector, dimensions))  # type: ignore[no-any-return]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_a_vector_in_base64_is_read(vector: list[float]) -> None:
    text = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    assert vectors({"data": [{"embedding": text}]}, 1) == [vector]


@pytest.mark.parametrize("data", [None, [], [{"embedding": [1]}, {"embedding": [2]}]])
def test_too_few_or_too_many_vectors_are_the_back_ends_fault(data: Any) -> None:
    with pytest.raises(BackendError, match="embeddings for 1 inputs"):
        vectors({"data": data}, 1)


@pytest.mark.parametrize(
    "entry",
    [
        *({}, {"embedding": None}, {"embedding": 5}, {"embedding": ["x"]}, {"embedding": [None]}, {"embedding": "?"}),
        *({"embedding": "QUI="}, {"embedding": [math.nan]}, {"embedding": [math.inf]}, "x", None),
        *({"embedding": [[[1.0]]]}, {"embedding": [1.0, [1.0]]}),
    ],
)
def test_what_is_no_vector_is_the_back_ends_fault(entry: Any) -> None:
    with pytest.raises(BackendError, match="no list of numbers"):
        vectors({"data": [entry]}, 1)


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1).filter(lambda v: math.hypot(*v) > 1e-30),
)
def test_a_vector_gets_the_length_1(vector: list[float]) -> None:
    length = math.hypot(*vector)
    assert math.hypot(*normalised(vector)) == pytest.approx(1)
    assert normalised(vector) == pytest.approx([x / length for x in vector])


@pytest.mark.parametrize(
    ("vector", "dimensions", "cut"),
    [
        ([3, 4, 5], 2, [0.6, 0.8]),
        ([3, 4], 1, [1.0]),
        ([3, 4], 2, [0.6, 0.8]),
        ([3, 4], 5, [0.6, 0.8]),
        ([3, 4], 0, [0.6, 0.8]),
        ([3, 4], -1, [0.6, 0.8]),
        ([0, 0], 0, [0, 0]),
        ([], 3, []),
        ([1e30, 0], 0, [1, 0]),
    ],
)
def test_a_vector_is_cut_before_it_is_normalised(vector: list[float], dimensions: int, cut: list[float]) -> None:
    assert normalised(vector, dimensions) == cut


def test_digits_are_those_of_a_32_bit_float() -> None:
    assert normalised([1.0, 2.0]) == [0.447213595, 0.894427191]


def test_the_bytes_of_a_vector_are_little_endian_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    text = base64.b64encode(struct.pack("<2f", 1.0, 0.5)).decode()
    assert vectors({"data": [{"embedding": text}]}, 1) == [[1.0, 0.5]]
    monkeypatch.setattr("sys.byteorder", "big" if sys.byteorder == "little" else "little")
    assert vectors({"data": [{"embedding": text}]}, 1) != [[1.0, 0.5]]


@given(st.lists(st.text(max_size=12), min_size=1), st.integers(1, 5), st.none() | st.integers(1, 9))
def test_batches_are_all_texts_in_order_and_within_the_limits(texts: list[str], most: int, tokens: int | None) -> None:
    groups = batches(texts, most, tokens)
    assert [text for group in groups for text in group] == texts
    assert all(1 <= len(group) <= most for group in groups)
    if tokens is not None:
        assert all(len(group) == 1 or sum(len(text) // 3 + 1 for text in group) <= tokens for group in groups)


def test_empty_texts_are_sent_as_a_space() -> None:
    assert sendable(["", "a", " "]) == [" ", "a", " "]


@pytest.mark.parametrize(
    ("reply", "without"),
    [
        ({"data": [{"embedding": ""}, {"embedding": []}]}, True),
        ({"data": [{"embedding": None}]}, True),
        ({"data": [{}]}, True),
        ({"data": [{"embedding": ""}, {"embedding": [1]}]}, False),
        ({"data": []}, True),
        ({"data": None}, True),
        ({"data": ["x"]}, False),
        ({}, False),
    ],
)
def test_a_reply_without_numbers_is_noticed(reply: dict[str, Any], without: bool) -> None:
    assert is_without_vectors(reply) is without


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 5}, 5),
        ({"prompt_tokens": None}, 0),
        ({"prompt_tokens": "5"}, 0),
        ({"prompt_tokens": -1}, 0),
        (None, 0),
        ([], 0),
    ],
)
def test_tokens_are_those_that_the_back_end_counted(usage: Any, tokens: int) -> None:
    assert prompt_tokens({"usage": usage}) == tokens
