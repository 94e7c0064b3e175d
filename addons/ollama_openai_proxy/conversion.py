"""mitmproxy's flows as our requests, and our replies as mitmproxy's responses."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

from mitmproxy import http
from mitmproxy.net.http import status_codes
from mitmproxy.proxy.mode_specs import ReverseMode

from .exchange import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from mitmproxy import connection

    from .exchange import Reply

ARRIVED_AS = "ollama_arrived_as"
"""In a flow's metadata, the method with which its request came, where that was mended."""


def exchange_request(
    request: http.Request,
    client: connection.Client,
    body: bytes = b"",
    parts: AsyncIterable[bytes] | None = None,
    arrived_as: str = "",
) -> Request:
    """Convert mitmproxy's request from a client to one that knows no mitmproxy."""
    fields: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    for octets in request.headers.fields:
        name, value = field = _text(octets[0]), _text(octets[1])
        fields.append(field)
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return Request(
        request.method,
        request.path,
        headers,
        body,
        tuple(fields),
        parts,
        client.peername[0] if client.peername else "",
        arrived_as,
        _absolute_host(request, client),
    )


def flow_request(flow: http.HTTPFlow, body: bytes = b"", parts: AsyncIterable[bytes] | None = None) -> Request:
    """Convert a flow's request, which may have been mended before."""
    return exchange_request(flow.request, flow.client_conn, body, parts, flow.metadata.get(ARRIVED_AS, ""))


def flow_response(request: http.Request, reply: Reply) -> http.Response:
    """The response's head, with the framing that the client's HTTP version allows."""
    version, connection = request.http_version, request.headers.get("connection", "").lower()
    fields = list(reply.headers.items())
    if not any(name.lower() == "date" for name, _ in fields):
        fields.append(("Date", _date(int(time.time()))))
    whole = isinstance(reply.body, bytes)
    length = reply.length
    if length is None and isinstance(reply.body, bytes) and reply.status not in (204, 304):
        length = len(reply.body)
    if length is not None:
        fields.append(("Content-Length", str(length)))
    if version == "HTTP/1.0":
        # HTTP/1.0 knows no chunks: a body of unknown length ends with the connection.
        if length is not None and connection == "keep-alive":
            fields.append(("Connection", "keep-alive"))
    elif version == "HTTP/1.1":
        if length is None and not whole:
            fields.append(("Transfer-Encoding", "chunked"))
        if connection == "close":
            fields.append(("Connection", "close"))
    multiplexed = request.is_http2 or request.is_http3
    response = http.Response(
        http_version=version.encode(),
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
    # Otherwise mitmproxy would wait for the end of the body.
    response.stream = not whole
    return response


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _absolute_host(request: http.Request, client: connection.Client) -> str:
    """The host of an absolute request target."""
    if request.is_http2 or request.is_http3:
        return ""  # there it is always given, in place of the Host header
    if isinstance(client.proxy_mode, ReverseMode):
        return request.authority
    # In its other modes mitmproxy has taken the target apart.
    return request.host
