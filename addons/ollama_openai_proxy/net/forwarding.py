"""Hands a request on to an HTTP server as it is, and its reply back as it comes.

mitmproxy could do that itself, but it answers with an HTML page where the server is down, cuts the client off where the
server breaks off, and can neither wait for a server that starts nor ask another way when it refuses.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict

from ..api.path_table import has_dot_segments
from ..errors import ApiError, BackendError, InvalidRequest, Unreachable
from ..translate.pass_through import RawMachine
from .answer_driver import AnswerDriver, ServerAnswer
from .body import read_whole
from .body_decoding import is_known
from .connection_pool import Connections, why_unreachable
from .http_messages import REQUEST_ID, Reply
from .redirects import RedirectError, within_site
from .request_context import current_record
from .response_body import response_body
from .server_names import about_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence

    from .answer_driver import Machine
    from .http_messages import Request, Timeouts
    from .masking import Masker

HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("http2-settings", "proxy-authenticate", "proxy-authorization"),
        # The client was told to go on, or sends its body anyway.
        "expect",
    }
)
# Whoever names these in `Connection` must not have them removed: the body would lose its end (RFC 9110 §7.6.1).
_FRAMING = frozenset({"content-length", "host"})
RETRY_DELAY = 0.25
WHOLE = 1 << 20
"""Bytes up to which a body of known length is awaited, so that one that breaks off can still become an error."""

type MakeMachine = Callable[[Mapping[str, str]], Machine | None]
"""Chooses the machine for a streamed body by the headers of its response; None for a body that passes untouched."""


class Relay:
    """The way to one server, over a pool of kept-alive connections.

    Args:
        base_url: its URL; a path in it comes before the path of each request.
        what: what to call it in an error.
        timeouts: how long the server may take.
        hint: what to tell the client besides when the server cannot be reached.
        wait: seconds for which a connection that is refused is tried again.
        connections: the pool to use, which is closed with the relay; one of its own where there is none.
        watched: whether the watcher of a request is told of what the server sends.
        follow: whether a redirect within the server's site is followed, and not passed on.
        limit: bytes of an answer that may be held in memory; None for any.
        masker: masks the keys that the server may quote, unless the pool that is given does.
    """

    def __init__(
        self,
        base_url: str,
        what: str,
        timeouts: Timeouts,
        *,
        hint: str = "",
        wait: float = 0,
        connections: Connections | None = None,
        watched: bool = False,
        follow: bool = False,
        limit: int | None = None,
        masker: Masker | None = None,
    ) -> None:
        self._base_url = base_url
        self._what = what
        self._timeouts = timeouts
        self._hint = f"; {hint}" if hint else ""
        self._wait = wait
        self._watched = watched
        self._follow = follow
        self._limit = limit
        self._connections = connections or Connections(base_url, environment=False, masker=masker)

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()

    async def send(
        self,
        request: Request,
        target: str,
        body: bytes | None = None,
        replaced: Sequence[tuple[str, str]] = (),
        *,
        harmless: Callable[[str], bool] | None = None,
        make_machine: MakeMachine | None = None,
        keep_alive: float = 0,
    ) -> Reply:
        """Send a request on; the reply is there when its head is.

        Args:
            request: as it came.
            target: path and query below the base URL.
            body: instead of the request's.
            replaced: headers that take the place of the request's; an empty value only takes one away.
            harmless: whether a header of the request, by its name in lower case, is sent on; None for every header.
            make_machine: chooses the machine for a streamed body; by default the body passes untouched.
            keep_alive: seconds of silence in such a body after which the machine fills it; 0 is never.

        Raises:
            BackendError: the server cannot be reached, or broke off.
            InvalidRequest: the request cannot be sent.
        """
        if not target.startswith("/"):
            raise InvalidRequest("invalid request target")
        if has_dot_segments(target):
            raise InvalidRequest("the path has a segment that is not followed: . or ..")
        headers = _forwarded(request, replaced, harmless)
        data = (request.parts or request.body if body is None else body) or None
        response = await self._open(request.method, target, headers, data)
        return await self._reply(request.method, response, make_machine, keep_alive)

    async def _open(
        self, method: str, target: str, headers: CIMultiDict[str], data: bytes | AsyncIterable[bytes] | None
    ) -> aiohttp.ClientResponse:
        deadline = time.monotonic() + self._wait
        while True:
            try:
                # An upload takes the time that it takes.
                async with asyncio.timeout(self._timeouts.begin if isinstance(data, bytes | None) else None):
                    return await self._connections.request(
                        method,
                        self._base_url + target,
                        headers=headers,
                        data=data,
                        base_url=self._base_url,
                        follow=self._follow,
                    )
            except RedirectError as error:
                raise BackendError(502, self._about(str(error), f"{self._what} {error.told}")) from error
            except aiohttp.ClientConnectorError as error:
                # Nothing was sent yet.
                if time.monotonic() + RETRY_DELAY > deadline:
                    raise self._unreachable(error) from error
            except TimeoutError as error:
                whole = f"{self._what} at {self._base_url} did not answer in time"
                raise BackendError(504, self._about(whole)) from error
            except aiohttp.ClientError as error:
                raise self._broken(error) from error
            except ValueError as error:
                raise InvalidRequest("the request cannot be sent on: its method or a header is malformed") from error
            await asyncio.sleep(RETRY_DELAY)

    async def _reply(
        self, method: str, response: aiohttp.ClientResponse, make_machine: MakeMachine | None, keep_alive: float
    ) -> Reply:
        headers = _end_to_end(response.headers.items(), response.headers.getall("connection", ()))
        framed = "content-length" in response.headers or "transfer-encoding" in response.headers
        if self._connections.masker:
            headers = CIMultiDict((name, self._connections.masker.masked_text(value)) for name, value in headers.items())
        if "location" in headers and 300 <= response.status < 400:
            headers["Location"] = self._own_path(str(response.url), headers["location"])
        length = _whole_number(headers.pop("content-length", ""))
        if method == "HEAD" or response.status in (204, 304):
            response.release()
            return Reply(response.status, headers, length=length)
        # A part of a coded body cannot be decoded.
        coding = headers.get("content-encoding", "") if response.status != 206 else ""
        if is_known(coding):
            del headers["content-encoding"]
            length = None
        whole = length is not None and length <= WHOLE
        machine = None if whole or make_machine is None else make_machine(headers)
        watcher = current_record().watcher if self._watched else None
        driver = AnswerDriver(
            machine or RawMachine(),
            self._timeouts,
            self._explain,
            keep_alive=keep_alive,
            watcher=watcher,
            limit=self._limit,
        )
        driver.read_from(ServerAnswer(response.status, response_body(response, coding, self._connections.masker), framed))
        if whole:
            return Reply(response.status, headers, await read_whole(driver))
        return Reply(response.status, headers, driver, length if machine is None else None)

    def _own_path(self, url: str, location: str) -> str:
        """Where a redirect leads, as a path of the proxy."""
        place = within_site(url, location) or location
        if place.startswith(self._base_url + "/"):
            return place.removeprefix(self._base_url)
        return urlsplit(place)._replace(scheme="", netloc="").geturl()

    def _explain(self, error: Exception) -> ApiError:
        if isinstance(error, TimeoutError):
            return BackendError(504, self._about(f"{self._what} at {self._base_url} fell silent within its answer"))
        return self._broken(error)

    def _unreachable(self, error: aiohttp.ClientConnectorError) -> ApiError:
        reason = why_unreachable(error)
        return Unreachable(502, self._about(f"cannot connect to {self._what} at {self._base_url}: {reason}{self._hint}"))

    def _broken(self, error: Exception) -> ApiError:
        return BackendError(502, self._about(f"{self._what} at {self._base_url} broke off its answer ({type(error).__name__})"))

    def _about(self, whole: str, nameless: str = "") -> str:
        return about_server(self._base_url, whole, nameless or whole.replace(f" at {self._base_url}", ""))


def _forwarded(
    request: Request, replaced: Iterable[tuple[str, str]], harmless: Callable[[str], bool] | None
) -> CIMultiDict[str]:
    fields = request.fields
    if harmless is not None:
        fields = [(name, value) for name, value in fields if harmless(name.lower())]
    headers = _end_to_end(fields, [request.headers.get("connection", "")])
    headers.popall("host", None)
    if request.parts is None:
        headers.popall("content-length", None)
    for name, value in replaced:
        headers.popall(name, None)
        if value:
            headers[name] = value
    if request_id := current_record().request_id:
        headers[REQUEST_ID] = request_id
    return headers


def _end_to_end(fields: Iterable[tuple[str, str]], connection: Iterable[str]) -> CIMultiDict[str]:
    """The headers without those that are for one hop only."""
    dropped = HOP_BY_HOP.union(name.strip().lower() for value in connection for name in value.split(",")) - _FRAMING
    # Of a name that comes in two spellings, aiohttp would send the last value only.
    spelt: dict[str, str] = {}
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in fields:
        key = name.lower()
        if key not in dropped:
            kept.add(spelt.setdefault(key, name), _valid(value))
    return kept


def _valid(value: str) -> str:
    """A header's value without the bytes that are no UTF-8, for which Python has stand-ins that cannot be sent."""
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
