"""Sampling parameters within the ranges that servers take, where Ollama takes any number.

vLLM and OpenAI refuse the whole call for a `temperature` above 2 or a `top_p` of 0. Ollama's sampler takes the nearest value
that means something, and so does this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .server_profiles import Profile

LOWEST_TOP_P = 0.01
"""Stands for a `top_p` of 0, in Ollama the likeliest token alone: OpenAI and vLLM want a number above 0."""

_BETWEEN: dict[str, tuple[float, float]] = {
    "top_p": (LOWEST_TOP_P, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
_ABOVE_ZERO = frozenset({"repetition_penalty", "repeat_penalty"})
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")

COMPLETION_TOKENS = 2048
"""The limit of a text completion that has none, where the model's context length is not known. OpenAI, vLLM and
llama-cpp-python stop such a completion after 16 tokens; Ollama goes on to the end."""

_MARGIN = 1.1
"""By how much an estimate of a prompt's tokens may be too low."""


def within_ranges(parameters: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """Bring sampling parameters into range; a penalty that means nothing is left out, and so are empty `stop` strings."""
    ranged: dict[str, Any] = {}
    for name, value in parameters.items():
        if name == "temperature":
            ranged[name] = _between(value, 0.0, profile.highest_temperature)
        elif name in _BETWEEN:
            ranged[name] = _between(value, *_BETWEEN[name])
        elif name == "stop":
            if stops := [text for text in value if text]:
                ranged[name] = stops
        elif name not in _ABOVE_ZERO or value > 0:
            ranged[name] = value
    return ranged


def lowered_limit(parameters: Mapping[str, Any], context_length: int, prompt_tokens: int) -> dict[str, int]:
    """The limit of tokens that fits into the context beside the prompt, where that of `parameters` does not.

    Args:
        parameters: of the call.
        context_length: the model's, in tokens; 0 where it is not known.
        prompt_tokens: an estimate.

    Returns:
        The parameter to replace; nothing where the limit fits, or where there is none.
    """
    for name in TOKEN_LIMITS:
        limit = parameters.get(name)
        if context_length and isinstance(limit, int) and limit + prompt_tokens > context_length:
            return {name: _room(context_length, prompt_tokens) or min(limit, context_length)}
    return {}


def completion_limit(parameters: Iterable[str], profile: Profile, context_length: int, prompt_tokens: int) -> dict[str, int]:
    """The limit for a text completion that sets none; the arguments are those of `lowered_limit`."""
    if profile.name == "llamacpp" or not set(TOKEN_LIMITS).isdisjoint(parameters):
        # llama.cpp itself goes on to the end.
        return {}
    return {"max_tokens": (_room(context_length, prompt_tokens) if context_length else 0) or COMPLETION_TOKENS}


def _room(context_length: int, prompt_tokens: int) -> int:
    """Tokens that are left for the answer; 0 where the prompt alone fills the context."""
    return max(context_length - int(prompt_tokens * _MARGIN) - 1, 0)


def _between(value: float, lowest: float, highest: float) -> float:
    return max(lowest, min(value, highest))
