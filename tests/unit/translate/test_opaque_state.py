"""A back end's state travels in what the client gives back."""

import base64
import json
import re
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.opaque_state import (
    LONGEST_TEXT,
    decode_state,
    encode_state,
    id_with_state,
    split_id,
)

SIGNATURE = {"extra_content": {"google": {"thought_signature": "c2lnbmF0dXJl+/="}}}
DETAILS = {"reasoning_details": [{"type": "reasoning.encrypted", "data": "ä\udcff"}]}


@pytest.mark.parametrize("state", [SIGNATURE, DETAILS, SIGNATURE | DETAILS])
def test_a_state_comes_back(state: dict[str, Any]) -> None:
    assert decode_state(encode_state(state)) == state
    assert split_id(id_with_state("call_1", state)) == ("call_1", state)


def test_the_id_has_only_characters_that_clients_take() -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", id_with_state("call_1", SIGNATURE))


@pytest.mark.parametrize("state", [{}, {"extra_content": {}}, {"other": 1}])
def test_where_there_is_nothing_to_carry_the_id_stays(state: dict[str, Any]) -> None:
    assert encode_state(state) == ""
    assert id_with_state("call_1", state) == "call_1"


def test_a_state_that_is_too_large_is_left_out() -> None:
    noise = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(LONGEST_TEXT))
    assert id_with_state("call_1", {"extra_content": noise}) == "call_1"


def test_only_fields_that_are_state_are_read() -> None:
    data = zlib.compress(json.dumps({"role": "system", "extra_content": 1}).encode())
    text = "state1_" + base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert decode_state(text) == {"extra_content": 1}


def _marked(data: bytes) -> str:
    return "state1_" + base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        *("", "unsigned", "state1_", "state1_x", "state1_!!!!", "state1_" + "A" * LONGEST_TEXT, "state2_AAAA"),
        _marked(b"no zlib"),
        _marked(zlib.compress(b"no json")),
        _marked(zlib.compress(b"[1]")),
        _marked(zlib.compress(b"\xff")),
        _marked(zlib.compress(b"[" * 100_000)),
        # More than it may be, and cut there.
        _marked(zlib.compress(b'{"extra_content": "' + b"a" * (1 << 21) + b'"}')),
    ],
)
def test_what_is_no_state_is_none(text: str) -> None:
    assert decode_state(text) == {}
    assert split_id(f"call_1__{text}") == (f"call_1__{text}", {})


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert decode_state(text) == {}
    assert split_id(text) == (text, {})


def test_what_unpacks_to_far_more_than_its_size_is_none() -> None:
    many = b'{"extra_content":[' + b"[]," * 10_000 + b"0]}"
    for data in (many, b'{"extra_content":"' + b"a" * 100_000 + b'"}'):
        assert decode_state(_marked(zlib.compress(data))) == {}
    # Also where it is not packed.
    assert decode_state(_marked(zlib.compress(many, 0))) == {}
    assert encode_state({"extra_content": [[]] * 10_000}) == ""


def test_a_state_that_packs_very_well_comes_back() -> None:
    state = {"extra_content": "a" * 10_000}
    assert decode_state(encode_state(state)) == state
