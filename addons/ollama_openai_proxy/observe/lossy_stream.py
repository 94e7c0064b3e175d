"""A log stream that drops lines, and counts them, while whoever reads the log does not keep up.

A pipe holds 64 KiB. A program that writes to a full pipe stops until somebody reads, and with it every answer.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from typing import IO

SLICE = 512 if sys.platform == "win32" else select.PIPE_BUF
"""Bytes that fit where a pipe says that it has room."""


class LossyStream:
    """Writes lines to a pipe, a socket or a terminal, without ever waiting.

    Args:
        descriptor: the open file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self._line = ""
        self._cut = False
        self.dropped = 0
        """Lines that were not written, and that nobody was told of."""

    def write(self, text: str) -> int:
        """Write the lines that the text completes."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._write_line(line)
        return len(text)

    def flush(self) -> None:
        """Do nothing: complete lines are written."""

    def fileno(self) -> int:
        """The open file."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def _write_line(self, line: str) -> None:
        if self.dropped and self._send(f"{self.dropped} lines of the log were dropped, since they were not read in time\n"):
            self.dropped = 0
        if self.dropped or not self._send(line + "\n"):
            self.dropped += 1

    def _send(self, line: str) -> bool:
        """Write a line; False if there is no room, not even for a part of the line."""
        data = line.encode("utf-8", "backslashreplace")
        if self._cut:
            data = b"\n" + data
        for start in range(0, len(data), SLICE):
            if not self._has_room():
                self._cut = bool(start) or self._cut
                return False
            with suppress(OSError):  # nobody reads it any more
                os.write(self._descriptor, data[start : start + SLICE])
        self._cut = False
        return True

    def _has_room(self) -> bool:
        return bool(self._room.poll(0))


def lossy(stream: IO[str]) -> IO[str]:
    """A stream that drops lines instead of waiting; the stream itself, where it is one that never makes its writer wait."""
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError, AttributeError):
        return stream
    waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)
    if not waits or not hasattr(select, "poll"):
        return stream
    return cast("TextIO", LossyStream(descriptor))
