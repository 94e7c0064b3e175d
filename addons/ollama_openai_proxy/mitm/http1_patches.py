"""mitmproxy's own HTTP/1, for flows, made as strict and as discreet as `http1`.

It answers what it cannot parse with an HTML page, and quotes it in its log. Here every answer is JSON, and nothing is quoted.

Like `upstream`, this relies on mitmproxy's internals; `tests/live/test_downstream.py` fails when they move.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import RequestProtocolError

from ..api.error_shapes import error_response
from ..net.http_messages import MALFORMED, NO_TUNNEL
from .http1_head import Malformed, WithoutTrailers, drop_line_breaks, read_head

if TYPE_CHECKING:
    from mitmproxy.http import Request
    from mitmproxy.proxy.layer import CommandGenerator


def _read_request_head(lines: list[bytes]) -> Request:
    """Parse a head, and refuse what other servers may take for something else than mitmproxy does (RFC 9112 §2.2, §5.2)."""
    read_head(lines)
    return _parse_request_head(lines)


def _read_headers(connection: _http1.Http1Server, event: events.ConnectionEvent) -> CommandGenerator[None]:
    """Read on in a head, before which there may be line breaks."""
    if isinstance(event, events.DataReceived):
        try:
            drop_line_breaks(connection.buf)
        except Malformed:
            return _not_understood(connection)
    return _read_on_in_head(connection, event)


def _not_understood(connection: _http1.Http1Server) -> CommandGenerator[None]:
    """Refuse at once what is no HTTP, instead of waiting for its end."""
    connection.state = connection.done
    yield commands.SendData(connection.conn, error_response(HTTPStatus.BAD_REQUEST))
    yield commands.CloseConnection(connection.conn)


def _read_body(connection: _http1.Http1Server, event: events.Event) -> CommandGenerator[None]:
    """Read on in a body; mitmproxy only closes the connection where its chunks are none."""
    for command in _read_on(connection, event):
        if isinstance(command, commands.CloseConnection) and not connection.request_done:
            connection.state = connection.done
            if connection.response is None and isinstance(event, events.DataReceived):
                path = connection.request.path if connection.request else ""
                yield commands.SendData(connection.conn, error_response(HTTPStatus.BAD_REQUEST, path=path))
        elif isinstance(command, ReceiveHttp) and isinstance(command.event, RequestProtocolError):
            command.event.message = "the body of the request broke off, or is malformed"
        yield command


def _body_reader(expected_size: int | None) -> object:
    # mitmproxy would die of trailers.
    return WithoutTrailers() if expected_size is None else _make_body_reader(expected_size)


def _error_response(status: int, message: str = "") -> bytes:
    """Make the response to what mitmproxy does not understand; its own messages quote what was sent."""
    if status == HTTPStatus.BAD_REQUEST:
        status, message = (HTTPStatus.FORBIDDEN, NO_TUNNEL) if "HTTP CONNECT request" in message else (status, MALFORMED)
    return error_response(status, message)


class _Discreet(logging.Filter):
    """Holds back what mitmproxy quotes of a request that it did not understand, which may have a key in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record may be shown."""
        message = record.getMessage()
        quotes = "b'" in message or 'b"' in message or "ClientHello: " in message
        return not (quotes or message.startswith("HTTP/1 protocol error"))


_make_body_reader = _http1.make_body_reader
_parse_request_head = http1.read_request_head
_read_on_in_head = _http1.Http1Server.read_headers
_read_on = _http1.Http1Connection.read_body


def teach_manners() -> None:
    """Let mitmproxy answer in JSON, survive trailers, and keep heads to itself. Calling it again changes nothing."""
    _http1.make_error_response = _error_response  # type: ignore[assignment]
    _http1.make_body_reader = _body_reader  # type: ignore[assignment]
    http1.read_request_head = _read_request_head
    _http1.Http1Server.read_headers = _read_headers  # type: ignore[method-assign, assignment]
    _http1.Http1Server.read_body = _read_body  # type: ignore[method-assign, assignment]
    log = logging.getLogger("mitmproxy.proxy.server")
    if not any(isinstance(each, _Discreet) for each in log.filters):
        log.addFilter(_Discreet())
