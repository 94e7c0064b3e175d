"""mitmproxy's flows as our requests, and our replies as mitmproxy's responses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mitmproxy import http
from mitmproxy.net.http import status_codes
from mitmproxy.proxy.mode_specs import ReverseMode

from ..net.http_messages import Request
from ..net.response_head import reply_fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from mitmproxy import connection

    from ..net.http_messages import Reply

ARRIVED_AS = "ollama_arrived_as"
"""In a flow's metadata, the method with which its request came, where that was mended."""
REPAIRED = "ollama_repaired"
"""In a flow's metadata, whether its body and its query were repaired."""


def flow_request(flow: http.HTTPFlow, body: bytes = b"", parts: AsyncIterable[bytes] | None = None) -> Request:
    """A flow's request, which may have been mended before, as one that knows no mitmproxy."""
    request, client = flow.request, flow.client_conn
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
        flow.metadata.get(ARRIVED_AS, ""),
        _absolute_host(request, client),
        repaired=flow.metadata.get(REPAIRED, False),
    )


def flow_response(request: http.Request, reply: Reply) -> http.Response:
    """The response's head."""
    fields = reply_fields(reply, request.http_version, request.headers.get("connection", ""))
    multiplexed = request.is_http2 or request.is_http3
    response = http.Response(
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
    # Otherwise mitmproxy would wait for the end of the body.
    response.stream = not isinstance(reply.body, bytes)
    return response


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
