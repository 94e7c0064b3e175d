"""A server that tells of no cached tokens is not one that has none."""

from typing import Any

import pytest
from ollama_openai_proxy.translate.reader.token_counts import TokenCounts


@pytest.mark.parametrize(
    ("usages", "cached"),
    [
        ([{}], None),
        ([{"prompt_tokens_details": None}], None),
        ([{"prompt_tokens_details": {}}], None),
        ([{"prompt_tokens_details": {"cached_tokens": None}}], None),
        ([{"prompt_tokens_details": {"cached_tokens": 0}}], 0),
        ([{"prompt_tokens_details": {"cached_tokens": 5}}], 5),
        ([{"input_tokens_details": {"cached_tokens": 5}}], 5),
        ([{"prompt_cache_hit_tokens": 0}], 0),
        ([{"cached_tokens": 7}, {}], 7),
        ([{"cached_tokens": 0}, {"cached_tokens": 7}, {"cached_tokens": 0}], 7),
    ],
)
def test_cached_tokens_are_unknown_until_they_are_told(usages: list[dict[str, Any]], cached: int | None) -> None:
    counts = TokenCounts()
    for usage in usages:
        counts.read_chunk({"usage": usage}, None)
    assert counts.usage(1, 1).cached_tokens == cached


def test_counts_are_also_read_from_timings() -> None:
    counts = TokenCounts()
    counts.read_chunk({"timings": {"prompt_n": 3, "cache_n": 0}}, None)
    assert counts.usage(1, 1).cached_tokens == 0


def test_what_a_server_told_is_told_apart_from_estimates() -> None:
    counts = TokenCounts()
    assert counts.told == (0, 0)
    counts.read_chunk({"usage": {"prompt_tokens": 7}}, None)
    assert counts.told == (7, 0)
    assert counts.usage(1, 3).output_tokens == 3
