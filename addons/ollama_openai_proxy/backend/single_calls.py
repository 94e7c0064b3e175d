"""Gives a server one call at a time, where a further call would stop the answer that is running.

Ollama answers such calls one after the other, and its clients make them at once: a program asks for a title beside a chat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ..net.body import Body, ReleasingBody

if TYPE_CHECKING:
    import asyncio


class SingleCall:
    """One call, which others wait for. Its turn begins with the `async with` block, and ends with the block or with a body.

    Args:
        lock: of the server; None where calls need not wait for each other.
    """

    __slots__ = ("_handed_over", "_lock")

    def __init__(self, lock: asyncio.Lock | None) -> None:
        self._lock = lock
        self._handed_over = False

    async def __aenter__(self) -> Self:
        if self._lock is not None:
            await self._lock.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._lock is not None and not self._handed_over:
            self._lock.release()

    def until_end_of(self, body: Body) -> Body:
        """Return the body of the call's answer, with the end of which, or with its closing, the turn ends."""
        if self._lock is None:
            return body
        self._handed_over = True
        return ReleasingBody(body, self._lock.release)
