"""HTTP/1.1 as both ends of the soak speak it: strict about where a message ends, and about nothing else."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field

TLS = b"\x16"
"""How a connection over TLS begins."""
SLOW_BYTES = 1024.0
"""What a slow reader takes in a second."""
_AT_ONCE = 1 << 16
_NO_LINGER = struct.pack("ii", 1, 0)


class Nonsense(Exception):
    """The other side sent something that is no HTTP."""


@dataclass(slots=True)
class Message:
    """The first line, the headers with their names in lower case, and what has come of the body, also where it broke off."""

    start: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


async def read_head(reader: asyncio.StreamReader) -> Message | None:
    """The next message without its body; None where the connection ends before it.

    Raises:
        EOFError: the connection ends within the head.
        Nonsense: it is none.
    """
    first = await reader.read(1)
    if not first:
        return None
    if first == TLS:
        raise Nonsense("TLS")
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Nonsense("a head without an end") from None
    start, *lines = head[:-4].decode("latin-1").split("\r\n")
    message = Message(start)
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Nonsense(f"a header without a colon: {line[:100]!r}")
        message.headers[name.lower()] = value.strip()
    return message


async def read_body(reader: asyncio.StreamReader, message: Message, *, until_end: bool = False, slow: bool = False) -> None:
    """Read a message's body into the message; `until_end` says that the connection's end is its end if no header tells it.

    Raises:
        EOFError: the connection ends within it.
        Nonsense: its chunks are none.
    """
    if message.headers.get("transfer-encoding", "").lower() == "chunked":
        while size := await _chunk_size(reader):
            await _copy(reader, message.body, size, slow=slow)
            await _line_feed(reader)
        await _line_feed(reader)
    elif "content-length" in message.headers:
        await _copy(reader, message.body, int(message.headers["content-length"]), slow=slow)
    elif until_end:
        while part := await reader.read(_AT_ONCE):
            message.body += part


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the other side cannot take it for a proper end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    try:
        return int(await reader.readuntil(b"\r\n"), 16)
    except (ValueError, asyncio.LimitOverrunError):
        raise Nonsense("a chunk without a size") from None


async def _line_feed(reader: asyncio.StreamReader) -> None:
    if await reader.readexactly(2) != b"\r\n":
        raise Nonsense("a chunk without an end, or trailers")


async def _copy(reader: asyncio.StreamReader, body: bytearray, size: int, *, slow: bool) -> None:
    while size:
        part = await reader.read(min(size, 256 if slow else _AT_ONCE))
        if not part:
            raise EOFError
        body += part
        size -= len(part)
        if slow:
            await asyncio.sleep(len(part) / SLOW_BYTES)
