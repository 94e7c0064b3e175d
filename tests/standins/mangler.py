"""A stand-in for the HTTP proxy in front of a pod, which hands every request on as a GET.

Nothing else is altered: path, headers (hop-by-hop ones aside), body, status, reason and reply pass as they are, and
each piece of the reply is passed on as soon as it is read. When one side closes its connection, so does the other.
"""

from contextlib import suppress

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.standins._thread import ThreadedServer

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
BAD_GATEWAY = 502

_from_upstream = web.RequestKey("from_upstream", frozenset)


class Mangler(ThreadedServer):
    """A proxy to `upstream_url` that turns every method into `method`.

    With `drop_body` the body and its `Content-…` headers are lost too, as when a client follows a 301 or 302. An
    upstream that gives no answer becomes a 502; one that stops in the middle of an answer, a dropped connection.
    """

    def __init__(self, upstream_url: str, *, method: str = "GET", drop_body: bool = False, port: int = 0) -> None:
        super().__init__(port=port)
        self.upstream_url = upstream_url.rstrip("/")
        self.method = method
        self.drop_body = drop_body
        self._client: aiohttp.ClientSession | None = None

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        app.on_startup.append(self._open)
        app.on_cleanup.append(self._close)
        app.on_response_prepare.append(_unadorned)

    async def _open(self, app: web.Application) -> None:
        self._client = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def _close(self, app: web.Application) -> None:
        assert self._client is not None
        await self._client.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        assert self._client is not None
        self._note_request(request)
        headers = _end_to_end(request.headers)
        # This hop has already told the client to continue.
        headers.popall("Expect", None)
        with_body = request.body_exists and not self.drop_body
        if self.drop_body:
            for name in [name for name in headers if name.lower().startswith("content-")]:
                headers.popall(name, None)
        try:
            upstream = await self._client.request(
                self.method,
                URL(self.upstream_url + request.raw_path, encoded=True),
                headers=headers,
                data=request.content if with_body else None,
                allow_redirects=False,
            )
        except aiohttp.ClientError as error:
            return web.Response(status=BAD_GATEWAY, text=f"upstream: {error}")
        try:
            return await self._pass_back(request, upstream)
        finally:
            # Closing instead of releasing: whoever leaves in mid-stream must be missed at the other end at once.
            upstream.close()

    async def _pass_back(self, request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        headers = _end_to_end(upstream.headers)
        request[_from_upstream] = frozenset(name.lower() for name in headers)
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
        await response.prepare(request)
        try:
            async for piece in upstream.content.iter_any():
                if request.method != "HEAD":
                    await self.write(response, piece)
        except aiohttp.ClientError:
            await self.cut(request)
        with suppress(ConnectionError):
            await response.write_eof()
        return response


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for value in headers.getall("Connection", ()) for name in value.split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP | named)


async def _unadorned(request: web.Request, response: web.StreamResponse) -> None:
    """Take away the headers that aiohttp adds to a reply by itself."""
    passed = request.get(_from_upstream)
    if passed is not None:
        for name in ("Server", "Date", "Content-Type"):
            if name.lower() not in passed:
                response.headers.popall(name, None)
