"""Counts calls in windows of time, for all workers: what Redis does where RATE_LIMIT_STORAGE names one.

For each key two numbers are kept: the calls of the current window, and those of the window before, which count in the
proportion in which the window before lies within the last window's length of time.
"""

from __future__ import annotations

from math import floor
from typing import NamedTuple

PURGE_AT = 10_000
"""Numbers that are kept before those of ended windows are looked for."""


class Counts(NamedTuple):
    """The calls in two windows, and the seconds for which each number counts yet.

    Attributes:
        previous: calls of the window before.
        previous_left: seconds until the window before does not count any more.
        current: calls of the current window.
        current_left: seconds until the current window does not count any more, also as the window before another.
    """

    previous: int
    previous_left: float
    current: int
    current_left: float


class RateWindows:
    """The calls of all keys."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, int, int], int] = {}
        self._purge_at = PURGE_AT

    def counts(self, key: str, seconds: int, now: float) -> Counts:
        """Return the calls of a key, in windows of so many seconds."""
        number = int(now // seconds)
        left = (number + 1) * seconds - now
        previous = self._calls.get((key, seconds, number - 1), 0)
        return Counts(previous, left if previous else 0.0, self._calls.get((key, seconds, number), 0), left + seconds)

    def acquire(self, key: str, limit: int, seconds: int, amount: int, now: float) -> bool:
        """Count calls, if the limit allows the calls; returns whether it does."""
        counts = self.counts(key, seconds, now)
        if floor(counts.previous * counts.previous_left / seconds + counts.current) + amount > limit:
            return False
        if len(self._calls) >= self._purge_at:
            self._calls = {each: calls for each, calls in self._calls.items() if (each[2] + 2) * each[1] > now}
            self._purge_at = max(PURGE_AT, 2 * len(self._calls))
        self._calls[key, seconds, int(now // seconds)] = counts.current + amount
        return True
