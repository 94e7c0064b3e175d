"""The body of a server's response, pushed from the callback in which it arrives.

aiohttp hands a body out through `StreamReader`, for which a task has to be woken for each network read. The protocol of this
module tells the body of each read instead, right after aiohttp has parsed it, so that a frame gets from one socket to the
other within one callback of the event loop.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

from aiohttp.client_proto import ResponseHandler

from .body import Body

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    import aiohttp

    from ..errors import ApiError
    from .body import Sink


class PushingProtocol(ResponseHandler):
    """aiohttp's protocol of a connection, which tells of each network read.

    Attributes:
        on_read: is called after each network read, and when the connection was lost.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.on_read: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and tell."""
        super().data_received(data)
        if self.on_read is not None:
            self.on_read()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the response, and tell."""
        super().connection_lost(exc)
        if self.on_read is not None:
            self.on_read()


class ServerBody(Body):
    """The body of one response. Ends with aiohttp's errors.

    Everything runs in the context (`contextvars`) of whoever called `start`, and not in the one of the connection.
    """

    __slots__ = ("_context", "_ended", "_protocol", "_reading", "_response", "_sink")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._sink: Sink
        self._protocol: PushingProtocol | None = None
        self._context = contextvars.copy_context()
        self._ended = self._reading = False

    def start(self, sink: Sink) -> None:
        """Push what has come, and what comes."""
        self._sink = sink
        connection = self._response.connection
        # A response that is complete has given its connection back, which may serve another call by now.
        if connection is not None:
            protocol = connection.protocol
            if not isinstance(protocol, PushingProtocol):
                raise TypeError("the connection comes from another pool")
            self._protocol = protocol
            protocol.on_read = self._on_read
        self._context = contextvars.copy_context()
        self._push()

    def pause(self) -> None:
        """Stop reading from the connection, so that the server waits."""
        if self._protocol is not None:
            self._protocol.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._protocol is not None:
            self._protocol.resume_reading()

    def close(self) -> None:
        """Close the connection, unless the body has been read to its end: then the pool has the connection back already."""
        self._ended = True
        self._detach()
        self._response.close()

    def fail(self, error: ApiError) -> None:
        """End the body early."""
        if not self._ended:
            self.close()
            self._sink.end(error)

    def _on_read(self) -> None:
        # Reading can resume the connection, whose parser may have kept something.
        if not self._reading:
            self._context.run(self._push)

    def _push(self) -> None:
        content = self._response.content
        error: Exception | None = None
        part = b""
        self._reading = True
        try:
            part = content.read_nowait()
        except Exception as caught:  # whatever aiohttp ends a body with
            error = caught
        self._reading = False
        if part:
            over = content.is_eof()
            if over:
                self._detach()
            self._sink.write(part)
            if self._ended:
                return
        if error is not None or content.is_eof():
            self._ended = True
            self._detach()
            if error is not None:
                self._response.close()
            self._sink.end(error)

    def _detach(self) -> None:
        if self._protocol is not None:
            self._protocol.on_read = None
            self._protocol = None
