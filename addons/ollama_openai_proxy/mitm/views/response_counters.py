"""What an answer counts: tokens, times, speeds, in the words of Ollama, OpenAI, Anthropic and llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .formatting import number, span

if TYPE_CHECKING:
    from collections.abc import Mapping

_NANOSECONDS = 1e9


@dataclass(slots=True)
class Counts:
    """Token counts, and durations in seconds; None for what was not told."""

    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    cached_tokens: float | None = None
    reasoning_tokens: float | None = None
    load: float | None = None
    prompt: float | None = None
    completion: float | None = None
    total: float | None = None

    @property
    def speed(self) -> float | None:
        """Tokens of the answer in a second."""
        return per_second(self.completion_tokens, self.completion)

    @property
    def first_token(self) -> float | None:
        """Seconds until the first token: loading the model and reading the prompt."""
        return None if self.prompt is None else (self.load or 0) + self.prompt

    def read_ollama(self, frame: Mapping[str, Any]) -> None:
        """Take the numbers of the last frame, whose durations are in nanoseconds."""
        self._take(frame, prompt_tokens="prompt_eval_count", completion_tokens="eval_count")
        times = {"load": "load_duration", "prompt": "prompt_eval_duration", "completion": "eval_duration"}
        self._take(frame, _NANOSECONDS, total="total_duration", **times)

    def read_usage(self, usage: object) -> None:
        """Take the token counts of OpenAI or Anthropic."""
        if not isinstance(usage, dict):
            return
        self._take(usage, prompt_tokens="prompt_tokens", completion_tokens="completion_tokens")
        self._take(usage, prompt_tokens="input_tokens", completion_tokens="output_tokens")
        self._take(usage, cached_tokens="cache_read_input_tokens")
        for side in ("prompt", "input"):
            if isinstance(details := usage.get(f"{side}_tokens_details"), dict):
                self._take(details, cached_tokens="cached_tokens")
        for side in ("completion", "output"):
            if isinstance(details := usage.get(f"{side}_tokens_details"), dict):
                self._take(details, reasoning_tokens="reasoning_tokens")

    def read_timings(self, timings: object) -> None:
        """Take the times, in milliseconds, that llama.cpp tells besides."""
        if isinstance(timings, dict):
            self._take(timings, 1000, prompt="prompt_ms", completion="predicted_ms")
            if self.completion_tokens is None:
                self._take(timings, prompt_tokens="prompt_n", completion_tokens="predicted_n")

    def lines(self) -> list[tuple[str, ...]]:
        """Rows of a table: what, how many, how long, how fast."""
        rows: list[tuple[str, ...]] = []
        for name, tokens, time in (
            ("prompt tokens", self.prompt_tokens, self.prompt),
            ("answer tokens", self.completion_tokens, self.completion),
        ):
            if tokens is not None:
                rate = per_second(tokens, time)
                rows.append((name, f"{tokens:,.0f}", *_known(time), *([f"{rate:,.1f} tokens/s"] if rate is not None else [])))
        for name, tokens in (("of them cached", self.cached_tokens), ("of them reasoning", self.reasoning_tokens)):
            if tokens:
                rows.append((name, f"{tokens:,.0f}"))
        for name, time in (("loading the model", self.load), ("time to first token", self.first_token), ("in all", self.total)):
            rows.extend((name, text) for text in _known(time))
        return rows

    def _take(self, source: Mapping[str, Any], unit: float = 1, **names: str) -> None:
        for own, theirs in names.items():
            if (read := number(source.get(theirs))) is not None:
                setattr(self, own, read / unit)


def per_second(tokens: float | None, seconds: float | None) -> float | None:
    """How many in a second; None where that says nothing."""
    return tokens / seconds if tokens and seconds else None


def _known(time: float | None) -> list[str]:
    return [] if time is None else [span(time)]
