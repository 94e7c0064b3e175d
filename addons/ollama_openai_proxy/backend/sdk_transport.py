"""The SDK's way to the server: its HTTP library asks, aiohttp does.

aiohttp reads HTTP in C, and gives all that has arrived at once; httpx2's own transport reads it in Python, and gives each
HTTP chunk by itself, which is one token. The SDK comes with such a transport, too, but that one takes every lost connection
for a time-out.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import httpx2
from multidict import CIMultiDict
from yarl import URL

from ..net.connection_pool import why_unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ..net.connection_pool import Connections


class Transport(httpx2.AsyncBaseTransport):
    """Makes requests over the connections of a pool, which is not closed with it. How long to wait is for the caller to say."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response, when its head is there.

        Raises:
            httpx2.TransportError: there is none.
        """
        content = await request.aread()
        with _errors():
            response = await self._connections.session().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=CIMultiDict(request.headers.multi_items()),
                data=content or None,
                allow_redirects=False,
            )
        extensions = {"reason_phrase": response.reason.encode()} if response.reason else {}
        return httpx2.Response(
            response.status, headers=response.raw_headers, stream=_Body(response), request=request, extensions=extensions
        )


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors():
            async for data in self._response.content.iter_any():
                yield data

    async def aclose(self) -> None:
        # Of a body that was read to its end the connection is kept; otherwise the server must notice.
        self._response.close()


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
