"""The sockets that the console command listens on."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ..settings import check_loop, listening_errors

if TYPE_CHECKING:
    from ..settings import Settings


def open_sockets(settings: Settings) -> list[socket.socket]:
    """Bind a socket to each address of PROXY_HOST. Clients that connect wait until the sockets are listened on.

    Raises:
        SettingsError: the port is taken or forbidden, the host is not of this machine, or the URL behind the proxy is the
            proxy's own.
    """
    check_loop(settings)
    host, port = settings.proxy_host, settings.proxy_port
    with listening_errors(settings), ExitStack() as opened:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sockets = [
            opened.enter_context(_bound(family, address))
            for family, address in dict.fromkeys((each[0], each[4]) for each in found)
        ]
        opened.pop_all()
    return sockets


def _bound(family: int, address: tuple[str | int, ...] | tuple[int, bytes]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        # On Linux two sockets may be bound to one address as long as neither listens.
        bound.listen(1)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
