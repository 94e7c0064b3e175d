"""Kept-alive connections to one HTTP server, for all who talk to it."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict

from .upstream_body import PushingProtocol

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
    """

    def __init__(self, base_url: str, *, environment: bool) -> None:
        self._encrypted = urlsplit(base_url).scheme == "https"
        # aiohttp would look for it at each request, in a thread, and for keys in ~/.netrc, too.
        self._proxy = _proxy_of_environment(base_url) if environment else None
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()

    def session(self) -> aiohttp.ClientSession:
        """Where to make requests; it keeps no cookies, and knows no time limit but for connecting."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=0, ssl=_tls() if self._encrypted else True),
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


def _tls() -> ssl.SSLContext:
    """Trusts whom the SDK trusts."""
    import httpx2

    return httpx2.create_ssl_context()
