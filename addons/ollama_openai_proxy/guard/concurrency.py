"""How many calls are answered at a time."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..errors import ApiError
from .turns import TooManyWaiting, Turns

BUSY = "server busy, please try again.  maximum pending requests exceeded"
"""Ollama's own text, with its two spaces."""


class Places(Protocol):
    """How many calls are answered at a time: in this process, or over all workers."""

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""

    async def enter(self) -> None:
        """Take a place, or wait for one; raises `ApiError` if too many are waiting."""

    def leave(self) -> None:
        """Give a place back; to be called once for each `enter`."""


class Crowd:
    """How many calls are answered at a time, and how many may wait, in this process.

    Args:
        most: how many are answered at a time; 0 is any number.
        most_waiting: how many may wait beside them.
    """

    def __init__(self, most: int, most_waiting: int) -> None:
        self._turns: Turns[asyncio.Future[None]] = Turns(most, most_waiting)

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._turns.limited

    async def enter(self) -> None:
        """Take a place, or wait for one; a caller that is cancelled while waiting has no place.

        Raises:
            ApiError: too many are waiting.
        """
        turn = asyncio.get_running_loop().create_future()
        try:
            if self._turns.enter(turn):
                return
        except TooManyWaiting:
            raise busy() from None
        try:
            await turn
        except BaseException:
            if not self._turns.withdraw(turn):
                # The place came in the same moment.
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back, which is at once that of whoever waits longest; to be called once for each `enter`."""
        turn = self._turns.leave()
        if turn is not None and not turn.done():  # whoever is cancelled gives the place back in turn
            turn.set_result(None)


def busy() -> ApiError:
    """The error for a caller who may not even wait."""
    return ApiError(503, BUSY)
