"""The calls by which a server counts the tokens of a prompt, for servers that have a tokenizer to ask.

vLLM renders and counts a conversation in one call. llama.cpp renders the conversation in one call, and makes tokens of the text
in another. Their paths stand beside `/v1`, not below it.

Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (Tokenizer API) and
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md (`/apply-template`, `/tokenize`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENIZE = "/tokenize"
APPLY_TEMPLATE = "/apply-template"


class TokenizerCall(NamedTuple):
    """A `POST` to a server: the path below the server's root, and the body."""

    path: str
    body: dict[str, Any]


type Counting = Generator[TokenizerCall, Any, int | None]
"""Yields calls, is sent the JSON of each reply, and returns the count; None if a reply has none."""


def count_calls(profile: str, parameters: Mapping[str, Any]) -> Counting | None:
    """The calls that count the prompt of a chat completion; None for a server without a tokenizer to ask.

    Args:
        profile: the kind of the server.
        parameters: of the chat completion.
    """
    given = {name: parameters[name] for name in ("messages", "tools") if parameters.get(name)}
    match profile:
        case "vllm":
            return _count_vllm({"model": parameters["model"], **given})
        case "llamacpp":
            return _count_llamacpp(given)
    return None


def _count_vllm(body: dict[str, Any]) -> Counting:
    reply = yield TokenizerCall(TOKENIZE, body)
    return _positive(reply.get("count")) if isinstance(reply, dict) else None


def _count_llamacpp(body: dict[str, Any]) -> Counting:
    reply = yield TokenizerCall(APPLY_TEMPLATE, body)
    prompt = reply.get("prompt") if isinstance(reply, dict) else None
    if not isinstance(prompt, str):
        return None
    reply = yield TokenizerCall(TOKENIZE, {"content": prompt, "add_special": True, "parse_special": True})
    tokens = reply.get("tokens") if isinstance(reply, dict) else None
    return _positive(len(tokens)) if isinstance(tokens, list) else None


def _positive(count: Any) -> int | None:
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else None
