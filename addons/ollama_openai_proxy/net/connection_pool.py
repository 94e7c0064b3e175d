"""Kept-alive connections to one HTTP server, for all who talk to it.

The server is not trusted. A connection on which bytes came that no request asked for is closed instead of being used, since
these bytes would be taken for the answer to the next request. A redirect is followed on the server's own address only.
"""

from __future__ import annotations

import functools
import os
import select
import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from .masking import Masker
from .redirects import MOST_REDIRECTS, RedirectsElsewhere, TooManyRedirects, method_after, redirected_url
from .upstream_body import PushingProtocol

if TYPE_CHECKING:
    from pathlib import Path

CONNECT_TIMEOUT = 10.0
_OF_A_BODY = frozenset({"content-length", "content-type", "content-encoding", "transfer-encoding"})
READ_BUFFER = 1 << 16
HEAD_LIMIT = 1 << 16
"""Bytes of a status line, and of a header, of a response."""
HEADER_COUNT = 128


@dataclass(slots=True)
class _Attempt:
    """One request over one connection.

    Attributes:
        fresh: whether the request must not go over a kept connection.
        kept: the kept connection over which the request goes; None for a new connection.
    """

    fresh: bool
    kept: PushingProtocol | None = None


_ATTEMPT: ContextVar[_Attempt | None] = ContextVar("attempt", default=None)


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
    """Makes connections whose network reads are told to the body of the response, and drops those with unread bytes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = functools.partial(PushingProtocol, loop=self._loop)  # type: ignore[assignment]  # a subclass

    async def _get(self, key: Any, traces: Any) -> Any:
        """Take a connection out of the pool; None if there is none, or if the request must not go over a kept connection."""
        attempt = _ATTEMPT.get()
        if attempt is not None and attempt.fresh:
            return None
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if isinstance(protocol, PushingProtocol) and protocol.is_clean() and not _is_readable(protocol):
                protocol.take()
                if attempt is not None:
                    attempt.kept = protocol
                return connection
            connection.close()
        return None

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if isinstance(protocol, PushingProtocol):
            protocol.rest()


class Connections:
    """A pool that is opened with its first use, in the event loop of that use.

    Args:
        base_url: the server's URL.
        environment: whether `HTTPS_PROXY`, `NO_PROXY` and their like are heeded.
        ca_file: a file in PEM with certificate authorities that are trusted besides the usual ones.
        masker: masks the keys that the server may quote; by default none.

    Attributes:
        masker: likewise.
    """

    def __init__(self, base_url: str, *, environment: bool, ca_file: Path | None = None, masker: Masker | None = None) -> None:
        self.masker = masker or Masker(())
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
                max_field_size=HEAD_LIMIT,
                max_line_size=HEAD_LIMIT,
                max_headers=HEADER_COUNT,
                read_bufsize=READ_BUFFER,
                request_class=_PlainRequest,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                proxy=self._proxy,
            )
            # aiohttp makes requests again that have no body, also over a further kept connection.
            self._session._retry_connection = False  # noqa: SLF001  # there is no argument for this
        return self._session

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: CIMultiDict[str],
        data: Any,
        base_url: str,
        follow: bool = True,
    ) -> aiohttp.ClientResponse:
        """Make a request, and make it again where the server redirects it within its site.

        A request over a kept connection that ended without a byte of the answer is made once more, over a new connection: the
        server had closed the kept connection when the request was sent.

        Args:
            method: of the request.
            url: whole, and percent-encoded.
            headers: all of them but `Host`.
            data: the body. One that comes in parts cannot be sent twice, so that it goes over a new connection, and its
                redirect is the response.
            base_url: the server's, for the error.
            follow: whether a redirect within the server's site is followed, and not the response.

        Raises:
            RedirectError: the server redirects to another site, or in circles.
            aiohttp.ClientError: there is no response, or one with a status that HTTP does not have.
            ValueError: the method or a header is malformed.
        """
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._request_once_more(method, url, headers, data)
            if not 200 <= response.status <= 599:
                response.close()
                raise aiohttp.ClientResponseError(response.request_info, (), status=response.status)
            try:
                target = redirected_url(url, response.status, response.headers.get("location", ""), base_url=base_url)
            except RedirectsElsewhere as error:
                response.close()
                raise RedirectsElsewhere(base_url, self.masker.masked_text(error.url)) from None
            if target is None or not follow or not isinstance(data, bytes | None):
                return response
            response.close()
            method = method_after(response.status, method)
            url = target
            if method == "GET" and data is not None:
                # A server would wait for the body that the head announces.
                data = None
                headers = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _OF_A_BODY)
        raise TooManyRedirects(base_url, self.masker.masked_text(url))

    async def _request_once_more(self, method: str, url: str, headers: CIMultiDict[str], data: Any) -> aiohttp.ClientResponse:
        attempt = _Attempt(fresh=not isinstance(data, bytes | None))
        try:
            return await self._request(attempt, method, url, headers, data)
        except aiohttp.ClientConnectionError:
            if attempt.kept is None or attempt.kept.received:
                raise
        return await self._request(_Attempt(fresh=True), method, url, headers, data)

    async def _request(
        self, attempt: _Attempt, method: str, url: str, headers: CIMultiDict[str], data: Any
    ) -> aiohttp.ClientResponse:
        further: dict[str, Any] = {}
        if not self._encrypted and url.startswith("https:"):
            # A server that was asked by http has redirected to https.
            self._tls = self._tls or _tls(self._ca_file)
            further["ssl"] = self._tls
        token = _ATTEMPT.set(attempt)
        try:
            return await self.session().request(
                method, URL(url, encoded=True), headers=headers, data=data, allow_redirects=False, **further
            )
        finally:
            _ATTEMPT.reset(token)


def _is_readable(protocol: PushingProtocol) -> bool:
    """Whether bytes wait in a connection's socket, or the server has closed the connection, unseen by the event loop so far."""
    sock = None if protocol.transport is None else protocol.transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


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
