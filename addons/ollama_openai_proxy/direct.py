"""HTTP without flows, for the console command: nobody there looks at flows, or has hooks that could change them.

mitmproxy listens, reads and writes, and its `Http1Server` knows HTTP/1. Between that and the proxy's answers stands nothing
but the layer of this module, which takes the place of mitmproxy's `HttpLayer` and all that it makes for each request: streams,
flows, hooks, an upstream. A call takes a third less time that way. What a client is sent in one turn is sent in one write.

The contract is the same as for flows, and so are most of its tests: `tests/live/test_upstream.py` runs them on both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from mitmproxy import http
from mitmproxy.proxy.commands import SendData
from mitmproxy.proxy.layers.http import HTTPMode, validate_request
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Server

from .answering import Answering, Output
from .conversion import exchange_request
from .front import is_upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from mitmproxy.proxy.commands import Command
    from mitmproxy.proxy.events import Event
    from mitmproxy.proxy.layers.http._base import HttpEvent
    from mitmproxy.proxy.mode_servers import ProxyConnectionHandler

    from .exchange import Reply, Request


class Answerer(Protocol):
    """What answers; in earnest a `Front`."""

    def mend(self, request: Request) -> Request:
        """The request as its client meant it."""

    def takes_parts(self, request: Request) -> bool:
        """Whether a mended request, of which only the head is there, is answered without waiting for its body."""

    async def respond(self, request: Request) -> Reply:
        """Answer a request; one whose body still arrives is mended by then only if it is an upload."""


class Progress(Protocol):
    """Whoever watches how far a client is: a reader of `downstream`."""

    def head_arrived(self, path: str) -> None:
        """It is known what is asked for."""

    def body_arrived(self) -> None:
        """The request is complete."""

    def answered(self) -> None:
        """The answer is complete."""


class DirectHttp:
    """Stands where the topmost layer of a connection would stand."""

    def __init__(self, handler: ProxyConnectionHandler, answerer: Answerer, progress: Progress) -> None:
        self.context = handler.layer.context
        self._handler = handler
        self._answerer = answerer
        self._progress = progress
        self._http = Http1Server(self.context)
        self.answers = Answering(handler, answerer.respond, self._emit)
        # Of the request that is being read; of which there is never more than one.
        self._asked: http.Request
        self._request: Request
        self._body: list[bytes] = []
        self._refused = False

    def handle_event(self, event: Event) -> Iterator[Command]:
        """Let the connection go on; what is to be sent comes together."""
        data: SendData | None = None
        for command in self._commands(event):
            if isinstance(command, SendData):
                if data is None:
                    data = command
                else:
                    data.data += command.data
            else:
                if data is not None:
                    yield data
                    data = None
                yield command
        if data is not None:
            yield data

    def _commands(self, event: Event) -> Iterator[Command]:
        if not isinstance(event, Output):
            yield from self._let(event)
            return
        for part in event.output:
            # Before the end is sent, since behind it the next request may be waiting.
            if isinstance(part, ResponseEndOfMessage):
                self._progress.answered()
            yield from self._let(part)

    def _let(self, event: Event) -> Iterator[Command]:
        for command in self._http.handle_event(event):
            if isinstance(command, ReceiveHttp):
                yield from self._received(command.event)
            else:
                yield command

    def _received(self, event: HttpEvent) -> Iterator[Command]:
        match event:
            case RequestHeaders():
                yield from self._begun(event)
            case RequestData():
                if not (self._refused or self.answers.feed(event.stream_id, event.data)):
                    self._body.append(event.data)
            case RequestEndOfMessage():
                if not self._refused:
                    self._progress.body_arrived()
                    if not self.answers.feed(event.stream_id, b""):
                        self._complete(event.stream_id)
            case RequestProtocolError():
                self.answers.cancel(event.stream_id, event.message)

    def _begun(self, event: RequestHeaders) -> Iterator[Command]:
        self._asked = asked = event.request
        if error := validate_request(HTTPMode.transparent, asked, True):
            self._refused = True
            yield from self._let(ResponseProtocolError(event.stream_id, error, ErrorCode.REQUEST_VALIDATION_FAILED))
            return
        self._progress.head_arrived(asked.path)
        self._request = request = exchange_request(asked, self.context.client)
        self._body = []
        if request.headers.get("expect", "").lower() == "100-continue":
            yield from self._let(ResponseHeaders(event.stream_id, http.Response(*_CONTINUE)))
        if self._is_here(request) or event.end_stream:
            return
        mended = self._answerer.mend(replace(request, parts=_STILL_TO_COME))
        if self._answerer.takes_parts(mended):
            begun = mended if is_upload(mended) else request
            self.answers.begin(event.stream_id, replace(begun, parts=self.answers.upload(event.stream_id)), asked)

    def _is_here(self, request: Request) -> bool:
        """Whether the whole body has come together with the head, so that there is nothing to wait for."""
        length = request.headers.get("content-length", "")
        return length.isdecimal() and len(self._http.buf) >= int(length)

    def _complete(self, stream_id: int) -> None:
        request = self._request
        if self._body:
            request = replace(request, body=b"".join(self._body))
            self._body = []
        self.answers.begin(stream_id, self._answerer.mend(request), self._asked)

    async def _emit(self, *output: HttpEvent) -> None:
        await self._handler.server_event(Output(self.context.client, output))


class _StillToCome:
    """Stands for a body of which nothing has arrived yet."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        raise NotImplementedError
        yield b""


_STILL_TO_COME = _StillToCome()
_CONTINUE = (b"HTTP/1.1", 100, b"Continue", http.Headers(), None, None, 0.0, None)
