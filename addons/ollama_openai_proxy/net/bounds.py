"""The bounds of what clients may send, of how long the server waits for them, and of how many there may be."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import NamedTuple

FLOOD_SECONDS = 60.0
"""How long a flood of connections counts as one, and is logged once."""
TOO_MANY_CONNECTIONS = "MAX_CONNECTIONS, which is %d, has been reached: connections without a request are closed for new ones."
OTHER_FILES = 32
"""Open files that are no connections."""
MOST_CONNECTIONS = 10_000
"""Connections that one process should have, however many files it may open."""


class Bounds(NamedTuple):
    """What a client may send, and how long the server waits for a client. Each is a setting of that name.

    Attributes:
        max_head_size: bytes of a request's head with the blank lines before it, or of the framing of its chunks with trailers.
        max_header_count: headers of a request.
        head_timeout: seconds for the rest of a head; 0 is for ever, as for the others.
        keep_alive_timeout: seconds until a request begins.
        body_timeout: seconds between two parts of a body.
        write_timeout: seconds without progress of a client that reads its response.
        linger_timeout: seconds for the rest of a request that was refused.
        max_linger_size: bytes of the rest of a request that was refused.
        max_connections: open connections.
    """

    max_head_size: int
    max_header_count: int
    head_timeout: float
    keep_alive_timeout: float
    body_timeout: float
    write_timeout: float
    linger_timeout: float
    max_linger_size: int
    max_connections: int


class Counts(NamedTuple):
    """How many there may be in a request; 0 is any number. Each is a setting of that name.

    Attributes:
        max_json_elements: values of JSON.
        max_messages: messages, or items of a Responses call.
        max_tools: tools.
        max_stops: strings that end an answer.
        max_inputs: texts to embed.
        max_schema_nodes: values in the JSON schemas of the format and of all tools.
        max_context: numbers of a generate call's `context`.
    """

    max_json_elements: int
    max_messages: int
    max_tools: int
    max_stops: int
    max_inputs: int
    max_schema_nodes: int
    max_context: int


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
