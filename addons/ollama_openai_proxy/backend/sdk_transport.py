"""Makes the SDK's requests over aiohttp's connections.

The SDK opens each call, with its headers, its errors and its redirects. The body of a stream does not pass the SDK: whoever
made the call takes the body, as it comes from the connection, out of the response's extension `BODY`. httpx2's own transport
reads HTTP in Python and gives each HTTP chunk by itself, which costs several times what the translation of a frame costs.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx2
import openai
from multidict import CIMultiDict

from ..net.body import MOST_ERROR, MOST_LIST, BodyReader, TooLargeError
from ..net.connection_pool import why_unreachable
from ..net.response_body import BODY, response_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ..net.body import Body
    from ..net.connection_pool import Connections


_ENCODING = "latin-1"
"""Of headers. Where it is not set, httpx2 decodes all headers of a message several times to find it out."""


@lru_cache(maxsize=256)
def _url(url: str) -> httpx2.URL:
    """Parse a URL. A server has a handful of paths, and another URL for the description of each model."""
    return httpx2.URL(url)


class Client(openai.AsyncOpenAI):
    """The SDK's client, which tells a server nothing about the machine that it runs on."""

    def _prepare_url(self, url: str) -> httpx2.URL:
        return _url(url) if "://" in url else super()._prepare_url(url)

    def platform_headers(self) -> dict[str, str]:
        """Return no headers: the SDK's own name the operating system and the version of Python."""
        return {}


class HttpClient(httpx2.AsyncClient):
    """The SDK's HTTP client: hands each request to the transport, and the response back.

    What httpx2's own client does in between takes a third of the SDK's time: it merges URLs and default headers, and looks for
    cookies, hooks, redirects and challenges. The SDK sets all headers itself, and the transport follows redirects.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport=transport, timeout=None, follow_redirects=False)
        self._direct = transport

    def build_request(self, method: str, url: httpx2.URL | str, **parts: Any) -> httpx2.Request:
        """Return a request with the headers that are given, and no others; the transport's HTTP library adds `Host` and length.

        Args:
            method: of HTTP.
            url: whole.
            parts: as httpx2's client takes them.
        """
        if any(parts.get(name) is not None for name in ("params", "data", "files", "json", "cookies")):
            return super().build_request(method, url, **parts)
        known = _url(url) if isinstance(url, str) else url
        stream = httpx2.ByteStream(parts.get("content") or b"")
        request = httpx2.Request(method, known, headers=parts.get("headers"), stream=stream)
        request.headers.encoding = _ENCODING
        return request

    async def send(self, request: httpx2.Request, *, stream: bool = False, **_: Any) -> httpx2.Response:
        """Return the response to a request, with its body unless that is to be streamed.

        Raises:
            httpx2.TransportError: there is none.
            RedirectError: the server redirects to another site, or in circles.
        """
        response = await self._direct.handle_async_request(request)
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response


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
            RedirectError: the server redirects to another site, or in circles.
        """
        content = await request.aread()
        headers = CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
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
        answer = httpx2.Response(
            response.status,
            # The body comes without its coding.
            headers=[
                (name, masker.masked(value)) for name, value in response.raw_headers if name.lower() != b"content-encoding"
            ],
            stream=self._stream(request.method, response.status, body),
            request=request,
            extensions={BODY: body},
        )
        answer.headers.encoding = _ENCODING
        return answer

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
