"""Halves of a character are joined, or replaced where the other half never comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.surrogate_pairs import HalfJoiner, mended


@pytest.mark.parametrize(
    ("pieces", "given_out"),
    [
        (["a", "b"], ["a", "b", ""]),
        (["a\ud83d", "\ude00b"], ["a", "😀b", ""]),
        (["\ud83d", "", "\ude00"], ["", "", "😀", ""]),
        (["\ud83d", "x"], ["", "\ufffdx", ""]),
        (["\ud83d", "\ud83d\ude00"], ["", "\ufffd😀", ""]),
        (["\ude00"], ["\ufffd", ""]),
        (["a\ud83d"], ["a", "\ufffd"]),
        (["\ud800", "\udc00", "\udbff", "\udfff"], ["", "\U00010000", "", "\U0010ffff", ""]),
        (["é\ufeff", "😀"], ["é\ufeff", "😀", ""]),
    ],
)
def test_halves_wait_for_each_other(pieces: list[str], given_out: list[str]) -> None:
    joiner = HalfJoiner()
    assert [*map(joiner.feed, pieces), joiner.finish()] == given_out


_UNITS = st.text(st.sampled_from("aé\ud83d\ude00\ufeff"))


@given(st.lists(_UNITS))
def test_any_cut_gives_what_the_whole_text_gives(pieces: list[str]) -> None:
    joiner = HalfJoiner()
    joined = "".join([*map(joiner.feed, pieces), joiner.finish()])
    assert joined == mended("".join(pieces))
    joined.encode()  # raises where half a character is left


@given(st.text())
def test_good_text_stays_as_it_is(text: str) -> None:
    assert mended(text) == text
