"""A refusal may say that a model has only `/v1/responses`; what that API refuses is learned in the terms of a chat."""

from typing import Any

import pytest
from ollama_openai_proxy.translate.adaptation.api_changes import UseResponses, in_chat_terms
from ollama_openai_proxy.translate.adaptation.changes import Call
from ollama_openai_proxy.translate.adaptation.learned import Attempts, Learned, LearnedByModel
from ollama_openai_proxy.translate.responses_backend.request import SUMMARY

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, "temperature": 1}
ONLY = "This model is only supported in v1/responses and not in v1/chat/completions."
AFTER = {"store": False, "include": ["reasoning.encrypted_content"], SUMMARY: "auto", **CHAT}


def learned() -> Learned:
    return Learned(lambda: 0.0)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, ONLY),
        (400, "The model gpt-x is only available through the Responses API."),
        (
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
            "Did you mean to use v1/completions?",
        ),
        (400, "model gpt-5-codex is not accessible via the /chat/completions endpoint"),
        (400, "Unsupported legacy protocol: /v1/chat/completions is not supported. Please use /v1/responses."),
        (400, "The chatCompletion operation does not work with the specified model, codex-mini."),
    ],
)
def test_a_refusal_says_where_the_model_is(status: int, text: str) -> None:
    attempts = Attempts(learned(), CHAT)
    lesson = attempts.learn(status, text, "model")
    assert lesson.again
    assert [change.describe() for change in lesson.changes] == ["/v1/responses is called"]
    assert attempts.call == Call(AFTER, api="responses")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, "The model `m` does not exist"),
        (503, ONLY),
        (404, "Invalid URL (POST /v1/chat/completions)"),
        (
            400,
            "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. "
            "Please use /v1/responses.",
        ),
    ],
)
def test_another_refusal_does_not(status: int, text: str) -> None:
    attempts = Attempts(learned(), CHAT)
    attempts.learn(status, text, None)
    assert attempts.call.api == "chat"


def test_completions_have_no_other_api() -> None:
    attempts = Attempts(learned(), {"model": "m", "prompt": "hi"})
    assert not attempts.learn(404, ONLY, None).again


def test_the_lesson_holds_for_further_calls_once_it_was_confirmed() -> None:
    of_model = learned()
    first = Attempts(of_model, CHAT)
    first.learn(404, ONLY, None)
    assert Attempts(of_model, CHAT).call.api == "chat"
    first.confirm()
    assert Attempts(of_model, CHAT).call.api == "responses"


def test_it_is_not_said_twice() -> None:
    attempts = Attempts(learned(), CHAT)
    attempts.learn(404, ONLY, None)
    assert not attempts.learn(404, ONLY, None).again


def test_a_call_may_begin_with_it_for_itself_alone() -> None:
    models = LearnedByModel(lambda: 0.0)
    attempts = models.attempts(CHAT, beginning=[UseResponses()])
    assert attempts.call.api == "responses"
    attempts.confirm()
    assert models.attempts(CHAT).call.api == "chat"
    unlearning = LearnedByModel(lambda: 0.0, enabled=False)
    assert unlearning.attempts(CHAT, beginning=[UseResponses()]).call.api == "responses"


@pytest.mark.parametrize(
    ("text", "param", "without"),
    [
        ("Unsupported parameter: 'temperature' is not supported with this model.", "temperature", "temperature"),
        ("Your organization must be verified to generate reasoning summaries.", "reasoning.summary", SUMMARY),
        ("Your organization must be verified to generate reasoning summaries.", None, SUMMARY),
        ("Unknown parameter: 'include'.", "include", "include"),
    ],
)
def test_what_responses_refuses_is_left_out(text: str, param: str | None, without: str) -> None:
    attempts = Attempts(learned(), CHAT, beginning=[UseResponses()])
    assert attempts.learn(400, in_chat_terms(text), param and in_chat_terms(param)).again
    assert attempts.call == Call({name: value for name, value in AFTER.items() if name != without}, api="responses")


def test_the_names_of_responses_are_those_of_a_chat() -> None:
    assert in_chat_terms("'max_output_tokens' is too large; reasoning.effort, text.format") == (
        "'max_completion_tokens' is too large; reasoning_effort, response_format"
    )
