"""A coroutine as the upstream of a mitmproxy flow.

A reply that is set in a hook is buffered whole by mitmproxy, and a hook that is awaited cannot notice that the client has
gone. So an answer made inside this process comes from where mitmproxy expects one: from an upstream connection. It is no
socket, but a layer that takes the place of mitmproxy's `Http1Client`: it hands the request to a coroutine and turns what
that returns or yields into the response events of an upstream (`answering`). mitmproxy's own `HttpStream` does all the rest,
so hooks, interception, `store_streamed_bodies` and the flow list work as for any other upstream.

Like `answering.py`, `direct.py`, `downstream.py` and `manners.py` this module relies on mitmproxy's internals. They have been
stable since mitmproxy 7; the contract tests in `tests/live/test_upstream.py` fail when they move.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mitmproxy import connection, http
from mitmproxy.flow import Error
from mitmproxy.proxy.layers.http import HttpLayer
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

from ..net.body import read_whole
from ..net.http_messages import Reply
from .flow_messages import flow_request, flow_response
from .response_delivery import Answering, End, Killed, Output, handler_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterator

    from mitmproxy.proxy import events
    from mitmproxy.proxy.layer import CommandGenerator
    from mitmproxy.proxy.mode_servers import ProxyConnectionHandler

    from ..net.request_context import Watcher
    from .response_delivery import Piece, Respond

type Watch = Callable[[http.HTTPFlow], Watcher]


class InProcessServer(connection.Server):
    """The connection object of an in-process upstream, as flows show it."""


class InProcessUpstream:
    """Makes one coroutine function the upstream of any number of flows; `watch` makes the watchers of their requests."""

    def __init__(self, respond: Respond, watch: Watch | None = None) -> None:
        self._respond = respond
        self._watch = watch

    def attach(self, flow: http.HTTPFlow) -> bool:
        """Let this upstream answer `flow`; to be called in the `requestheaders` or the `request` hook.

        Where `flow.request.stream` is set, it is answered while its body arrives. Returns False where the flow comes from no
        live client, as when it is replayed; then use `answer`.
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
        """Cancel the requests that are still being answered for a client; to be called in the `client_disconnected` hook."""
        handler = handler_of(client)
        for layer in _http_layers(handler) if handler else ():
            for conn in layer.connections.values():
                if isinstance(conn, _InProcessConnection):
                    conn.answers.cancel_all()

    async def answer(self, flow: http.HTTPFlow) -> None:
        """Answer a flow that has no live client, whole: set its response."""
        request = flow_request(flow, flow.request.raw_content or b"")
        reply = await self._respond(replace(request, watcher=self._watch(flow) if self._watch else None))
        content = await read_whole(reply.body)
        flow.response = flow_response(flow.request, Reply(reply.status, reply.headers, content))
        flow.response.raw_content = content


class _InProcessConnection(HttpConnection):
    """The layer that stands where `Http1Client` or `Http2Client` would; serves all streams of one client connection."""

    def __init__(
        self, conn: InProcessServer, layer: HttpLayer, handler: ProxyConnectionHandler, respond: Respond, watch: Watch | None
    ) -> None:
        super().__init__(layer.context.fork(), conn)
        self._layer = layer
        self._handler = handler
        self._watch = watch
        self._bodies: dict[StreamId, list[bytes]] = {}
        self.answers = Answering(handler, respond, self._emit)

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        match event:
            case Output():
                for part in self._events(event):
                    yield ReceiveHttp(part)
            case RequestHeaders():
                if event.request.stream:
                    self._begin(event.stream_id, parts=self.answers.upload(event.stream_id))
                else:
                    self._bodies[event.stream_id] = []
            case RequestData():
                if not self.answers.feed(event.stream_id, event.data):
                    self._bodies[event.stream_id].append(event.data)
            case RequestEndOfMessage():
                if not self.answers.feed(event.stream_id, b""):
                    self._begin(event.stream_id, b"".join(self._bodies.pop(event.stream_id)))
            case RequestProtocolError():
                self._bodies.pop(event.stream_id, None)
                self.answers.cancel(event.stream_id, event.message)

    def _begin(self, stream_id: StreamId, body: bytes = b"", parts: AsyncIterable[bytes] | None = None) -> None:
        flow = self._layer.streams[stream_id].flow
        request = flow_request(flow, body, parts)
        if self._watch is not None:
            request = replace(request, watcher=self._watch(flow))
        self.answers.begin(stream_id, request)

    async def _emit(self, stream_id: StreamId, pieces: tuple[Piece, ...]) -> None:
        await self._handler.server_event(Output(self.conn, stream_id, pieces))
        if self._is_killed(stream_id):
            raise Killed

    def _is_killed(self, stream_id: StreamId) -> bool:
        stream = self._layer.streams.get(stream_id)
        return stream is None or (stream.flow.error is not None and stream.flow.error.msg == Error.KILLED_MESSAGE)

    def _events(self, output: Output) -> Iterator[HttpEvent]:
        stream_id = output.number
        if self._is_killed(stream_id):
            yield ResponseProtocolError(stream_id, Error.KILLED_MESSAGE, ErrorCode.KILL)
            return
        for piece in output.pieces:
            match piece:
                case bytes():
                    if piece:
                        yield ResponseData(stream_id, piece)
                case Reply():
                    yield ResponseHeaders(stream_id, flow_response(self._layer.streams[stream_id].flow.request, piece))
                case End.WHOLE:
                    yield ResponseEndOfMessage(stream_id)
                case End.BROKEN:
                    yield ResponseProtocolError(stream_id, "the answer broke off", ErrorCode.GENERIC_SERVER_ERROR)


def _http_layers(handler: ProxyConnectionHandler) -> list[HttpLayer]:
    return [layer for layer in handler.layer.context.layers if isinstance(layer, HttpLayer)]


def _http_layer_of(handler: ProxyConnectionHandler, flow: http.HTTPFlow) -> HttpLayer | None:
    # More than one HttpLayer stands above a client that came through CONNECT: the flow's own is the one that has its stream.
    for layer in _http_layers(handler):
        if any(getattr(stream, "flow", None) is flow for stream in layer.streams.values()):
            return layer
    return None
