"""Who has a place, and who is next: the rules of MAX_CONCURRENT_REQUESTS and MAX_QUEUED_REQUESTS, without any waiting.

`guard.concurrency` waits in one process. With workers, the supervisor keeps the places of all of them; so this module imports
nothing that would make the supervisor larger.
"""

from __future__ import annotations

import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REMEMBERED = 600.0
"""Seconds for which a place is kept free for a second caller."""
MOST_REMEMBERED = 1024
"""Callers that are remembered."""


class Turns[Waiter]:
    """Places, and a queue of those who wait for a place.

    Whoever waits comes in by turns of callers, and among the calls of one caller in their order. A caller that would take the
    last place leaves that place free while another caller has called lately, unless there is no more than one place at all.
    When too many wait, the caller with the most calls in the queue loses its newest one to a caller with fewer.

    Args:
        tell: is called once for each waiter, with True when the waiter has a place, or with False when the waiter is refused.
        clock: gives seconds.

    Attributes:
        most: how many places there are.
        most_waiting: how many may wait.
        several: whether it is known that there is more than one caller.
    """

    def __init__(self, tell: Callable[[Waiter, bool], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self.most = inf
        self.most_waiting = 0
        self.several = False
        self._inside: dict[str, int] = {}
        self._taken = 0
        self._queues: dict[str, deque[Waiter]] = {}
        """The callers that wait, whose turn comes first at the front."""
        self._seen: dict[str, float] = {}
        """When callers called last, the latest at the end; those who called lately."""

    def set_limits(self, most: int, most_waiting: int, *, several: bool) -> None:
        """Change the limits, and let in whoever need not wait any more; a `most` of 0 is any number."""
        self.most, self.most_waiting, self.several = most or inf, most_waiting, several
        self._let_in()

    def enter(self, waiter: Waiter, caller: str) -> None:
        """Take a place, or else a place in the queue."""
        self._see(caller)
        if not self._queues.get(caller) and self._may_enter(caller):
            self._take(caller)
            self._tell(waiter, True)  # what a place is
        elif len(list(self._waiters())) < self.most_waiting or self._make_room(caller):
            self._queues.setdefault(caller, deque()).append(waiter)
        else:
            self._tell(waiter, False)

    def withdraw(self, waiter: Waiter, caller: str) -> bool:
        """Take a waiter out of the queue; returns False if the waiter is not in the queue any more."""
        if waiter not in self._queues.get(caller, ()):
            return False
        self._remove(waiter, caller)
        return True

    def withdraw_all(self, whose: Callable[[Waiter], bool]) -> None:
        """Take all waiters out of the queue for whom `whose` returns True."""
        for waiter, caller in [*self._waiters()]:
            if whose(waiter):
                self._remove(waiter, caller)

    def leave(self, caller: str) -> None:
        """Give a place back, which is at once that of whoever is next; to be called once for each place."""
        self._taken -= 1
        self._inside[caller] -= 1
        if not self._inside[caller]:
            del self._inside[caller]
        self._let_in()

    def _let_in(self) -> None:
        while (caller := next(filter(self._may_enter, self._queues), None)) is not None:
            queue = self._queues.pop(caller)
            waiter = queue.popleft()
            if queue:
                self._queues[caller] = queue  # at the end: others have their turn first
            self._take(caller)
            self._tell(waiter, True)

    def _may_enter(self, caller: str) -> bool:
        if self._taken >= self.most:
            return False
        is_last = self._taken == self.most - 1
        return not (is_last and self._taken and self._inside.get(caller) == self._taken and self._has_others())

    def _take(self, caller: str) -> None:
        self._taken += 1
        self._inside[caller] = self._inside.get(caller, 0) + 1

    def _has_others(self) -> bool:
        return self.several or len(self._seen) > 1

    def _see(self, caller: str) -> None:
        now = self._clock()
        self._seen.pop(caller, None)
        self._seen[caller] = now
        while self._seen[oldest := next(iter(self._seen))] < now - REMEMBERED or len(self._seen) > MOST_REMEMBERED:
            del self._seen[oldest]

    def _waiters(self) -> Iterator[tuple[Waiter, str]]:
        return ((waiter, caller) for caller, queue in self._queues.items() for waiter in queue)

    def _make_room(self, caller: str) -> bool:
        """Refuse the newest call of the caller who has most of them in the queue, unless this caller would have as many."""
        longest = max(self._queues, key=lambda name: len(self._queues[name]), default=caller)
        if longest == caller or len(self._queues[longest]) <= len(self._queues.get(caller, ())) + 1:
            return False
        waiter = self._queues[longest][-1]
        self._remove(waiter, longest)
        self._tell(waiter, False)
        return True

    def _remove(self, waiter: Waiter, caller: str) -> None:
        self._queues[caller].remove(waiter)
        if not self._queues[caller]:
            del self._queues[caller]
