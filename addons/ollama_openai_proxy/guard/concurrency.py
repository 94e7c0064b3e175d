"""How many calls are answered at a time, and who comes in next: callers take turns."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from ..errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = "server busy, please try again.  maximum pending requests exceeded"
"""Ollama's own text, with its two spaces."""
REMEMBERED = 600.0
"""Seconds for which a place is kept free for a second caller."""
MOST_REMEMBERED = 1024
"""Callers that are remembered."""


class Crowd:
    """How many calls are answered at a time, and how many may wait.

    Whoever waits comes in by turns of callers, and among the calls of one caller in their order. A caller that would take the
    last place leaves that place free while another caller has called lately, unless there is no more than one place at all.
    When too many wait, the caller with the most calls in the queue loses its newest one to a caller with fewer.

    Args:
        most: how many are answered at a time; 0 is any number.
        most_waiting: how many may wait beside them.
        several: whether it is known that there is more than one caller.
        clock: gives seconds.
    """

    def __init__(
        self, most: int, most_waiting: int, *, several: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most or inf
        self._most_waiting = most_waiting
        self._several = several
        self._clock = clock
        self._inside: dict[str, int] = {}
        self._taken = 0
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}
        """The callers that wait, whose turn comes first at the front."""
        self._seen: dict[str, float] = {}
        """When callers called last, the latest at the end; those who called lately."""

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._most != inf

    async def enter(self, caller: str = "") -> None:
        """Take a place, or wait for one; a call that is cancelled while waiting has no place.

        Args:
            caller: who calls: the name of a key, or an address.

        Raises:
            ApiError: too many are waiting.
        """
        self._see(caller)
        if not self._queues.get(caller) and self._may_enter(caller):
            self._take(caller)
            return
        if self._waiting() >= self._most_waiting:
            self._make_room(caller)
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn in self._queues.get(caller, ()):
                self._remove(caller, turn)
            elif not turn.cancelled() and turn.exception() is None:
                # The place came in the same moment.
                self.leave(caller)
            raise

    def leave(self, caller: str = "") -> None:
        """Give a place back, which is at once that of whoever is next; to be called once for each `enter`."""
        self._taken -= 1
        self._inside[caller] -= 1
        if not self._inside[caller]:
            del self._inside[caller]
        self._let_in()

    def _let_in(self) -> None:
        while (caller := next(filter(self._may_enter, self._queues), None)) is not None:
            turns = self._queues.pop(caller)
            turn = turns.popleft()
            if turns:
                self._queues[caller] = turns  # at the end: others have their turn first
            if not turn.done():
                self._take(caller)
                turn.set_result(None)

    def _may_enter(self, caller: str) -> bool:
        if self._taken >= self._most:
            return False
        is_last = self._taken == self._most - 1
        return not (is_last and self._taken and self._inside.get(caller) == self._taken and self._has_others())

    def _take(self, caller: str) -> None:
        self._taken += 1
        self._inside[caller] = self._inside.get(caller, 0) + 1

    def _has_others(self) -> bool:
        return self._several or len(self._seen) > 1

    def _see(self, caller: str) -> None:
        now = self._clock()
        self._seen.pop(caller, None)
        self._seen[caller] = now
        while self._seen[oldest := next(iter(self._seen))] < now - REMEMBERED or len(self._seen) > MOST_REMEMBERED:
            del self._seen[oldest]

    def _waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    def _make_room(self, caller: str) -> None:
        """Refuse the newest call of the caller who has most of them in the queue, unless it is this caller.

        Raises:
            ApiError: no caller has more calls in the queue than this one would have.
        """
        longest = max(self._queues, key=lambda name: len(self._queues[name]), default=caller)
        if longest == caller or len(self._queues[longest]) <= len(self._queues.get(caller, ())) + 1:
            raise ApiError(503, BUSY)
        turn = self._queues[longest][-1]
        self._remove(longest, turn)
        if not turn.done():
            turn.set_exception(ApiError(503, BUSY))

    def _remove(self, caller: str, turn: asyncio.Future[None]) -> None:
        self._queues[caller].remove(turn)
        if not self._queues[caller]:
            del self._queues[caller]
