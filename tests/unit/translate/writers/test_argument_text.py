"""The JSON of arguments passes in pieces; only escapes that no parser takes are changed."""

import json

from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.surrogate_pairs import mended
from ollama_openai_proxy.translate.writers.argument_text import ArgumentText, argument_json

from .answers import cut

TOKENS = ["\\ud83d", "\\ude00", "\\uD83D", "\\uDE00", "\\\\", '\\"', "\\n", "\\u00e9", "a", "u", "d83d", "é", "\n"]


def passed(*pieces: str) -> str:
    text = ArgumentText()
    return "".join(map(text.feed, pieces)) + text.finish()


@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=8).map("".join), st.data())
def test_lone_halves_are_replaced_and_all_else_is_kept_however_the_text_is_cut(text: str, data: st.DataObject) -> None:
    said = passed(*data.draw(cut(text)))
    read = json.loads(f'"{text}"', strict=False)
    assert json.loads(f'"{said}"', strict=False) == mended(read)
    if mended(read) == read:
        assert said == text


def test_nothing_waits_without_need() -> None:
    text = ArgumentText()
    assert [text.feed(piece) for piece in ('{"a":', "\\n", "\\\\", "\\u00e9", '"é"')] == [
        *('{"a":', "\\n", "\\\\", "\\u00e9", '"é"')
    ]


def test_an_escape_that_is_cut_waits_and_comes_at_the_end() -> None:
    text = ArgumentText()
    assert (text.feed("a\\"), text.feed("u00"), text.finish(), text.finish()) == ("a", "", "\\u00", "")
    assert passed("\\uzz", "b") == "\\uzzb"


def test_whole_arguments_are_compact_json_without_halves() -> None:
    assert argument_json({"a": [1, "\ud83d"], "é": "😀"}) == '{"a":[1,"\ufffd"],"é":"😀"}'
