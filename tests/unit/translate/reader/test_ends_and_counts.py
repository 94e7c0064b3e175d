"""The words for the end are sorted, and the tokens are counted wherever a server counts them."""

# ruff: noqa: E501  # texts of servers, each in one line

from __future__ import annotations

from typing import Any

import pytest
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.reader.finish_reasons import ending_of, read_finish_reason
from ollama_openai_proxy.translate.reader.token_counts import TokenCounts


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("done", ["stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "tool_use", "function_call"]),
        (
            "cut",
            [
                "length",
                "max_tokens",
                "MAX_TOKENS",
                "model_length",
                "model_context_window_exceeded",
                "max-output-tokens",
                "token_limit_reached",
            ],
        ),
        ("filtered", ["content_filter", "SAFETY", "recitation", "refusal", "guardrail"]),
        (
            "failed",
            [
                "error",
                "network_error",
                "insufficient_system_resource",
                "abort",
                "Internal Server Error",
                "timeout",
                "engine_overloaded",
            ],
        ),
        ("unknown", ["flummoxed", "x"]),
    ],
)
def test_the_words_for_the_end(ending: str, words: list[str]) -> None:
    assert {word: ending_of(read_finish_reason(word)) for word in words} == dict.fromkeys(words, ending)


@pytest.mark.parametrize("value", [None, "", "null", "None", 5, [], {}, {"type": None}, "FINISH_REASON_UNSPECIFIED"])
def test_what_is_no_reason(value: object) -> None:
    assert read_finish_reason(value) == ""


def test_a_reason_may_be_an_object() -> None:
    assert read_finish_reason({"type": "length"}) == "length"
    assert read_finish_reason({"reason": "stop"}) == "stop"


def count(*chunks: dict[str, Any], choice: dict[str, Any] | None = None, pieces: int = 7) -> Usage:
    counts = TokenCounts()
    for each in chunks:
        counts.read_chunk(each, choice)
    return counts.usage(11, pieces)


@pytest.mark.parametrize(
    ("chunk", "usage"),
    [
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}, Usage(3, 4)),
        ({"usage": {"input_tokens": 3, "output_tokens": 4}}, Usage(3, 4)),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 1}}}, Usage(3, 4, 2, 1)),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": None, "completion_tokens_details": []}}, Usage(3, 4)),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_cache_hit_tokens": 2}}, Usage(3, 4, 2)),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "cached_tokens": 2}}, Usage(3, 4, 2)),
        ({"x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}}, Usage(3, 4)),
        ({"x_groq": {"id": "x"}}, Usage(11, 7)),
        ({"timings": {"prompt_n": 3, "predicted_n": 4, "cache_n": 2}}, Usage(3, 4, 2)),
        ({"usage": {"prompt_tokens": 3, "total_tokens": 7}}, Usage(3, 4)),
        ({"usage": {"total_tokens": 7}}, Usage(11, 7)),
        ({"usage": {"prompt_tokens": "3", "completion_tokens": 4.0}}, Usage(3, 4)),
        ({"usage": {"prompt_tokens": -3, "completion_tokens": 1e300}}, Usage(11, 7)),
        ({"usage": {"prompt_tokens": None, "completion_tokens": []}}, Usage(11, 7)),
        ({"usage": None}, Usage(11, 7)),
        ({"usage": 5}, Usage(11, 7)),
    ],
)  # fmt: skip
def test_the_places_of_counts(chunk: dict[str, Any], usage: Usage) -> None:
    assert count(chunk) == usage


def test_counts_within_a_choice() -> None:
    assert count({}, choice={"usage": {"prompt_tokens": 3, "completion_tokens": 4}}) == Usage(3, 4)
    assert count({}, choice={}) == Usage(11, 7)


def test_a_later_count_replaces_an_earlier_one_unless_it_is_nothing() -> None:
    first, second = ({"usage": {"prompt_tokens": 3, "completion_tokens": n}} for n in (1, 4))
    assert count(first, second, {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}) == Usage(3, 4)


def test_no_count_is_0() -> None:
    assert count({}, pieces=0) == Usage(11, 1)
    assert TokenCounts().usage(0, 0) == Usage(1, 1)
