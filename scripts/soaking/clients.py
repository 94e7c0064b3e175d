"""The crowd: each client sends a case's request in the case's manner, and notes what comes."""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .cases import ELSEWHERE
from .delivery import PACE
from .wire import Nonsense, read_body, read_head, reset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cases import Case

type End = Literal["whole", "cut", "none", "hang", "refused", "nonsense", "left"]

LEAVE_SECONDS = 1.5
LONG_SECONDS = 60.0
"""How much more patience clients have with what is slow or large."""


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


@dataclass(slots=True)
class Connection:
    """One connection to the proxy, and how many requests were sent on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    uses: int = 0

    @property
    def usable(self) -> bool:
        """Whether the other side has left it open."""
        return not (self.reader.at_eof() or self.reader.exception() or self.writer.is_closing())


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
        patience = self.patience + (case.size * PACE if case.fault == "paced" else 0)
        if case.fault in ("tiny", "huge") or case.manner in ("big", "slow"):
            patience += LONG_SECONDS
        seen = [Seen() for _ in range(case.amount if case.manner == "pipeline" else 1)]
        connection: Connection | None = None
        try:
            async with asyncio.timeout(patience):
                connection = await self._connect(case)
                await self._talk(case, connection, seen)
        except (OSError, EOFError, Nonsense) as error:
            last = next((each for each in seen if each.end == "none"), seen[-1])
            last.trouble = f"{type(error).__name__} {error}".strip()
            if isinstance(error, TimeoutError):
                last.end = "hang"
            elif connection is None:
                last.end = "refused"
            elif isinstance(error, Nonsense):
                last.end = "nonsense"
            elif last.status and last.end == "none":
                last.end = "cut"
        finally:
            if connection is not None:
                self._put_away(case, connection, seen[-1])
        for each in seen:
            each.seconds = time.monotonic() - begun
        return seen

    async def close(self) -> None:
        """Close the connections that are kept."""
        for connection in self._pool:
            connection.writer.close()
        self._pool.clear()
        await asyncio.sleep(0)

    async def _connect(self, case: Case) -> Connection:
        while case.manner == "stay" and self._pool:
            connection = self._pool.pop()
            if connection.usable:
                return connection
            connection.writer.close()
        return Connection(*await asyncio.open_connection("127.0.0.1", self.port))

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
            await _wait_to_leave(case, connection)
            seen[0].end = "left"
            return
        sending = asyncio.ensure_future(writer.drain())
        try:
            for each in seen:
                await _receive(connection.reader, each, slow=case.manner == "slow")
            await sending
        finally:
            sending.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await sending

    def _put_away(self, case: Case, connection: Connection, last: Seen) -> None:
        if case.leaves and case.number % 2:
            with suppress(OSError):
                reset(connection.writer)
        elif case.manner == "stay" and last.end == "whole" and last.headers.get("connection", "").lower() != "close":
            self._pool.append(connection)
        else:
            connection.writer.close()


async def _wait_to_leave(case: Case, connection: Connection) -> None:
    with suppress(OSError):
        await connection.writer.drain()
    if case.manner != "leave-stream":
        await asyncio.sleep(0.02 * (case.number % 5))
        return
    # The answer may be shorter than what it is left after.
    with suppress(OSError, EOFError):
        async with asyncio.timeout(LEAVE_SECONDS):
            await connection.reader.readexactly(case.amount)


async def _receive(reader: asyncio.StreamReader, seen: Seen, *, slow: bool) -> None:
    while True:
        message = await read_head(reader)
        if message is None:
            raise EOFError
        version, _, rest = message.start.partition(" ")
        if version != "HTTP/1.1" or not rest[:3].isdigit():
            raise Nonsense(f"a status line like {message.start[:100]!r}")
        if int(rest[:3]) >= 200:
            break
    seen.status, seen.headers = int(rest[:3]), message.headers
    try:
        await read_body(reader, message, until_end=True, slow=slow)
    finally:
        seen.body = bytes(message.body)
    seen.end = "whole"


def request_of(case: Case) -> tuple[bytes, bytes]:
    """Head and body of a case's request. Some come with the wrong method, which both modes restore, some in chunks."""
    chance = random.Random(f"request {case.number}")
    body = json.dumps(_body(case), ensure_ascii=chance.random() < 0.5).encode()
    restored = not case.kind.startswith(("v1", "messages")) and chance.random() < 0.2
    lines = [f"{'GET' if restored else 'POST'} {case.path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    if chance.random() < 0.2 and not case.manner.startswith(("leave", "linger")):
        lines.append("Transfer-Encoding: chunked")
        half = len(body) // 2
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:])) + b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), body


def _body(case: Case) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": case.fault if case.fault in ELSEWHERE else "soak", "stream": not case.whole}
    match case.kind:
        case "generate" | "pull":
            return asked | {"prompt": case.prompt}
        case "raw":
            return asked | {"prompt": case.prompt, "raw": True}
        case "messages":
            asked |= {"max_tokens": 1000}
    return asked | {"messages": [{"role": "user", "content": case.prompt}]}
