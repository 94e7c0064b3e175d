"""The input of a custom tool is decoded while its JSON comes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.writers.argument_text import ArgumentText
from ollama_openai_proxy.translate.writers.custom_tool_input import InputDecoder

from .answers import cut

texts = st.text(st.sampled_from('a"\\/\n\té \U0001f600{}:'), max_size=8)


def decoded(*pieces: str) -> str:
    decoder = InputDecoder()
    return "".join(map(decoder.feed, pieces))


@given(texts, st.booleans(), st.sampled_from(["", " ", "\n  "]), st.data())
def test_the_text_comes_whole_however_its_json_is_cut(text: str, ascii_only: bool, space: str, data: st.DataObject) -> None:
    body = f'{space}{{{space}"input"{space}:{space}{json.dumps(text, ensure_ascii=ascii_only)}{space}}}{space}'
    arguments = ArgumentText()
    assert decoded(*map(arguments.feed, data.draw(cut(body)))) == text


def test_the_text_comes_as_soon_as_it_can() -> None:
    decoder = InputDecoder()
    pieces = ['{"inp', 'ut": "', "ab", "\\", "nc", "\\u00", "e9", '"', "}", "more"]
    assert [decoder.feed(piece) for piece in pieces] == ["", "", "ab", "", "\nc", "", "é", "", "", ""]


@pytest.mark.parametrize("body", ['{"text":"a"}', '{"input":1}', "{}", '{"a":1,"input":"b"}', '{"input":"\\q"}', "x" * 99])
def test_arguments_of_another_form_give_no_text(body: str) -> None:
    assert decoded(body) == ""
    assert decoded(*body) == ""


def test_a_body_of_another_form_is_not_kept() -> None:
    decoder = InputDecoder()
    for _ in range(1000):
        decoder.feed("x" * 10)
    assert len(decoder._held) < 100


def test_real_line_ends_in_the_json_are_taken() -> None:
    assert decoded('{"input":"a\nb"}') == "a\nb"
