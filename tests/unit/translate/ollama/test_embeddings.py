"""Embeddings: inputs as clients send them, vectors as clients want them."""

import base64
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import BackendError, InvalidRequest
from ollama_openai_proxy.translate.ollama.embeddings import inputs, normalised, vectors


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
        {"embedding": [[1.0]]},
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
        ([1e200, 0], 0, [1, 0]),
    ],
)
def test_a_vector_is_cut_before_it_is_normalised(vector: list[float], dimensions: int, cut: list[float]) -> None:
    assert normalised(vector, dimensions) == cut


def test_digits_are_those_of_a_32_bit_float() -> None:
    assert normalised([1.0, 2.0]) == [0.447213595, 0.894427191]
