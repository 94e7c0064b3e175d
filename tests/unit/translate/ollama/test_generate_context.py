"""The `context` of a generate call carries the conversation."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.schemas.go_json_decoding import decode
from ollama_openai_proxy.schemas.ollama.json_encoding import encode_json
from ollama_openai_proxy.schemas.ollama.requests import GenerateRequest
from ollama_openai_proxy.translate.ollama.generate_context import read_context, write_context

MARK = write_context([])[0]


def numbers(data: bytes) -> list[int]:
    """A context that carries any bytes."""
    padded = data + bytes(-len(data) % 3)
    return [MARK, len(data), *(int.from_bytes(padded[i : i + 3]) for i in range(0, len(padded), 3))]


@given(st.lists(st.fixed_dictionaries({"role": st.text(), "content": st.text()})))
def test_any_conversation_comes_back(messages: list[dict[str, str]]) -> None:
    context = write_context(messages)
    assert all(0 <= number < 2**24 for number in context)
    assert read_context(context) == messages
    # And so it does through a client, which sends back what it was sent.
    assert read_context(decode(GenerateRequest, encode_json({"context": context})).context) == messages


@given(st.lists(st.integers()) | st.lists(st.integers(0, 2**24 - 1)).map(lambda rest: [MARK, *rest]))
def test_other_numbers_carry_nothing(context: list[int]) -> None:
    assert read_context(context) == []


@given(st.binary())
def test_other_bytes_carry_nothing(data: bytes) -> None:
    assert read_context(numbers(data)) == []


@given(st.lists(st.fixed_dictionaries({"role": st.text(), "content": st.text()}), min_size=1), st.data())
def test_a_context_that_was_tampered_with_never_raises(messages: list[dict[str, str]], data: st.DataObject) -> None:
    context = write_context(messages)
    at = data.draw(st.integers(0, len(context) - 1))
    context[at] = data.draw(st.integers(-1, 2**24))
    assert isinstance(read_context(context), list)
    assert read_context(context[:at]) in ([], messages)


@pytest.mark.parametrize(
    "text",
    [
        *("5", '"text"', "{}", "[1]", '["x"]', "[{}]", '[{"role":"user"}]', '[{"role":1,"content":"x"}]', "null", "no json"),
        *('[{"role":"user","content":null}]', '[{"role":"user","content":"\\ud83d"}]', "[" * 100_000),
    ],
)
def test_a_conversation_of_another_shape_is_none(text: str) -> None:
    assert read_context(numbers(zlib.compress(text.encode()))) == []


def test_a_small_context_that_unpacks_to_a_huge_one_is_none() -> None:
    message = {"role": "user", "content": "x" * (17 * 2**20)}
    assert read_context(numbers(zlib.compress(json.dumps([message]).encode()))) == []


def test_half_a_character_does_not_break_a_context() -> None:
    assert read_context(write_context([{"role": "user", "content": "a\ud83d"}])) == [{"role": "user", "content": "a?"}]
