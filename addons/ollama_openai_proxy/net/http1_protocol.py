"""uvicorn's HTTP/1 protocol with bounds: every byte a client sends is counted, and every wait for a client ends.

uvicorn and httptools (llhttp) parse requests and call the ASGI application. This subclass of uvicorn's protocol decides what
they get to see: one complete head at a time, then the body of that request, and the next head once its response is complete.
So the size of a head is known before a parser reads it, and no request is parsed before its turn.

The application may write its response through `DirectResponse`, which is in the scope's extensions, instead of through ASGI's
`send`: one write to the transport for each part, and HTTP/1.0 gets the framing that it understands.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Self

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..api.error_shapes import MALFORMED, error_response
from ..errors import ApiError
from ..guard.admission import NO_TUNNEL
from .messages import DIRECT
from .response_head import comes_in_chunks, keeps_connection, reply_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from .body import Body
    from .messages import Reply
    from .server import Server

type Phase = Literal["idle", "head", "body", "answer", "failed", "linger"]

FIRST_REQUEST = 1.0
"""Seconds in which a new connection counts as busy, since its client has connected in order to send a request."""
READ_AHEAD = 1 << 16
"""Bytes that are read from a client before the response to its last request is complete."""
SMALL_REST = 1 << 16
"""Bytes of a refused request's body for which it is worth keeping the connection: about as much as may be under way anyway."""
UNSEEN = 1 << 14
"""Bytes of a body that are parsed before the application has seen the head, and perhaps refused the request."""
OVERHEAD = 16
"""Bytes of chunk framing that each byte of a body may bring along. A chunk of one byte has five."""
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ABSOLUTE_TARGET = re.compile(rb"https?://([^/?#@]+)((?:[/?#].*)?)", re.IGNORECASE)
_CODINGS = re.compile(rb"(?:(?:compress|deflate|gzip)[ \t]*,[ \t]*)?chunked", re.IGNORECASE)
_EMPTY_LINE_BEGUN = (b"\r\n\r", b"\r\n", b"\r")
_LONE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_UPGRADE = re.compile(rb"\nupgrade(?=:)", re.IGNORECASE)


class Refused(Exception):
    """The client has sent what it may not send."""

    def __init__(self, status: HTTPStatus, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client.

    Args:
        server: to which the connection belongs; it calls `check_time` regularly.
        arguments: of uvicorn's class.
    """

    def __init__(self, server: Server, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._server = server
        self._bounds = server.bounds
        self._phase: Phase = "idle"
        self._received = bytearray()
        self._scanned = 0
        self._framing = 0
        """Bytes of the phase that were no body; in "linger", bytes that were dropped."""
        self._left: int | None = 0
        """Bytes of the body that have not arrived; None for a body in chunks."""
        self._body_goal = 0
        self._method = b""
        self.authority = ""
        self.failure: ApiError | None = None
        """Why the rest of the body will not arrive."""
        self.task: asyncio.Task[object] | None = None
        """Makes the response."""
        now = self.loop.time()
        self._first_request_by = now + FIRST_REQUEST
        self._unsent, self._writing_since = 0, now
        self._set_deadline(self._bounds.keep_alive_timeout)

    # -- The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._server.waits(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what still works for the client."""
        self._server.waits_no_more(self)
        self._received.clear()
        answering = self.cycle is not None and not self.cycle.response_complete
        super().connection_lost(exc)
        if answering and self.task is not None:
            self.task.cancel("the client has left")

    def is_busy(self) -> bool:
        """Return whether a request or its response is under way, or the client is about to send its first request."""
        if self._phase == "idle" and self.loop.time() < self._first_request_by:
            return True
        return self._phase in ("head", "body", "answer", "failed") or self.transport.get_write_buffer_size() > 0

    def refuse(self, status: HTTPStatus, message: str = "") -> None:
        """Tell the client why its request is not answered, and close the connection."""
        cycle = self.cycle
        if self._phase not in ("body", "answer", "failed") or cycle is None:
            self.transport.write(error_response(status, message))
            self._linger()
        elif cycle.response_complete:  # the client knows enough
            self.transport.close()
        elif cycle.response_started or self.failure is not None:
            self.transport.abort()
        else:
            # The application answers, in the shape of its API.
            self._phase, self.failure = "failed", ApiError(status, message or MALFORMED, kind="invalid_request")
            self._set_deadline(0)
            self.flow.resume_reading()
            cycle.message_event.set()

    def shutdown(self) -> None:
        """Close the connection, since the server ends."""
        if self._phase in ("head", "body"):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, self._server.farewell)
        else:
            self.transport.close()

    def _linger(self) -> None:
        """End the response, and read what the client still sends: an unread byte would reset the connection (RFC 9112 §9.6)."""
        self._phase, self._framing = "linger", 0
        self._received.clear()
        self._set_deadline(self._bounds.linger_timeout)
        self._server.waits(self)
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.transport.write_eof()

    # -- Time

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds if seconds else float("inf")

    def check_time(self, now: float) -> None:
        """End a wait that has taken too long."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent:
            self._writing_since = now
        elif self._bounds.write_timeout and now - self._writing_since > self._bounds.write_timeout:
            self.transport.abort()
        self._unsent = unsent
        if now < self._deadline:
            return
        match self._phase:
            case "body" if self.flow.read_paused:  # the application is slow, not the client
                self._set_deadline(self._bounds.body_timeout)
            case "head" | "body":
                self.refuse(HTTPStatus.REQUEST_TIMEOUT, "the request was not sent in time")
            case _:
                self.transport.close()

    # -- What arrives

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent."""
        if self._phase in ("failed", "linger"):
            self._framing += len(data)
            if self._framing > self._bounds.max_linger_size:
                self.transport.close()
            return
        self._received += data
        self._read()
        if self._phase == "answer" and len(self._received) > READ_AHEAD:
            self.flow.pause_reading()

    def _read(self) -> None:
        try:
            while self._received and not self.transport.is_closing():
                if self._phase == "body":
                    if not self._read_body():
                        return
                elif self._phase not in ("idle", "head") or not self._read_head():
                    return
        except Refused as refused:
            self.refuse(refused.status, refused.message)
        except HttpParserError:
            self.refuse(HTTPStatus.BAD_REQUEST)

    def _read_head(self) -> bool:
        """Pass a head to the parser once it is complete."""
        received = self._received
        if self._phase == "idle":
            # Old clients send line breaks behind a body (RFC 9112 §2.2).
            blank = len(received) - len(received.lstrip(b"\r\n"))
            del received[:blank]
            self._framing += blank
            if received:
                self._phase, self._scanned = "head", 0
                self._set_deadline(self._bounds.head_timeout)
                if received[0] < 0x21:  # no method begins like that, but TLS does
                    raise Refused(HTTPStatus.BAD_REQUEST)
        found = _END_OF_HEAD.search(received, max(self._scanned - 2, 0))
        self._scanned = end = found.end() if found else len(received)
        if self._framing + end > self._bounds.max_head_size:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head of the request is too large")
        if not found:
            return False
        if received.count(b"\n", 0, end) - 2 > self._bounds.max_header_count:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has too many headers")
        head = bytes(received[:end])
        del received[:end]
        self._framing = 0
        self._feed_head(head)
        if self._phase == "body" and len(received) > UNSEEN:
            self.loop.call_soon(self._read)
            return False
        return True

    def _feed_head(self, head: bytes) -> None:
        """Pass a head to the parser in a form in which it reads whatever RFC 9112 allows.

        llhttp knows a fixed list of methods, none of which changes the framing; stops at the head of an upgrade, which is never
        granted here; and insists on carriage returns, which a server may do without (§2.2).
        """
        self._method, _, rest = head.partition(b" ")
        if not _METHOD.fullmatch(self._method):
            raise Refused(HTTPStatus.BAD_REQUEST)
        if self._method.upper() == b"CONNECT":
            raise Refused(HTTPStatus.FORBIDDEN, NO_TUNNEL)
        target, space, rest = rest.partition(b" ")
        target = _NOT_ASCII.sub(lambda octet: b"%%%02X" % octet[0][0], target)
        rest = _UPGRADE.sub(b"\nx-upgrade", _LONE_LINE_FEED.sub(b"\r\n", rest))
        self.parser.feed_data(b"POST " + target + space + rest)

    def _read_body(self) -> bool:
        """Pass a part of a body to the parser, and nothing of what follows the body."""
        received = self._received
        if self._left is not None:
            size = min(self._left, len(received))
            self._left -= size
        else:
            # A body in chunks ends with an empty line, whose beginning may have arrived.
            end = received.find(b"\r\n\r\n")
            begun = next((len(part) for part in _EMPTY_LINE_BEGUN if received.endswith(part)), 0)
            size = end + 4 if end >= 0 else len(received) - begun
        if size <= 0:
            return False
        part = bytes(received[:size])
        del received[:size]
        self._framing += size
        self.parser.feed_data(part)
        if self._left is None and self._framing > self._bounds.max_head_size:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has too much chunk framing or trailers")
        return True

    # -- What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are dropped, since the application has its headers already."""
        if self._phase == "head":
            super().on_header(b"upgrade" if name == b"x-upgrade" else name, value)

    def on_headers_complete(self) -> None:
        """Refuse what two servers could take for different requests, and call the application."""
        version, headers = self.parser.get_http_version(), dict(self.headers)
        coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length", b"0")
        if version not in ("1.0", "1.1") or (length.startswith(b"0") and length != b"0"):
            raise Refused(HTTPStatus.BAD_REQUEST)
        if coding is not None and (
            version == "1.0"
            or not _CODINGS.fullmatch(coding)
            or sum(name == b"transfer-encoding" for name, _ in self.headers) > 1
        ):
            raise Refused(HTTPStatus.BAD_REQUEST)
        self.authority = ""
        if not self.url.startswith(b"/") and self.url != b"*":
            absolute = _ABSOLUTE_TARGET.fullmatch(self.url)
            if absolute is None:
                raise Refused(HTTPStatus.BAD_REQUEST)
            self.authority = absolute[1].decode("ascii")
            self.url = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
        super().on_headers_complete()
        self.scope["method"] = self._method.decode("ascii").upper()
        self.scope["extensions"] = {DIRECT: DirectResponse(self, self.cycle)}  # type: ignore[dict-item]  # an object
        self._phase, self._left, self._body_goal = "body", None if coding else int(length), 0
        self._set_deadline(self._bounds.body_timeout)
        self._server.waits_no_more(self)
        self.parser.set_dangerous_leniencies(lenient_chunked_length=True)  # a trailer may be called Content-Length

    def on_body(self, body: bytes) -> None:
        """Take a part of a body. What counts as progress is a kilobyte for each second of the time-out."""
        self._framing -= (1 + OVERHEAD) * len(body)
        self._body_goal -= len(body)
        if self._body_goal <= 0 and not self.cycle.response_complete:
            self._body_goal = int(self._bounds.body_timeout * 1024)
            self._set_deadline(self._bounds.body_timeout)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the response, or for the next request if the response was faster."""
        self.parser.set_dangerous_leniencies(lenient_chunked_length=False)
        super().on_message_complete()
        self._phase, self._framing = "answer", 0
        self._set_deadline(0)
        if self.cycle.response_complete:
            self._next_request()

    # -- What the response does

    def keeps_rest(self) -> bool:
        """Return whether the rest of the body is so small that the connection can be kept without reading the body."""
        return self._phase == "answer" or (self._phase == "body" and self._left is not None and self._left <= SMALL_REST)

    def on_response_complete(self) -> None:
        """Go on to the next request, or drop the rest of this one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._phase == "answer":
            self._next_request()
        elif self.cycle.keep_alive and self.keeps_rest():
            self._set_deadline(min(self._bounds.linger_timeout, self._bounds.body_timeout or self._bounds.linger_timeout))
            self.flow.resume_reading()
        else:
            self._linger()

    def _next_request(self) -> None:
        if not self.cycle.keep_alive:
            self.transport.close()
            return
        self._phase = "idle"
        self._set_deadline(self._bounds.keep_alive_timeout)
        self._server.waits(self)
        self.flow.resume_reading()
        self.loop.call_soon(self._read)


class DirectResponse:
    """Writes the response to one request straight to the transport, and reads the request's body.

    Args:
        protocol: of the connection.
        cycle: uvicorn's state of the request.

    Attributes:
        target: path and query as on the request line, still percent-encoded.
        authority: the host that an absolute target names; empty for the usual target.
    """

    def __init__(self, protocol: BoundedProtocol, cycle: RequestResponseCycle) -> None:
        self.target = protocol.url.decode("ascii")
        self.authority = protocol.authority
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
        data = [] if head is None else [self._head(head)]
        if part:
            data.append(b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part)
        if last and self._chunked:
            data.append(b"0\r\n\r\n")
        self._protocol.transport.write(b"".join(data))
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
