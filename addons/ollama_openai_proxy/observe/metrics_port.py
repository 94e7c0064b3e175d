"""Serves the metrics on a port of their own: one thread, few connections, each for a short time."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from threading import Thread
from typing import TYPE_CHECKING

from ..net.http_messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..net.http_messages import Reply

MOST_CONNECTIONS = 16
SECONDS_PER_REQUEST = 5.0
LARGEST_HEAD = 1 << 14


class MetricsPort:
    """A thread that answers every `GET` with the metrics.

    Args:
        host: the address to listen on.
        port: the port to listen on.
        page: makes the content type and the body.
        refusal: the reply to a request that must not read the page; None for one that may. Its status is all that is sent.

    Raises:
        OSError: it is not possible to listen there.
    """

    def __init__(
        self,
        host: str,
        port: int,
        page: Callable[[], tuple[str, bytes]],
        refusal: Callable[[Request], Reply | None],
    ) -> None:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self._socket = socket.create_server(address[:2], family=family, backlog=MOST_CONNECTIONS)
        self._page = page
        self._refusal = refusal
        self._connections: set[asyncio.StreamWriter] = set()
        self._stopping: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the port, and end the thread."""
        loop, stopping = self._stopping.result()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(stopping.set)
        self._thread.join()

    async def _serve(self) -> None:
        stopping = asyncio.Event()
        async with await asyncio.start_server(self._answer, sock=self._socket, limit=LARGEST_HEAD):
            self._stopping.set_result((asyncio.get_running_loop(), stopping))
            await stopping.wait()
            for connection in self._connections:
                connection.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MOST_CONNECTIONS:
            writer.close()
            return
        self._connections.add(writer)
        try:
            async with asyncio.timeout(SECONDS_PER_REQUEST):
                head = await reader.readuntil(b"\r\n\r\n")
                peer, *_ = writer.get_extra_info("peername")
                writer.write(self._response(_request(head.decode("latin-1"), peer)))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._connections.remove(writer)

    def _response(self, request: Request) -> bytes:
        if request.method not in ("GET", "HEAD"):
            return _without_body(HTTPStatus.METHOD_NOT_ALLOWED)
        if refusal := self._refusal(request):
            return _without_body(HTTPStatus(refusal.status))
        content_type, body = self._page()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        return head.encode() + (b"" if request.method == "HEAD" else body)


def _request(head: str, peer: str) -> Request:
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, target, *_ = [*first.split(" "), ""]
    headers: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        headers[name.lower()] = ", ".join(filter(None, (headers.get(name.lower()), value.strip())))
    return Request(method, target, headers, peer=peer)


def _without_body(status: HTTPStatus) -> bytes:
    return f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
