"""OpenTelemetry traces: a span for each request, where the packages are installed and the environment says where to send it.

The attributes are those of the conventions for HTTP servers and, for calls to models, of those for generative AI
(opentelemetry.io/docs/specs/semconv: `gen_ai.provider.name` is what was `gen_ai.system` until 1.36). Nothing of a prompt or of
an answer is in a span.
"""

from __future__ import annotations

import logging
import os
import time
from importlib.metadata import entry_points
from threading import Thread
from typing import TYPE_CHECKING, Any

from .. import __version__
from .endpoint_labels import METHODS, OPERATIONS, OTHER, endpoint_of
from .log import QUIET_PATHS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.util.types import AttributeValue

    from ..net.request_context import Record

SERVICE = "ollama-openai-proxy"
FAREWELL = 2.0
"""Seconds that the last spans have to be sent."""
_WANTED_BY = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "generic": "openai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""The convention's names of providers, where they differ from those of profiles. An unknown one speaks OpenAI's API."""

logger = logging.getLogger(__name__)


def tracer(environment: Mapping[str, str] = os.environ) -> Tracing | None:
    """What traces requests, as the variables OTEL_… say; None where they do not ask for it, or where packages are missing."""
    names = _exporter_names(environment)
    if not names:
        return None
    try:
        import opentelemetry.sdk.trace.export  # noqa: F401
    except ImportError:
        logger.info("there are no traces: they need pip install '.[otel]' in a checkout")
        return None
    exporters = list(_exporters(names))
    return Tracing(_provider(exporters)) if exporters else None


class Tracing:
    """Makes a span of each request.

    Args:
        provider: where spans go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer(__package__.partition(".")[0], __version__)
        self._propagator = TraceContextTextMapPropagator()
        # Calls to models are made by the client; here they arrive.
        self._kind = SpanKind.SERVER
        self._failed = StatusCode.ERROR

    def began(self, record: Record) -> None:
        """Nothing is said before the end: then a sampler knows all that there is to know."""

    def ended(self, record: Record) -> None:
        """Write the span of a request, with the times that it had. Health and metrics have none."""
        if record.path in QUIET_PATHS:
            return
        started = time.time_ns() - _nanoseconds(time.perf_counter() - record.started)
        span = self._tracer.start_span(
            _span_name(record), self._parent(record), self._kind, _attributes(record), start_time=started
        )
        if error := _error_type(record):
            span.set_attribute("error.type", error)
            # An error of the client is none of the server (conventions for HTTP).
            if not 400 <= record.status < 500:
                span.set_status(self._failed)
        span.end(started + _nanoseconds(record.duration or 0.0))

    def close(self) -> None:
        """Send what is still to be sent, if that is possible within `FAREWELL`."""
        # An exporter tries again for longer than a proxy that stops should wait.
        farewell = Thread(target=self._provider.shutdown, name="traces", daemon=True)
        farewell.start()
        farewell.join(FAREWELL)

    def _parent(self, record: Record) -> Context:
        from opentelemetry.context import Context

        carrier = {"traceparent": record.traceparent, "tracestate": record.tracestate}
        return self._propagator.extract({name: value for name, value in carrier.items() if value}, Context())


def _exporter_names(environment: Mapping[str, str]) -> list[str]:
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or not any(environment.get(name) for name in _WANTED_BY):
        return []
    names = [name.strip() for name in (environment.get("OTEL_TRACES_EXPORTER") or "otlp").split(",")]
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    otlp = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    return [otlp if name == "otlp" else name for name in names if name and name != "none"]


def _exporters(names: list[str]) -> Iterator[SpanExporter]:
    for name in names:
        try:
            (entry,) = entry_points(group="opentelemetry_traces_exporter", name=name)
            yield entry.load()()
        except Exception as error:  # whatever a package raises: without traces the proxy works all the same
            logger.warning("OTEL_TRACES_EXPORTER: %s cannot be used (%s)", name, type(error).__name__)


def _provider(exporters: list[SpanExporter]) -> TracerProvider:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": SERVICE, "service.version": __version__})
    # What the environment says of the service comes before what is said here.
    provider = TracerProvider(resource=resource.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _span_name(record: Record) -> str:
    endpoint = endpoint_of(record.path)
    if operation := OPERATIONS.get(endpoint):
        return f"{operation} {record.model}".rstrip()
    method = record.method if record.method in METHODS else "HTTP"
    return method if endpoint == OTHER else f"{method} {endpoint}"


def _attributes(record: Record) -> dict[str, AttributeValue]:
    """What is known of a request; what is not is left out."""
    endpoint = endpoint_of(record.path)
    known = record.method in METHODS
    original = record.arrived_as if record.arrived_as != record.method else "" if known else record.method
    attributes: dict[str, Any] = {
        "http.request.method": record.method if known else "_OTHER",
        "http.request.method_original": original or None,
        "http.response.status_code": record.status or None,
        "http.response.body.size": record.bytes,
        "http.route": endpoint if endpoint != OTHER else None,
        "url.path": record.path,
        "url.scheme": "http",
        "ollama_proxy.request_id": record.request_id or None,
        "ollama_proxy.backend": record.backend or None,
        "ollama_proxy.fallback": record.fallback or None,
        "ollama_proxy.backend_ids": tuple(record.backend_ids) or None,
        "ollama_proxy.frames": record.frames or None,
        "ollama_proxy.retries": record.retries or None,
        "ollama_proxy.waits": record.waits or None,
        "ollama_proxy.heartbeats": record.heartbeats or None,
        "ollama_proxy.client_gone": record.gone or None,
    }
    if operation := OPERATIONS.get(endpoint):
        attributes |= {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": _provider_name(record),
            "gen_ai.request.model": record.model or None,
            "gen_ai.response.time_to_first_chunk": record.first_part,
            "gen_ai.usage.input_tokens": record.prompt_tokens,
            "gen_ai.usage.output_tokens": record.completion_tokens if operation != "embeddings" else None,
        }
    return {name: value for name, value in attributes.items() if value is not None}


def _provider_name(record: Record) -> str:
    profile = record.profile or ("ollama" if record.backend == "ollama" else "generic")
    return _PROVIDERS.get(profile, profile)


def _error_type(record: Record) -> str:
    return record.error or (str(record.status) if record.status >= 500 else "")


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
