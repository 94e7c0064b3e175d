"""uvicorn's HTTP/1 protocol with bounds: every byte a client sends is counted, and every wait for a client ends.

uvicorn and httptools (llhttp) parse requests and call the ASGI application. This subclass of uvicorn's protocol decides what
they get to see: one complete head at a time, then the body of that request, and the next head once its response is complete.
So the size of a head is known before a parser reads it, and no request is parsed before its turn.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Protocol

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..errors import ApiError
from .direct_response import DirectResponse
from .http_messages import DIRECT, MALFORMED, NO_TUNNEL

if TYPE_CHECKING:
    import asyncio

    from .bounds import Bounds

type Phase = Literal["idle", "head", "body", "answer", "failed", "linger"]

FIRST_REQUEST = 1.0
"""Seconds in which a new connection counts as busy, since its client has connected in order to send a request."""
READ_AHEAD = 1 << 16
"""Bytes that are read from a client before the response to its last request is complete."""
SMALL_REST = 1 << 16
"""Bytes of a refused request's body that are read in order to keep the connection: as many may be under way anyway."""
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
_UPGRADE = re.compile(rb"\n((?:x-)*upgrade)(?=:)", re.IGNORECASE)
_HIDDEN_UPGRADE = re.compile(rb"(?:x-)+upgrade", re.IGNORECASE)
_HUGE_LENGTH = re.compile(rb"(\ncontent-length:[ \t]*)[1-9][0-9]{18,998}(?=[ \t]*\r)", re.IGNORECASE)
_UNUSUAL = re.compile(rb"(?<!\r)\n|\n(?:x-)*upgrade:|\ncontent-length:[ \t]*[1-9][0-9]{18}", re.IGNORECASE)


class Refused(Exception):
    """The client has sent what it may not send."""

    def __init__(self, status: HTTPStatus, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ErrorResponse(Protocol):
    """Makes a whole HTTP/1.1 response, after which the connection is closed."""

    def __call__(self, status: int, message: str = "", *, log: bool = True) -> bytes:
        """Make a response; an empty message says that the request is malformed."""


class Owner(Protocol):
    """The server to which connections belong.

    Attributes:
        bounds: of each connection, and of their number.
        farewell: what clients are told whose requests have not arrived when the server ends.
        error_response: makes the response to a request that the application does not get to see.
    """

    bounds: Bounds
    farewell: str
    error_response: ErrorResponse

    def waits(self, connection: BoundedProtocol) -> None:
        """Note that a connection can be closed when there are too many. A new connection may be one too many."""

    def waits_no_more(self, connection: BoundedProtocol) -> None:
        """Note that a connection is needed, or gone."""

    def holds(self, change: int) -> None:
        """Note that a connection holds so many bytes more of requests that are not complete."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client.

    Args:
        server: to which the connection belongs; it calls `check_time` regularly.
        arguments: of uvicorn's class.
    """

    def __init__(self, server: Owner, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._server = server
        self._bounds = server.bounds
        self._phase: Phase = "idle"
        self._received = bytearray()
        self._held = 0
        self._scanned = 0
        self._framing = 0
        """Bytes of the phase that were no body; in "linger", bytes that were dropped."""
        self._left: int | None = 0
        """Bytes of the body that have not arrived; None for a body in chunks."""
        self._body_goal = 0
        self._method = b""
        self.authority = ""
        self.fields: list[tuple[bytes, bytes]] = []
        """The headers of the request in the client's spelling."""
        self.failure: ApiError | None = None
        """Why the rest of the body will not arrive."""
        self.task: asyncio.Task[object] | None = None
        """Makes the response."""
        now = self.loop.time()
        self._first_request_by = now + FIRST_REQUEST
        self._written = self._sent = 0
        self._last_progress = now
        self.idle_since = now
        """When the connection was made, or the latest response was complete."""
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
        self._note_held()
        answering = self.cycle is not None and not self.cycle.response_complete
        super().connection_lost(exc)
        if answering and self.task is not None:
            self.task.cancel("the client has left")

    def is_busy(self) -> bool:
        """Return whether a request or its response is under way, or the client is about to send its first request."""
        if self._phase == "idle" and self.loop.time() < self._first_request_by:
            return True
        return self._phase in ("head", "body", "answer", "failed") or self.transport.get_write_buffer_size() > 0

    def write(self, data: bytes) -> None:
        """Write to the client."""
        self._written += len(data)
        self.transport.write(data)

    def refuse(self, status: HTTPStatus, message: str = "") -> None:
        """Tell the client why its request is not answered, and close the connection."""
        cycle = self.cycle
        if self._phase not in ("body", "answer", "failed") or cycle is None:
            self.write(self._server.error_response(status, message))
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

    def give_up(self) -> None:
        """Close the connection at once, and forget what has arrived."""
        self._received.clear()
        self._note_held()
        self.transport.abort()

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
        sent = self._written - unsent
        if not unsent or sent != self._sent:
            self._sent, self._last_progress = sent, now
        elif self._bounds.write_timeout and now - self._last_progress > self._bounds.write_timeout:
            self.transport.abort()
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
        self._note_held()
        if self._phase == "answer" and len(self._received) > READ_AHEAD:
            self.flow.pause_reading()

    def _note_held(self) -> None:
        """Tell the server how many bytes wait here to become a request."""
        held = len(self._received)
        if held != self._held:
            change, self._held = held - self._held, held
            self._server.holds(change)

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
        granted here; insists on carriage returns, which a server may do without (§2.2); and calculates with 64 bits.
        """
        self._method, _, rest = head.partition(b" ")
        if not _METHOD.fullmatch(self._method):
            raise Refused(HTTPStatus.BAD_REQUEST)
        if self._method.upper() == b"CONNECT":
            raise Refused(HTTPStatus.FORBIDDEN, NO_TUNNEL)
        target, space, rest = rest.partition(b" ")
        target = _NOT_ASCII.sub(lambda octet: b"%%%02X" % octet[0][0], target)
        if _UNUSUAL.search(rest):
            rest = _UPGRADE.sub(rb"\nx-\1", _LONE_LINE_FEED.sub(b"\r\n", rest))
            rest = _HUGE_LENGTH.sub(rb"\g<1>" + b"9" * 18, rest)
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
        if self._phase == "body" and self.cycle.response_complete and self._body_goal < 0:
            self._linger()
        return True

    # -- What the parser calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are dropped, since the application has its headers already."""
        if self._phase == "head":
            if _HIDDEN_UPGRADE.fullmatch(name):
                name = name[2:]
            self.fields.append((name, value))
            super().on_header(name, value)

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
        """Return whether the rest of the body is, or may be, so small that the connection can be kept."""
        return self._phase == "answer" or (self._phase == "body" and (self._left is None or self._left <= SMALL_REST))

    def on_response_complete(self) -> None:
        """Go on to the next request, or drop the rest of this one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._phase == "answer":
            self._next_request()
        elif self.cycle.keep_alive and self.keeps_rest():
            self._body_goal = SMALL_REST
            self._set_deadline(min(self._bounds.linger_timeout, self._bounds.body_timeout or self._bounds.linger_timeout))
            self.flow.resume_reading()
        else:
            self._linger()

    def _next_request(self) -> None:
        if not self.cycle.keep_alive:
            self.transport.close()
            return
        self._phase = "idle"
        self.idle_since = self.loop.time()
        self._set_deadline(self._bounds.keep_alive_timeout)
        self._server.waits(self)
        self.flow.resume_reading()
        self.loop.call_soon(self._read)
