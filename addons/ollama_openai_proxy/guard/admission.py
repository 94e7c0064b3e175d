"""Lets a request in or refuses it: its key, its size, what is in it, how often its sender calls, how many are answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import ceil, inf
from typing import TYPE_CHECKING

from ..api.path_table import calls_model, surface_of
from ..errors import ApiError, InvalidRequest
from ..net.body import ReleasingBody
from ..net.http_messages import NO_TUNNEL, Reply
from ..net.off_loop import SMALL, off_loop
from ..settings import SettingsError
from ..workers.link import SharedPlaces, SharedRates
from .addresses import Addresses
from .body_counts import check_counts
from .concurrency import Crowd, busy
from .content_coding import CODINGS, coding_of, unpack
from .held_bytes import BYTES_PER_ELEMENT, HeldBytes
from .keys import Keys, brought_key, read_keys
from .rate_limits import Rates, home_of
from .wrong_keys import WrongKeys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..net.http_messages import Request
    from ..settings import Settings
    from ..workers.link import Link
    from .concurrency import Places
    from .held_bytes import Hold

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
        self._counts = settings.counts
        self._unpacks = settings.proxy_mode == "translate"
        self.held = HeldBytes(int(settings.max_buffered))
        self._wrong_keys = WrongKeys(settings.wrong_keys_per_minute)
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
        return size_of(request) is not None

    def check(self, request: Request, *, any_size: bool) -> str:
        """Refuse what can be refused by the head alone; returns who calls, for `count`.

        Raises:
            ApiError: the request asks for another host or another protocol, brings no right key, or is too large.
        """
        if request.authority and _without_port(request.authority) not in self._own_names:
            raise ApiError(403, NO_TUNNEL)
        if "websocket" in request.headers.get("upgrade", "").lower():
            raise InvalidRequest("WebSocket connections are not supported")
        address = self._addresses.client(request.peer, request.headers.get("x-forwarded-for", ""))
        caller = self._owner(request, home_of(address)) if self._keys else address
        if self._most and not any_size and (size_of(request) or 0) > self._most:
            raise self._too_large()
        return caller

    async def slow_down(self, request: Request) -> None:
        """Wait before the answer to a request whose key was refused, if its address has brought many wrong keys."""
        if brought_key(request) is not None:
            address = self._addresses.client(request.peer, request.headers.get("x-forwarded-for", ""))
            await self._wrong_keys.was_wrong(home_of(address))

    def _owner(self, request: Request, address: str) -> str:
        owner = self._keys.owner(request)
        if self._wrong_keys.is_shut(address) and not (owner and self._wrong_keys.is_proven(address, owner)):
            raise ApiError(429, "too many wrong keys from this address: try again in 1 s", {"Retry-After": "1"})
        if owner is None:
            raise ApiError(401, "unauthorized: a valid API key of this proxy is needed", {"WWW-Authenticate": "Bearer"})
        self._wrong_keys.was_right(address, owner)
        return owner

    async def received(self, request: Request, hold: Hold) -> Request:
        """The request with its whole body, of which not too much is held, packed or unpacked.

        Args:
            request: the request; in translate mode its body is unpacked, if it is packed.
            hold: is given what is held of the body.

        Raises:
            ApiError: the body is too large, unpacks to too much, or consists of too much; the rest of it is not read. Or all
                clients together would hold too much.
        """
        if request.parts is None:
            # A body whose head does not tell its size.
            if self._most and len(request.body) > self._most:
                raise self._too_large()
            hold.add(len(request.body))
        else:
            content = bytearray()
            async for part in request.parts:
                hold.add(len(part))
                content += part
                if self._most and len(content) > self._most:
                    raise self._too_large()
            request = replace(request, body=bytes(content), parts=None)
        if not request.body:
            return request
        coding = coding_of(request)
        content_of_body = request.body
        if coding in CODINGS or (coding and self._unpacks and surface_of(request.path) != "ollama"):
            content_of_body = await self._unpacked(request.body, coding, hold)
        await self._check_counts(request, content_of_body, hold)
        if content_of_body is request.body or not self._unpacks:
            return request
        headers = {name: value for name, value in request.headers.items() if name != "content-encoding"}
        fields = [field for field in request.fields if field[0].lower() != "content-encoding"]
        return replace(request, body=content_of_body, headers=headers, fields=fields)

    async def _unpacked(self, body: bytes, coding: str, hold: Hold) -> bytes:
        """The body without its coding."""
        parts: list[bytes] = []
        size = 0
        for part in unpack(body, coding):
            size += len(part)
            if size > (self._most or inf):
                raise self._too_large()
            hold.add(len(part))
            parts.append(part)
            # Others have their turn between two parts.
            await asyncio.sleep(0)
        return b"".join(parts)

    async def _check_counts(self, request: Request, body: bytes, hold: Hold) -> None:
        if "multipart/" in request.headers.get("content-type", ""):
            return
        elements = await off_loop(len(body), check_counts, body, self._counts)
        if len(body) > SMALL:
            hold.add(elements * BYTES_PER_ELEMENT)

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
        return await releasing(respond(request), lambda: self._crowd.leave(caller))

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the request is larger than {self._most} bytes, which MAX_BODY_SIZE allows")


async def releasing(answer: Awaitable[Reply], release: Callable[[], None]) -> Reply:
    """The reply, with a call of `release` when the reply is whole, or when its body has ended or is closed, or at an error."""
    try:
        reply = await answer
    except BaseException:
        release()
        raise
    if isinstance(reply.body, bytes):
        release()
        return reply
    return Reply(reply.status, reply.headers, ReleasingBody(reply.body, release))


def size_of(request: Request) -> int | None:
    """The size of the body that a request's head announces; None if the head does not tell."""
    text = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers or not (text.isascii() and text.isdecimal()):
        return None
    return int(text[:MOST_DIGITS])


def _without_port(authority: str) -> str:
    host, _, port = authority.lower().rpartition(":")
    return host if host and port.isdecimal() else authority.lower()
