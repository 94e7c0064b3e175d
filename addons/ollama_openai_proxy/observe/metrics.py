"""Counts what happens, for Prometheus.

No label holds anything that a client can choose freely: paths that are not known are one endpoint, and models are not named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..net.http_messages import Reply
from ..translate.adaptation.changes import KINDS
from ..workers.metric_sums import add_up
from .endpoint_labels import METHODS, OTHER, endpoint_of
from .log import QUIET_PATHS
from .metrics_port import MetricsPort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..net.http_messages import Request
    from ..net.request_context import Record
    from ..workers.link import Link
    from ..workers.metric_sums import Report

NO_STATUS = "none"
"""Stands for the status where the client left before there was one."""
NO_BACKEND = "none"
FIRST_PART_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # PROXY_HOST decides


class Metrics:
    """The numbers of one proxy.

    Args:
        mode: PROXY_MODE.
        version: of the proxy.
        link: to the other workers, whose numbers are added; None where there are none.
    """

    def __init__(self, mode: str, version: str, link: Link | None = None) -> None:
        self._link = link
        if link is not None:
            link.report = self.report
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)
        GCCollector(registry=own)
        Info("ollama_proxy", "The proxy itself.", registry=own).info({"mode": mode, "version": version})
        self._requests = Counter(
            "ollama_proxy_requests_total",
            "Requests that were answered, or left by their clients.",
            ["endpoint", "method", "status"],
            registry=own,
        )
        self._errors = Counter(
            "ollama_proxy_errors_total",
            "Errors that clients were told, also within a stream.",
            ["endpoint", "kind"],
            registry=own,
        )
        self._under_way: set[int] = set()
        Gauge(
            "ollama_proxy_requests_in_flight",
            "Requests that are being answered, without those for health and metrics.",
            registry=own,
        ).set_function(lambda: len(self._under_way))
        self._endpoints = _Endpoints(own)
        self._backends = _Backends(own)
        # Each child is looked up once: that takes a lock and makes a key of the labels.
        self._requests_of: dict[tuple[str, str, int], Counter] = {}
        self._errors_of: dict[tuple[str, str], Counter] = {}
        self._port: MetricsPort | None = None

    def began(self, record: Record) -> None:
        """A request has come."""
        if record.path not in QUIET_PATHS:
            self._under_way.add(id(record))

    def ended(self, record: Record) -> None:
        """Its answer has ended, or its client has left."""
        # Not by its path, which may be another one than in the beginning.
        self._under_way.discard(id(record))
        endpoint = endpoint_of(record.path)
        self._count(endpoint, record)
        self._endpoints[endpoint].count(record)
        if (
            record.retries
            or record.fallback
            or record.waits
            or record.prompt_tokens is not None
            or record.completion_tokens is not None
        ):
            self._backends[record.backend or NO_BACKEND].count(record)

    async def reply(self) -> Reply:
        """All numbers, added up over all workers, in Prometheus's text format."""
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"}
        return Reply(200, headers, generate_latest(await self._of_all_workers()))

    def report(self) -> Report:
        """The numbers of this process, for the other workers."""
        return [
            {
                "name": family.name,
                "type": family.type,
                "help": family.documentation,
                "samples": [[sample.name, sample.labels, sample.value] for sample in family.samples],
            }
            for family in self._registry.collect()
        ]

    async def _of_all_workers(self) -> CollectorRegistry:
        try:
            others: list[Report] = await self._link.ask("gather") if self._link is not None else []
        except ConnectionError:  # this worker is about to end
            others = []
        if not any(others):
            return self._registry
        sums = CollectorRegistry()
        sums.register(_Families(add_up([self.report(), *others])))
        return sums

    def listen(self, host: str, port: int, refusal: Callable[[Request], Reply | None]) -> None:
        """Serve the numbers on a port of their own, from another thread, until `close`.

        Args:
            host: the address to listen on; "" for every one.
            port: the port to listen on.
            refusal: the reply to a request that must not read them; None for one that may. Is called in the other thread.

        Raises:
            OSError: it is not possible to listen there.
        """
        self._port = MetricsPort(
            host or _ANY_ADDRESS, port, lambda: (CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)), refusal
        )

    def close(self) -> None:
        """Stop serving them."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _count(self, endpoint: str, record: Record) -> None:
        method = record.method if record.method in METHODS else OTHER
        key = (endpoint, method, record.status)
        if (requests := self._requests_of.get(key)) is None:
            requests = self._requests_of[key] = self._requests.labels(endpoint, method, record.status or NO_STATUS)
        requests.inc()
        if record.error:
            place = (endpoint, record.error)
            if (errors := self._errors_of.get(place)) is None:
                errors = self._errors_of[place] = self._errors.labels(*place)
            errors.inc()


class _Families(Collector):
    """Families as a report holds them."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        for family in self._report:
            metric = Metric(family["name"], family["help"], family["type"])
            for name, labels, value in family["samples"]:
                metric.add_sample(name, labels, value)
            yield metric


class _Endpoints(dict[str, "_Endpoint"]):
    """What is counted for each endpoint."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        labels = ["endpoint"]
        self.first_part = Histogram(
            "ollama_proxy_first_part_seconds",
            "Seconds until the first part of a streamed answer was sent.",
            labels,
            registry=registry,
            buckets=FIRST_PART_BUCKETS,
        )
        self.duration = Histogram(
            "ollama_proxy_duration_seconds",
            "Seconds until an answer ended.",
            labels,
            registry=registry,
            buckets=DURATION_BUCKETS,
        )
        self.gone = Counter(
            "ollama_proxy_clients_gone_total", "Clients that left before the end of their answer.", labels, registry=registry
        )
        self.heartbeats = Counter(
            "ollama_proxy_heartbeats_total", "Empty frames that kept clients waiting.", labels, registry=registry
        )
        self.sent_bytes = Counter("ollama_proxy_sent_bytes_total", "Bytes of bodies that were sent.", labels, registry=registry)
        self.frames = Counter("ollama_proxy_frames_total", "Frames or events that were sent.", labels, registry=registry)

    def __missing__(self, endpoint: str) -> _Endpoint:
        found = self[endpoint] = _Endpoint(self, endpoint)
        return found


class _Endpoint:
    def __init__(self, of: _Endpoints, endpoint: str) -> None:
        self._first_part = of.first_part.labels(endpoint)
        self._duration = of.duration.labels(endpoint)
        self._gone = of.gone.labels(endpoint)
        self._heartbeats = of.heartbeats.labels(endpoint)
        self._sent_bytes = of.sent_bytes.labels(endpoint)
        self._frames = of.frames.labels(endpoint)

    def count(self, record: Record) -> None:
        if record.first_part is not None:
            self._first_part.observe(record.first_part)
        if record.duration is not None:
            self._duration.observe(record.duration)
        if record.gone:
            self._gone.inc()
        if record.heartbeats:
            self._heartbeats.inc(record.heartbeats)
        if record.bytes:
            self._sent_bytes.inc(record.bytes)
        if record.frames:
            self._frames.inc(record.frames)


class _Backends(dict[str, "_Backend"]):
    """What is counted for each back end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        labels = ["backend"]
        self.prompt_tokens = Counter(
            "ollama_proxy_prompt_tokens_total", "Tokens of prompts, as back ends counted them.", labels, registry=registry
        )
        self.completion_tokens = Counter(
            "ollama_proxy_completion_tokens_total", "Tokens of answers, as back ends counted them.", labels, registry=registry
        )
        self.retries = Counter(
            "ollama_proxy_retries_total", "Calls to back ends that were made again.", labels, registry=registry
        )
        self.fallbacks = Counter(
            "ollama_proxy_fallbacks_total",
            "Calls for which the back end was asked in place of another model.",
            labels,
            registry=registry,
        )
        self.waits = Counter(
            "ollama_proxy_waits_total", "Calls that were made again to back ends that were loading.", labels, registry=registry
        )
        self.extra_calls = Counter(
            "ollama_proxy_extra_calls_total",
            "Changes with which refused calls to back ends were made again.",
            [*labels, "kind"],
            registry=registry,
        )

    def __missing__(self, backend: str) -> _Backend:
        found = self[backend] = _Backend(self, backend)
        return found


class _Backend:
    def __init__(self, of: _Backends, backend: str) -> None:
        self._prompt_tokens = of.prompt_tokens.labels(backend)
        self._completion_tokens = of.completion_tokens.labels(backend)
        self._retries = of.retries.labels(backend)
        self._fallbacks = of.fallbacks.labels(backend)
        self._waits = of.waits.labels(backend)
        self._extra_calls: dict[str, Counter] = {kind: of.extra_calls.labels(backend, kind) for kind in KINDS}

    def count(self, record: Record) -> None:
        # A counter takes nothing negative, and back ends count as they like.
        self._prompt_tokens.inc(max(record.prompt_tokens or 0, 0))
        self._completion_tokens.inc(max(record.completion_tokens or 0, 0))
        self._retries.inc(record.retries)
        self._fallbacks.inc(bool(record.fallback))
        self._waits.inc(record.waits)
        for kind in record.extra_calls:
            self._extra_calls[kind].inc()
