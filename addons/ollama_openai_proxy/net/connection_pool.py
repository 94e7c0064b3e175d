"""Kept-alive connections to one HTTP server, for all who talk to it."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from .redirects import MOST_REDIRECTS, RedirectsElsewhere, method_after, redirected_url
from .upstream_body import PushingProtocol

if TYPE_CHECKING:
    from pathlib import Path

CONNECT_TIMEOUT = 10.0
READ_BUFFER = 1 << 16
_HEAD_LIMIT = 1 << 16


class _PlainRequest(aiohttp.ClientRequest):
    """A request with the headers that it is given; it gets no others here but those of its connection and its body."""

    _skip_auto_headers = CIMultiDict({"Content-Type": None})

    def update_headers(self, headers: Any) -> None:
        """Take the headers, and add where they go."""
        self.headers = CIMultiDict({"Host": self.url.host_port_subcomponent or ""})
        self.headers.update(headers or ())

    def update_auto_headers(self, skip_auto_headers: object) -> None:
        """Add nothing."""


class _Connector(aiohttp.TCPConnector):
    """Makes connections whose network reads are told to the body of the response."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = functools.partial(PushingProtocol, loop=self._loop)  # type: ignore[assignment]  # a subclass


class Connections:
    """A pool that is opened with its first use, in the event loop of that use.

    Args:
        base_url: the server's URL.
        environment: whether `HTTPS_PROXY`, `NO_PROXY` and their like are heeded.
        ca_file: a file in PEM with certificate authorities that are trusted besides the usual ones.
    """

    def __init__(self, base_url: str, *, environment: bool, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file
        self._encrypted = urlsplit(base_url).scheme == "https"
        # aiohttp would look for it at each request, in a thread, and for keys in ~/.netrc, too.
        self._proxy = _proxy_of_environment(base_url) if environment else None
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    async def close(self) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()

    def session(self) -> aiohttp.ClientSession:
        """Where to make requests; it keeps no cookies, and knows no time limit but for connecting."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=0, ssl=_tls(self._ca_file) if self._encrypted else True),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                max_field_size=_HEAD_LIMIT,
                max_line_size=_HEAD_LIMIT,
                read_bufsize=READ_BUFFER,
                request_class=_PlainRequest,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                proxy=self._proxy,
            )
        return self._session

    async def request(
        self, method: str, url: str, *, headers: CIMultiDict[str], data: Any, base_url: str | None = None
    ) -> aiohttp.ClientResponse:
        """Make a request, and make it again where the server redirects it within its site.

        Args:
            method: of the request.
            url: whole, and percent-encoded.
            headers: all of them.
            data: the body; one that comes in parts cannot be sent twice, so that its redirect is the response.
            base_url: the server's, for the error; None follows no redirect.

        Raises:
            RedirectsElsewhere: the server redirects to another site.
            aiohttp.ClientError: there is no response.
        """
        for _ in range(MOST_REDIRECTS):
            response = await self._request(method, url, headers, data)
            if base_url is None or not (data is None or isinstance(data, bytes)):
                return response
            try:
                target = redirected_url(url, response.status, response.headers.get("location", ""), base_url=base_url)
            except RedirectsElsewhere:
                response.release()
                raise
            if target is None:
                return response
            response.release()
            method = method_after(response.status, method)
            url, data = target, None if method == "GET" else data
        return await self._request(method, url, headers, data)

    async def _request(self, method: str, url: str, headers: CIMultiDict[str], data: Any) -> aiohttp.ClientResponse:
        further: dict[str, Any] = {}
        if not self._encrypted and url.startswith("https:"):
            # A server that was asked by http has redirected to https.
            self._tls = self._tls or _tls(self._ca_file)
            further["ssl"] = self._tls
        return await self.session().request(
            method, URL(url, encoded=True), headers=headers, data=data, allow_redirects=False, **further
        )


def why_unreachable(error: aiohttp.ClientConnectorError) -> str:
    """Why there is no connection, in the system's words."""
    cause = error.os_error
    if cause.errno and not isinstance(cause, (ssl.SSLError, socket.gaierror)):
        # asyncio only says that the call failed.
        return os.strerror(cause.errno)
    return cause.strerror or str(cause) or type(cause).__name__


def _proxy_of_environment(base_url: str) -> str | None:
    """The HTTP proxy on the way to a server."""
    address = urlsplit(base_url)
    if proxy_bypass(address.hostname or ""):
        return None
    proxies = getproxies()
    return proxies.get(address.scheme) or proxies.get("all")


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """Trusts whom the SDK trusts, and the authorities of a file."""
    import httpx2

    context = httpx2.create_ssl_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
