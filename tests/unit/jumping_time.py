"""An event loop whose time jumps to its next timer whenever it has nothing else to do, so that a test of timers neither waits
nor depends on how busy the machine is."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def jumping_time() -> Iterator[None]:
    """Let the running loop's time jump. For tests whose tasks wait for timers and for each other only, not for sockets."""
    loop: Any = asyncio.get_running_loop()
    selector, now = loop._selector, loop.time()
    select = selector.select

    def jump(timeout: float | None = None) -> Any:
        nonlocal now
        events = select(0 if timeout else timeout)
        if timeout and not events:
            now += timeout
        return events

    selector.select, loop.time = jump, lambda: now
    try:
        yield
    finally:
        del selector.select, loop.time
