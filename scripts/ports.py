"""Ports for programs that have to be told one."""

from __future__ import annotations

import socket
import sys

_RESERVED: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to nobody else while this process runs.

    A program that asks for the port gets it all the same if it sets SO_REUSEADDR, as servers do.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    port: int = reserved.getsockname()[1]
    if sys.platform == "linux":
        _RESERVED.append(reserved)
    else:
        reserved.close()
    return port
