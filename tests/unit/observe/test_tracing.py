"""The span of a request: its name, its times, its parent, and attributes as OpenTelemetry's conventions have them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from ollama_openai_proxy import __version__
from ollama_openai_proxy.net.request_context import Record
from ollama_openai_proxy.observe import tracing as tracing_module
from ollama_openai_proxy.observe.tracing import Tracing, tracer
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RIGHT = {"status": 200, "duration": 2.0}


class Traces:
    """What was traced."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Tracing(self.provider)

    def of(self, method: str = "POST", path: str = "/api/chat", **what: Any) -> ReadableSpan:
        """The span of a request."""
        record = Record(**({"request_id": "id-1", "method": method, "path": path, "arrived_as": method} | RIGHT | what))
        self.tracing.began(record)
        self.tracing.ended(record)
        (span,) = self.exporter.get_finished_spans()
        self.exporter.clear()
        return span

    def attributes(self, method: str = "POST", path: str = "/api/chat", **what: Any) -> dict[str, Any]:
        """The attributes of its span."""
        return dict(self.of(method, path, **what).attributes or {})


@pytest.fixture
def traces() -> Iterator[Traces]:
    traces = Traces()
    yield traces
    traces.tracing.close()


def test_a_chat_is_described_by_the_conventions(traces: Traces) -> None:
    what: dict[str, Any] = {
        "model": "llama3",
        "backend": "default",
        "profile": "vllm",
        "first_part": 0.25,
        "bytes": 900,
        "frames": 9,
    }
    span = traces.of(prompt_tokens=11, completion_tokens=0, **what)
    assert span.name == "chat llama3"
    assert span.kind is SpanKind.SERVER
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "llama3",
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 0,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.response.body.size": 900,
        "http.route": "/api/chat",
        "url.path": "/api/chat",
        "url.scheme": "http",
        "ollama_proxy.request_id": "id-1",
        "ollama_proxy.backend": "default",
        "ollama_proxy.frames": 9,
    }


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/api/generate", "text_completion"),
        ("/v1/completions", "text_completion"),
        ("/api/embed", "embeddings"),
        ("/api/embeddings", "embeddings"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/chat/completions", "chat"),
        ("/v1/responses", "chat"),
        ("/v1/messages", "chat"),
    ],
)
def test_each_call_to_a_model_has_its_operation(traces: Traces, path: str, operation: str) -> None:
    span = traces.of(path=path)
    assert span.name == operation
    assert (span.attributes or {})["gen_ai.operation.name"] == operation


@pytest.mark.parametrize(
    ("profile", "provider"),
    [("openai", "openai"), ("azure", "azure.ai.openai"), ("mistral", "mistral_ai"), ("generic", "openai"), ("groq", "groq")],
)
def test_providers_have_the_names_of_the_conventions(traces: Traces, profile: str, provider: str) -> None:
    assert traces.attributes(profile=profile)["gen_ai.provider.name"] == provider


def test_in_fix_mode_ollama_is_the_provider(traces: Traces) -> None:
    assert traces.attributes(backend="ollama")["gen_ai.provider.name"] == "ollama"


def test_what_is_no_call_to_a_model_is_an_http_request(traces: Traces) -> None:
    span = traces.of("GET", "/v1/models/org/llama3", model="org/llama3")
    assert span.name == "GET /v1/models/:model"
    assert not any(name.startswith("gen_ai.") for name in span.attributes or {})
    assert traces.of("BREW", "/pot").name == "HTTP"


def test_the_method_with_which_it_came_is_kept(traces: Traces) -> None:
    assert "http.request.method_original" not in traces.attributes()
    assert traces.attributes(arrived_as="GET")["http.request.method_original"] == "GET"
    attributes = traces.attributes("BREW", "/pot")
    assert (attributes["http.request.method"], attributes["http.request.method_original"]) == ("_OTHER", "BREW")


def test_the_times_are_those_of_the_request(traces: Traces) -> None:
    span = traces.of(started=time.perf_counter() - 10, duration=2.0)
    assert span.start_time is not None
    assert span.end_time is not None
    assert abs(span.start_time - (time.time_ns() - 10**10)) < 10**9
    assert span.end_time - span.start_time == 2 * 10**9


def test_the_client_may_have_begun_the_trace(traces: Traces) -> None:
    span = traces.of(traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=1")
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.context.trace_state.get("vendor") == "1"


@pytest.mark.parametrize("nonsense", ["", "00-x-y-01", "ä"])
def test_without_a_parent_a_trace_begins_here(traces: Traces, nonsense: str) -> None:
    assert traces.of(traceparent=nonsense).parent is None


@pytest.mark.parametrize(
    ("status", "error", "kind", "failed"),
    [
        (200, "", None, False),
        (200, "broken_off", "broken_off", True),
        (404, "model_not_found", "model_not_found", False),
        (502, "backend_failed", "backend_failed", True),
        (500, "", "500", True),
        (0, "crash", "crash", True),
    ],
)
def test_errors_are_told_by_their_kind(traces: Traces, status: int, error: str, kind: str | None, failed: bool) -> None:
    span = traces.of(status=status, error=error)
    assert (span.attributes or {}).get("error.type") == kind
    assert (span.status.status_code is StatusCode.ERROR) == failed


def test_a_client_that_left_is_no_error(traces: Traces) -> None:
    span = traces.of(status=0, gone=True)
    assert (span.attributes or {})["ollama_proxy.client_gone"] is True
    assert span.status.status_code is StatusCode.UNSET


def test_probes_are_not_traced(traces: Traces) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        traces.tracing.ended(Record("1", "GET", path))
    assert traces.exporter.get_finished_spans() == ()


def test_nothing_secret_is_in_a_span(traces: Traces) -> None:
    span = traces.of(client_key="sk-secret", caller="192.0.2.1")
    assert "sk-secret" not in span.to_json()
    assert "192.0.2.1" not in span.to_json()


# ── when there are traces


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "x"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_traced_unless_it_is_asked_for(environment: dict[str, str]) -> None:
    assert tracer(environment) is None


def test_an_exporter_that_does_not_exist_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert tracer({"OTEL_TRACES_EXPORTER": "carrier-pigeon"}) is None
    assert "carrier-pigeon cannot be used" in caplog.text


LOADED = """
import sys
from ollama_openai_proxy.observe.tracing import tracer
assert tracer({}) is None
print(any(name.startswith("opentelemetry") for name in sys.modules))
"""
MISSING = """
import logging, sys
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
sys.modules["opentelemetry"] = None
from ollama_openai_proxy.observe.tracing import tracer
print(tracer({"OTEL_TRACES_EXPORTER": "otlp"}))
"""


def run(program: str) -> list[str]:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
    return result.stdout.splitlines()


def test_nothing_is_imported_unless_it_is_asked_for() -> None:
    assert run(LOADED) == ["False"]


def test_without_the_packages_there_are_no_traces_and_a_line_says_so() -> None:
    assert run(MISSING) == ["there are no traces: they need pip install '.[otel]' in a checkout", "None"]


def test_spans_are_sent_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
        tracing = tracer()
        assert tracing is not None
        record = Record("1", "POST", "/api/chat", "POST", model="llama3", status=200, duration=1.0)
        tracing.began(record)
        tracing.ended(record)
        tracing.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ((path, body),) = received
    assert path == "/v1/traces"
    for word in ("chat llama3", "ollama-openai-proxy", __version__, "deployment.environment.name"):
        assert word.encode() in body


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    ended = threading.Event()

    def shutdown() -> None:
        answered.wait()
        ended.set()

    monkeypatch.setattr(traces.provider, "shutdown", shutdown)
    monkeypatch.setattr(tracing_module, "FAREWELL", 0.0)
    traces.tracing.close()
    assert not ended.is_set()
    answered.set()
    assert ended.wait(PATIENCE)
