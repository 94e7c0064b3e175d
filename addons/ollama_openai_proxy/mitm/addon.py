"""The proxy as a mitmproxy addon, as far as both doors have it in common: its start, its end, its clients.

It expects mitmproxy to listen in reverse mode, with the options of `mitm_options`. Every request is answered in this process,
none by the upstream that mitmproxy knows.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..app import Front
from ..net.shutdown import goodbye
from ..observe.observers import Observers
from .client_timeouts import Patience, stop_listening

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mitmproxy.connection import Client

    from ..settings import Settings

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
    """The proxy, without what brings it its requests.

    Args:
        settings: of the proxy.

    Raises:
        SettingsError: a setting, or a file that the settings name, is wrong.
    """

    name = "ollama_proxy"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._observers = Observers(settings)
        self._front = self._make_front(settings)
        self._retiring: dict[Front, asyncio.Task[None]] = {}
        self._patience = Patience(settings.bounds)
        self._watching: asyncio.Task[None] | None = None

    def _make_front(self, settings: Settings) -> Front:
        return Front(settings, self._observers.all, self._observers.metrics_of_the_main_port)

    def running(self) -> None:
        """Open the port for metrics, if they have one, and warn of what was perhaps not meant."""
        self._observers.open(lambda request: self._front.refusal(request))
        self._watching = asyncio.get_running_loop().create_task(self._patience.watch())
        self._front.warn_if_open(self._settings.proxy_host)

    def change(self, settings: Settings) -> None:
        """Answer further requests by other settings; those being answered end as they began.

        Raises:
            SettingsError: a setting, or a file that one names, is wrong.
        """
        front = self._make_front(settings)
        former, self._front = self._front, front
        self._settings = settings
        self._retiring[former] = asyncio.get_running_loop().create_task(self._retire(former))

    async def model_names(self) -> list[str]:
        """The names of the models.

        Raises:
            ApiError: nobody could be asked.
        """
        return await self._front.model_names()

    async def done(self) -> None:
        """Take no more requests, let running answers end, and close the connections to what is behind the proxy."""
        loop = asyncio.get_running_loop()
        fronts = [self._front, *self._retiring]
        for task in self._retiring.values():
            task.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                loop.add_signal_handler(number, _hurry_all, fronts)
        for front in fronts:
            front.retire()  # a request may come while those are let in who wait at the port
        await stop_listening()
        await asyncio.gather(*(front.drain(self._settings.drain_seconds, self._patience.is_busy) for front in fronts))
        if self._watching is not None:
            self._watching.cancel()
        self._patience.send_away(HTTPStatus.SERVICE_UNAVAILABLE, goodbye().message)
        await asyncio.gather(*(front.close() for front in fronts))
        self._observers.close()

    def client_connected(self, client: Client) -> None:
        """Watch what a client sends."""
        self._patience.connected(client)

    def client_disconnected(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._patience.disconnected(client)

    async def _retire(self, front: Front) -> None:
        """Close the connections of a front that gets no more requests, once its answers have ended."""
        await front.drain(CONNECTION_TIMEOUT_SECONDS)
        await front.close()
        del self._retiring[front]


def _hurry_all(fronts: Iterable[Front]) -> None:
    for front in fronts:
        front.hurry()
