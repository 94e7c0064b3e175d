"""Chat completions that were passed on and refused: which of them are made again by translation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ollama_openai_proxy.translate.adaptation.learned import LearnedByModel
from ollama_openai_proxy.translate.adaptation.passed_chats import knows_better, teaching_refusal

from tests.unit.clock import Clock

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream_options": {}, "seed": 1}


@pytest.fixture
def book() -> LearnedByModel:
    return LearnedByModel(Clock())


@pytest.mark.parametrize(
    ("status", "body", "again"),
    [
        # transformers, vLLM, OpenAI, and a server that answers with words
        (422, {"detail": "Unsupported fields in the request: {'stream_options'}"}, True),
        (400, {"object": "error", "message": "The parameter `seed` is not supported", "code": 400}, True),
        (400, {"error": {"message": "Unsupported parameter", "param": "seed", "code": "unsupported_parameter"}}, True),
        (400, "The parameter seed is not supported", True),
        (400, {"error": {"message": "Please be polite"}}, False),
        (401, {"error": {"message": "The parameter seed is not supported"}}, False),
        (503, {"error": {"message": "Loading model"}}, False),
    ],
)
def test_a_refusal_that_shows_another_way_is_seen(book: LearnedByModel, status: int, body: object, again: bool) -> None:
    raw = (body if isinstance(body, str) else json.dumps(body)).encode()
    assert (teaching_refusal(book, CHAT, status, raw) is not None) is again


@pytest.mark.parametrize("more", [{"n": 2}, {"modalities": ["audio"]}, {"functions": [{"name": "f"}]}])
def test_what_a_translation_would_lose_stays_refused(book: LearnedByModel, more: dict[str, Any]) -> None:
    assert teaching_refusal(book, CHAT | more, 400, b"The parameter seed is not supported") is None
    _learn(book)
    assert not knows_better(book, CHAT | more)


def test_what_was_learned_counts_for_calls_that_it_changes(book: LearnedByModel) -> None:
    assert not knows_better(book, CHAT)
    _learn(book)
    assert knows_better(book, CHAT)
    assert knows_better(book, CHAT | {"n": 1})
    assert not knows_better(book, {name: value for name, value in CHAT.items() if name != "seed"})
    assert not knows_better(book, CHAT | {"model": "n"})


def test_nothing_is_made_otherwise_where_nothing_may_be_learned() -> None:
    book = LearnedByModel(Clock(), enabled=False)
    assert teaching_refusal(book, CHAT, 400, b"The parameter seed is not supported") is None
    _learn(book)
    assert not knows_better(book, CHAT)


def _learn(book: LearnedByModel) -> None:
    attempts = book.attempts(CHAT)
    attempts.learn(400, "The parameter seed is not supported", None)
    attempts.confirm()
