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

from ..net.body import MOST_ERROR, MOST_LIST, BodyReader, TooLargeError
from ..net.connection_pool import why_unreachable
from ..net.response_body import BODY, response_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ..net.body import Body
    from ..net.connection_pool import Connections


class Transport(httpx2.AsyncBaseTransport):
    """Makes requests over the connections of a pool, which is not closed with it. How long to wait is for the caller to say.

    Args:
        connections: the pool.
        base_url: the server's, for the error about a redirect.
        limit: bytes of an answer that the SDK reads whole; None for any.
    """

    def __init__(self, connections: Connections, base_url: str = "", limit: int | None = None) -> None:
        self._connections = connections
        self._base_url = base_url
        self._limit = limit

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The response, when its head is there.

        Raises:
            httpx2.TransportError: there is none.
            RedirectsElsewhere: the server redirects to another site.
        """
        content = await request.aread()
        headers = CIMultiDict(request.headers.multi_items())
        headers["Accept-Encoding"] = "identity"
        with _errors():
            response = await self._connections.request(
                request.method,
                str(request.url),
                headers=headers,
                data=content or None,
                base_url=self._base_url or str(request.url),
            )
        masker = self._connections.masker
        body = response_body(response, response.headers.get("Content-Encoding", ""), masker)
        return httpx2.Response(
            response.status,
            # The body comes without its coding.
            headers=[
                (name, masker.masked(value)) for name, value in response.raw_headers if name.lower() != b"content-encoding"
            ],
            stream=self._stream(request.method, response.status, body),
            request=request,
            extensions={BODY: body},
        )

    def _stream(self, method: str, status: int, body: Body) -> _Stream:
        if status >= 400:
            return _Stream(body, MOST_ERROR, cut=True)
        return _Stream(body, MOST_LIST if method == "GET" else self._limit)


class _Stream(httpx2.AsyncByteStream):
    """The body for httpx2, which reads it where the SDK wants an answer whole.

    Args:
        body: the body.
        limit: bytes that are read at most; None for any.
        cut: whether what is beyond the limit is left out, and no error.
    """

    def __init__(self, body: Body, limit: int | None, *, cut: bool = False) -> None:
        self._body = body
        self._limit = limit
        self._cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        with _errors():
            async for data in BodyReader(self._body):
                size += len(data)
                if self._limit is not None and size > self._limit:
                    if self._cut:
                        return
                    error = TooLargeError("the back end", self._limit)
                    raise httpx2.ReadError(str(error)) from error
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
