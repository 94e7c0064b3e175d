"""The sockets that the console command listens on."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_UNSENT = 1 << 17
"""Bytes that the system keeps for a client that does not read; it would keep megabytes, and hide how fast the client reads."""


type _Address = tuple[Any, ...]

_TRIES = 20


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Bind a socket to each address of a host; an empty host is every address of this machine.

    Clients that connect wait until the sockets are served. Port 0 is any port that is free at all of the addresses.

    Raises:
        OSError: the port is taken or forbidden, or the host is not of this machine.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = [*dict.fromkeys((family, address) for family, _, _, _, address in found)]
    if port == 0:
        # What the system gives at the first address may be taken at another one.
        for _ in range(_TRIES):
            with suppress(OSError):
                return _bound_to_all(addresses)
    return _bound_to_all(addresses)


def _bound_to_all(addresses: Sequence[tuple[int, _Address]]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    with ExitStack() as opened:
        for family, (host, port, *more) in addresses:
            given = sockets[0].getsockname()[1] if sockets else port
            sockets.append(opened.enter_context(_bound(family, (host, given, *more))))
        opened.pop_all()
    return sockets


def _bound(family: int, address: _Address) -> socket.socket:
    # asyncio sets TCP_NODELAY for sockets that name their protocol; without it the end of an answer waits 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT)
        bound.bind(address)
        # On Linux two sockets may be bound to one address as long as neither listens.
        bound.listen(1)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
