"""Takes what a coroutine answers, piece by piece, to whoever writes it to the client.

The contract with the coroutine (`Respond`):

* It is called once for each request and returns a `Reply` or raises: when the body has arrived or, where it is begun with an
  `Upload`, at once, with the body in parts; a coroutine that reads slowly slows the client.
* Each part of a streamed body is written as soon as the body pushes the part, the first together with the head if the part is
  there by then. While the client's socket has no room, the body is paused (backpressure).
* It is cancelled, or its body closed, as soon as the client leaves, the stream is reset, or the flow is killed.
* An exception before the reply becomes an empty status 500; a body that ends with an error cuts the connection, so that the
  client sees an incomplete body.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mitmproxy import connection, ctx
from mitmproxy.proxy import events
from mitmproxy.proxy.server import ConnectionIO

from ..errors import describe
from ..net.body import HIGH_WATER, Body
from ..net.http_messages import Reply, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.proxy.mode_servers import ProxyConnectionHandler


class End(Enum):
    """How an answer ends."""

    WHOLE = 1
    BROKEN = 2


type Respond = Callable[[Request], Awaitable[Reply]]
type Piece = Reply | bytes | End
"""Of an answer: its head, with the status and headers of a `Reply`; a part of its body; its end."""
type Emit = Callable[[int, tuple[Piece, ...]], Coroutine[None, None, None]]
"""Takes pieces of the answer to one request to whoever writes them; raises `Killed` where nobody does any more."""

UPLOAD_BUFFER = 1 << 18
"""Bytes of a request's body that may wait for the coroutine."""

logger = logging.getLogger(__name__)


class Killed(Exception):
    """The answer is not wanted any more, and its end has been told."""


@dataclass
class Output(events.ConnectionEvent):
    """What the coroutine has to say, on its way to the layer of a connection."""

    number: int
    pieces: tuple[Piece, ...]


class Answering:
    """The answers that are made for one client's connection.

    Args:
        handler: of the connection.
        respond: the coroutine function that answers.
        emit: takes the pieces of the answers.
    """

    def __init__(self, handler: ProxyConnectionHandler, respond: Respond, emit: Emit) -> None:
        self._handler = handler
        self._respond = respond
        self._emit = emit
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._uploads: dict[int, Upload] = {}

    def upload(self, number: int) -> Upload:
        """A body that arrives while its request is answered."""
        self._uploads[number] = upload = Upload(self._handler)
        return upload

    def feed(self, number: int, data: bytes) -> bool:
        """Take a part of an upload; an empty one ends it. Returns False where the body is no upload."""
        upload = self._uploads.get(number)
        if upload is None:
            return False
        upload.feed(data)
        if not data:
            del self._uploads[number]
        return True

    def begin(self, number: int, request: Request) -> None:
        """Answer a request; `number` is its own on this connection."""
        self._tasks[number] = asyncio.get_running_loop().create_task(
            self._serve(number, request), name=f"answer to {request.method} {request.target}"
        )

    def cancel(self, number: int, why: str) -> None:
        """Stop with an answer."""
        if upload := self._uploads.pop(number, None):
            upload.abandon()
        if task := self._tasks.pop(number, None):
            task.cancel(why)

    def cancel_all(self) -> None:
        """Stop with all answers, since the client has left."""
        for number in {*self._uploads, *self._tasks}:
            self.cancel(number, "client disconnected")

    async def _serve(self, number: int, request: Request) -> None:
        try:
            try:
                reply = await self._respond(request)
            except Exception as error:  # whatever it is, the client is owed a reply
                logger.error("%s %s failed: %s", request.method, request.path, describe(error))
                reply = Reply(500)
            with suppress(Killed):
                if isinstance(reply.body, bytes):
                    await self._emit(number, (reply, reply.body, End.WHOLE))
                elif (broken := await self._stream(number, reply, reply.body)) is not None:
                    logger.error("%s %s broke off: %s", request.method, request.path, describe(broken))
        finally:
            self._tasks.pop(number, None)
            if isinstance(request.parts, Upload):
                request.parts.abandon()

    async def _stream(self, number: int, reply: Reply, body: Body) -> Exception | None:
        """Send a body in parts. Returns why the body is not complete."""
        delivery = _Delivery(body, reply, lambda pieces: self._emit(number, pieces), self._is_full, self.room)
        try:
            body.start(delivery)
            delivery.send_head()
            return await delivery.ended
        finally:
            delivery.stop()
            body.close()

    def _is_full(self) -> bool:
        transport = self._handler.transports.get(self._handler.client)
        # mitmproxy has writers of its own kind for UDP only.
        writer = transport.writer if transport is not None else None
        return isinstance(writer, asyncio.StreamWriter) and writer.transport.get_write_buffer_size() > HIGH_WATER

    async def room(self) -> None:
        """Wait until the client's socket takes more; it alone, since what the client still sends may be waiting for us."""
        transport = self._handler.transports.get(self._handler.client)
        if transport is not None and transport.writer is not None:
            with suppress(OSError):  # the client has gone, which mitmproxy is about to notice
                await transport.writer.drain()


class _Delivery:
    """Sends one body to the client, as its sink.

    mitmproxy takes events in a coroutine, which hardly ever waits. So each part is sent in an eager task, which has ended when
    the part is written; a part for which the task must wait, or after which the client's socket is full, pauses the body.
    """

    def __init__(
        self,
        body: Body,
        head: Reply,
        emit: Callable[[tuple[Piece, ...]], Coroutine[None, None, None]],
        is_full: Callable[[], bool],
        room: Callable[[], Awaitable[None]],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._body = body
        self._head: tuple[Piece, ...] = (head,)
        self._emit = emit
        self._is_full = is_full
        self._room = room
        self._queue: deque[Piece] = deque()
        self._catching_up: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[Exception | None] = self._loop.create_future()

    def send_head(self) -> None:
        """Send the head, unless the head went with the first part."""
        if self._head:
            self._send(())

    def write(self, part: bytes) -> None:
        """Send a part."""
        self._send((part,))

    def end(self, error: Exception | None) -> None:
        """Send the end."""
        self._send((End.WHOLE if error is None else End.BROKEN,), error, last=True)

    def stop(self) -> None:
        """Send nothing any more."""
        if self._catching_up is not None:
            self._catching_up.cancel()

    def _send(self, pieces: tuple[Piece, ...], error: Exception | None = None, *, last: bool = False) -> None:
        pieces = (*self._head, *pieces)
        self._head = ()
        if self._catching_up is not None:
            self._queue.extend(pieces)
            if last:
                self._catching_up.add_done_callback(lambda _: self._finish(error))
            return
        task = asyncio.Task(self._emit(pieces), loop=self._loop, eager_start=True)
        if not task.done():
            self._catch_up(task)
            if last:
                task.add_done_callback(lambda _: self._finish(error))
        elif failed := task.exception():
            self._failed(failed)
        elif last:
            self._finish(error)
        elif self._is_full():
            self._catch_up(None)

    def _catch_up(self, task: asyncio.Task[None] | None) -> None:
        self._body.pause()
        self._catching_up = self._loop.create_task(self._wait(task))

    async def _wait(self, task: asyncio.Task[None] | None) -> None:
        try:
            if task is not None:
                await task
            await self._room()
            while self._queue:
                pieces = tuple(self._queue)
                self._queue.clear()
                await self._emit(pieces)
                await self._room()
        except Exception as error:  # told below
            self._failed(error)
            return
        self._catching_up = None
        self._body.resume()

    def _failed(self, error: BaseException) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    def _finish(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)


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
