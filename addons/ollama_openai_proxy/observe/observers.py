"""Everybody who is told of each request: the access log, the metrics, and traces where the environment asks for them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .. import __version__
from .log import AccessLog
from .metrics import Metrics
from .tracing import tracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..net.http_messages import Reply, Request
    from ..settings import Settings
    from ..workers.link import Link
    from .tracing import Tracing

logger = logging.getLogger(__name__)


class Observers:
    """Makes the observers of a proxy, and closes them.

    Args:
        settings: of the proxy.
        link: to the other workers, whose numbers `/metrics` adds up; None where there are none.

    Attributes:
        metrics: the numbers.
        all: who is told of each request.
    """

    def __init__(self, settings: Settings, link: Link | None = None) -> None:
        self._host, self._port = settings.proxy_host, settings.metrics_port
        self.metrics = Metrics(settings.proxy_mode, __version__, link)
        self._tracing = tracer()
        self.all: list[AccessLog | Metrics | Tracing | Link] = [
            AccessLog(),
            self.metrics,
            *([self._tracing] if self._tracing else []),
            *([link] if link else []),
        ]

    @property
    def metrics_of_the_main_port(self) -> Metrics | None:
        """What `/metrics` shows; None if the metrics have a port of their own."""
        return None if self._port else self.metrics

    def open(self, refusal: Callable[[Request], Reply | None]) -> None:
        """Open the port for metrics, if METRICS_PORT names one.

        Args:
            refusal: the reply to a request that must not read them; None for one that may.
        """
        if self._port:
            try:
                self.metrics.listen(self._host, self._port, refusal)
            except OSError as error:
                logger.error(
                    "METRICS_PORT is %d, which cannot be opened (%s): set it to a free port.", self._port, error.strerror
                )

    def close(self) -> None:
        """Close the port for metrics, and send the last spans."""
        self.metrics.close()
        if self._tracing is not None:
            self._tracing.close()
