"""The tokens of one answer, as OpenAI's Responses and Anthropic's Messages both report them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens that one answer has taken.

    Attributes:
        input_tokens: tokens of the prompt, those from the cache among them.
        output_tokens: tokens of the answer, those of its reasoning among them.
        cached_tokens: tokens of the prompt that the back end had in its cache; None where the back end does not tell.
        reasoning_tokens: how many of the answer's were reasoning.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int = 0
