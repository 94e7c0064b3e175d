"""A coroutine as the upstream of a mitmproxy flow.

A reply that is set in a hook is buffered whole by mitmproxy, and a hook that is awaited cannot notice that the client has
gone. So an answer made inside this process comes from where mitmproxy expects one: from an upstream connection. It is no
socket, but a layer that takes the place of mitmproxy's `Http1Client`: it hands the request to a coroutine and turns what
that returns or yields into the response events of an upstream. mitmproxy's own `HttpStream` does all the rest, so hooks,
interception, `store_streamed_bodies` and the flow list work as for any other upstream.

The contract with the coroutine (`Respond`):

* It is called once for each request and returns a `Reply` or raises: when the body has arrived or, where the flow's request
  is streamed (`flow.request.stream`), at once, with the body in parts; a coroutine that reads slowly slows the client.
* Of a streamed reply each part is written as soon as it is yielded, the first together with the head unless the reply says
  `head_first`; the next is asked for when the client's socket has room, so a slow client slows the generator.
* It is cancelled as soon as the client leaves, the stream is reset, or the flow is killed.
* An exception before the reply becomes an empty status 500; one after it cuts the connection, so that the client sees an
  incomplete body.

Like `downstream.py` and `hooks.py` this module relies on mitmproxy's internals. They have been stable since mitmproxy 7; the
contract tests in `tests/live/test_upstream.py` fail when they move.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mitmproxy import connection, ctx, http
from mitmproxy.flow import Error
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream
from mitmproxy.proxy.layers.http._base import HttpConnection, HttpEvent, ReceiveHttp, StreamId
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.server import ConnectionIO

from .conversion import exchange_request, flow_response
from .exchange import Reply, Request, content_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.proxy.layer import CommandGenerator
    from mitmproxy.proxy.mode_servers import ProxyConnectionHandler

    from .record import Watcher

type Respond = Callable[[Request], Awaitable[Reply]]
type Watch = Callable[[http.HTTPFlow], Watcher]

logger = logging.getLogger(__name__)

UPLOAD_BUFFER = 1 << 18
"""Bytes of a request's body that may wait for the coroutine."""


class InProcessServer(connection.Server):
    """The connection object of an in-process upstream, as flows show it."""


class InProcessUpstream:
    """Makes one coroutine function the upstream of any number of flows; `watch` makes the watchers of their requests."""

    def __init__(self, respond: Respond, watch: Watch | None = None) -> None:
        self._respond = respond
        self._watch = watch

    def attach(self, flow: http.HTTPFlow) -> bool:
        """Let this upstream answer `flow`; to be called in the `requestheaders` or the `request` hook.

        Returns False where the flow comes from no live client, as when it is replayed; then use `answer`.
        """
        handler = handler_of(flow.client_conn)
        if handler is None:
            return False
        layer = _http_layer_of(handler, flow)
        if layer is None:
            return False
        address, tls, via = (flow.request.host, flow.request.port), flow.request.scheme == "https", flow.server_conn.via
        for conn in layer.connections:
            if (
                isinstance(conn, InProcessServer)
                and (conn.address, conn.tls, conn.via) == (address, tls, via)
                and conn.transport_protocol == flow.server_conn.transport_protocol
            ):
                return True
        now = time.time()
        server = InProcessServer(
            address=address,
            transport_protocol=flow.server_conn.transport_protocol,
            timestamp_start=now,
            timestamp_tcp_setup=now,
        )
        server.tls = tls
        server.via = via
        server.state = connection.ConnectionState.OPEN
        # HttpLayer takes an upstream that speaks HTTP/1 for one HTTP/2 request only.
        server.alpn = flow.client_conn.alpn
        layer.connections[server] = _InProcessConnection(server, layer, handler, self._respond, self._watch)
        return True

    def detach(self, client: connection.Client) -> None:
        """Cancel what still runs for a client; to be called in the `client_disconnected` hook."""
        handler = handler_of(client)
        for layer in _http_layers(handler) if handler else ():
            for conn in layer.connections.values():
                if isinstance(conn, _InProcessConnection):
                    conn.cancel_all()

    async def answer(self, flow: http.HTTPFlow) -> None:
        """Answer a flow that has no live client, whole: set its response."""
        request = exchange_request(flow, flow.request.raw_content or b"")
        reply = await self._respond(replace(request, watcher=self._watch(flow) if self._watch else None))
        content = await content_of(reply)
        flow.response = flow_response(flow.request, Reply(reply.status, reply.headers, content))
        flow.response.raw_content = content


@dataclass
class _Output(events.ConnectionEvent):
    """What the coroutine has to say, on its way to the layer."""

    output: tuple[HttpEvent, ...]


class _InProcessConnection(HttpConnection):
    """The layer that stands where `Http1Client` or `Http2Client` would; serves all streams of one client connection."""

    def __init__(
        self, conn: InProcessServer, layer: HttpLayer, handler: ProxyConnectionHandler, respond: Respond, watch: Watch | None
    ) -> None:
        super().__init__(layer.context.fork(), conn)
        self._layer = layer
        self._handler = handler
        self._respond = respond
        self._watch = watch
        self._bodies: dict[StreamId, list[bytes]] = {}
        self._uploads: dict[StreamId, _Upload] = {}
        self._tasks: dict[StreamId, asyncio.Task[None]] = {}

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        match event:
            case _Output():
                for part in event.output:
                    yield ReceiveHttp(part)
            case RequestHeaders():
                if event.request.stream:
                    self._uploads[event.stream_id] = body = _Upload(self._handler)
                    self._start(event.stream_id, exchange_request(self._flow(event.stream_id), parts=body))
                else:
                    self._bodies[event.stream_id] = []
            case RequestData():
                if upload := self._uploads.get(event.stream_id):
                    upload.feed(event.data)
                else:
                    self._bodies[event.stream_id].append(event.data)
            case RequestEndOfMessage():
                if upload := self._uploads.pop(event.stream_id, None):
                    upload.feed(b"")
                else:
                    content = b"".join(self._bodies.pop(event.stream_id))
                    self._start(event.stream_id, exchange_request(self._flow(event.stream_id), content))
            case RequestProtocolError():
                self._bodies.pop(event.stream_id, None)
                if upload := self._uploads.pop(event.stream_id, None):
                    upload.abandon()
                if task := self._tasks.pop(event.stream_id, None):
                    task.cancel(event.message)

    def cancel_all(self) -> None:
        for upload in self._uploads.values():
            upload.abandon()
        for task in self._tasks.values():
            task.cancel("client disconnected")

    def _flow(self, stream_id: StreamId) -> http.HTTPFlow:
        return self._layer.streams[stream_id].flow

    def _start(self, stream_id: StreamId, request: Request) -> None:
        stream = self._layer.streams[stream_id]
        if self._watch is not None:
            request = replace(request, watcher=self._watch(stream.flow))
        self._tasks[stream_id] = asyncio.get_running_loop().create_task(
            self._serve(stream, request), name=f"answer to {request.method} {request.path}"
        )

    async def _serve(self, stream: HttpStream, request: Request) -> None:
        stream_id = stream.stream_id
        try:
            try:
                reply = await self._respond(request)
            except Exception as error:  # whatever it is, the client is owed a reply
                logger.error("%s %s failed: %s", request.method, request.path, _describe(error))
                reply = Reply(500)
            head = ResponseHeaders(stream_id, flow_response(stream.flow.request, reply))
            if isinstance(reply.body, bytes):
                content = b"" if request.method == "HEAD" else reply.body
                data = (ResponseData(stream_id, content),) if content else ()
                await self._send(stream, head, *data, ResponseEndOfMessage(stream_id))
                return
            # Where the first part is about to come, the head goes out together with it.
            pending: tuple[HttpEvent, ...] = (head,)
            async with aclosing(reply.body) as parts:
                if reply.head_first:
                    await self._send(stream, head)
                    pending = ()
                async for part in parts:
                    if part:
                        await self._send(stream, *pending, ResponseData(stream_id, part))
                        await self._room()
                        pending = ()
            await self._send(stream, *pending, ResponseEndOfMessage(stream_id))
        except _Killed:
            await self._emit(ResponseProtocolError(stream_id, Error.KILLED_MESSAGE, ErrorCode.KILL))
        except Exception as error:
            logger.error("%s %s broke off: %s", request.method, request.path, _describe(error))
            await self._emit(ResponseProtocolError(stream_id, "the answer broke off", ErrorCode.GENERIC_SERVER_ERROR))
        finally:
            self._tasks.pop(stream_id, None)
            if isinstance(request.parts, _Upload):
                request.parts.abandon()

    async def _room(self) -> None:
        """Wait until the client's socket takes more; it alone, since what the client still sends may be waiting for us."""
        transport = self._handler.transports.get(self._handler.client)
        if transport is not None and transport.writer is not None:
            with suppress(OSError):  # the client has gone, which mitmproxy is about to notice
                await transport.writer.drain()

    async def _send(self, stream: HttpStream, *output: HttpEvent) -> None:
        error = stream.flow.error
        if error is not None and error.msg == Error.KILLED_MESSAGE:
            raise _Killed
        await self._emit(*output)

    async def _emit(self, *output: HttpEvent) -> None:
        await self._handler.server_event(_Output(self.conn, output))


class _Upload:
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


class _Killed(Exception):
    """The flow was killed by a user of mitmproxy."""


def handler_of(client: connection.Client) -> ProxyConnectionHandler | None:
    """What mitmproxy handles the connection of a client with; None for a client that is not connected."""
    proxyserver: Proxyserver = ctx.master.addons.get("proxyserver")
    return proxyserver.connections.get(client.id)


def _http_layers(handler: ProxyConnectionHandler) -> list[HttpLayer]:
    return [layer for layer in handler.layer.context.layers if isinstance(layer, HttpLayer)]


def _http_layer_of(handler: ProxyConnectionHandler, flow: http.HTTPFlow) -> HttpLayer | None:
    # More than one HttpLayer stands above a client that came through CONNECT: the flow's own is the one that has its stream.
    for layer in _http_layers(handler):
        if any(getattr(stream, "flow", None) is flow for stream in layer.streams.values()):
            return layer
    return None


def _describe(error: BaseException) -> str:
    """The kind and place of an error, without its message, which may quote the request's body."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    at = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return f"{type(error).__name__}{at}"
