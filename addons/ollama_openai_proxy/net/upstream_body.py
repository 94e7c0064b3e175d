"""The body of a server's response, pushed from the callback in which it arrives.

aiohttp hands a body out through `StreamReader`, for which a task has to be woken for each network read. The protocol of this
module tells the body of each read instead, right after aiohttp has parsed it, so that a frame gets from one socket to the
other within one callback of the event loop.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client_proto import ResponseHandler

from .body import Body

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ..errors import ApiError
    from .body import Sink


class PushingProtocol(ResponseHandler):
    """aiohttp's protocol of a connection, which tells of each network read.

    Attributes:
        on_read: is called after each network read, and when the connection was lost.
        received: whether anything came since the connection was taken out of the pool.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.on_read: Callable[[], None] | None = None
        self.received = False
        self._resting = self._parsing = self._was_paused = False

    def take(self) -> None:
        """Note that a request is about to be sent."""
        self._resting = self.received = False
        self._was_paused = self._reading_paused

    def rest(self) -> None:
        """Note that the response has been read: nothing may come before the next request."""
        self._resting = True
        if not self._parsing and self._has_more():
            self._drop()

    def is_clean(self) -> bool:
        """Whether nothing came behind the last response."""
        return not self.should_close

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and tell."""
        # aiohttp's reader passes nothing when it has made room for what the parser holds.
        self.received = self.received or bool(data)
        if self._resting:
            # Bytes that no request asked for would be the answer to the next one.
            if data:
                self._drop()
            return
        self._parsing = True
        try:
            super().data_received(data)
        finally:
            self._parsing = False
        if self._resting and self._has_more():
            self._drop()
        if self.on_read is not None:
            self.on_read()

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading`."""
        self._was_paused = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:  # as aiohttp calls it
        """Read on after a pause.

        aiohttp calls this for each chunk that is taken, and relies on it once there was a pause: its parser may stop behind the
        next chunk then, although reading was resumed.
        """
        if self._was_paused:
            super().resume_reading(resume_parser)

    def _has_more(self) -> bool:
        """Whether a further response, or a part of one, came with the end of the last one."""
        if self.should_close:
            return True
        try:
            # The parser is at the end of a message, and each request gets a parser of its own.
            return self._parser is not None and self._parser.feed_eof() is not None
        except Exception:  # whatever the parser says of what it did not expect
            return True

    def _drop(self) -> None:
        self.force_close()
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the response, and tell."""
        super().connection_lost(exc)
        if self.on_read is not None:
            self.on_read()


class ServerBody(Body):
    """The body of one response. Ends with aiohttp's errors.

    Everything runs in the context (`contextvars`) of whoever called `start`, and not in the one of the connection.
    """

    __slots__ = ("_context", "_ended", "_paused", "_protocol", "_pushing", "_response", "_sink")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._sink: Sink
        self._protocol: PushingProtocol | None = None
        self._context = contextvars.copy_context()
        self._ended = self._paused = self._pushing = False

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
        self._paused = True
        if self._protocol is not None:
            self._protocol.pause_reading()

    def resume(self) -> None:
        """Push what has come meanwhile, and read on."""
        if not self._paused:
            return
        self._paused = False
        if self._protocol is not None:
            self._protocol.resume_reading()
        self._on_read()

    def close(self) -> None:
        """Close the connection, unless the body has been read to its end: then the pool has the connection back already."""
        self._ended = True
        self._detach()
        self._response.close()

    def fail(self, error: ApiError) -> None:
        """End the body early."""
        self._end(error)

    def _on_read(self) -> None:
        # Taking data out of aiohttp's reader may make aiohttp parse more of what it has.
        if not (self._pushing or self._paused or self._ended):
            self._context.run(self._push)

    def _push(self) -> None:
        content, write = self._response.content, self._sink.write
        self._pushing = True
        try:
            while not (self._paused or self._ended):
                part = content.read_nowait()
                if not part:
                    break
                if content.is_eof():
                    self._detach()
                write(part)
        except Exception as error:  # whatever aiohttp ends a body with
            self._end(error)
        finally:
            self._pushing = False
        if self._paused or self._ended:
            return
        if content.is_eof():
            self._end(None)
        elif self._protocol is not None and not self._protocol.is_connected():
            # What aiohttp cannot parse is an error of the connection, of which the body is not told.
            reason = self._protocol.exception()
            self._end(reason if isinstance(reason, Exception) else aiohttp.ServerDisconnectedError())

    def _end(self, error: Exception | None) -> None:
        if self._ended:
            return
        if error is None:
            self._ended = True
            self._detach()
        else:
            self.close()
        self._sink.end(error)

    def _detach(self) -> None:
        if self._protocol is not None:
            self._protocol.on_read = None
            self._protocol = None
