"""mitmproxy's flows as our requests, and our replies as mitmproxy's responses."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

from mitmproxy import http
from mitmproxy.net.http import status_codes
from mitmproxy.proxy.mode_specs import ReverseMode

from ..net.messages import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from mitmproxy import connection

    from ..net.messages import Reply

ARRIVED_AS = "ollama_arrived_as"
"""In a flow's metadata, the method with which its request came, where that was mended."""


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
    )


def reply_fields(reply: Reply, version: str, connection: str) -> list[tuple[str, str]]:
    """The headers of a reply, with the framing that the client's HTTP version allows.

    Args:
        reply: where its body comes in parts and its length is not known, it is in chunks, or ends with the connection.
        version: of the request, as "HTTP/1.1".
        connection: the request's header `Connection`.
    """
    fields = list(reply.headers.items())
    names = {name.lower() for name, _ in fields}
    if "date" not in names:
        fields.append(("Date", _date(int(time.time()))))
    length = reply.length
    if length is None and isinstance(reply.body, bytes) and reply.status not in (204, 304):
        length = len(reply.body)
    if length is not None:
        fields.append(("Content-Length", str(length)))
    elif comes_in_chunks(reply, version):
        fields.append(("Transfer-Encoding", "chunked"))
    if connection and "connection" not in names:
        options = [option.strip() for option in connection.lower().split(",")]
        if version == "HTTP/1.1" and "close" in options:
            fields.append(("Connection", "close"))
        # HTTP/1.0 knows no chunks: there a body of unknown length ends with the connection.
        if version == "HTTP/1.0" and "keep-alive" in options and length is not None:
            fields.append(("Connection", "keep-alive"))
    return fields


def keeps_connection(fields: list[tuple[str, str]], version: str) -> bool:
    """Whether a reply with these headers leaves the connection open."""
    option = next((value.lower() for name, value in fields if name.lower() == "connection"), "")
    return option == "keep-alive" if version == "HTTP/1.0" else option != "close"


def comes_in_chunks(reply: Reply, version: str) -> bool:
    """Whether the body of a reply has to be in chunks."""
    return version == "HTTP/1.1" and reply.length is None and not isinstance(reply.body, bytes)


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
