"""HTTP without flows, for the console command: nobody there looks at flows, or has hooks that could change them.

mitmproxy listens, reads and writes. Where it would put its HTTP layer, with streams, flows, hooks and an upstream for each
request, stands the layer of this module: `http1` out of the client's bytes, the answers' pieces into bytes. A call takes half
the time that way. What a client is sent in one turn is sent in one write.

The contract is the same as for flows, and so are its tests: `tests/live/test_upstream.py` runs them on both.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, Protocol

from mitmproxy.connection import ConnectionState
from mitmproxy.net.http.status_codes import RESPONSES
from mitmproxy.proxy.commands import CloseConnection, SendData
from mitmproxy.proxy.events import ConnectionClosed, DataReceived

from ..app import is_upload
from ..errors import describe
from ..guard.admission import NO_TUNNEL
from ..net.http1_parser import Head, Malformed, RequestReader
from ..net.messages import STILL_TO_COME, Reply, Request
from .client_timeouts import error_response
from .flow_messages import comes_in_chunks, keeps_connection, reply_fields
from .response_delivery import Answering, End, Output

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterator

    from mitmproxy.proxy.commands import Command
    from mitmproxy.proxy.events import Event
    from mitmproxy.proxy.mode_servers import ProxyConnectionHandler

    from .response_delivery import Piece

type Phase = Literal["head", "body", "complete", "over"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

logger = logging.getLogger(__name__)


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
    """Stands where the topmost layer of a connection would stand, and answers its requests one after the other."""

    def __init__(self, handler: ProxyConnectionHandler, answerer: Answerer, progress: Progress) -> None:
        self.context = handler.layer.context
        self._client = self.context.client
        self._handler = handler
        self._answerer = answerer
        self._progress = progress
        self._reader = RequestReader()
        self.answers = Answering(handler, answerer.respond, self._emit)
        self._phase: Phase = "head"
        # Of the request at hand:
        self._number = 0
        self._head: Head
        self._body: list[bytes] = []
        self._begun = False  # to be answered
        self._replied = False  # as far as its head
        self._chunked = False
        self._answered = False
        self._keeps = True  # the connection, when it has been answered

    def handle_event(self, event: Event) -> Iterator[Command]:
        """Let the connection go on."""
        if self._phase == "over":
            return
        try:
            yield from self._handle(event)
        except Malformed:
            yield from self._refuse(HTTPStatus.BAD_REQUEST)
        except Exception as error:  # whatever it is, the client is not to wait for ever
            logger.error("a request failed: %s", describe(error))
            yield from self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "the proxy failed")

    def _handle(self, event: Event) -> Iterator[Command]:
        if isinstance(event, DataReceived):
            self._reader.feed(event.data)
            yield from self._read()
        elif isinstance(event, Output):
            if event.number == self._number:
                yield from self._write(event.pieces)
        elif isinstance(event, ConnectionClosed):
            # Who sends no more is taken not to wait for an answer, either.
            self.answers.cancel_all()
            yield from self._close()

    # -- Requests ------------------------------------------------------------------------------------------------------

    def _read(self) -> Iterator[Command]:
        if self._phase == "head":
            yield from self._read_head()
        if self._phase == "body":
            self._read_body()
        if self._phase == "complete" and self._answered:
            yield from self._go_on()

    def _read_head(self) -> Iterator[Command]:
        head = self._reader.head()
        if head is None:
            return
        if head.method == "CONNECT":
            yield from self._refuse(HTTPStatus.FORBIDDEN, NO_TUNNEL)
            return
        self._phase = "body"
        self._head, self._begun, self._replied, self._answered = head, False, False, False
        self._progress.head_arrived(head.target)
        if head.length is not None and head.length <= len(self._reader):
            return  # it is all there
        if head.headers.get("expect", "").lower() == "100-continue":
            yield SendData(self._client, CONTINUE)
        asked = self._request(parts=STILL_TO_COME)
        mended = self._answerer.mend(asked)
        if self._answerer.takes_parts(mended):
            begun = mended if is_upload(mended) else asked
            self._begin(replace(begun, parts=self.answers.upload(self._number)))

    def _read_body(self) -> None:
        while part := self._reader.body():
            if not self.answers.feed(self._number, part) and not self._begun:
                self._body.append(part)
        if part is None:
            return
        self._phase = "complete"
        self._progress.body_arrived()
        if not self.answers.feed(self._number, b"") and not self._begun:
            body, self._body = b"".join(self._body), []
            self._begin(self._answerer.mend(self._request(body)))

    def _request(self, body: bytes = b"", parts: AsyncIterable[bytes] | None = None) -> Request:
        head, peer = self._head, self._client.peername
        return Request(
            head.method,
            head.target,
            head.headers,
            body,
            head.fields,
            parts,
            peer=peer[0] if peer else "",
            authority=head.authority,
        )

    def _begin(self, request: Request) -> None:
        self._begun = True
        self.answers.begin(self._number, request)

    def _refuse(self, status: HTTPStatus, message: str = "") -> Iterator[Command]:
        """Close the connection, and say why where no answer has begun."""
        self.answers.cancel_all()
        if self._phase == "head":
            yield SendData(self._client, error_response(status, message))
        elif not self._replied:
            yield SendData(self._client, error_response(status, message, self._head.target))
        yield from self._close()

    def _go_on(self) -> Iterator[Command]:
        """Read the next request, of which some may have come already."""
        if not self._keeps:
            yield from self._close()
            return
        self._phase = "head"
        self._number += 1
        if len(self._reader):
            yield from self._read()

    def _close(self) -> Iterator[Command]:
        self._phase = "over"
        if self._client.state is not ConnectionState.CLOSED:
            yield CloseConnection(self._client)

    # -- Answers -------------------------------------------------------------------------------------------------------

    async def _emit(self, number: int, pieces: tuple[Piece, ...]) -> None:
        await self._handler.server_event(Output(self._client, number, pieces))

    def _write(self, pieces: tuple[Piece, ...]) -> Iterator[Command]:
        data: list[bytes] = []
        for piece in pieces:
            match piece:
                case bytes():
                    data.append(self._part(piece))
                case Reply():
                    data.append(self._beginning(piece))
                case End.WHOLE:
                    # Before it is sent, since behind it the next request may be waiting.
                    self._progress.answered()
                    self._answered = True
                    data.append(LAST_CHUNK if self._chunked else b"")
                case End.BROKEN:
                    yield SendData(self._client, b"".join(data))
                    yield from self._refuse(HTTPStatus.BAD_GATEWAY, "the answer broke off")
                    return
        yield SendData(self._client, b"".join(data))
        if self._answered and self._phase == "complete":
            yield from self._go_on()

    def _beginning(self, reply: Reply) -> bytes:
        self._replied = True
        version = self._head.version
        self._chunked = comes_in_chunks(reply, version) and self._head.method != "HEAD"
        fields = reply_fields(reply, version, self._head.headers.get("connection", ""))
        self._keeps = keeps_connection(fields, version)
        lines = [f"{version} {reply.status} {RESPONSES.get(reply.status, '')}", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _part(self, part: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(part), part) if self._chunked and part else part
