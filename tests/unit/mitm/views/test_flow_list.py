"""A flow at a glance: what its comment and its marker say."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import flowfilter
from mitmproxy.test import tflow
from mitmproxy.utils.emoji import emoji
from ollama_openai_proxy.mitm.views.flow_list import FAILED, MARKERS, MENDED, comment_of, marker_of

CALL: dict[str, Any] = {
    "mode": "translate",
    "model": "llama3.2",
    "prompt_tokens": 26,
    "completion_tokens": 300,
    "first_part": 0.5,
    "duration": 3.5,
    "error": "",
    "arrived_as": "POST",
    "request_id": "abc",
}


@pytest.mark.parametrize(
    ("changed", "comment"),
    [
        ({}, "llama3.2 · 26→300 tokens · 100.0 tok/s · first part 500 ms · translate"),
        # Not streamed: the whole time counts.
        ({"first_part": None, "duration": 3.0}, "llama3.2 · 26→300 tokens · 100.0 tok/s · translate"),
        # Still running, or never answered.
        ({"prompt_tokens": None, "completion_tokens": None, "duration": None}, "llama3.2 · first part 500 ms · translate"),
        ({"prompt_tokens": None}, "llama3.2 · ?→300 tokens · 100.0 tok/s · first part 500 ms · translate"),
        # Mended.
        (
            {"mode": "fix", "arrived_as": "GET", "completion_tokens": None, "prompt_tokens": None, "first_part": None},
            "llama3.2 · fix · came as GET",
        ),
        # Gone wrong.
        (
            {"error": "backend_failed", "completion_tokens": None, "prompt_tokens": None, "first_part": None},
            "llama3.2 · error: backend_failed · translate",
        ),
        (
            {"model": "", "error": "unauthorized", "completion_tokens": 0, "first_part": None},
            "error: unauthorized · 26→0 tokens · translate",
        ),
        # A call about no model.
        ({"model": ""}, ""),
        ({"model": "", "arrived_as": "GET"}, ""),
    ],
)
def test_the_comment_says_what_matters(changed: dict[str, Any], comment: str) -> None:
    assert comment_of(CALL | changed) == comment


@pytest.mark.parametrize(
    ("changed", "marker"),
    [
        ({}, ""),
        ({"error": "backend_failed"}, FAILED),
        ({"arrived_as": "GET"}, MENDED),
        ({"arrived_as": "GET", "error": "x"}, FAILED),
        ({"arrived_as": "GET", "model": ""}, ""),
        ({"arrived_as": "DELETE"}, ""),
    ],
)
def test_the_marker_tells_errors_and_mended_requests_apart(changed: dict[str, Any], marker: str) -> None:
    assert marker_of(CALL | changed) == marker


def test_mitmproxy_knows_the_markers() -> None:
    assert set(emoji) >= MARKERS


@pytest.mark.parametrize(
    "info", [{}, {"model": 5, "error": ["x"], "duration": "1", "first_part": True, "completion_tokens": float("nan")}]
)
def test_what_is_missing_or_odd_is_no_trouble(info: dict[str, Any]) -> None:
    assert isinstance(comment_of(info), str)
    assert isinstance(marker_of(info), str)


@pytest.mark.parametrize(
    "text", ["~comment llama3", "~comment error:", "~comment fix", "~meta backend_failed", "~marker red_circle"]
)
def test_mitmproxys_filters_find_it(text: str) -> None:
    info = CALL | {"mode": "fix", "error": "backend_failed"}
    flow = tflow.tflow()
    flow.metadata["ollama"], flow.comment, flow.marked = info, comment_of(info), marker_of(info)
    assert flowfilter.match(text, flow)
    assert not flowfilter.match(text, tflow.tflow())
