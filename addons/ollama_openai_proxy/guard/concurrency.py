"""How many calls are answered at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf

from ..errors import ApiError

BUSY = "server busy, please try again.  maximum pending requests exceeded"
"""Ollama's own text, with its two spaces."""


class Crowd:
    """How many calls are answered at a time, and how many may wait; first come, first served.

    Args:
        most: how many are answered at a time; 0 is any number.
        most_waiting: how many may wait beside them.
    """

    def __init__(self, most: int, most_waiting: int) -> None:
        # While there is a free place, nobody waits.
        self._free = most or inf
        self._most_waiting = most_waiting
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._free != inf

    async def enter(self) -> None:
        """Take a place, or wait for one; a caller that is cancelled while waiting has no place.

        Raises:
            ApiError: too many are waiting.
        """
        if self._free:
            self._free -= 1
            return
        if len(self._waiting) >= self._most_waiting:
            raise ApiError(503, BUSY)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled():
                # The place came in the same moment.
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back, which is at once that of whoever waits longest; to be called once for each `enter`."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
