"""The crowd: each client sends a case's request in the case's manner, and notes what comes."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .wire import Cut, Incoming, Nonsense

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cases import Case

type End = Literal["whole", "cut", "none", "hang", "refused", "nonsense", "left"]

PATHS = {
    "chat": "/api/chat",
    "generate": "/api/generate",
    "raw": "/api/generate",
    "pull": "/api/pull",
    "v1": "/v1/chat/completions",
    "messages": "/v1/messages",
}
LEAVE_SECONDS = 1.5
SLOW_BYTES = 256
SLOW_SECONDS = 0.25
"""A slow client reads so many bytes in so many seconds."""


@dataclass(slots=True)
class Seen:
    """What a client got.

    Attributes:
        end: `whole` if the answer ended as its head said, `cut` within it, `none` before it, `hang` if it did not in time.
    """

    end: End = "none"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    trouble: str = ""


class Connection:
    """One connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool = False) -> None:
        self.writer = writer
        self.uses = 0
        self._reader = reader
        self._slow = slow
        self.incoming = Incoming(self._more)

    @property
    def usable(self) -> bool:
        """Whether the other side has left it open."""
        return not (self._reader.at_eof() or self._reader.exception() or self.writer.is_closing() or self.incoming.begun)

    async def read(self, most: int) -> bytes:
        """Some of what comes, past all that is known of HTTP."""
        return await self._reader.read(most)

    async def _more(self) -> bytes:
        if self._slow:
            await asyncio.sleep(SLOW_SECONDS)
            return await self._reader.read(SLOW_BYTES)
        return await self._reader.read(1 << 17)

    def reset(self) -> None:
        """Close it so that the other side cannot take it for a proper end."""
        with suppress(OSError):
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()

    def close(self) -> None:
        """Close it."""
        self.writer.close()


class Clients:
    """All clients of a proxy.

    Args:
        port: of the proxy.
        patience: seconds after which an answer that does not end hangs.

    Attributes:
        most_uses: how many requests were sent on one connection at most.
    """

    def __init__(self, port: int, patience: float) -> None:
        self.port = port
        self.patience = patience
        self.most_uses = 0
        self._pool: list[Connection] = []

    async def perform(self, case: Case) -> list[Seen]:
        """Do what a case says; gives one answer for each request that wants one."""
        begun = time.monotonic()
        expected = case.size * 0.2 if case.fault == "paced" else 0.0
        if case.manner == "slow":
            expected += 60
        if case.fault in ("tiny", "huge") or case.manner == "big":
            expected += 60
        seen: list[Seen] = [Seen() for _ in range(case.amount if case.manner == "pipeline" else 1)]
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self.patience + expected):
                connection = await self._connect(case)
                await self._talk(case, connection, seen)
        except TimeoutError:
            last = next(each for each in seen if each.end == "none")
            last.end, last.body = "hang", bytes(connection.incoming.body) if connection else b""
        except (OSError, Cut, Nonsense) as error:
            last = next((each for each in seen if each.end == "none"), seen[-1])
            last.trouble = f"{type(error).__name__} {error}".strip()
            if connection is None:
                last.end = "refused"
            elif isinstance(error, Nonsense):
                last.end = "nonsense"
            elif last.status and last.end == "none":
                last.end, last.body = "cut", bytes(connection.incoming.body)
        finally:
            if connection is not None:
                self._put_away(case, connection, seen)
        for each in seen:
            each.seconds = time.monotonic() - begun
        return seen

    async def close(self) -> None:
        """Close the connections that are kept."""
        for connection in self._pool:
            connection.close()
        self._pool.clear()
        await asyncio.sleep(0)

    async def _connect(self, case: Case) -> Connection:
        if case.manner == "stay":
            while self._pool:
                connection = self._pool.pop()
                if connection.usable:
                    return connection
                connection.close()
        slow = case.manner == "slow"
        plain = socket.socket()
        try:
            plain.setblocking(False)
            if slow:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", self.port))
            reader, writer = await asyncio.open_connection(sock=plain, limit=1024 if slow else 1 << 17)
        except BaseException:
            plain.close()
            raise
        return Connection(reader, writer, slow=slow)

    async def _talk(self, case: Case, connection: Connection, seen: Sequence[Seen]) -> None:
        head, body = request_of(case)
        connection.uses += 1
        self.most_uses = max(self.most_uses, connection.uses)
        writer = connection.writer
        match case.manner:
            case "leave-head" | "linger-head":
                writer.write(head[: min(case.amount, len(head) - 1)])
            case "leave-body" | "linger-body":
                writer.write(head + body[: min(case.amount, len(body) - 1)])
            case "pipeline":
                writer.write((head + body) * case.amount)
            case _:
                writer.write(head + body)
        if case.leaves:
            await self._leave(case, connection)
            seen[0].end = "left"
            return
        sending = asyncio.ensure_future(writer.drain())
        try:
            for each in seen:
                await _receive(connection.incoming, each)
            await sending
        finally:
            sending.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await sending

    async def _leave(self, case: Case, connection: Connection) -> None:
        with suppress(OSError):
            await connection.writer.drain()
        if case.manner == "leave-stream":
            # The answer may be shorter than what it is left after.
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    received = 0
                    while received < case.amount and (part := await connection.read(case.amount)):
                        received += len(part)
        else:
            await asyncio.sleep(0.02 * (case.number % 5))

    def _put_away(self, case: Case, connection: Connection, seen: Sequence[Seen]) -> None:
        last = seen[-1]
        if case.leaves and case.number % 2:
            connection.reset()
        elif case.manner == "stay" and last.end == "whole" and last.headers.get("connection", "").lower() != "close":
            self._pool.append(connection)
        else:
            connection.close()


async def _receive(incoming: Incoming, seen: Seen) -> None:
    while True:
        head = await incoming.head()
        if head is None:
            raise Cut
        version, _, rest = head.start.partition(" ")
        if version != "HTTP/1.1" or not rest[:3].isdigit():
            raise Nonsense(f"a status line like {head.start[:100]!r}")
        if int(rest[:3]) >= 200:
            break
    seen.status, seen.headers = int(rest[:3]), head.headers
    await incoming.read_body(head, otherwise="close")
    seen.body, seen.end = bytes(incoming.body), "whole"


def request_of(case: Case) -> tuple[bytes, bytes]:
    """Head and body of a case's request. Some come with the wrong method, which both modes restore, some in chunks."""
    chance = random.Random(f"request {case.number}")
    kind = case.call.removesuffix("-whole")
    body = json.dumps(_body(case, kind), ensure_ascii=chance.random() < 0.5).encode()
    restored = not kind.startswith(("v1", "messages")) and chance.random() < 0.2
    lines = [f"{'GET' if restored else 'POST'} {PATHS[kind]} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    if chance.random() < 0.2 and not case.manner.startswith(("leave", "linger")):
        lines.append("Transfer-Encoding: chunked")
        half = len(body) // 2
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:])) + b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), body


def _body(case: Case, kind: str) -> dict[str, Any]:
    model = case.fault if case.fault in ("refused", "tls", "selfsigned") else "soak"
    asked: dict[str, Any] = {"model": model, "stream": not case.whole}
    match kind:
        case "generate" | "pull":
            return asked | {"prompt": case.prompt}
        case "raw":
            return asked | {"prompt": case.prompt, "raw": True}
        case "messages":
            asked |= {"max_tokens": 1000}
    return asked | {"messages": [{"role": "user", "content": case.prompt}]}
