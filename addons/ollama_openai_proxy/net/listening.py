"""The sockets that the console command listens on."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack

MOST_UNSENT = 1 << 17
"""Bytes that the system keeps for a client that does not read; it would keep megabytes, and hide how fast the client reads."""


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Bind a socket to each address of a host; an empty host is every address of this machine.

    Clients that connect wait until the sockets are served.

    Raises:
        OSError: the port is taken or forbidden, or the host is not of this machine.
    """
    with ExitStack() as opened:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = dict.fromkeys((family, address) for family, _, _, _, address in found)
        sockets = [opened.enter_context(_bound(family, address)) for family, address in addresses]
        opened.pop_all()
    return sockets


def _bound(family: int, address: tuple[str | int, ...] | tuple[int, bytes]) -> socket.socket:
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
