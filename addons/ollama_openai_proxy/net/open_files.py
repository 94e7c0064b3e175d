"""How many connections the limit of open files leaves room for."""

from __future__ import annotations

import sys
from contextlib import suppress

OTHER_FILES = 32
"""Open files that are no connections."""
MOST_CONNECTIONS = 10_000
"""Connections that one process should have, however many files it may open."""


def most_connections(wanted: int) -> int:
    """Return how many clients may be connected.

    Half of the files are left for connections to what stands behind the proxy.

    Args:
        wanted: MAX_CONNECTIONS; 0 is as many as there is room for.
    """
    room = max((_open_files() - OTHER_FILES) // 2, 1)
    return min(wanted or MOST_CONNECTIONS, room)


def _open_files() -> int:
    if sys.platform == "win32":
        return 2 * MOST_CONNECTIONS + OTHER_FILES  # no such limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    return soft
