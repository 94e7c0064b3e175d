"""Shuts a process off from all networks but loopback, so that no program can tell anybody anything."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from pathlib import Path

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def leave_only_loopback() -> str:
    """Move this process, which may have only one thread, and all that it starts into a network namespace of its own.

    Returns:
        why that is not possible here; "" if it was done.
    """
    if not hasattr(os, "unshare"):
        return "this system, or this Python, has no network namespaces"
    try:
        _unshare()
    except OSError as error:
        return f"the system allows no network namespace ({error.strerror})"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
    return ""


def _unshare() -> None:
    try:
        os.unshare(os.CLONE_NEWNET)
    except PermissionError:
        # Without privileges: within a user namespace, in which this user is root.
        user, group = os.getuid(), os.getgid()
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", "ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", "ascii")
