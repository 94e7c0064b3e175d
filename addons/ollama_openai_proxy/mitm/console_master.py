"""A mitmproxy `Master` with only the addons that serving needs: what the console command runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mitmproxy import ctx
from mitmproxy.addons import core, errorcheck, proxyserver
from mitmproxy.master import Master
from mitmproxy.options import Options

from .addon import ProxyAddon, mitm_options
from .console_http import DirectHttp
from .response_delivery import handler_of

if TYPE_CHECKING:
    from mitmproxy.connection import Client

    from ..settings import Settings

logger = logging.getLogger(__name__)


class LeanMaster(Master):
    """Serves the mode of the settings on their host and port. Needs a running event loop."""

    def __init__(self, settings: Settings) -> None:
        options = Options()
        super().__init__(options, with_termlog=False)
        # It makes an event of each line of the log, to which no addon here listens.
        self._legacy_log_events.uninstall()
        self.addons.add(
            core.Core(), proxyserver.Proxyserver(), DirectAddon(settings), Announce(settings), errorcheck.ErrorCheck()
        )
        options.update(**mitm_options(settings))


class DirectAddon(ProxyAddon):
    """The proxy, which is handed its requests without flows."""

    def client_connected(self, client: Client) -> None:
        """Answer a client directly."""
        handler, reader = handler_of(client), self._patience.connected(client)
        if handler is not None and reader is not None:
            handler.layer = DirectHttp(handler, self._front, reader)  # type: ignore[assignment]  # as much of one as is needed

    def client_disconnected(self, client: Client) -> None:
        """Stop what still works for a client that has gone."""
        super().client_disconnected(client)
        if (handler := handler_of(client)) and isinstance(handler.layer, DirectHttp):
            handler.layer.answers.cancel_all()


class Announce:
    """Says where the proxy listens, once it does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def running(self) -> None:
        """Log the address and what is behind it."""
        listening: proxyserver.Proxyserver = ctx.master.addons.get("proxyserver")
        for host, port, *_ in listening.listen_addrs():
            logger.info(
                "Ollama API on http://%s:%d (%s mode, in front of %s)",
                f"[{host}]" if ":" in host else host,
                port,
                self._settings.proxy_mode,
                self._settings.upstream_url,
            )
