"""The clients' side of mitmproxy: how much and how long a client may send, and what it is told when it is sent away.

mitmproxy reads heads of any size for any time. Here a client that is too slow or sends too much of a head is shown the door.

Like `upstream`, this relies on mitmproxy's internals; `tests/live/test_downstream.py` fails when they move.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from mitmproxy import ctx

from ..api.error_shapes import error_response
from ..net.bounds import FLOOD_SECONDS, TOO_MANY_CONNECTIONS
from .response_delivery import handler_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.connection import Client
    from mitmproxy.http import HTTPFlow

    from ..net.bounds import Bounds

type Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
type Phase = Literal["idle", "head", "body", "answer"]

MOST_AHEAD = 1 << 20
"""Bytes that a client may send before it has read the answer to its last request."""
LEAST_RATE = 1024
"""Bytes that count as progress of a body, for each second of the time-out."""
LOOK_AGAIN = 0.5
"""Seconds between two looks at what clients have not read."""
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
    """Watches what clients send, and whether they read.

    Args:
        bounds: of requests, waits and connections.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._readers: dict[str, Reader] = {}
        self._quiet_until = 0.0

    async def watch(self) -> None:
        """Close connections whose clients do not read, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            for reader in list(self._readers.values()):
                reader.check_writing()

    def connected(self, client: Client) -> Reader | None:
        """Watch a client; to be called in the `client_connected` hook. Returns None where there is no TCP connection."""
        handler = handler_of(client)
        transport = handler.transports.get(client) if handler else None
        if transport is None or not isinstance(transport.reader, asyncio.StreamReader):
            return None
        if len(self._readers) >= self._bounds.max_connections:
            self._close_one()
        reader = Reader(client, transport.reader, transport.writer, self._bounds)  # type: ignore[arg-type]
        self._readers[client.id] = transport.reader = reader
        return reader

    def _close_one(self) -> None:
        now = asyncio.get_running_loop().time()
        if now > self._quiet_until:
            logger.warning(TOO_MANY_CONNECTIONS, self._bounds.max_connections)
        self._quiet_until = now + FLOOD_SECONDS
        waiting = next((client for client, reader in self._readers.items() if reader.is_waiting()), None)
        if waiting is not None:
            self._readers.pop(waiting).abort()

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

    def __init__(self, client: Client, stream: asyncio.StreamReader, writer: asyncio.StreamWriter, bounds: Bounds) -> None:
        # Not a stream of its own: it only answers `read`.
        self._client = client
        self._stream = stream
        self._writer = writer
        self._bounds = bounds
        self._phase: Phase = "idle"
        self._since = self._last_progress = asyncio.get_running_loop().time()
        self._first_word_by = self._since + FIRST_WORD
        self._received = 0
        self._goal = 0
        self._unsent = 0
        self._lines = 0
        self._answered_early = False
        self._path = ""
        self._resumed = asyncio.Event()

    def enter(self, phase: Phase, received: int = 0) -> None:
        """Begin a phase of a request, of which some bytes may have come already."""
        self._phase = phase
        self._since = asyncio.get_running_loop().time()
        self._received = received
        self._goal = received + int(self._bounds.body_timeout * LEAST_RATE)
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
            self.enter("body")
        elif self._phase == "answer":
            self._path = ""
            self.enter("head" if self._received else "idle", self._received)

    def is_waiting(self) -> bool:
        """Whether nobody answers the client at present, since there is no complete head."""
        return self._phase in ("idle", "head")

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
            if self._phase in ("idle", "head") and self._has_too_many_headers(data):
                return self.send_away(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has too many headers")
            # Line breaks before a head belong to nothing. That it has ended may be told only after the next read.
            if self._phase == "idle" and (head := data.lstrip(b"\r\n")):
                self.enter("body" if _ends_head(head) else "head")
            elif self._phase == "head" and _ends_head(data):
                self.enter("body")
            self._received += len(data)
            if self._phase == "body" and self._answered_early:
                if self._received > self._bounds.max_linger_size:
                    return b""
            elif self._phase == "body" and self._received >= self._goal:
                self.enter("body", self._received)
            if self._phase == "head" and self._received > self._bounds.max_head_size:
                return self.send_away(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too large")
            return data

    def _has_too_many_headers(self, data: bytes) -> bool:
        """Count the lines of a head, before mitmproxy parses it, for which it takes 0.5 s for a megabyte of short lines."""
        if self._phase == "idle":
            self._lines = 0
            data = data.lstrip(b"\r\n")
        end = _END_OF_HEAD.search(data)
        self._lines += data.count(b"\n", 0, end.start() if end else len(data))
        if self._lines <= self._bounds.max_header_count:
            return False
        self._phase = "head"
        return True

    def _deadline(self) -> float | None:
        """When, on the loop's clock, a client has had enough time."""
        bounds = self._bounds
        match self._phase:
            case "idle":
                seconds = bounds.keep_alive_timeout
            case "head":
                seconds = bounds.head_timeout
            case "body" if self._answered_early:
                seconds = min(bounds.linger_timeout, bounds.body_timeout or bounds.linger_timeout)
            case "body":
                seconds = bounds.body_timeout
            case _:
                seconds = 0
        return self._since + seconds if seconds else None

    def check_writing(self) -> None:
        """Close the connection if the client has not read for too long."""
        now, unsent = asyncio.get_running_loop().time(), self._writer.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._last_progress = unsent, now
        elif self._bounds.write_timeout and now - self._last_progress > self._bounds.write_timeout:
            self.abort()

    def abort(self) -> None:
        """Close the connection without sending what is left."""
        self._writer.transport.abort()

    def close(self) -> None:
        """Close the connection, which mitmproxy forgets where two of its layers want that at a time, as for TLS."""
        self._writer.close()

    def send_away(self, status: HTTPStatus, message: str) -> bytes:
        """Tell the client why its connection is about to be closed; gives the end of its stream."""
        if self._phase != "idle" and not (self._answered_early or self._client.tls or self._writer.is_closing()):
            self._writer.write(error_response(status, message, self._path))
        return b""


def _ends_head(data: bytes) -> bool:
    return b"\r\n\r\n" in data or b"\n\n" in data


_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
