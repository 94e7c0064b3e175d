"""How many calls are answered at a time, and who comes in next: callers take turns."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from ..errors import ApiError
from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = "server busy, please try again.  maximum pending requests exceeded"
"""Ollama's own text, with its two spaces."""


class Places(Protocol):
    """How many calls are answered at a time: in this process, or over all workers."""

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""

    async def enter(self, caller: str) -> None:
        """Take a place, or wait for one; raises `ApiError` if too many are waiting."""

    def leave(self, caller: str) -> None:
        """Give a place back; to be called once for each `enter`."""


class Crowd:
    """How many calls are answered at a time, and how many may wait, in this process; `Turns` has the rules.

    Args:
        most: how many are answered at a time; 0 is any number.
        most_waiting: how many may wait beside them.
        several: whether it is known that there is more than one caller.
        clock: gives seconds.
    """

    def __init__(
        self, most: int, most_waiting: int, *, several: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limited = most > 0
        self._turns: Turns[_Turn] = Turns(_Turn.end, clock)
        self._turns.set_limits(most, most_waiting, several=several)

    async def enter(self, caller: str = "") -> None:
        """Take a place, or wait for one; a call that is cancelled while waiting has no place.

        Args:
            caller: who calls: the name of a key, or an address.

        Raises:
            ApiError: too many are waiting.
        """
        turn = _Turn()
        self._turns.enter(turn, caller)
        try:
            await turn.is_over.wait()
        except BaseException:
            # The place may have come in the same moment.
            if not self._turns.withdraw(turn, caller) and turn.has_place:
                self.leave(caller)
            raise
        if not turn.has_place:
            raise busy()

    def leave(self, caller: str = "") -> None:
        """Give a place back; if a call waits, it gets the place at once. To be called once for each `enter` that succeeded.

        Args:
            caller: the one that was given to `enter`.
        """
        self._turns.leave(caller)


class _Turn:
    """A call that waits."""

    def __init__(self) -> None:
        self.is_over = asyncio.Event()
        self.has_place = False

    def end(self, has_place: bool) -> None:  # as `Turns` tells
        self.has_place = has_place
        self.is_over.set()


def busy() -> ApiError:
    """The error for a caller who may not even wait."""
    return ApiError(503, BUSY)
