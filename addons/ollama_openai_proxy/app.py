"""What every request passes on its way in and every reply on its way out, in both modes.

A request is mended, gets an id, and is let in or refused; then the mode's server answers it. An error becomes a reply in
the shape of the API that was called. Nothing of what a client brings is logged but its path.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import replace
from http import HTTPStatus
from secrets import token_hex
from typing import TYPE_CHECKING, Protocol

from multidict import CIMultiDict

from .api.dispatch import TranslateServer
from .api.error_shapes import error_reply
from .api.path_table import METRICS, surface_of, takes_file
from .errors import ApiError
from .fix.method_map import MethodMap, explain_lost_body, read_method_map
from .fix.ollama_upstream import FixServer
from .fix.request_repair import Mender
from .guard.admission import Gate, releasing
from .guard.keys import brought_key
from .guard.origins import Access
from .net.body import WrappedBody
from .net.http_messages import REQUEST_ID, Reply
from .net.request_context import Record, begin_record
from .net.shutdown import Running, goodbye
from .observe.health import Health
from .observe.passed_usage import read_counts
from .settings import SettingsError, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .guard.held_bytes import Hold
    from .net.body import Body
    from .net.http_messages import Request
    from .observe.metrics import Metrics
    from .settings import Settings
    from .workers.link import Link

COMMAND_LINE = "ollama/"
"""How the `ollama` command calls itself. It takes a 401 for one of ollama.com, hides its text, and asks the user to sign in."""
ANTHROPIC_REQUEST_ID = "Request-Id"
"""Where Anthropic's SDKs look for it."""
SHOULD_RETRY = "X-Should-Retry"
"""What Anthropic's SDKs, and Claude Code, obey: no later attempt makes a wrong key right, and Claude Code makes eleven."""
logger = logging.getLogger(__name__)

FORWARDING = frozenset({"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip"})
"""Headers by which a reverse proxy tells of its clients."""
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
        link: to the state that all workers share; None where there is one process.

    Raises:
        SettingsError: a setting, or a file that one names, is wrong.
    """

    def __init__(
        self,
        settings: Settings,
        observers: Sequence[Observer] = (),
        metrics: Metrics | None = None,
        link: Link | None = None,
    ) -> None:
        fixing = settings.proxy_mode == "fix"
        self._mender = Mender(
            _method_map(settings),
            restore=settings.fix_methods,
            pseudo_endpoints=fixing,
            bodiless=fixing,
            query_bodies=settings.query_bodies,
        )
        self._gate = Gate(settings, link)
        self._server: Server = FixServer(settings, self._mender) if fixing else TranslateServer(settings, link)
        self._access = Access(settings.ollama_origins, settings.proxy_host, settings.trusted_proxies)
        self._health = Health(self._server.reach)
        self._observers = observers
        self._metrics = metrics
        self._local = is_loopback(settings.proxy_host)
        self._passthrough = settings.openai_api_key_passthrough
        self._running = Running()
        self._is_retiring = False

    def refusal(self, request: Request) -> Reply | None:
        """The reply to a web page that may not read from the proxy; None for everybody else."""
        return self._access.refuse(request, None)

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

    def retire(self) -> None:
        """Have clients connect anew for their next requests."""
        self._is_retiring = True

    def hurry(self) -> None:
        """End a `drain` at once."""
        self._running.hurry()

    async def close(self) -> None:
        """Close the connections to what is behind the proxy."""
        await self._server.close()
        await self._gate.close()

    def warn_if_open(self, host: str) -> None:
        """Log a warning if the proxy is reachable from outside without a key."""
        if not self._gate.needs_key and not is_loopback(host):
            logger.warning(
                "Everyone who can reach %s may use this proxy: set PROXY_API_KEYS to let in only those with a key.", host
            )

    def mend_head(self, request: Request) -> Request:
        """Repair what the head of a request alone shows: its path, and its method."""
        return self._mender.mend_head(request)

    def mend(self, request: Request) -> Request:
        """Repair a request whose body has arrived, unless it is refused: nothing of its query is parsed then."""
        request = self._mender.mend_head(request)
        return request if self._is_refused(request) else self._mender.mend_content(request)

    def takes_parts(self, request: Request) -> bool:
        """Return whether a request, of which only the head has arrived, is answered without waiting for its body.

        This holds for a request that is refused, a request of unknown size, and the upload of a blob, which may be larger than
        memory.
        """
        return is_upload(request) or not self._gate.knows_size(request) or self._is_refused(request)

    def hold(self, size: int) -> Hold | None:
        """Hold so many bytes of a request's body that somebody else collects; None if all clients would hold too many."""
        hold = self._gate.held.hold()
        try:
            hold.add(size)
        except ApiError:
            return None
        return hold

    async def respond(self, request: Request) -> Reply:
        """Answer a request as it arrived, or as `mend` has repaired it.

        Origin, key, size and rate are checked before the body is read, and before the query is parsed. Every reply carries the
        id of its request, which is also in the log.
        """
        request = self._mender.mend_head(request)
        request_id = request.headers.get("x-request-id", "")
        if not _USABLE_ID.fullmatch(request_id):
            request_id = token_hex(16)
        record = Record(request_id, request.method, request.path, request.arrived_as or request.method)
        record.watcher = request.watcher
        record.on_loopback = self._local and _is_on_loopback(request)
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
        if "HEAD" in (record.method, record.arrived_as):
            reply = _without_body(reply, announced=record.arrived_as == "HEAD")
        record.status = reply.status
        reply = self._signed(reply, record)
        if isinstance(reply.body, bytes):
            record.bytes = len(reply.body)
            read_counts(record, reply.body)
            self._ended(record)
            return reply
        body = _Observed(reply.body, record, self._ended)
        self._running.answering(body)
        return Reply(reply.status, reply.headers, body)

    def _signed(self, reply: Reply, record: Record) -> Reply:
        headers = CIMultiDict(reply.headers.items())
        headers[REQUEST_ID] = record.request_id
        if surface_of(record.path) == "anthropic":
            headers[ANTHROPIC_REQUEST_ID] = record.request_id
            if reply.status == HTTPStatus.UNAUTHORIZED:
                headers[SHOULD_RETRY] = "false"
        if self._health.draining or self._is_retiring:
            headers["Connection"] = "close"
        return Reply(reply.status, headers, reply.body, reply.length)

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
        try:
            record.caller = self._gate.check(request, any_size=is_upload(request))
        except ApiError as error:
            if error.status == 401:
                await self._gate.slow_down(request)
            raise
        if self._metrics is not None and request.path == METRICS:
            return await self._metrics.reply()
        await self._gate.count(record.caller)
        if is_upload(request):
            return await self._served(request, record)
        hold = self._gate.held.hold()
        return await releasing(self._received(request, record, hold), hold.release)

    async def _received(self, request: Request, record: Record, hold: Hold) -> Reply:
        """Answer a request once its body is there; the hold says what is held of the body."""
        request = self._mender.mend_content(await self._gate.received(request, hold))
        record.method, record.path, record.arrived_as = request.method, request.path, request.arrived_as or request.method
        return await self._served(request, record)

    async def _served(self, request: Request, record: Record) -> Reply:
        if lost := self._mender.lost_body(request):
            raise ApiError(405, explain_lost_body(lost, query=self._mender.refuses_query(request)), {"Allow": lost.allow})
        return await self._gate.in_turn(request, record.caller, self._server.respond)

    def _is_refused(self, request: Request) -> bool:
        """Whether a request is refused, whatever its body."""
        if self._access.refuse(request, None):
            return True
        try:
            self._gate.check(request, any_size=is_upload(request))
        except ApiError:
            return True
        return False

    def _ended(self, record: Record) -> None:
        record.duration = time.perf_counter() - record.started
        for observer in self._observers:
            observer.ended(record)
        if record.watcher is not None:
            record.watcher.ended(record)


class _Observed(WrappedBody):
    """Counts what a client gets, and tells when the answer has ended or its client has left."""

    __slots__ = ("_before", "_ended", "_last", "_record")

    def __init__(self, inner: Body, record: Record, ended: Callable[[Record], None]) -> None:
        super().__init__(inner)
        self._record: Record = record
        self._ended: Callable[[Record], None] | None = ended
        self._before = self._last = b""  # the end of what was sent

    def write(self, part: bytes) -> None:
        """Count a part."""
        record = self._record
        if record.first_part is None:
            record.first_part = time.perf_counter() - record.started
        record.bytes += len(part)
        record.frames += part.count(b"\n")
        if record.watcher is not None:
            record.watcher.told(part)
        self._before, self._last = self._last, part
        self._sink.write(part)

    def end(self, error: Exception | None) -> None:
        """Note the end."""
        record = self._record
        if error is None:
            read_counts(record, self._before + self._last)
        else:
            record.error = record.error or "broken_off"
        self._tell()
        self._sink.end(error)

    def close(self) -> None:
        """Note that the client has left before the end."""
        self._inner.close()
        if self._ended is not None:
            self._record.gone = True
            self._tell()

    def _tell(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self._record)


def _without_body(reply: Reply, *, announced: bool) -> Reply:
    """The reply to a HEAD request. Whoever sent another method would wait for the body that `Content-Length` announces."""
    if isinstance(reply.body, bytes):
        length = reply.length if reply.length is not None or reply.status in (204, 304) else len(reply.body)
    else:
        reply.body.close()
        length = reply.length
    return replace(reply, body=b"", length=length if announced else None)


def _is_on_loopback(request: Request) -> bool:
    """Whether the client is on this machine, and no proxy that tells of clients elsewhere."""
    return (not request.peer or is_loopback(request.peer)) and FORWARDING.isdisjoint(request.headers)


def is_upload(request: Request) -> bool:
    """Whether the body of a request is a file, which is passed on, or looked at, piece by piece."""
    return takes_file(request.method, request.path)


def _error_reply(request: Request, error: ApiError, record: Record) -> Reply:
    record.error = error.kind
    status = error.status
    if status == 401 and request.headers.get("user-agent", "").startswith(COMMAND_LINE):
        status = 502
    content_type, body = error_reply(surface_of(request.path), error, record.request_id)
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
