"""Makes the SDK's requests over aiohttp's connections.

The SDK opens each call, with its headers, its errors and its redirects. The body of a stream does not pass the SDK: whoever
made the call takes the body, as it comes from the connection, out of the response's extension `BODY`. httpx2's own transport
reads HTTP in Python and gives each HTTP chunk by itself, which costs several times what the translation of a frame costs.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import httpx2
from multidict import CIMultiDict

from ..net.body import BodyReader
from ..net.connection_pool import why_unreachable
from ..net.upstream_body import ServerBody
from .body_decoding import BODY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ..net.connection_pool import Connections


class Transport(httpx2.AsyncBaseTransport):
    """Makes requests over the connections of a pool, which is not closed with it. How long to wait is for the caller to say.

    Args:
        connections: the pool.
        base_url: the server's, for the error about a redirect.
    """

    def __init__(self, connections: Connections, base_url: str = "") -> None:
        self._connections = connections
        self._base_url = base_url

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response, when its head is there.

        Raises:
            httpx2.TransportError: there is none.
            RedirectsElsewhere: the server redirects to another site.
        """
        content = await request.aread()
        with _errors():
            response = await self._connections.request(
                request.method,
                str(request.url),
                headers=CIMultiDict(request.headers.multi_items()),
                data=content or None,
                base_url=self._base_url or str(request.url),
            )
        body = ServerBody(response)
        extensions: dict[str, object] = {BODY: body}
        if response.reason:
            extensions["reason_phrase"] = response.reason.encode()
        return httpx2.Response(
            response.status, headers=response.raw_headers, stream=_Stream(body), request=request, extensions=extensions
        )


class _Stream(httpx2.AsyncByteStream):
    """The body for httpx2, which reads it where the SDK wants an answer whole."""

    def __init__(self, body: ServerBody) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors():
            async for data in BodyReader(self._body):
                yield data

    async def aclose(self) -> None:
        self._body.close()


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError(why_unreachable(error)) from error
    except aiohttp.ServerTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except aiohttp.ClientResponseError as error:
        raise httpx2.RemoteProtocolError("it does not speak HTTP") from error
    except aiohttp.ClientError as error:
        raise httpx2.ReadError("it closed the connection before the end") from error
