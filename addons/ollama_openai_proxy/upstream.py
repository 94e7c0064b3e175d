"""A coroutine as the upstream of a mitmproxy flow.

A reply that is set in a hook is buffered whole by mitmproxy, and a hook that is awaited cannot notice that the client has
gone. So an answer made inside this process comes from where mitmproxy expects one: from an upstream connection. It is no
socket, but a layer that takes the place of mitmproxy's `Http1Client`: it hands the request to a coroutine and turns what
that returns or yields into the response events of an upstream. mitmproxy's own `HttpStream` does all the rest, so hooks,
interception, `store_streamed_bodies` and the flow list work as for any other upstream.

The contract with the coroutine (`Respond`):

* It is called once for each request, when the body has arrived, and returns a `Reply` or raises.
* Of a streamed body each part is written as soon as it is yielded, the first together with the reply's head; the next is
  asked for when the client's socket has room, so a slow client slows the generator.
* It is cancelled as soon as the client leaves, the stream is reset, or the flow is killed.
* An exception before the reply becomes an empty status 500; one after it cuts the connection, so that the client sees an
  incomplete body.

This is the only module that relies on mitmproxy's internals. They have been stable since mitmproxy 7; the contract tests in
`tests/live/test_upstream.py` fail when they move.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING

from mitmproxy import connection, ctx, http
from mitmproxy.flow import Error
from mitmproxy.net.http import status_codes
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

from .exchange import Reply, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mitmproxy.addons.proxyserver import Proxyserver
    from mitmproxy.proxy.layer import CommandGenerator
    from mitmproxy.proxy.mode_servers import ProxyConnectionHandler

type Respond = Callable[[Request], Awaitable[Reply]]

logger = logging.getLogger(__name__)


class InProcessServer(connection.Server):
    """The connection object of an in-process upstream, as flows show it."""


class InProcessUpstream:
    """Makes one coroutine function the upstream of any number of flows."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    def attach(self, flow: http.HTTPFlow) -> bool:
        """Let this upstream answer `flow`; to be called in the `requestheaders` or the `request` hook.

        Returns False where the flow comes from no live client, as when it is replayed; then use `answer`.
        """
        handler = _handler_of(flow.client_conn)
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
        layer.connections[server] = _InProcessConnection(server, layer, handler, self._respond)
        return True

    def detach(self, client: connection.Client) -> None:
        """Cancel what still runs for a client; to be called in the `client_disconnected` hook."""
        handler = _handler_of(client)
        for layer in _http_layers(handler) if handler else ():
            for conn in layer.connections.values():
                if isinstance(conn, _InProcessConnection):
                    conn.cancel_all()

    async def answer(self, flow: http.HTTPFlow) -> None:
        """Answer a flow that has no live client, whole: set its response."""
        reply = await self._respond(exchange_request(flow.request, flow.request.raw_content or b""))
        if isinstance(reply.body, bytes):
            content = reply.body
        else:
            async with aclosing(reply.body) as parts:
                content = b"".join([part async for part in parts])
        flow.response = _response(flow.request, Reply(reply.status, reply.headers, content))
        flow.response.raw_content = content


@dataclass
class _Output(events.ConnectionEvent):
    """What the coroutine has to say, on its way to the layer."""

    output: tuple[HttpEvent, ...]


class _InProcessConnection(HttpConnection):
    """The layer that stands where `Http1Client` or `Http2Client` would; serves all streams of one client connection."""

    def __init__(self, conn: InProcessServer, layer: HttpLayer, handler: ProxyConnectionHandler, respond: Respond) -> None:
        super().__init__(layer.context.fork(), conn)
        self._layer = layer
        self._handler = handler
        self._respond = respond
        self._requests: dict[StreamId, tuple[http.Request, list[bytes]]] = {}
        self._tasks: dict[StreamId, asyncio.Task[None]] = {}

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        match event:
            case _Output():
                for part in event.output:
                    yield ReceiveHttp(part)
            case RequestHeaders():
                self._requests[event.stream_id] = event.request, []
            case RequestData():
                self._requests[event.stream_id][1].append(event.data)
            case RequestEndOfMessage():
                request, parts = self._requests.pop(event.stream_id)
                stream = self._layer.streams[event.stream_id]
                self._tasks[event.stream_id] = asyncio.get_running_loop().create_task(
                    self._serve(stream, request, b"".join(parts)), name=f"answer to {request.method} {request.path}"
                )
            case RequestProtocolError():
                self._requests.pop(event.stream_id, None)
                if task := self._tasks.pop(event.stream_id, None):
                    task.cancel(event.message)

    def cancel_all(self) -> None:
        for task in self._tasks.values():
            task.cancel("client disconnected")

    async def _serve(self, stream: HttpStream, request: http.Request, body: bytes) -> None:
        stream_id = stream.stream_id
        try:
            try:
                reply = await self._respond(exchange_request(request, body))
            except Exception as error:  # whatever it is, the client is owed a reply
                logger.error("%s %s failed: %s", request.method, request.path.partition("?")[0], _describe(error))
                reply = Reply(500)
            head = ResponseHeaders(stream_id, _response(request, reply))
            if isinstance(reply.body, bytes):
                content = b"" if request.method == "HEAD" else reply.body
                data = (ResponseData(stream_id, content),) if content else ()
                await self._send(stream, head, *data, ResponseEndOfMessage(stream_id))
                return
            # The head goes out together with the first part.
            pending: tuple[HttpEvent, ...] = (head,)
            async with aclosing(reply.body) as parts:
                async for part in parts:
                    if part:
                        await self._send(stream, *pending, ResponseData(stream_id, part))
                        await self._handler.drain_writers()
                        pending = ()
            await self._send(stream, *pending, ResponseEndOfMessage(stream_id))
        except _Killed:
            await self._emit(ResponseProtocolError(stream_id, Error.KILLED_MESSAGE, ErrorCode.KILL))
        except Exception as error:
            logger.error("%s %s broke off: %s", request.method, request.path.partition("?")[0], _describe(error))
            await self._emit(ResponseProtocolError(stream_id, "the answer broke off", ErrorCode.GENERIC_SERVER_ERROR))
        finally:
            self._tasks.pop(stream_id, None)

    async def _send(self, stream: HttpStream, *output: HttpEvent) -> None:
        error = stream.flow.error
        if error is not None and error.msg == Error.KILLED_MESSAGE:
            raise _Killed
        await self._emit(*output)

    async def _emit(self, *output: HttpEvent) -> None:
        await self._handler.server_event(_Output(self.conn, output))


class _Killed(Exception):
    """The flow was killed by a user of mitmproxy."""


def _handler_of(client: connection.Client) -> ProxyConnectionHandler | None:
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


def exchange_request(request: http.Request, body: bytes = b"") -> Request:
    """Convert mitmproxy's request to what the Ollama API takes."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items(multi=True):
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return Request(request.method, request.path, headers, body)


def _response(request: http.Request, reply: Reply) -> http.Response:
    """The response's head, with the framing that the client's HTTP version allows."""
    fields = [*reply.headers.items(), ("Date", formatdate(usegmt=True))]
    whole = isinstance(reply.body, bytes)
    if whole and reply.status not in (204, 304):
        fields.append(("Content-Length", str(len(reply.body))))  # type: ignore[arg-type]
    if request.http_version == "HTTP/1.0":
        # HTTP/1.0 knows no chunks: a body of unknown length ends with the connection.
        if whole and request.headers.get("connection", "").lower() == "keep-alive":
            fields.append(("Connection", "keep-alive"))
    elif request.http_version == "HTTP/1.1":
        if not whole:
            fields.append(("Transfer-Encoding", "chunked"))
        if request.headers.get("connection", "").lower() == "close":
            fields.append(("Connection", "close"))
    multiplexed = request.is_http2 or request.is_http3
    return http.Response(
        http_version=request.http_version.encode(),
        status_code=reply.status,
        reason=status_codes.RESPONSES.get(reply.status, "").encode(),
        headers=http.Headers(
            [((name.lower() if multiplexed else name).encode(), value.encode("latin-1", "replace")) for name, value in fields]
        ),
        content=None,
        trailers=None,
        timestamp_start=time.time(),
        timestamp_end=None,
    )


def _describe(error: BaseException) -> str:
    """The kind and place of an error, without its message, which may quote the request's body."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    at = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return f"{type(error).__name__}{at}"
