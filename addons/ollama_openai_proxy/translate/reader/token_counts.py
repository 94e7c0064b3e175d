"""Reads the tokens of an answer from the objects in which servers count them.

OpenAI has `prompt_tokens` and `completion_tokens` with `…_details`; Anthropic-like servers `input_tokens` and
`output_tokens`; DeepSeek `prompt_cache_hit_tokens`; Moonshot `cached_tokens`, and the whole object within a choice; Groq
`x_groq.usage`; llama.cpp `timings` beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...schemas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_TOKENS = 1 << 53
"""More than any count is, and what every client can read."""

_PROMPT = ("prompt_tokens", "input_tokens", "prompt_n", "prompt_eval_count")
_COMPLETION = ("completion_tokens", "output_tokens", "generated_tokens", "predicted_n", "eval_count")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "cache_n")
_REASONING = ("reasoning_tokens",)
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details")


class TokenCounts:
    """Gathers the counts of one answer. A count of a later chunk replaces an earlier one, unless it is 0 or absent."""

    __slots__ = ("_cached", "_completion", "_prompt", "_reasoning", "_total")

    def __init__(self) -> None:
        self._prompt = self._completion = self._reasoning = self._total = 0
        self._cached: int | None = None

    @property
    def told(self) -> tuple[int, int]:
        """Tokens of the prompt and of the answer as the server counted them; 0 for what it did not tell."""
        return self._prompt, self._completion

    def read_chunk(self, chunk: Mapping[str, Any], choice: Mapping[str, Any] | None) -> None:
        """Take the counts of a chunk, wherever in the chunk they stand."""
        if isinstance(timings := chunk.get("timings"), dict):
            self._read(timings)
        if choice is not None and isinstance(usage := choice.get("usage"), dict):
            self._read(usage)
        if isinstance(groq := chunk.get("x_groq"), dict) and isinstance(usage := groq.get("usage"), dict):
            self._read(usage)
        if isinstance(usage := chunk.get("usage"), dict):
            self._read(usage)

    def usage(self, prompt_estimate: int, pieces: int) -> Usage:
        """The counts of the answer, all of them at least 1 or, for those of the details, 0; cached tokens may be unknown.

        Args:
            prompt_estimate: tokens of the prompt, for a server that does not count them.
            pieces: how many pieces the answer came in, which stands for its tokens with such a server.
        """
        prompt = max(self._prompt or prompt_estimate, 1)
        completion = self._completion or (max(self._total - self._prompt, 0) if self._prompt else 0) or pieces
        return Usage(
            input_tokens=prompt,
            output_tokens=max(completion, 1),
            cached_tokens=self._cached,
            reasoning_tokens=self._reasoning,
        )

    def _read(self, usage: Mapping[str, Any]) -> None:
        self._prompt = _first(usage, _PROMPT) or self._prompt
        self._completion = _first(usage, _COMPLETION) or self._completion
        cached = [_told(place, _CACHED) for place in (usage, *(usage.get(details) for details in _PROMPT_DETAILS))]
        # Servers tell 0, too: that nothing was cached is not the same as not to know.
        self._cached = max((count for count in (*cached, self._cached) if count is not None), default=None)
        self._reasoning = _first(usage, _REASONING) or _detail(usage, _COMPLETION_DETAILS, _REASONING) or self._reasoning
        self._total = _whole(usage.get("total_tokens")) or self._total


def _first(place: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    return next(filter(None, (_whole(place.get(key)) for key in keys)), 0)


def _told(place: Any, keys: tuple[str, ...]) -> int | None:
    """The count that a place tells, or None."""
    values = [place.get(key) for key in keys] if isinstance(place, dict) else []
    return max((_whole(value) for value in values if isinstance(value, int | float | str)), default=None)


def _detail(usage: Mapping[str, Any], places: tuple[str, ...], keys: tuple[str, ...]) -> int:
    details = (usage.get(place) for place in places)
    return next(filter(None, (_first(each, keys) for each in details if isinstance(each, dict))), 0)


def _whole(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        value = int(value)
    return int(value) if isinstance(value, int | float) and 0 <= value < _MOST_TOKENS else 0
