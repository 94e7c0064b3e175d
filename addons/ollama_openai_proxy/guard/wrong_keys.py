"""Slows down whoever tries keys out: wrong keys are counted by address, and beyond an allowance their refusal takes a while.

An address that has used up its allowance has `MOST_WAITING` refusals under way at a time, each of which takes `DELAY` seconds,
whether its client waits or not. Further requests of the address are refused without a look at their keys. So an address
finds out about `MOST_WAITING / DELAY` keys in a second. A key that was right before, from that address, is always looked at:
clients that share an address with somebody who tries keys out go on working.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DELAY = 1.0
"""Seconds until a wrong key is refused once the allowance of its address is used up."""
MOST_WAITING = 8
"""Refusals of one address that are under way at a time."""
MOST_ADDRESSES = 4096
"""Addresses that are remembered; the one that was quiet longest makes way."""
MOST_PROVEN = 4096
"""Pairs of address and key that are remembered."""


class WrongKeys:
    """Counts wrong keys.

    Args:
        per_minute: WRONG_KEYS_PER_MINUTE: the allowance of each address; 0 is any number.
        clock: gives seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()

    def is_shut(self, address: str) -> bool:
        """Whether no key of an address is looked at now, unless the key is proven."""
        return bool(self._per_minute) and (found := self._addresses.get(address)) is not None and found.waiting >= MOST_WAITING

    def is_proven(self, address: str, owner: str) -> bool:
        """Whether a key was right before from an address."""
        return (address, owner) in self._proven

    def was_right(self, address: str, owner: str) -> None:
        """Note a right key."""
        pair = (address, owner)
        self._proven[pair] = None
        self._proven.move_to_end(pair)
        if len(self._proven) > MOST_PROVEN:
            self._proven.popitem(last=False)

    async def was_wrong(self, address: str) -> None:
        """Note a wrong key, and return when the key may be refused."""
        if not self._per_minute:
            return
        now = self._clock()
        found = self._addresses.setdefault(address, _Address(float(self._per_minute), now))
        self._addresses.move_to_end(address)
        if len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
        found.left = min(found.left + (now - found.counted) * self._per_minute / 60, self._per_minute)
        found.counted = now
        if found.left >= 1:
            found.left -= 1
            return
        found.waiting += 1
        # A timer, which also runs out when the client has left.
        asyncio.get_running_loop().call_later(DELAY, found.end_wait)
        await asyncio.sleep(DELAY)


class _Address:
    __slots__ = ("counted", "left", "waiting")

    def __init__(self, left: float, counted: float) -> None:
        self.left = left
        self.counted = counted
        self.waiting = 0

    def end_wait(self) -> None:
        self.waiting -= 1
