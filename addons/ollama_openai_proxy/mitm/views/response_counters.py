"""What an answer counts: tokens, times and speeds, in the words of Ollama, OpenAI, Anthropic and llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...translate.reader.token_counts import TokenCounts
from .formatting import number, span

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMES = {
    "load": ("load_duration", 1e9),
    "prompt": ("prompt_eval_duration", 1e9),
    "completion": ("eval_duration", 1e9),
    "total": ("total_duration", 1e9),
}
_LLAMA_TIMES = {"prompt": ("prompt_ms", 1e3), "completion": ("predicted_ms", 1e3)}


@dataclass(slots=True)
class Counters:
    """Tokens, as far as the server counted them, and durations in seconds by what they are of."""

    tokens: TokenCounts = field(default_factory=TokenCounts)
    times: dict[str, float] = field(default_factory=dict)

    @property
    def speed(self) -> float | None:
        """Tokens of the answer in a second."""
        return per_second(self.tokens.told[1], self.times.get("completion"))

    def read(self, frame: Mapping[str, Any], chunk: Mapping[str, Any]) -> None:
        """Take the numbers of a frame; `chunk` says the same as a chunk of a chat completion."""
        self.tokens.read_chunk(chunk, None)
        timings = frame.get("timings")
        for source, names in ((frame, _TIMES), (timings if isinstance(timings, dict) else {}, _LLAMA_TIMES)):
            for name, (theirs, unit) in names.items():
                if (read := number(source.get(theirs))) is not None:
                    self.times[name] = read / unit

    def rows(self) -> list[tuple[str, ...]]:
        """Rows of a table: what, how many, how long, how fast."""
        usage, (prompt, completion), times = self.tokens.usage(0, 0), self.tokens.told, self.times
        first = times["prompt"] + times.get("load", 0) if "prompt" in times else None
        counts = (
            ("prompt tokens", prompt, times.get("prompt")),
            ("answer tokens", completion, times.get("completion")),
            ("of them cached", usage.cached_tokens, None),
            ("of them reasoning", usage.reasoning_tokens, None),
            ("loading the model", None, times.get("load")),
            ("time to first token", None, first),
            ("in all", None, times.get("total")),
        )
        rows: list[tuple[str, ...]] = []
        for name, tokens, time in counts:
            rate = per_second(tokens, time)
            figures = [
                f"{tokens:,}" if tokens else "",
                "" if time is None else span(time),
                f"{rate:,.1f} tokens/s" if rate else "",
            ]
            if any(figures) and tokens != 0:
                rows.append((name, *filter(None, figures)))
        return rows


def per_second(tokens: float | None, seconds: float | None) -> float | None:
    """How many in a second; None where that says nothing."""
    return tokens / seconds if tokens and seconds else None
