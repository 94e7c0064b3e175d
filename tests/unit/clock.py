"""A clock for tests, in seconds."""

from __future__ import annotations


class Clock:
    """Stands still until it is set; call it for the time.

    Args:
        now: the time at first.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now
