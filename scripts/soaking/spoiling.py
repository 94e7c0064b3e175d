"""A relay between the clients and the proxy that spoils some answers, to see that the soak notices."""

from __future__ import annotations

import asyncio
import random
import re
from contextlib import suppress

KINDS = ("truncate", "alter", "hang", "leak")
SHARE = 0.2
_CONTENT = re.compile(rb'(?<="content":")[A-Za-z]')
_END = b"0\r\n\r\n"


class Relay:
    """Passes bytes on.

    Args:
        kind: what it does to a part of the answers: `truncate` ends streams before their last frame, but properly; `alter`
            changes a letter; `hang` stops in the middle; `leak` keeps the connection to the proxy when its client has left.
        target: the proxy's port.
    """

    def __init__(self, kind: str, target: int) -> None:
        self._kind = kind
        self._target = target
        self._chance = random.Random(kind)
        self._kept: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        """Open a port and give it."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=2048)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Close what is open."""
        if self._server is not None:
            self._server.close()
        for writer in self._kept:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        back = asyncio.create_task(self._back(far_reader, writer))
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                far_writer.write(data)
                await far_writer.drain()
        if self._kind == "leak":
            self._kept.append(far_writer)
        else:
            far_writer.close()
        writer.close()
        back.cancel()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if self._chance.random() < SHARE:
                    match self._kind:
                        case "truncate" if b'"done":true' in data and not data.startswith(b"HTTP/1.1"):
                            writer.write(_END)
                            break
                        case "alter":
                            data = _CONTENT.sub(b"Q", data, count=1)
                        case "hang" if data.startswith(b"HTTP/1.1 200"):
                            await asyncio.Event().wait()
                writer.write(data)
                await writer.drain()
        writer.close()
