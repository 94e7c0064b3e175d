"""What every request passes on its way in and every reply on its way out, in both modes.

A request is mended, gets an id, and is let in or refused; then the mode's server answers it. An error becomes a reply in
the shape of the API that was called. Nothing of what a client brings is logged but its path.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import aclosing
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

from multidict import CIMultiDict

from .api.dispatch import TranslateServer
from .api.error_shapes import error_reply
from .api.paths import METRICS, surface_of, takes_file
from .api.shutdown_errors import goodbye, last_words
from .errors import ApiError
from .fix.method_map import MethodMap, explain_lost_body, read_method_map
from .fix.ollama_upstream import FixServer
from .fix.request_repair import Mender
from .guard.admission import Gate
from .guard.keys import brought_key
from .guard.origins import Access
from .net.messages import REQUEST_ID, Reply
from .net.request_context import Record, begin_record
from .net.shutdown import Running
from .observe.health import Health
from .observe.token_counts import read_counts
from .settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from .net.messages import Request
    from .observe.metrics import Metrics
    from .settings import Settings

COMMAND_LINE = "ollama/"
"""How the `ollama` command calls itself. It takes a 401 for one of ollama.com, hides its text, and asks the user to sign in."""
ANTHROPIC_REQUEST_ID = "Request-Id"
"""Where Anthropic's SDKs look for it."""
_USABLE_ID = re.compile(r"[!-~]{1,200}")


class Server(Protocol):
    """What stands behind the front: one mode."""

    async def respond(self, request: Request) -> Reply:
        """Answer a request; an `ApiError` is raised."""

    async def reach(self) -> None:
        """Return when what is behind the proxy could be reached; an `ApiError` is raised otherwise."""

    async def model_names(self) -> list[str]:
        """What `/api/tags` lists; an `ApiError` is raised."""

    def allowed_methods(self, request: Request) -> str | None:
        """The methods of the request's path, where the path exists and the method is not among them."""

    async def close(self) -> None:
        """Close all connections."""


class Observer(Protocol):
    """Whoever wants to know of each request."""

    def began(self, record: Record) -> None:
        """A request has come."""

    def ended(self, record: Record) -> None:
        """Its answer has ended, or its client has left."""


class Front:
    """The whole proxy, free of what it listens with.

    Args:
        settings: of the proxy.
        observers: who is told of each request.
        metrics: what is shown at `/metrics`; None where they have a port of their own.

    Raises:
        SettingsError: a setting, or a file that one names, is wrong.
    """

    def __init__(self, settings: Settings, observers: Sequence[Observer] = (), metrics: Metrics | None = None) -> None:
        fixing = settings.proxy_mode == "fix"
        self._mender = Mender(_method_map(settings), restore=settings.fix_methods, pseudo_endpoints=fixing, bodiless=fixing)
        self._server: Server = FixServer(settings, self._mender) if fixing else TranslateServer(settings)
        # In fix mode the Host is one that the pod's edge has put there.
        self._access = Access(settings.ollama_origins, settings.proxy_host, any_host=fixing)
        self._gate = Gate(settings)
        self._health = Health(self._server.reach)
        self._observers = observers
        self._metrics = metrics
        self._passthrough = settings.openai_api_key_passthrough
        self._running = Running()

    @property
    def is_open(self) -> bool:
        """Whether everyone may call."""
        return not self._gate.needs_key

    async def model_names(self) -> list[str]:
        """The names of the models.

        Raises:
            ApiError: nobody could be asked.
        """
        return await self._server.model_names()

    async def drain(self, seconds: float, is_busy: Callable[[], bool] | None = None) -> None:
        """Let running answers end, for so many seconds, and what `is_busy` tells of; then end them with an error."""
        self._health.draining = True
        await self._running.drain(seconds, is_busy)

    def hurry(self) -> None:
        """End a `drain` at once."""
        self._running.hurry()

    async def close(self) -> None:
        """Close the connections to what is behind the proxy."""
        await self._server.close()
        await self._gate.close()

    def mend(self, request: Request) -> Request:
        """The request as its client meant it."""
        return self._mender.mend(request)

    def takes_parts(self, request: Request) -> bool:
        """Whether a request, of which only the head is there, is answered without waiting for its body.

        So is one that is refused, one whose size is not known, and the upload of a blob, which may be larger than memory.
        """
        return is_upload(request) or not self._gate.knows_size(request) or self._is_refused(request)

    async def respond(self, request: Request) -> Reply:
        """Answer a mended request. Every reply carries the id of its request, which is also in the log."""
        request_id = request.headers.get("x-request-id", "")
        if not _USABLE_ID.fullmatch(request_id):
            request_id = token_hex(16)
        record = Record(request_id, request.method, request.path, request.arrived_as or request.method)
        record.watcher = request.watcher
        record.traceparent = request.headers.get("traceparent", "")
        record.tracestate = request.headers.get("tracestate", "")
        if self._passthrough:
            record.client_key = brought_key(request)
        begin_record(record)
        self._running.enter()
        for observer in self._observers:
            observer.began(record)
        try:
            reply = await self._admitted(request, record)
        except asyncio.CancelledError:
            if not self._running.is_dismissed():
                record.gone = True
                self._ended(record)
                raise
            reply = _error_reply(request, goodbye(), record)
        except Exception:
            record.error = "crash"
            self._ended(record)
            raise
        if record.method == "HEAD" and record.arrived_as != "HEAD" and isinstance(reply.body, bytes):
            # Whoever sent another method waits for the body that a reply to HEAD announces and does not have.
            reply = replace(reply, body=b"", length=None)
        record.status = reply.status
        reply = self._signed(reply, record)
        if isinstance(reply.body, bytes):
            record.bytes = 0 if request.method == "HEAD" else len(reply.body)
            read_counts(record, reply.body)
            self._ended(record)
            return reply
        body = self._observed(reply, record)
        # Only once it has begun does closing it tell that the client has left.
        await anext(body)
        return replace(reply, body=body)

    def _signed(self, reply: Reply, record: Record) -> Reply:
        headers = CIMultiDict(reply.headers.items())
        headers[REQUEST_ID] = record.request_id
        if surface_of(record.path) == "anthropic":
            headers[ANTHROPIC_REQUEST_ID] = record.request_id
        if self._health.draining:
            headers["Connection"] = "close"
        return Reply(reply.status, headers, reply.body, reply.length, reply.head_first)

    async def _admitted(self, request: Request, record: Record) -> Reply:
        reply = await self._health.answer(request.path) or self._access.refuse(request, self._server.allowed_methods(request))
        if reply is not None:
            return reply
        return _with_headers(await self._told(request, record), self._access.headers(request))

    async def _told(self, request: Request, record: Record) -> Reply:
        try:
            return await self._answer(request, record)
        except ApiError as error:
            return _error_reply(request, error, record)

    async def _answer(self, request: Request, record: Record) -> Reply:
        record.caller = self._gate.check(request, any_size=is_upload(request))
        if request.parts is not None and not is_upload(request):
            request = self._mender.mend(await self._gate.received(request))
            record.method, record.path = request.method, request.path
        if self._metrics is not None and request.path == METRICS:
            return self._metrics.reply()
        if lost := self._mender.lost_body(request):
            raise ApiError(405, explain_lost_body(lost), {"Allow": lost.allow})
        await self._gate.count(record.caller)
        return await self._gate.in_turn(request, self._server.respond)

    def _is_refused(self, request: Request) -> bool:
        """Whether a request is refused, whatever its body."""
        if self._access.refuse(request, None):
            return True
        try:
            self._gate.check(request, any_size=is_upload(request))
        except ApiError:
            return True
        return False

    async def _observed(self, reply: Reply, record: Record) -> AsyncGenerator[bytes, None]:
        parts: AsyncGenerator[bytes, None] = reply.body  # type: ignore[assignment]  # it is no bytes here
        record.gone = True  # unless the end is reached
        before = last = b""  # the end of what was sent
        try:
            async with aclosing(parts):
                yield b""
                async for part in parts:
                    if record.first_part is None:
                        record.first_part = time.perf_counter() - record.started
                    record.bytes += len(part)
                    record.frames += part.count(b"\n")
                    if record.watcher is not None and part:
                        record.watcher.told(part)
                    yield part
                    before, last = last, part
            record.gone = False
            read_counts(record, before + last)
        except asyncio.CancelledError:
            words = last_words(reply, record.path)
            if not (words and self._running.is_dismissed()):
                raise
            record.gone, record.error = False, goodbye().kind
            yield words
        except Exception:
            record.gone, record.error = False, record.error or "broken_off"
            raise
        finally:
            self._ended(record)

    def _ended(self, record: Record) -> None:
        record.duration = time.perf_counter() - record.started
        for observer in self._observers:
            observer.ended(record)
        if record.watcher is not None:
            record.watcher.ended(record)


def is_upload(request: Request) -> bool:
    """Whether the body of a request is a file, which is passed on, or looked at, piece by piece."""
    return takes_file(request.method, request.path)


def _error_reply(request: Request, error: ApiError, record: Record) -> Reply:
    record.error = error.kind
    status = error.status
    if status == 401 and request.headers.get("user-agent", "").startswith(COMMAND_LINE):
        status = 502
    content_type, body = error_reply(surface_of(request.path), status, error.message, record.request_id)
    return Reply(status, {"Content-Type": content_type} | error.headers, body)


def _method_map(settings: Settings) -> MethodMap:
    if settings.method_map is None:
        return MethodMap()
    try:
        return read_method_map(settings.method_map)
    except ValueError as error:
        raise SettingsError(f"METHOD_MAP is wrong: {error}.") from None


def _with_headers(reply: Reply, headers: Mapping[str, str]) -> Reply:
    if not headers:
        return reply
    merged = CIMultiDict(reply.headers.items())
    merged.update(headers)
    return replace(reply, headers=merged)
