"""A prompt that is too long is told from other limits, in whatever words."""

import pytest
from ollama_openai_proxy.translate.adaptation.limit_rules import too_long
from ollama_openai_proxy.translate.adaptation.refusal_text import RefusalText
from ollama_openai_proxy.translate.context_overflow import says_overflow


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("prompt token count of 150000 exceeds the limit of 128000", 128000),
        ("Your request contains 200000 tokens, which exceeds the 128000 limit", 128000),
        ("Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.", 272000),
        ("Request body too large for gpt-4o model. Max size: 8000 tokens.", 8000),
        ("context_length_exceeded", 0),
        ("Please shorten your prompt", 0),
        ("输入过长", 0),
    ],
)
def test_a_prompt_that_is_too_long_is_known_with_its_limit(text: str, limit: int) -> None:
    assert says_overflow(text)
    exceeded = too_long(RefusalText.of(400, text, None), {"model": "m", "messages": []})
    assert exceeded is not None
    assert exceeded.limit == limit


@pytest.mark.parametrize(
    "text",
    [
        "Rate limit reached on tokens per min (TPM): Limit 10000, Used 9000, Requested 3000.",
        "The request took too long",
        "a schema in the request exceeds the maximum allowed nesting depth",
        "max_tokens must be less than 9, the maximum context length",
    ],
)
def test_other_limits_are_none(text: str) -> None:
    assert too_long(RefusalText.of(400, text, None), {"model": "m", "messages": [], "max_tokens": 10}) is None
