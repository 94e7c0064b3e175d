"""Takes the times of one answer: the `created_at` of its frames, and the durations of Ollama's last frame."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...schemas.usage import Usage

_SECOND = 1_000_000_000


class AnswerTiming:
    """Times one answer, from the request on: make the object when the request has been understood.

    Args:
        clock: a monotonic clock in nanoseconds.
        unix_time: the time in nanoseconds since the Unix epoch.
    """

    __slots__ = ("_clock", "_first", "_opened", "_second", "_second_text", "_started", "_unix_offset")

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns, unix_time: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._started = clock()
        self._unix_offset = unix_time() - self._started
        self._opened: int | None = None
        self._first: int | None = None
        self._second = -1
        self._second_text = ""

    def note_opened(self) -> None:
        """Notes that the back end has accepted the call; only the first call counts."""
        if self._opened is None:
            self._opened = self._clock()

    def note_event(self) -> None:
        """Notes that the back end has sent a piece of the answer; only the first call counts."""
        if self._first is None:
            self._first = self._clock()

    def timestamp(self) -> str:
        """The time in UTC as Go writes RFC 3339: up to nine digits of fraction, no trailing zeros."""
        seconds, fraction = divmod(self._clock() + self._unix_offset, _SECOND)
        if seconds != self._second:
            # The many frames of one second share the text of the second.
            self._second = seconds
            self._second_text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        if not fraction:
            return self._second_text + "Z"
        return f"{self._second_text}.{fraction:09d}".rstrip("0") + "Z"

    def metrics(self, usage: Usage) -> dict[str, int]:
        """The counters of the last frame in Ollama's order; durations in nanoseconds, at least 1.

        `prompt_eval_cached_count` is left out where the back end does not tell how much of the prompt it had in its cache.
        """
        ended = self._clock()
        opened = self._started if self._opened is None else self._opened
        first = ended if self._first is None else self._first
        metrics = {
            "total_duration": max(ended - self._started, 1),
            "load_duration": max(opened - self._started, 1),
            "prompt_eval_count": usage.input_tokens,
        }
        if usage.cached_tokens is not None:
            metrics["prompt_eval_cached_count"] = usage.cached_tokens
        return metrics | {
            "prompt_eval_duration": max(first - opened, 1),
            "eval_count": usage.output_tokens,
            "eval_duration": max(ended - first, 1),
        }
