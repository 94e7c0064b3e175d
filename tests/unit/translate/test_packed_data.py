"""What a client carries for the proxy unpacks to a fixed multiple of its size at most."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.packed_data import pack, unpack


@given(st.binary(), st.integers(1, 100))
def test_data_comes_back(data: bytes, most_times: int) -> None:
    assert unpack(pack(data, most_times), most_times) == data


@pytest.mark.parametrize("size", [0, 1, 100, 10_000, 1_000_000])
def test_data_that_packs_very_well_comes_back(size: int) -> None:
    packed = pack(b"a" * size, 3)
    assert len(packed) * 3 >= size
    assert unpack(packed, 3) == b"a" * size


def test_what_packs_as_usual_is_packed() -> None:
    data = bytes(random.Random(0).choices(b"abcd", k=10_000))
    assert len(pack(data, 6)) < len(data) / 3


@given(st.binary())
def test_any_bytes_can_be_given(data: bytes) -> None:
    assert unpack(data, 6) is None or isinstance(unpack(data, 6), bytes)


@pytest.mark.parametrize(
    "packed",
    [
        zlib.compress(bytes(1 << 20)),
        zlib.compress(bytes(100)),
        zlib.compress(b"cut")[:-1],
        zlib.compress(b"damaged")[:-4] + b"\0\0\0\0",
        b"",
        b"no zlib",
    ],
)
def test_what_unpacks_to_too_much_or_is_damaged_is_none(packed: bytes) -> None:
    assert unpack(packed, 6) is None
