"""Work that takes long because a body is large, done in a thread, so that other requests go on meanwhile.

Only one thread of a process runs Python at a time (the GIL). While a thread works, the event loop gets its turn every few
milliseconds, except within one call of a function in C, such as that of a JSON parser. The limits on bodies bound these calls:
the largest body that is allowed by default is parsed in 0.15 s.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = 1 << 17
"""Bytes of a body with which work is done at once: to change threads costs more than others would wait."""


async def off_loop[**P, T](size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return `work(*args, **kwargs)`, run in a thread if it handles a large body, and at once otherwise.

    Args:
        size: bytes of the body; up to `SMALL` the work is done at once.
        work: the function to call.
        args: for `work`.
        kwargs: for `work`.

    Raises:
        Exception: what the work raises.
    """
    if size <= SMALL:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
