"""Writes responses straight to the transport of the console command's server.

The scope's extensions hold a `DirectResponse`, which the application may use instead of ASGI's `receive` and `send`: each part
of a response takes one write to the transport, bodies are pushed from the callback that brings them, and HTTP/1.0 gets the
framing that it understands.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, Self

from .response_head import comes_in_chunks, keeps_connection, reply_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from ..errors import ApiError
    from .body import Body
    from .http_messages import Reply


class Connection(Protocol):
    """What a response needs of its connection, which is a `BoundedProtocol`.

    Attributes:
        url: the target of the request.
        authority: the host that an absolute target names; empty for the usual target.
        fields: the headers of the request in the client's spelling.
        failure: why the rest of the request's body will not arrive.
        task: makes the response.
        flow: tells whether the client's socket has room.
        transport: to the client.
    """

    url: bytes
    authority: str
    fields: list[tuple[bytes, bytes]]
    failure: ApiError | None
    task: asyncio.Task[object] | None
    flow: FlowControl
    transport: asyncio.Transport

    def write(self, data: bytes) -> None:
        """Write to the client."""

    def keeps_rest(self) -> bool:
        """Return whether the rest of the request's body is, or may be, so small that the connection can be kept."""

    def on_response_complete(self) -> None:
        """Go on to the next request, or drop the rest of this one."""


class DirectResponse:
    """Writes the response to one request straight to the transport, and reads the request's body.

    Args:
        protocol: of the connection.
        cycle: uvicorn's state of the request.

    Attributes:
        target: path and query as on the request line, still percent-encoded.
        authority: the host that an absolute target names; empty for the usual target.
        fields: the headers in the client's spelling.
    """

    def __init__(self, protocol: Connection, cycle: RequestResponseCycle) -> None:
        self.target = protocol.url.decode("ascii")
        self.authority = protocol.authority
        self.fields = protocol.fields
        self._protocol = protocol
        self._cycle = cycle
        self._version = f"HTTP/{cycle.scope['http_version']}"
        self._chunked = False
        self._whole = False
        self._in_chunks = any(name == b"transfer-encoding" for name, _ in cycle.scope["headers"])

    def begin(self, task: asyncio.Task[object]) -> bool:
        """Name the task that is cancelled when the client leaves; returns False if the client has left."""
        self._protocol.task = task
        return not self._cycle.disconnected

    @property
    def body(self) -> bytes | None:
        """The whole body, if it has arrived and the head announced its size."""
        return None if self._cycle.more_body or self._in_chunks else bytes(self._cycle.body)

    def __aiter__(self) -> Self:
        """The body as it arrives."""
        return self

    async def __anext__(self) -> bytes:
        """The next part of the body.

        Raises:
            ApiError: the client was too slow, or sent no proper body.
        """
        while not self._whole:
            message: Mapping[str, Any] = await self._cycle.receive()
            if self._protocol.failure is not None:
                raise self._protocol.failure
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client left before the end of its request")
            self._whole = not message["more_body"]
            body: bytes = message["body"]
            if body:
                return body
        raise StopAsyncIteration

    @property
    def client_has_left(self) -> bool:
        """Whether the connection is closed."""
        return self._cycle.disconnected

    @property
    def write_paused(self) -> bool:
        """Whether the client's socket is full; `drain` waits until it has room."""
        return self._protocol.flow.write_paused

    async def drain(self) -> None:
        """Wait until the client's socket has room."""
        await self._protocol.flow.drain()

    def write(self, head: Reply | None, part: bytes, *, last: bool) -> None:
        """Write a part of the response.

        Args:
            head: the reply whose status and headers come before the part; None if they were written.
            part: of the body; empty for none.
            last: whether the response ends with this part.
        """
        if self._cycle.disconnected or self._cycle.response_complete:
            return
        if self._cycle.scope["method"] == "HEAD":
            part = b""
        data = [] if head is None else [self._head(head)]
        if part:
            data.append(b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part)
        if last and self._chunked:
            data.append(b"0\r\n\r\n")
        self._protocol.write(b"".join(data))
        if last:
            self._end()

    async def send(self, head: Reply | None, part: bytes, *, last: bool = False) -> None:
        """Write a part of the response, and wait until the client's socket has room."""
        self.write(head, part, last=last)
        if self._protocol.flow.write_paused and not last:
            await self._protocol.flow.drain()

    async def send_body(self, head: Reply, body: Body) -> None:
        """Write a response whose body comes in parts, each part from the callback that brings it.

        Raises:
            Exception: why the body is not complete.
        """
        delivery = _Delivery(self, head, body)
        try:
            body.start(delivery)
            delivery.send_head()
            await delivery.ended
        finally:
            delivery.stop()
            body.close()

    def abort(self) -> None:
        """Close the connection, so that the client notices that the body is not complete."""
        self._cycle.response_started = self._cycle.response_complete = True
        self._protocol.transport.close()

    def end(self) -> None:
        """Do nothing: the connection tells when the client leaves."""

    def _head(self, reply: Reply) -> bytes:
        cycle, protocol = self._cycle, self._protocol
        connection = next((value for name, value in cycle.scope["headers"] if name == b"connection"), b"")
        fields = reply_fields(reply, self._version, connection.decode("latin-1"))
        if isinstance(reply.body, bytes) and not protocol.keeps_rest():
            fields = [*(field for field in fields if field[0].lower() != "connection"), ("Connection", "close")]
        cycle.response_started, cycle.waiting_for_100_continue = True, False
        cycle.keep_alive = keeps_connection(fields, self._version)
        self._chunked = comes_in_chunks(reply, self._version) and cycle.scope["method"] != "HEAD"
        lines = [f"{self._version} {reply.status} {_phrase(reply.status)}", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _end(self) -> None:
        self._cycle.response_complete = True
        self._cycle.message_event.set()
        self._protocol.on_response_complete()


class _Delivery:
    """The sink of a response's body."""

    __slots__ = ("_body", "_head", "_response", "_resuming", "ended")

    def __init__(self, response: DirectResponse, head: Reply, body: Body) -> None:
        self._response = response
        self._head: Reply | None = head
        self._body = body
        self._resuming: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send_head(self) -> None:
        """Write the head, unless it went with the first part."""
        if self._head is not None:
            self.write(b"")

    def write(self, part: bytes) -> None:
        """Write a part; while the client's socket has no room, pause the body."""
        head, self._head = self._head, None
        response = self._response
        response.write(head, part, last=False)
        if response.write_paused and self._resuming is None:
            self._body.pause()
            self._resuming = asyncio.get_running_loop().create_task(self._resume())

    def end(self, error: Exception | None) -> None:
        """Write the end."""
        if error is None:
            head, self._head = self._head, None
            self._response.write(head, b"", last=True)
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)

    def stop(self) -> None:
        """Wait for the client no longer."""
        if self._resuming is not None:
            self._resuming.cancel()

    async def _resume(self) -> None:
        await self._response.drain()
        self._resuming = None
        self._body.resume()


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def _phrase(status: int) -> str:
    return _PHRASES.get(status, "")
