"""Tokens are estimated from bytes of text, messages and media."""

from typing import Any

import pytest
from ollama_openai_proxy.translate.token_estimate import (
    MEDIA_TOKENS,
    TOKENS_PER_MESSAGE,
    message_tokens,
    prompt_tokens,
    text_tokens,
)

CALL = {"id": "1", "type": "function", "function": {"name": "name", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本", 2), ("\ud800", 1)])
def test_four_bytes_are_a_token(text: str, tokens: int) -> None:
    assert text_tokens(text) == tokens


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ({"content": "abcd"}, 1),
        ({"content": None}, 0),
        ({"content": [{"type": "text", "text": "abcd"}, {"type": "image_url"}, {"type": "input_audio"}]}, 1 + 2 * MEDIA_TOKENS),
        ({"content": "", "tool_calls": [CALL, CALL]}, 2 * (1 + 2)),
        ({"content": "", "reasoning_content": "abcd"}, 1),
    ],
)
def test_a_message_has_the_tokens_of_what_is_in_it(message: dict[str, Any], tokens: int) -> None:
    assert message_tokens(message) == TOKENS_PER_MESSAGE + tokens


def test_a_prompt_has_the_tokens_of_its_messages_and_tools() -> None:
    message = {"content": "abcd"}
    assert prompt_tokens([message, message], [{"ab": 1}]) == 2 * message_tokens(message) + 3
    assert prompt_tokens([]) == 0
