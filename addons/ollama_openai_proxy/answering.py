"""What a coroutine answers, as the events that mitmproxy's HTTP connections know.

The contract with the coroutine (`Respond`):

* It is called once for each request and returns a `Reply` or raises: when the body has arrived or, where it is begun with an
  `Upload`, at once, with the body in parts; a coroutine that reads slowly slows the client.
* Of a streamed reply each part is written as soon as it is yielded, the first together with the head unless the reply says
  `head_first`; the next is asked for when the client's socket has room, so a slow client slows the generator.
* It is cancelled as soon as the client leaves, the stream is reset, or the flow is killed.
* An exception before the reply becomes an empty status 500; one after it cuts the connection, so that the client sees an
  incomplete body.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitmproxy import connection, ctx
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.server import ConnectionIO

from .conversion import flow_response
from .exchange import Reply, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mitmproxy import http
    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.proxy.layers.http._base import HttpEvent, StreamId
    from mitmproxy.proxy.mode_servers import ProxyConnectionHandler

type Respond = Callable[[Request], Awaitable[Reply]]
type Emit = Callable[..., Awaitable[None]]
"""Takes events of one stream to whoever writes them; raises `Killed` where nobody does any more."""

UPLOAD_BUFFER = 1 << 18
"""Bytes of a request's body that may wait for the coroutine."""

logger = logging.getLogger(__name__)


class Killed(Exception):
    """The answer is not wanted any more, and its end has been told."""


@dataclass
class Output(events.ConnectionEvent):
    """What the coroutine has to say, on its way to the layer of a connection."""

    output: tuple[HttpEvent, ...]


class Answering:
    """The answers that are made for one client's connection.

    Args:
        handler: of the connection.
        respond: the coroutine function that answers.
        emit: takes the answers' events.
    """

    def __init__(self, handler: ProxyConnectionHandler, respond: Respond, emit: Emit) -> None:
        self._handler = handler
        self._respond = respond
        self._emit = emit
        self._tasks: dict[StreamId, asyncio.Task[None]] = {}
        self._uploads: dict[StreamId, Upload] = {}

    def upload(self, stream_id: StreamId) -> Upload:
        """A body that arrives while its request is answered."""
        self._uploads[stream_id] = upload = Upload(self._handler)
        return upload

    def feed(self, stream_id: StreamId, data: bytes) -> bool:
        """Take a part of an upload; an empty one ends it. Returns False where the body is no upload."""
        upload = self._uploads.get(stream_id)
        if upload is None:
            return False
        upload.feed(data)
        if not data:
            del self._uploads[stream_id]
        return True

    def begin(self, stream_id: StreamId, request: Request, asked: http.Request) -> None:
        """Answer a request; `asked` is mitmproxy's."""
        self._tasks[stream_id] = asyncio.get_running_loop().create_task(
            self._serve(stream_id, request, asked), name=f"answer to {request.method} {request.target}"
        )

    def cancel(self, stream_id: StreamId, why: str) -> None:
        """Stop with an answer."""
        if upload := self._uploads.pop(stream_id, None):
            upload.abandon()
        if task := self._tasks.pop(stream_id, None):
            task.cancel(why)

    def cancel_all(self) -> None:
        """Stop with all answers, since the client has left."""
        for stream_id in {*self._uploads, *self._tasks}:
            self.cancel(stream_id, "client disconnected")

    async def _serve(self, stream_id: StreamId, request: Request, asked: http.Request) -> None:
        try:
            try:
                reply = await self._respond(request)
            except Exception as error:  # whatever it is, the client is owed a reply
                logger.error("%s %s failed: %s", request.method, request.path, _describe(error))
                reply = Reply(500)
            head = ResponseHeaders(stream_id, flow_response(asked, reply))
            if isinstance(reply.body, bytes):
                content = b"" if request.method == "HEAD" else reply.body
                data = (ResponseData(stream_id, content),) if content else ()
                await self._emit(head, *data, ResponseEndOfMessage(stream_id))
                return
            # Where the first part is about to come, the head goes out together with it.
            pending: tuple[HttpEvent, ...] = (head,)
            async with aclosing(reply.body) as parts:
                if reply.head_first:
                    await self._emit(head)
                    pending = ()
                async for part in parts:
                    if part:
                        await self._emit(*pending, ResponseData(stream_id, part))
                        await self._room()
                        pending = ()
            await self._emit(*pending, ResponseEndOfMessage(stream_id))
        except Killed:
            pass
        except Exception as error:
            logger.error("%s %s broke off: %s", request.method, request.path, _describe(error))
            with suppress(Killed):
                await self._emit(ResponseProtocolError(stream_id, "the answer broke off", ErrorCode.GENERIC_SERVER_ERROR))
        finally:
            self._tasks.pop(stream_id, None)
            if isinstance(request.parts, Upload):
                request.parts.abandon()

    async def _room(self) -> None:
        """Wait until the client's socket takes more; it alone, since what the client still sends may be waiting for us."""
        transport = self._handler.transports.get(self._handler.client)
        if transport is not None and transport.writer is not None:
            with suppress(OSError):  # the client has gone, which mitmproxy is about to notice
                await transport.writer.drain()


class Upload:
    """The body of a request on its way from mitmproxy to the coroutine.

    mitmproxy reads on from a client when all its writers have room. So this is one of them, too.
    """

    def __init__(self, handler: ProxyConnectionHandler) -> None:
        self._handler = handler
        self._parts: deque[bytes] = deque()
        self._waiting = 0
        self._changed = asyncio.Event()
        self._abandoned = False
        # A key of its own: to close the connection that this belongs to is not for mitmproxy to do.
        self._key = connection.Server(address=None)
        handler.transports[self._key] = ConnectionIO(writer=self)  # type: ignore[arg-type]  # as much of one as is needed

    def feed(self, data: bytes) -> None:
        """Take a part; an empty one ends the body."""
        if not self._abandoned:
            self._parts.append(data)
            self._waiting += len(data)
            self._changed.set()

    def abandon(self) -> None:
        """Forget what was not read and what still comes."""
        self._abandoned = True
        self._parts.clear()
        self._waiting = 0
        self._changed.set()
        self._handler.transports.pop(self._key, None)

    async def drain(self) -> None:
        """Wait until there is room for more."""
        while self._waiting > UPLOAD_BUFFER:
            self._changed.clear()
            await self._changed.wait()

    def _check(self) -> None:
        if self._abandoned:
            raise ConnectionResetError("the client left before the end of its request")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self._check()
            while not self._parts:
                self._changed.clear()
                await self._changed.wait()
                self._check()
            part = self._parts.popleft()
            self._waiting -= len(part)
            self._changed.set()
            if not part:
                self.abandon()
                return
            yield part


def handler_of(client: connection.Client) -> ProxyConnectionHandler | None:
    """What mitmproxy handles the connection of a client with; None for a client that is not connected."""
    proxyserver: Proxyserver = ctx.master.addons.get("proxyserver")
    return proxyserver.connections.get(client.id)


def _describe(error: BaseException) -> str:
    """The kind and place of an error, without its message, which may quote the request's body."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    at = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return f"{type(error).__name__}{at}"
