"""Thinking between tags is told from content, however the text is cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.think_tags import ThinkSplitter


def split(*pieces: str) -> tuple[str, str]:
    splitter = ThinkSplitter()
    results = [*map(splitter.feed, pieces), splitter.finish()]
    return "".join(thinking for thinking, _ in results), "".join(content for _, content in results)


@pytest.mark.parametrize(
    ("text", "thinking", "content"),
    [
        pytest.param("Hello", "", "Hello", id="no tag"),
        pytest.param("", "", "", id="nothing"),
        pytest.param("  Hello ", "", "  Hello ", id="space without a tag stays"),
        pytest.param("  \n", "", "  \n", id="only space"),
        pytest.param("<think>Hm</think>Hello", "Hm", "Hello", id="thinking"),
        pytest.param(" \n<think>\nHm\n</think>\n\nHello\n", "Hm", "Hello\n", id="space around the tags goes"),
        pytest.param("<think>a  b </think>c", "a  b", "c", id="space within stays"),
        pytest.param("<think></think>Hello", "", "Hello", id="no thought"),
        pytest.param("<think>\n\n</think>\n\nHello", "", "Hello", id="blank thought"),
        pytest.param("<think>Hm", "Hm", "", id="never closed"),
        pytest.param("<think>Hm \n", "Hm", "", id="never closed, with space"),
        pytest.param("<think>Hm </thi", "Hm </thi", "", id="closing tag cut"),
        pytest.param("<think>Hm</think>", "Hm", "", id="no content"),
        pytest.param("<think>Hm</think>  ", "Hm", "", id="blank content"),
        pytest.param("<think>", "", "", id="only the tag"),
        pytest.param("<thi", "", "<thi", id="opening tag cut"),
        pytest.param("<thing>a</thing>", "", "<thing>a</thing>", id="another tag"),
        pytest.param("Say <think>Hm</think>", "", "Say <think>Hm</think>", id="a tag within the text"),
        pytest.param("<think>a<b></think>c", "a<b>", "c", id="other tags in a thought"),
        pytest.param("<think>a</think>b</think>c", "a", "b</think>c", id="only the first closing tag"),
        pytest.param("<think><think>a</think>b", "<think>a", "b", id="only the first opening tag"),
    ],
)
def test_thinking_is_told_from_content(text: str, thinking: str, content: str) -> None:
    assert split(text) == (thinking, content)
    assert split(*text) == (thinking, content)


_TEXTS = st.lists(st.sampled_from(["<think>", "</think>", "<th", "</", "<", ">", " ", "\n", "a", "b c", "\u2028"])).map("".join)


@given(text=_TEXTS | st.text(), cuts=st.lists(st.integers(0, 60)))
def test_any_cut_gives_what_the_whole_text_gives(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert "".join(pieces) == text
    assert split(*pieces) == split(text)


@pytest.mark.parametrize(
    ("fed", "certain"),
    [
        (["Hi"], ("", "Hi")),
        (["<"], ("", "")),
        (["<", "b"], ("", "<b")),
        (["<think>a"], ("a", "")),
        (["<think>", "a <"], ("a", "")),
        (["<think>", "a <", "b"], (" <b", "")),
        (["<think>a</think>", "b"], ("", "b")),
    ],
)
def test_text_is_given_out_as_soon_as_it_is_certain(fed: list[str], certain: tuple[str, str]) -> None:
    splitter = ThinkSplitter()
    assert [splitter.feed(piece) for piece in fed][-1] == certain
