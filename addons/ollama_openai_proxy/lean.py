"""A mitmproxy `Master` with only the addons that serving needs, and no more work for each request than that takes.

mitmdump's fifty addons cost about a third more time for a short call: each event asks each of them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mitmproxy import ctx
from mitmproxy.addons import core, errorcheck, next_layer, proxyserver, tlsconfig
from mitmproxy.http import MessageData
from mitmproxy.master import Master

from .addon import ProxyAddon, mitm_options
from .hooks import FixedAddons, HooksAtOnce

if TYPE_CHECKING:
    from mitmproxy.addonmanager import Loader
    from mitmproxy.options import Options
    from mitmproxy.tls import TlsData

    from .settings import Settings

logger = logging.getLogger(__name__)


class LeanMaster(Master):
    """Serves the mode of the settings on their host and port. Needs a running event loop."""

    def __init__(self, options: Options, settings: Settings) -> None:
        super().__init__(options, with_termlog=False)
        # It makes an event of each line of the log, to which no addon here listens.
        self._legacy_log_events.uninstall()
        # A check of mitmproxy's own work, which Python's option -O leaves out, too.
        MessageData.__post_init__ = lambda _: None  # type: ignore[method-assign]
        self.addons = addons = FixedAddons(self)
        self.addons.add(  # type: ignore[no-untyped-call]
            core.Core(),
            proxyserver.Proxyserver(),
            next_layer.NextLayer(),
            UpstreamTls(),
            ProxyAddon(settings),
            HooksAtOnce(addons),
            Announce(settings),
            errorcheck.ErrorCheck(),
        )
        options.update(**mitm_options(settings))


class UpstreamTls:
    """TLS towards an upstream, without the certificate authority on disk that only clients over TLS would need."""

    name = "tlsconfig"

    def __init__(self) -> None:
        self._tls = tlsconfig.TlsConfig()

    def load(self, loader: Loader) -> None:
        """Declare mitmproxy's options for TLS."""
        self._tls.load(loader)

    def tls_start_server(self, data: TlsData) -> None:
        """Verify and encrypt a connection to the upstream."""
        self._tls.tls_start_server(data)


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
