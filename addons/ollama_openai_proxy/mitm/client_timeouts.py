"""The clients' side of mitmproxy: how much and how long a client may send, and what it is told when it is sent away.

mitmproxy reads heads of any size for any time. Here a client that is too slow or sends too much of a head is shown the door.

Like `upstream`, this relies on mitmproxy's internals; `tests/live/test_downstream.py` fails when they move.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from mitmproxy import ctx

from ..api.error_shapes import error_response
from .response_delivery import handler_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.connection import Client
    from mitmproxy.http import HTTPFlow

type Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
type Phase = Literal["idle", "head", "body", "answer"]

MOST_HEAD = 1 << 16
"""Bytes of a request's head."""
MOST_AHEAD = 1 << 20
"""Bytes that a client may send before it has read the answer to its last request."""
LEAST_RATE = 1024
"""Bytes a second that a body must come with, beside the time that a client has anyway."""
FIRST_WORD = 1.0
"""Seconds in which a client that has connected is expected to ask something."""
TURNS_TO_CONNECT = 10
"""Turns of the event loop from a connection's being accepted to mitmproxy's telling of it; it takes four."""

logger = logging.getLogger(__name__)


async def stop_listening() -> None:
    """Close the ports; connections that are open stay, also those that were not accepted yet."""
    proxyserver: Proxyserver | None = ctx.master.addons.get("proxyserver")
    if proxyserver is None:
        return
    # A second handle of each port keeps it open until those who wait there have been let in.
    doors = [
        (instance.handle_stream, port.dup())
        for instance in proxyserver.servers
        for server in getattr(instance, "_servers", ())
        if isinstance(server, asyncio.Server)
        for port in server.sockets
    ]
    await proxyserver.servers.update([])
    for handle, port in doors:
        for connection in _waiting_at(port):
            await _let_in(connection, handle)
    # Until those accepted last are known to `Patience`.
    for _ in range(TURNS_TO_CONNECT):
        await asyncio.sleep(0)


def _waiting_at(port: socket.socket) -> list[socket.socket]:
    """Accept all who wait at a port, and close it."""
    waiting: list[socket.socket] = []
    with port, suppress(OSError):  # no more of them, or no more files
        while True:
            waiting.append(port.accept()[0])
    return waiting


async def _let_in(connection: socket.socket, handle: Handle) -> None:
    reader = asyncio.StreamReader()
    with suppress(OSError):  # it has gone
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader, handle), connection
        )


class Patience:
    """Watches what clients send.

    Args:
        seconds: how long a head may take, and a body beyond what its size allows; 0 is for ever.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._readers: dict[str, Reader] = {}

    def connected(self, client: Client) -> Reader | None:
        """Watch a client; to be called in the `client_connected` hook. Returns None where there is no TCP connection."""
        handler = handler_of(client)
        transport = handler.transports.get(client) if handler else None
        if transport is None or not isinstance(transport.reader, asyncio.StreamReader):
            return None
        reader = Reader(client, transport.reader, transport.writer, self._seconds)  # type: ignore[arg-type]
        self._readers[client.id] = transport.reader = reader
        return reader

    def disconnected(self, client: Client) -> None:
        """Forget a client; to be called in the `client_disconnected` hook."""
        if reader := self._readers.pop(client.id, None):
            reader.close()

    def is_busy(self) -> bool:
        """Whether a request is on its way in, or an answer on its way out."""
        return any(reader.is_busy() for reader in self._readers.values())

    def send_away(self, status: HTTPStatus, message: str) -> None:
        """Answer all who have not sent the whole of their requests."""
        for reader in self._readers.values():
            if reader.is_sending():
                reader.send_away(status, message)

    def refuse(self, flow: HTTPFlow, status: HTTPStatus, message: str) -> None:
        """Answer and end a flow that mitmproxy would not let a hook answer."""
        if reader := self._readers.get(flow.client_conn.id):
            reader.send_away(status, message)
        flow.kill()

    def head_arrived(self, flow: HTTPFlow) -> None:
        """To be called in the `requestheaders` hook."""
        if reader := self._readers.get(flow.client_conn.id):
            reader.head_arrived(flow.request.path)

    def body_arrived(self, flow: HTTPFlow) -> None:
        """To be called in the `request` hook."""
        if reader := self._readers.get(flow.client_conn.id):
            reader.body_arrived()

    def answered(self, flow: HTTPFlow) -> None:
        """To be called in the `response` hook."""
        if reader := self._readers.get(flow.client_conn.id):
            reader.answered()


class Reader(asyncio.StreamReader):
    """Stands between mitmproxy and a client's stream."""

    def __init__(self, client: Client, stream: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
        # Not a stream of its own: it only answers `read`.
        self._client = client
        self._stream = stream
        self._writer = writer
        self._seconds = seconds
        self._phase: Phase = "idle"
        self._first_word_by = asyncio.get_running_loop().time() + FIRST_WORD
        self._since = 0.0
        self._received = 0
        self._answered_early = False
        self._path = ""
        self._resumed = asyncio.Event()

    def enter(self, phase: Phase, received: int = 0) -> None:
        """Begin a phase of a request, of which some bytes may have come already."""
        self._phase = phase
        self._since = asyncio.get_running_loop().time()
        self._received = received
        self._first_word_by = 0.0
        self._resumed.set()

    def head_arrived(self, path: str) -> None:
        """It is known what is asked for."""
        self.enter("body")
        self._path = path

    def body_arrived(self) -> None:
        """The request is complete."""
        self.enter("idle" if self._answered_early else "answer")
        self._answered_early = False

    def answered(self) -> None:
        """The answer is complete; the request may not be, where it was refused."""
        if self._phase == "body":
            self._answered_early = True
        elif self._phase == "answer":
            self._path = ""
            self.enter("head" if self._received else "idle", self._received)

    def is_sending(self) -> bool:
        """Whether the client is in the middle of a request, as far as that can be seen."""
        return self._phase in ("head", "body") and not self._client.tls

    def is_busy(self) -> bool:
        """Whether the client is asking or being answered, or about to ask for the first time."""
        if self.is_sending() or self._phase == "answer" or self._writer.transport.get_write_buffer_size():
            return True
        return asyncio.get_running_loop().time() < self._first_word_by

    async def read(self, n: int = -1) -> bytes:
        """What the client sends next; the end of the stream for one that is sent away."""
        while self._phase == "answer" and self._received > MOST_AHEAD:
            self._resumed.clear()
            await self._resumed.wait()
        while True:
            deadline = self._deadline()
            try:
                if deadline is None:
                    data = await self._stream.read(n)
                else:
                    async with asyncio.timeout_at(deadline):
                        data = await self._stream.read(n)
            except TimeoutError:
                if self._deadline() != deadline:
                    continue  # something else is going on by now
                return self.send_away(HTTPStatus.REQUEST_TIMEOUT, "the request was not sent in time")
            # Line breaks before a head belong to nothing. That it has ended may be told only after the next read.
            if self._phase == "idle" and (head := data.lstrip(b"\r\n")):
                self.enter("body" if _ends_head(head) else "head")
            elif self._phase == "head" and _ends_head(data):
                self.enter("body")
            self._received += len(data)
            if self._phase == "head" and self._received > MOST_HEAD:
                return self.send_away(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too large")
            return data

    def _deadline(self) -> float | None:
        """When, on the loop's clock, a client has had enough time."""
        if not self._seconds or self._phase in ("idle", "answer"):
            return None
        extra = self._received / LEAST_RATE if self._phase == "body" else 0
        return self._since + self._seconds + extra

    def close(self) -> None:
        """Close the connection, which mitmproxy forgets where two of its layers want that at a time, as for TLS."""
        self._writer.close()

    def send_away(self, status: HTTPStatus, message: str) -> bytes:
        """Tell the client why its connection is about to be closed; gives the end of its stream."""
        if not (self._answered_early or self._client.tls or self._writer.is_closing()):
            self._writer.write(error_response(status, message, self._path))
        return b""


def _ends_head(data: bytes) -> bool:
    return b"\r\n\r\n" in data or b"\n\n" in data
