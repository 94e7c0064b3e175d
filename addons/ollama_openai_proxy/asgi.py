"""The proxy as an ASGI application, for any ASGI server: `uvicorn ollama_openai_proxy.asgi:app`.

The settings come from the environment and from a file `.env`, as for the console command, except for the address, which is the
server's. The bounds on what clients send, and on how long the proxy waits for clients, are the server's, too.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from .app import Front
from .errors import describe
from .net.body import BodyReader
from .net.http_messages import DIRECT, Reply, Request
from .net.response_head import reply_fields
from .observe.log import set_up_own_logging
from .observe.observers import Observers
from .settings import SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from .net.body import Body
    from .settings import Settings
    from .workers.link import Link

type Scope = dict[str, Any]
type Message = dict[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Respond = Callable[[Request], Awaitable[Reply]]

_FRAMING = frozenset({"transfer-encoding", "connection", "date"})

logger = logging.getLogger(__name__)


class Application:
    """An ASGI 3 application that opens with its lifespan, or else with its first request.

    Args:
        settings: of the proxy; None reads them when the application opens.
        link: to the state that all workers share; with a link, the server serves METRICS_PORT as well.
    """

    def __init__(self, settings: Settings | None = None, link: Link | None = None) -> None:
        self._settings = settings
        self._link = link
        self._metrics_port = settings.metrics_port if settings and link else None
        self._front: Front | None = None
        self._observers: Observers | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI defines."""
        match scope["type"]:
            case "http" if self._metrics_port and scope["server"][1] == self._metrics_port:
                await serve_request(self._show_metrics, scope, receive, send)
            case "http":
                await serve_request((self._front or self.open()).respond, scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1002, "reason": "WebSocket connections are not supported"})
            case kind:
                raise ValueError(f"an ASGI scope of the type {kind} is not supported")

    def open(self) -> Front:
        """Read the settings where none were given, log what they say, and warn if everybody may call.

        Raises:
            SettingsError: a setting, or a file that a setting names, is wrong.
        """
        if self._settings is None:
            self._settings = load_settings()
            set_up_own_logging(self._settings.log_level, self._settings.log_format)
        settings = self._settings
        self._observers = observers = Observers(settings, self._link)
        self._front = front = Front(settings, observers.all, observers.metrics_of_the_main_port, self._link)
        if self._metrics_port is None:
            observers.open(front.refusal)
        front.warn_if_open(settings.proxy_host)
        return front

    async def drain(self, is_busy: Callable[[], bool] | None = None) -> None:
        """Wait for running responses, and for whatever `is_busy` tells of, for DRAIN_SECONDS; then end them with an error."""
        if self._front is not None and self._settings is not None:
            await self._front.drain(self._settings.drain_seconds, is_busy)

    def retire(self) -> None:
        """Have clients connect anew for their next requests."""
        if self._front is not None:
            self._front.retire()

    def hurry(self) -> None:
        """End a `drain` at once."""
        if self._front is not None:
            self._front.hurry()

    async def close(self) -> None:
        """Close the connections to what is behind the proxy."""
        if self._front is not None:
            await self._front.close()
        if self._observers is not None:
            self._observers.close()

    async def _show_metrics(self, request: Request) -> Reply:
        return cast("Front", self._front).refusal(request) or await cast("Observers", self._observers).metrics.reply()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self.open()
        except SettingsError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.drain()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})


async def serve_request(respond: Respond, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one HTTP request.

    `respond` is cancelled when the client leaves. An exception that it raises becomes an empty status 500; one that the body
    raises closes the connection, so that the client sees an incomplete body.
    """
    task: asyncio.Task[object] = cast("asyncio.Task[object]", asyncio.current_task())
    out: ResponseWriter = scope.get("extensions", {}).get(DIRECT) or StandardResponse(scope, receive, send)
    if not out.begin(task):
        return
    request = request_of(scope, out)
    task.set_name(f"answer to {request.method} {request.path}")
    try:
        try:
            reply = await respond(request)
        except Exception as error:  # whatever it is, the client is owed a reply
            logger.error("%s %s failed: %s", request.method, request.path, describe(error))
            reply = Reply(500)
        if isinstance(reply.body, bytes):
            await out.send(reply, reply.body, last=True)
        else:
            await out.send_body(reply, reply.body)
    except asyncio.CancelledError:
        if not out.client_has_left:
            raise
        task.uncancel()
    except Exception as error:
        logger.error("%s %s broke off: %s", request.method, request.path, describe(error))
        out.abort()
    finally:
        out.end()


class ResponseWriter(Protocol):
    """Where a request's body comes from, and where the response goes."""

    @property
    def target(self) -> str:
        """Path and query of the request, still percent-encoded."""

    @property
    def authority(self) -> str:
        """The host that an absolute request target names; empty for the usual target."""

    @property
    def fields(self) -> Iterable[tuple[bytes, bytes]]:
        """The headers of the request, in the client's spelling where the server keeps that."""

    @property
    def body(self) -> bytes | None:
        """The whole body of the request, if it has arrived."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body of the request as it arrives; raises `ApiError` if the client sends no proper body."""

    @property
    def client_has_left(self) -> bool:
        """Whether the connection is closed."""

    def begin(self, task: asyncio.Task[object]) -> bool:
        """Name the task that is cancelled when the client leaves; returns False if the client has left."""

    async def send(self, head: Reply | None, part: bytes, *, last: bool = False) -> None:
        """Write a part of the response, after its head where that is given, and wait until the client takes more."""

    async def send_body(self, head: Reply, body: Body) -> None:
        """Write a response whose body comes in parts, and close the body; raises why the body is not complete."""

    def abort(self) -> None:
        """Close the connection before the response is complete."""

    def end(self) -> None:
        """Stop looking whether the client leaves."""


def request_of(scope: Scope, out: ResponseWriter) -> Request:
    """The request of an ASGI scope."""
    fields: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    for octets, value_octets in out.fields:
        name, value = octets.decode("ascii", "replace"), value_octets.decode("utf-8", "surrogateescape")
        fields.append((name, value))
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    body = out.body
    return Request(
        scope["method"],
        out.target,
        headers,
        body or b"",
        tuple(fields),
        out if body is None else None,
        peer=scope["client"][0] if scope.get("client") else "",
        authority=out.authority,
    )


class StandardResponse:
    """Reads a request and writes its response with nothing but ASGI."""

    authority = ""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"")
        path = scope.get("raw_path") or scope["path"].encode()
        self.target = (path + (b"?" + query if query else b"")).decode("utf-8", "surrogateescape")
        self.fields: Iterable[tuple[bytes, bytes]] = scope["headers"]
        self._scope = scope
        self._receive = receive
        self._send = send
        self._task: asyncio.Task[object]
        self._watching: asyncio.Task[None] | None = None
        self.client_has_left = False
        # A request without these has no body (RFC 9112 §6.3).
        self.body: bytes | None = (
            None if any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]) else b""
        )

    def begin(self, task: asyncio.Task[object]) -> bool:
        """Name the task that is cancelled when the client leaves; returns False if the client has left."""
        self._task = task
        if self.body is not None:
            self._watch()
        return True

    def __aiter__(self) -> Self:
        """The body as it arrives."""
        return self

    async def __anext__(self) -> bytes:
        """The next part of the body."""
        while self._watching is None:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
                await asyncio.sleep(0)  # where the cancellation arrives
            if not message.get("more_body", False):
                self._watch()
            if part := message.get("body", b""):
                return bytes(part)
        raise StopAsyncIteration

    async def send(self, head: Reply | None, part: bytes, *, last: bool = False) -> None:
        """Write a part of the response."""
        if head is not None:
            version = "HTTP/1.0" if self._scope["http_version"] == "1.0" else "HTTP/1.1"
            fields = [field for field in reply_fields(head, version, "") if field[0].lower() not in _FRAMING]
            headers = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in fields]
            await self._send({"type": "http.response.start", "status": head.status, "headers": headers})
        if part or last:
            await self._send({"type": "http.response.body", "body": part, "more_body": not last})

    async def send_body(self, head: Reply, body: Body) -> None:
        """Write a response: its head, and each part of its body as soon as the part is there."""
        try:
            await self.send(head, b"")
            async for part in BodyReader(body):
                await self.send(None, part)
            await self.send(None, b"", last=True)
        finally:
            body.close()

    def abort(self) -> None:
        """Let the server close the connection: it does so when an application ends in the middle of a response."""

    def end(self) -> None:
        """Stop looking whether the client leaves."""
        if self._watching is not None:
            self._watching.cancel()

    def _watch(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._until_disconnected())

    async def _until_disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self.client_has_left = True
        self._task.cancel("the client has left")


app = Application()
