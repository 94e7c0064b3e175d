"""Estimates of tokens, for what is decided before a back end has counted.

Most tokenizers make a token of about four bytes of text, in whichever script. A chat template adds a few tokens to each
message.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
MEDIA_TOKENS = 768
"""For a picture, a sound or a file. Ollama counts as many for a picture when it shortens a conversation."""


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text; 0 for an empty one."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def message_tokens(message: Mapping[str, Any]) -> int:
    """Estimate the tokens of one message of a chat completion."""
    tokens = TOKENS_PER_MESSAGE + text_tokens(message.get("reasoning_content") or "")
    content = message.get("content") or ""
    for part in [{"text": content}] if isinstance(content, str) else content:
        tokens += text_tokens(part["text"]) if "text" in part else MEDIA_TOKENS
    for call in message.get("tool_calls") or ():
        tokens += text_tokens(call["function"]["name"]) + text_tokens(call["function"]["arguments"])
    return tokens


def prompt_tokens(messages: Iterable[Mapping[str, Any]], tools: Iterable[Mapping[str, Any]] = ()) -> int:
    """Estimate the tokens of a chat completion's prompt."""
    schemas = sum(text_tokens(json.dumps(tool, ensure_ascii=False)) for tool in tools)
    return schemas + sum(map(message_tokens, messages))
