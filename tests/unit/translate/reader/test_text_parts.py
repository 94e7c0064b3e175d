"""Thinking, content, stop texts, log probabilities and the state of reasoning are found and told apart."""

# ruff: noqa: E501  # texts of servers, each in one line

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.reader.logprobs import read_logprobs
from ollama_openai_proxy.translate.reader.message_text import content_of, reasoning_of
from ollama_openai_proxy.translate.reader.reasoning_state import ReasoningDetails
from ollama_openai_proxy.translate.reader.stop_texts import StopTexts, begun_mark
from ollama_openai_proxy.translate.reader.think_tags import ThinkTags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({}, ""),
        ({"reasoning_content": "hm"}, "hm"),
        ({"reasoning": "hm"}, "hm"),
        ({"reasoning_text": "hm"}, "hm"),
        ({"thinking": "hm"}, "hm"),
        ({"reasoning_content": "hm", "reasoning": "hm"}, "hm"),
        ({"reasoning_content": None, "reasoning": "hm"}, "hm"),
        ({"reasoning": {"content": "hm"}}, "hm"),
        ({"reasoning": "hm", "reasoning_details": [{"text": "hm"}]}, "hm"),
        ({"reasoning_details": [{"text": "h"}, {"summary": "m"}, {"type": "reasoning.encrypted", "data": "x"}, "?"]}, "hm?"),
        ({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "x"}]}, "hm"),
        ({"reasoning_details": None, "reasoning": 5}, ""),
    ],
)
def test_thinking_beside_the_content(message: dict[str, Any], text: str) -> None:
    assert reasoning_of(message) == text


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "a"}, [(False, "a")]),
        ({"content": ""}, []),
        ({"content": 5}, []),
        ({"content": [{"type": "text", "text": "a"}, {"type": "x"}, "?", {"text": "b"}, 5]}, [(False, "a"), (False, "?"), (False, "b")]),
        ({"content": [{"type": "output_text", "text": {"value": "a"}}]}, [(False, "a")]),
        ({"content": {"type": "text", "text": "a"}}, [(False, "a")]),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, [(True, "hm")]),
        ({"content": [{"type": "reasoning", "text": "hm"}, {"text": "o", "thought": True}]}, [(True, "hm"), (True, "o")]),
        ({"content": [{"type": "refusal", "refusal": "no"}]}, [(False, "no")]),
        ({"content": None, "refusal": "no"}, [(False, "no")]),
        ({"content": "a", "refusal": "no"}, [(False, "a")]),
        ({"content": "hm", "extra_content": {"google": {"thought": True}}}, [(True, "hm")]),
        ({"content": "a", "extra_content": {"google": 5}}, [(False, "a")]),
    ],
)  # fmt: skip
def test_content_in_its_parts(message: dict[str, Any], parts: list[Any]) -> None:
    assert content_of(message) == parts


def tags(*pieces: str, opened: bool | None = False) -> tuple[str, str, bool]:
    """Thinking, content, and whether a closing tag stood alone."""
    reader = ThinkTags(opened=opened)
    parts = [part for piece in pieces for part in reader.feed(piece)] + reader.finish()
    thinking, content = ("".join(text for is_thinking, text in parts if is_thinking is which) for which in (True, False))
    return thinking, content, reader.closed_alone


@pytest.mark.parametrize(
    ("text", "opened", "found"),
    [
        ("", False, ("", "", False)),
        ("Hi", False, ("", "Hi", False)),
        (" Hi", False, ("", " Hi", False)),
        ("<think>hm</think>Hi", False, ("hm", "Hi", False)),
        ("\n<think>hm</think>Hi", False, ("hm", "Hi", False)),
        ("<think>hm", False, ("hm", "", False)),
        ("<think>hm</thi", False, ("hm</thi", "", False)),
        ("[THINK]hm[/THINK]Hi", False, ("hm", "Hi", False)),
        ("<seed:think>hm</seed:think>Hi", False, ("hm", "Hi", False)),
        ("◁think▷hm◁/think▷Hi", False, ("hm", "Hi", False)),
        ("<thi", False, ("", "<thi", False)),
        ("<thinking>hm</thinking>", False, ("", "<thinking>hm</thinking>", False)),
        ("Hi <think>hm</think>", False, ("", "Hi <think>hm</think>", False)),
        ("<think>hm</think>Hi </think>", False, ("hm", "Hi </think>", False)),
        ("hm</think>Hi", False, ("", "hmHi", True)),
        ("</think>Hi", False, ("", "Hi", True)),
        ("say `</think>` then", False, ("", "say `</think>` then", False)),
        ("a < b <c> [1]", False, ("", "a < b <c> [1]", False)),
        ("hm</think>Hi", True, ("hm", "Hi", True)),
        ("<think>hm</think>Hi", True, ("hm", "Hi", False)),
        ("hm", True, ("hm", "", False)),
        ("hm</think>Hi", None, ("hm", "Hi", True)),
        ("<think>hm</think>Hi", None, ("hm", "Hi", False)),
        ("Hi <b>", None, ("", "Hi <b>", False)),
    ],
)
def test_thinking_between_tags(text: str, opened: bool | None, found: tuple[str, str, bool]) -> None:
    assert tags(text, opened=opened) == found
    assert tags(*text, opened=opened) == found


def test_what_may_be_a_tag_is_held_back_no_longer() -> None:
    reader = ThinkTags()
    assert reader.state_is_start
    assert reader.feed("<thi") == []
    assert not reader.free
    assert reader.feed("s") == [(False, "<this")]
    assert reader.free
    assert reader.feed("word") == [(False, "word")]
    assert not reader.state_is_start


def test_a_server_that_tells_thinking_itself_has_nothing_to_hold_back() -> None:
    reader = ThinkTags(opened=None)
    assert reader.feed("Hi") == []
    reader.not_opened()
    assert reader.feed(" you") == [(False, "Hi you")]


@pytest.mark.parametrize(
    ("text", "kept", "met"),
    [
        ("one two", "one two", None),
        ("one STOP two", "one ", "STOP"),
        ("one END STOP", "one ", "END"),
        ("one ST", "one ST", None),
        ("SSTOP", "S", "STOP"),
        ("STOP", "", "STOP"),
    ],
)
def test_a_stop_text_ends_the_text(text: str, kept: str, met: str | None) -> None:
    for pieces in ([text], list(text)):
        stops = StopTexts(["STOP", "END", ""])
        assert "".join([*map(stops.feed, pieces), stops.finish()]) == kept
        assert stops.met == met


def test_a_beginning_of_a_stop_text_may_hold_another_one() -> None:
    stops = StopTexts(["aabab"])
    assert [stops.feed(character) for character in "aabaabab"] == ["", "", "", "", "aab", "", "", ""]
    assert stops.met == "aabab"


@given(st.text(alphabet="ab", max_size=12), st.lists(st.text(alphabet="ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_mark_that_has_begun_is_seen(text: str, marks: list[str]) -> None:
    longest = max(n for mark in marks for n in range(len(mark)) if text.endswith(mark[:n]))
    assert begun_mark(text, marks) == longest


@given(
    st.lists(st.text(alphabet="ab", max_size=5), max_size=12),
    st.lists(st.text(alphabet="ab", min_size=1, max_size=6), max_size=3),
)
def test_a_stop_text_is_met_wherever_the_text_is_cut(pieces: list[str], marks: list[str]) -> None:
    stops = StopTexts(marks)
    held = ""
    for piece in pieces:
        held += piece
        found = [(at, mark) for mark in marks if (at := held.find(mark)) >= 0]
        if found:
            at, met = min(found)
            assert (stops.feed(piece), stops.met) == (held[:at], met)
            assert (stops.feed("ab"), stops.finish()) == ("", "")
            return
        certain = len(held) - begun_mark(held, marks)
        assert (stops.feed(piece), stops.met) == (held[:certain], None)
        held = held[certain:]
    assert stops.finish() == held


STOPS_AND_PIECES: dict[str, Callable[[int], tuple[str, Iterable[str]]]] = {
    "all but the end, by characters": lambda n: ("ab" * n + "c", ["ab"] * n),
    "again and again": lambda n: ("a" * n + "b", ["a"] * 3 * n),
    "beginnings that break off": lambda n: ("a" * n + "b", ["a" * (n - 1) + "c"] * 3),
    "no beginning twice": lambda n: ("a" * (n // 2) + "b" + "a" * (n // 2) + "c", ["a"] * 2 * n),
    "a long piece first": lambda n: ("a" * 4 * n + "b", ["a" * 4 * n, *["a"] * 4 * n]),
}


@pytest.mark.parametrize("kind", STOPS_AND_PIECES)
def test_long_stop_texts_take_linear_time(kind: str) -> None:
    def cost(size: int) -> float:
        """The CPU time of this thread; the least of three, as some of it may be spent on other things."""
        return min(once(*STOPS_AND_PIECES[kind](size)) for _ in range(3))

    def once(stop: str, pieces: Iterable[str]) -> float:
        stops = StopTexts([stop])
        before = time.thread_time()
        for piece in pieces:
            stops.feed(piece)
        return time.thread_time() - before

    assert cost(1 << 13) < 8 * cost(1 << 11)


def entry(token: str, value: float = -0.5, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": value, "bytes": list(token.encode())} | more


@pytest.mark.parametrize(
    ("logprobs", "entries"),
    [
        (None, []),
        (5, []),
        ({"content": None}, []),
        ({"content": [{"token": "é", "logprob": -0.5}]}, [entry("é")]),
        ({"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}, [entry("a")]),
        ({"content": [{"token": "a", "logprob": float("-inf"), "top_logprobs": [{"token": "b", "logprob": -1}]}]}, [entry("a", -9999.0, top_logprobs=[entry("b", -1)])]),
        ({"content": [{"token": None, "logprob": "x", "bytes": "y", "top_logprobs": 3}, "?"]}, [entry("", 0.0)]),
        ({"tokens": ["a", "b"], "token_logprobs": [-0.5, None], "top_logprobs": [{"c": -2.0}]}, [entry("a", top_logprobs=[entry("c", -2.0)]), entry("b", 0.0)]),
    ],
)  # fmt: skip
def test_logprobs_in_ollamas_form(logprobs: object, entries: list[Any]) -> None:
    assert read_logprobs(logprobs) == entries


def test_fragments_of_reasoning_details_are_joined() -> None:
    details = ReasoningDetails()
    details.feed([{"type": "reasoning.text", "text": "Let ", "index": 0, "format": "x"}, "?"])
    details.feed([{"type": "reasoning.text", "text": "me", "index": 0, "signature": None}])
    details.feed([{"type": "reasoning.text", "signature": "s", "index": 0}])
    details.feed(
        [{"type": "reasoning.encrypted", "data": "a", "index": 1}, {"type": "reasoning.encrypted", "data": "b", "index": 1}]
    )
    details.feed("none")
    assert details.take() == [
        {"type": "reasoning.text", "text": "Let me", "index": 0, "format": "x", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "a", "index": 1},
        {"type": "reasoning.encrypted", "data": "b", "index": 1},
    ]
    assert details.take() == []


def test_texts_of_a_detail_are_put_together() -> None:
    details = ReasoningDetails()
    details.feed([{"type": "t", "text": "a"}, {"type": "t", "text": "b"}, {"type": "t", "text": "c", "signature": "s"}])
    details.feed([{"type": "t", "text": 5}, {"type": "t", "signature": "t"}, {"type": "u", "text": "d"}])
    assert details.take() == [{"type": "t", "text": 5, "signature": "st"}, {"type": "u", "text": "d"}]
    assert details.take() == []
