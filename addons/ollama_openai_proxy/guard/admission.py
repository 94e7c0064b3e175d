"""Lets a request in or refuses it: its key, its size, how often its sender calls, how many are being answered."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from ..api.paths import calls_model
from ..errors import ApiError, InvalidRequest
from ..net.body import ReleasingBody
from ..net.http_messages import NO_TUNNEL
from ..settings import SettingsError
from ..workers.link import SharedPlaces, SharedRates
from .addresses import Addresses
from .concurrency import Crowd, busy
from .keys import Keys, read_keys
from .rate_limits import Rates

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..net.http_messages import Reply, Request
    from ..settings import Settings
    from ..workers.link import Link
    from .concurrency import Places

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "0.0.0.0"})  # noqa: S104  # names, not bindings
MOST_DIGITS = 20
"""Digits of a size that are looked at: more than any size has, fewer than Python minds."""


class Gate:
    """All that stands before an answer.

    Args:
        settings: of the proxy.
        link: to where calls are counted over all workers; None counts the calls of this process.

    Raises:
        SettingsError: a setting cannot be used.
    """

    def __init__(self, settings: Settings, link: Link | None = None) -> None:
        listed = settings.proxy_api_keys.get_secret_value() if settings.proxy_api_keys else None
        try:
            self._keys = Keys(read_keys(listed, settings.proxy_api_keys_file))
            self._addresses = Addresses(settings.trusted_proxies)
            self._rates = (
                Rates(settings.rate_limit, settings.rate_limit_storage.get_secret_value(), SharedRates(link) if link else None)
                if settings.rate_limit
                else None
            )
        except ValueError as error:
            raise SettingsError(str(error)) from None
        if self._keys and settings.openai_api_key_passthrough:
            raise SettingsError(
                "PROXY_API_KEYS and OPENAI_API_KEY_PASSTHROUGH are both set: a client has one key only; unset one of them."
            )
        self._own_names = _LOCAL_NAMES | {settings.proxy_host.lower()}
        self._most = int(settings.max_body_size)
        most, most_waiting = settings.max_concurrent_requests, settings.max_queued_requests
        self._crowd: Places = (
            SharedPlaces(link, most, most_waiting, busy, several=len(self._keys) > 1)
            if link
            else Crowd(most, most_waiting, several=len(self._keys) > 1)
        )

    @property
    def needs_key(self) -> bool:
        """Whether clients must bring a key."""
        return bool(self._keys)

    async def close(self) -> None:
        """Close the connection to where calls are counted."""
        if self._rates is not None:
            await self._rates.close()

    def knows_size(self, request: Request) -> bool:
        """Whether the head of a request says how long its body is."""
        return _size(request) is not None

    def check(self, request: Request, *, any_size: bool) -> str:
        """Refuse what can be refused by the head alone; returns who calls, for `count`.

        Raises:
            ApiError: the request asks for another host or another protocol, brings no right key, or is too large.
        """
        if request.authority and _without_port(request.authority) not in self._own_names:
            raise ApiError(403, NO_TUNNEL)
        if "websocket" in request.headers.get("upgrade", "").lower():
            raise InvalidRequest("WebSocket connections are not supported")
        owner = self._keys.owner(request) if self._keys else None
        if self._keys and owner is None:
            raise ApiError(401, "unauthorized: a valid API key of this proxy is needed", {"WWW-Authenticate": "Bearer"})
        if self._most and not any_size and (_size(request) or 0) > self._most:
            raise self._too_large()
        return owner or self._addresses.client(request.peer, request.headers.get("x-forwarded-for", ""))

    async def received(self, request: Request) -> Request:
        """The request with its whole body.

        Raises:
            ApiError: the body is too large; the rest of it is not read.
        """
        if request.parts is None:
            # A body whose head does not tell its size.
            if self._most and len(request.body) > self._most:
                raise self._too_large()
            return request
        content = bytearray()
        async for part in request.parts:
            content += part
            if self._most and len(content) > self._most:
                raise self._too_large()
        return replace(request, body=bytes(content), parts=None)

    async def count(self, caller: str) -> None:
        """Count a call.

        Raises:
            ApiError: there were too many.
        """
        if self._rates is not None and (seconds := await self._rates.refused_for(caller)) is not None:
            wait = max(ceil(seconds), 1)
            raise ApiError(429, f"rate limit exceeded: try again in {wait} s", {"Retry-After": str(wait)})

    async def in_turn(self, request: Request, caller: str, respond: Callable[[Request], Awaitable[Reply]]) -> Reply:
        """The reply, once there is room to make it; the place is given back when its body has ended.

        Raises:
            ApiError: too many are waiting already, or from `respond`.
        """
        if not (self._crowd.limited and calls_model(request.method, request.path)):
            return await respond(request)
        await self._crowd.enter(caller)
        try:
            reply = await respond(request)
        except BaseException:
            self._crowd.leave(caller)
            raise
        if isinstance(reply.body, bytes):
            self._crowd.leave(caller)
            return reply
        return replace(reply, body=ReleasingBody(reply.body, lambda: self._crowd.leave(caller)))

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the request is larger than {self._most} bytes, which MAX_BODY_SIZE allows")


def _size(request: Request) -> int | None:
    """The size that a request's head announces."""
    text = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers or not (text.isascii() and text.isdecimal()):
        return None
    return int(text[:MOST_DIGITS])


def _without_port(authority: str) -> str:
    host, _, port = authority.lower().rpartition(":")
    return host if host and port.isdecimal() else authority.lower()
