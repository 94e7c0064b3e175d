"""The proxy as a mitmproxy addon: every flow is answered in this process, none by the upstream that mitmproxy knows.

It expects mitmproxy to listen in reverse mode, with the options of `mitm_options`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mitmproxy import ctx

from . import __version__
from .conversion import ARRIVED_AS, exchange_request
from .downstream import Patience, stop_listening, teach_manners
from .front import Front, is_upload
from .observe.log import AccessLog
from .observe.metrics import Metrics
from .observe.tracing import tracer
from .running import goodbye
from .settings import is_loopback
from .upstream import InProcessUpstream

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mitmproxy import http
    from mitmproxy.connection import Client
    from mitmproxy.proxy.server_hooks import ServerConnectionHookData

    from .exchange import Reply, Request
    from .front import Observer
    from .settings import Settings
    from .upstream import Watch

# mitmproxy closes a connection after ten minutes of silence, which a long unstreamed answer may well take.
CONNECTION_TIMEOUT_SECONDS = 3600

logger = logging.getLogger(__name__)


def mitm_options(settings: Settings) -> dict[str, Any]:
    """The mitmproxy options that the proxy needs to listen on the host and port of the settings."""
    if settings.proxy_mode == "translate":
        # What a user of mitmweb sees is the URL that the client asked for.
        target = f"http://127.0.0.1:{settings.proxy_port}"
    else:
        upstream = urlsplit(settings.ollama_upstream_url)
        # Also where that is https: mitmproxy connects to nothing, and would listen for HTTP/3 besides.
        target = f"http://{upstream.netloc}" if upstream.port or upstream.scheme == "http" else f"http://{upstream.netloc}:443"
    return {
        "mode": [f"reverse:{target}"],
        "listen_host": settings.proxy_host,
        "listen_port": settings.proxy_port,
        "keep_host_header": True,
        "connection_strategy": "lazy",
        "tcp_timeout": CONNECTION_TIMEOUT_SECONDS,
    }


class ProxyAddon:
    """Puts each request right, as far as it was mangled, and lets the proxy answer it.

    Args:
        settings: of the proxy.
        watch: makes the watcher of a flow, where somebody looks at flows.

    Raises:
        SettingsError: a setting, or a file that the settings name, is wrong.
    """

    name = "ollama_proxy"

    def __init__(self, settings: Settings, watch: Watch | None = None) -> None:
        self._settings = settings
        self._metrics = Metrics(settings.proxy_mode, __version__)
        self._tracing = tracer()
        self._observers: list[Observer] = [AccessLog(), self._metrics, *([self._tracing] if self._tracing else [])]
        self._front = self._make_front(settings)
        self._leaving: asyncio.Task[None] | None = None
        self._upstream = InProcessUpstream(self._respond, watch)
        self._patience = Patience(settings.client_timeout)
        teach_manners()

    def _make_front(self, settings: Settings) -> Front:
        return Front(settings, self._observers, None if settings.metrics_port else self._metrics)

    def running(self) -> None:
        """Open the port for metrics, if they have one, and warn of what was perhaps not meant."""
        if port := self._settings.metrics_port:
            try:
                self._metrics.listen(self._settings.proxy_host, port)
            except OSError as error:
                logger.error("METRICS_PORT is %d, which cannot be opened (%s): set it to a free port.", port, error.strerror)
        if self._front.is_open and not is_loopback(self._settings.proxy_host):
            logger.warning(
                "Everyone who can reach %s may use this proxy: set PROXY_API_KEYS to let in only those with a key.",
                self._settings.proxy_host,
            )

    def change(self, settings: Settings) -> None:
        """Answer further requests by other settings; those being answered end as they began.

        Raises:
            SettingsError: a setting, or a file that one names, is wrong.
        """
        front = self._make_front(settings)
        former, self._front = self._front, front
        self._settings = settings
        self._leaving = asyncio.get_running_loop().create_task(_retire(former))

    async def model_names(self) -> list[str]:
        """The names of the models.

        Raises:
            ApiError: nobody could be asked.
        """
        return await self._front.model_names()

    async def _respond(self, request: Request) -> Reply:
        return await self._front.respond(request)

    async def done(self) -> None:
        """Take no more requests, let running answers end, and close the connections to what is behind the proxy."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                loop.add_signal_handler(number, self._front.hurry)
        await stop_listening()
        await self._front.drain(self._settings.drain_seconds, self._patience.is_busy)
        self._patience.send_away(HTTPStatus.SERVICE_UNAVAILABLE, goodbye().message)
        await self._front.close()
        self._metrics.close()
        if self._tracing is not None:
            self._tracing.close()

    def client_connected(self, client: Client) -> None:
        """Watch what a client sends."""
        self._patience.connected(client)

    def client_disconnected(self, client: Client) -> None:
        """Stop what still works for a client that has gone."""
        self._patience.disconnected(client)
        self._upstream.detach(client)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Begin at once with a request that does not have to be there as a whole."""
        self._patience.head_arrived(flow)
        if flow.response is not None or not _announces_body(flow.request) or _replays():
            return
        asked = exchange_request(flow, parts=_still_to_come())
        mended = self._front.mend(asked)
        if self._front.takes_parts(mended):
            if is_upload(mended):
                _apply(mended, asked, flow)
            flow.request.stream = True
            self._upstream.attach(flow)

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Mend the request and choose who answers it; one that is replayed has no client to stream to, and is answered here."""
        self._patience.body_arrived(flow)
        request = flow.request
        if flow.response is not None or request.stream:
            return None
        asked = exchange_request(flow, request.raw_content or b"")
        _apply(self._front.mend(asked), asked, flow)
        return None if self._upstream.attach(flow) else self._upstream.answer(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        """Note that a client may send its next request."""
        self._patience.answered(flow)

    # Whatever mode mitmproxy is in, nothing but what the settings name is ever connected to.

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Be no tunnel."""
        self._patience.refuse(flow, HTTPStatus.FORBIDDEN, "this is no forward proxy: it answers for itself only")

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Let mitmproxy itself connect to nothing."""
        data.server.error = "this proxy connects only to what is behind it"


async def _retire(front: Front) -> None:
    await front.drain(CONNECTION_TIMEOUT_SECONDS)
    await front.close()


def _apply(mended: Request, arrived: Request, flow: http.HTTPFlow) -> None:
    """Show in the flow what was mended."""
    request = flow.request
    if mended.method != arrived.method:
        flow.metadata[ARRIVED_AS] = arrived.method
    request.method = mended.method
    request.path = mended.target
    if mended.fields != arrived.fields:
        request.headers.fields = tuple((_octets(name), _octets(value)) for name, value in mended.fields)
    if mended.body != arrived.body:
        request.content = mended.body


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _replays() -> bool:
    """Whether mitmproxy answers from a file, for which it needs whole requests."""
    return "server_replay" in ctx.options and bool(ctx.options.server_replay)


def _announces_body(request: http.Request) -> bool:
    headers = request.headers
    if request.is_http2 and "content-length" not in headers:
        return request.method not in ("GET", "HEAD", "OPTIONS")
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _still_to_come() -> Any:
    """Stands for a body that has not arrived yet."""
    yield b""
