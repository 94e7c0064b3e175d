"""Tracks running requests for a graceful shutdown."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .body import Body

LOOK_AGAIN = 0.02
"""Seconds."""
LAST_WORDS = 1.0
"""Seconds that cancelled tasks have to write their last frame."""


class Running:
    """The tasks that answer requests at present."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self._bodies: dict[asyncio.Task[object], Body] = {}
        self._dismissed: set[asyncio.Task[object]] = set()
        self._hurry = asyncio.Event()

    def enter(self) -> None:
        """Count the current task, until it has ended."""
        task: asyncio.Task[object] | None = asyncio.current_task()
        if task is not None and task not in self._tasks:
            self._tasks.add(task)
            task.add_done_callback(self._left)

    def answering(self, body: Body) -> None:
        """Note that the current task only sends this body by now."""
        task: asyncio.Task[object] | None = asyncio.current_task()
        if task in self._tasks:
            self._bodies[task] = body

    def is_dismissed(self) -> bool:
        """Whether the current task was cancelled by `drain`, and so has still to tell its client."""
        task: asyncio.Task[object] | None = asyncio.current_task()
        if task is None or task not in self._dismissed:
            return False
        self._dismissed.discard(task)
        task.uncancel()
        return True

    async def drain(self, seconds: float, is_busy: Callable[[], bool] | None = None) -> None:
        """Wait for the running answers, for so many seconds; then end them, each with an error.

        Args:
            seconds: to wait.
            is_busy: whether there is more to wait for: requests that are not answers yet, and answers that are still sent.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (self._tasks or (is_busy and is_busy())) and (left := deadline - loop.time()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), min(left, LOOK_AGAIN))
                break
        if self._tasks:
            self._dismissed = self._tasks - self._bodies.keys()
            for body in list(self._bodies.values()):
                body.fail(goodbye())
            for task in self._dismissed.copy():
                task.cancel("the proxy stops")
            await asyncio.wait(set(self._tasks), timeout=LAST_WORDS)

    def _left(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        self._bodies.pop(task, None)

    def hurry(self) -> None:
        """End a `drain` at once."""
        self._hurry.set()


def goodbye() -> ApiError:
    """The error for clients whose answers the shutdown ended."""
    return ApiError(503, "the proxy is shutting down: try again", kind="shutdown")
