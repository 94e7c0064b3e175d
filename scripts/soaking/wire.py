"""HTTP/1.1 as both ends of the soak speak it: strict about where a message ends, and about nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

type More = Callable[[], Awaitable[bytes]]

TLS = b"\x16"
"""How a connection over TLS begins."""
_MOST_HEAD = 1 << 20


class Cut(Exception):
    """The other side ended the connection within a message."""


class Nonsense(Exception):
    """The other side sent something that is no HTTP."""


@dataclass(slots=True)
class Head:
    """The first line of a message, and its headers with their names in lower case."""

    start: str
    headers: dict[str, str] = field(default_factory=dict)


class Incoming:
    """Reads messages from a connection. `body` holds what came of the last body, also of one that broke off.

    Args:
        more: gives what came since, and nothing at the end of the connection.
    """

    def __init__(self, more: More) -> None:
        self._more = more
        self._buffer = bytearray()
        self.body = bytearray()
        self.received = 0

    @property
    def begun(self) -> bool:
        """Whether part of a message has come."""
        return bool(self._buffer)

    async def head(self) -> Head | None:
        """The next head; None where the connection ends before it.

        Raises:
            Cut: it ends within it.
            Nonsense: it is none.
        """
        self.body = bytearray()
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MOST_HEAD or self._buffer[:1] == TLS:
                raise Nonsense("a head without an end, or TLS")
            if not await self._fill():
                if self._buffer:
                    raise Cut
                return None
        lines = bytes(self._take(end + 4)[:-4]).decode("latin-1").split("\r\n")
        head = Head(lines[0])
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise Nonsense(f"a header without a colon: {line[:100]!r}")
            head.headers[name.lower()] = value.strip()
        return head

    async def read_body(self, head: Head, *, otherwise: Literal["none", "close"]) -> None:
        """Read the body into `body`; `otherwise` says what holds where no header tells its length.

        Raises:
            Cut: the connection ends within it.
            Nonsense: its chunks are none.
        """
        if head.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := await self._size():
                await self._copy(size)
                if await self._exactly(2) != b"\r\n":
                    raise Nonsense("a chunk without an end")
            if await self._exactly(2) != b"\r\n":
                raise Nonsense("trailers, or no end of the chunks")
        elif "content-length" in head.headers:
            await self._copy(int(head.headers["content-length"]))
        elif otherwise == "close":
            self._move(len(self._buffer))
            while await self._fill():
                self._move(len(self._buffer))

    async def _size(self) -> int:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > 100 or not await self._fill():
                raise Cut if len(self._buffer) <= 100 else Nonsense("a chunk without a size")
        line = bytes(self._take(end + 2))
        try:
            return int(line, 16)
        except ValueError:
            raise Nonsense(f"a chunk without a size: {line[:100]!r}") from None

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not await self._fill():
                raise Cut
        return bytes(self._take(size))

    async def _copy(self, size: int) -> None:
        while size:
            if not self._buffer and not await self._fill():
                raise Cut
            part = min(size, len(self._buffer))
            self._move(part)
            size -= part

    def _move(self, size: int) -> None:
        self.body += self._take(size)

    def _take(self, size: int) -> bytearray:
        taken = self._buffer[:size]
        del self._buffer[:size]
        return taken

    async def _fill(self) -> bool:
        data = await self._more()
        self.received += len(data)
        self._buffer += data
        return bool(data)
