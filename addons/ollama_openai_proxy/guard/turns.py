"""Who has a place, and who waits for one: the rules of MAX_CONCURRENT_REQUESTS and MAX_QUEUED_REQUESTS, without any waiting.

`guard.concurrency` waits in one process. With workers, the supervisor keeps the places of all of them; so this module imports
nothing that would make the supervisor larger.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TooManyWaiting(Exception):
    """All places are taken, and nobody else may wait."""


class Turns[Waiter]:
    """Places, and a queue of those who wait for one; first come, first served.

    Args:
        most: how many places there are; 0 is any number.
        most_waiting: how many may wait.
    """

    def __init__(self, most: int, most_waiting: int) -> None:
        # While there is a free place, nobody waits.
        self._most: float = most or inf
        self._taken = 0
        self._most_waiting = most_waiting
        self._waiting: deque[Waiter] = deque()

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._most != inf

    def enter(self, waiter: Waiter) -> bool:
        """Take a place, or else a place in the queue; returns whether the waiter need not wait.

        Raises:
            TooManyWaiting: the queue is full.
        """
        if self._taken < self._most:
            self._taken += 1
            return True
        if len(self._waiting) >= self._most_waiting:
            raise TooManyWaiting
        self._waiting.append(waiter)
        return False

    def withdraw(self, waiter: Waiter) -> bool:
        """Take a waiter out of the queue; returns False if the waiter is not in the queue."""
        if waiter not in self._waiting:
            return False
        self._waiting.remove(waiter)
        return True

    def withdraw_all(self, who: Callable[[Waiter], bool]) -> None:
        """Take all waiters out of the queue for whom `who` returns True."""
        self._waiting = deque(waiter for waiter in self._waiting if not who(waiter))

    def leave(self) -> Waiter | None:
        """Give a place back; returns whose place this is now."""
        self._taken -= 1
        return next(iter(self._fill()), None)

    def resize(self, most: int, most_waiting: int) -> list[Waiter]:
        """Change the limits; returns those who need not wait any more."""
        self._most, self._most_waiting = most or inf, most_waiting
        return self._fill()

    def _fill(self) -> list[Waiter]:
        admitted = []
        while self._waiting and self._taken < self._most:
            self._taken += 1
            admitted.append(self._waiting.popleft())
        return admitted
