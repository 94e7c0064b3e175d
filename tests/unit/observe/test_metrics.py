"""What is counted of each request, under labels that clients cannot multiply; and whoever names a metric names a real one."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.api.path_table import ROUTES
from ollama_openai_proxy.fix.method_map import ENDPOINTS as FIXED
from ollama_openai_proxy.net.http_messages import Reply, Request
from ollama_openai_proxy.net.request_context import Record
from ollama_openai_proxy.observe import metrics_port
from ollama_openai_proxy.observe.endpoint_labels import ENDPOINTS, METHODS, OPERATIONS, endpoint_of
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.metrics_port import MOST_CONNECTIONS
from prometheus_client.parser import text_string_to_metric_families

from tests.live.proxy import free_port
from tests.live.raw_http import exchange
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]
PREFIX = "ollama_proxy_"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("translate", "1.2.3")


def samples(metrics: Metrics, *, everything: bool = False) -> dict[str, float]:
    """The samples of a scrape, each with its labels as Prometheus writes them; those of the proxy's own metrics."""
    body = asyncio.run(metrics.reply()).body
    assert isinstance(body, bytes)
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if everything or sample.name.startswith(PREFIX)
    }


def names(metrics: Metrics) -> set[str]:
    """The names of all metrics, with those that have no sample yet, as a query uses them."""
    body = asyncio.run(metrics.reply()).body
    assert isinstance(body, bytes)
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", body.decode(), re.MULTILINE):
        found |= {name, *(f"{name}_{part}" for part in ("bucket", "count", "sum") if kind == "histogram")}
    return found


def answered(metrics: Metrics, method: str = "POST", path: str = "/api/chat", **what: Any) -> None:
    record = Record("1", method, path, method, **({"status": 200, "duration": 1.5} | what))
    metrics.began(record)
    metrics.ended(record)


# ── what is counted


def test_a_streamed_answer_is_counted_in_every_way(metrics: Metrics) -> None:
    what: dict[str, Any] = {
        "bytes": 700,
        "frames": 7,
        "heartbeats": 2,
        "retries": 1,
        "extra_calls": ["leave_out", "lower"],
        "prompt_tokens": 11,
        "completion_tokens": 5,
    }
    answered(metrics, first_part=0.3, backend="default", model="secret-model", **what)
    found = samples(metrics)
    assert found["ollama_proxy_requests_total endpoint=/api/chat method=POST status=200"] == 1
    assert found["ollama_proxy_first_part_seconds_bucket endpoint=/api/chat le=0.25"] == 0
    assert found["ollama_proxy_first_part_seconds_bucket endpoint=/api/chat le=0.5"] == 1
    assert found["ollama_proxy_duration_seconds_sum endpoint=/api/chat"] == 1.5
    assert found["ollama_proxy_sent_bytes_total endpoint=/api/chat"] == 700
    assert found["ollama_proxy_frames_total endpoint=/api/chat"] == 7
    assert found["ollama_proxy_heartbeats_total endpoint=/api/chat"] == 2
    assert found["ollama_proxy_clients_gone_total endpoint=/api/chat"] == 0
    assert found["ollama_proxy_prompt_tokens_total backend=default"] == 11
    assert found["ollama_proxy_completion_tokens_total backend=default"] == 5
    assert found["ollama_proxy_retries_total backend=default"] == 1
    assert found["ollama_proxy_extra_calls_total backend=default kind=leave_out"] == 1
    assert found["ollama_proxy_extra_calls_total backend=default kind=lower"] == 1
    assert found["ollama_proxy_extra_calls_total backend=default kind=split"] == 0
    assert "secret-model" not in str(found)


def test_an_error_within_a_stream_is_counted_beside_its_status(metrics: Metrics) -> None:
    answered(metrics, error="broken_off")
    answered(metrics, status=404, error="model_not_found")
    found = samples(metrics)
    assert found["ollama_proxy_errors_total endpoint=/api/chat kind=broken_off"] == 1
    assert found["ollama_proxy_requests_total endpoint=/api/chat method=POST status=200"] == 1
    assert found["ollama_proxy_errors_total endpoint=/api/chat kind=model_not_found"] == 1
    assert found["ollama_proxy_requests_total endpoint=/api/chat method=POST status=404"] == 1


def test_a_client_that_left_before_any_status_is_counted(metrics: Metrics) -> None:
    answered(metrics, status=0, gone=True)
    found = samples(metrics)
    assert found["ollama_proxy_requests_total endpoint=/api/chat method=POST status=none"] == 1
    assert found["ollama_proxy_clients_gone_total endpoint=/api/chat"] == 1


def test_what_is_not_known_is_not_counted_as_zero(metrics: Metrics) -> None:
    answered(metrics, "GET", "/api/tags")
    found = samples(metrics)
    assert "ollama_proxy_first_part_seconds_count endpoint=/api/tags" in found
    assert found["ollama_proxy_first_part_seconds_count endpoint=/api/tags"] == 0
    assert not any("tokens" in name for name in found)


def test_a_back_end_that_counts_backwards_breaks_nothing(metrics: Metrics) -> None:
    answered(metrics, prompt_tokens=-1, completion_tokens=2)
    assert samples(metrics)["ollama_proxy_completion_tokens_total backend=none"] == 2


def test_what_is_being_answered_is_told_without_probes(metrics: Metrics) -> None:
    running = [Record(str(number), "POST", "/api/chat") for number in range(3)]
    for record in running:
        metrics.began(record)
    metrics.began(Record("probe", "GET", "/healthz"))
    metrics.began(scrape := Record("scrape", "GET", "/metrics"))
    assert samples(metrics)["ollama_proxy_requests_in_flight"] == 3
    # A path may have been mended in between.
    running[0].path = "/metrics"
    for record in (*running, scrape):
        metrics.ended(record)
    assert samples(metrics)["ollama_proxy_requests_in_flight"] == 0


def test_the_proxy_and_its_process_are_described(metrics: Metrics) -> None:
    found = samples(metrics, everything=True)
    assert found["ollama_proxy_info mode=translate version=1.2.3"] == 1
    assert found["process_resident_memory_bytes"] > 1e6
    assert any(name.startswith("python_info ") for name in found)


def test_two_proxies_in_one_process_count_each_for_itself(metrics: Metrics) -> None:
    other = Metrics("fix", "1.2.3")
    answered(metrics)
    assert not any(name.startswith("ollama_proxy_requests_total") for name in samples(other))


# ── labels


def test_every_path_of_ollama_is_an_endpoint() -> None:
    for route in ROUTES:
        path = route.path if route.prefix is None else route.prefix + "x"
        assert endpoint_of(path) == (route.path if route.stands_for is None else "other")
    for path, endpoint in FIXED.items():
        # A path that goes elsewhere is counted there.
        assert endpoint.path or endpoint_of(path + "x" * path.endswith("/")) != "other" or path == "/"


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/models/org/name:latest", "/v1/models/:model"),
        ("/v1/responses/resp_1/cancel", "/v1/responses/:id"),
        ("/v1/models/", "other"),
        ("/v1/nothing", "other"),
        ("/api/chat/", "other"),
        ("", "other"),
    ],
)
def test_names_in_paths_are_no_endpoints(path: str, endpoint: str) -> None:
    assert endpoint_of(path) == endpoint


def test_every_call_to_a_model_is_an_endpoint() -> None:
    assert set(OPERATIONS) <= ENDPOINTS


@given(st.lists(st.tuples(st.text(), st.text() | st.sampled_from(["GET", "POST"])), max_size=20))
def test_clients_cannot_multiply_the_labels(asked: list[tuple[str, str]]) -> None:
    metrics = Metrics("fix", "0")
    for path, method in asked:
        answered(metrics, method, "/" + path)
    found = {name for name in samples(metrics) if name.startswith("ollama_proxy_requests_total")}
    assert {re.sub(r".* endpoint=(\S+) .*", r"\1", name) for name in found} <= ENDPOINTS
    assert {re.sub(r".* method=(\S+) .*", r"\1", name) for name in found} <= METHODS | {"other"}


# ── how they are told


def test_the_reply_is_what_prometheus_reads(metrics: Metrics) -> None:
    reply = asyncio.run(metrics.reply())
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_a_port_of_their_own_serves_them_until_it_is_closed(metrics: Metrics) -> None:
    port = free_port()
    metrics.listen("127.0.0.1", port, lambda _: None)
    try:
        answered(metrics)
        with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as reply:
            assert b'ollama_proxy_requests_total{endpoint="/api/chat",method="POST",status="200"} 1.0' in reply.read()
        with pytest.raises(OSError, match="in use"):
            Metrics("fix", "0").listen("127.0.0.1", port, lambda _: None)
    finally:
        metrics.close()
    metrics.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_port_refuses_whom_it_is_told_to(metrics: Metrics) -> None:
    asked = []

    def refusal(request: Request) -> Reply | None:
        asked.append(request)
        return Reply(403) if "rebound.example" in request.headers.get("host", "") else None

    port = free_port()
    metrics.listen("127.0.0.1", port, refusal)
    try:
        statuses = {
            hosts: exchange(port, "\r\n".join(["GET /metrics?x HTTP/1.1", *hosts, "", ""]).encode()).status
            for hosts in [("Host: localhost",), ("Host: rebound.example",), ("host:rebound.example", "Host: localhost"), ()]
        }
        assert list(statuses.values()) == [200, 403, 403, 200]
        assert exchange(port, b"POST /metrics HTTP/1.1\r\n\r\n", "POST").status == 405
        assert exchange(port, b"HEAD /metrics HTTP/1.1\r\n\r\n", "HEAD").status == 200
        assert exchange(port, b"GET\r\n\r\n").status == 200
    finally:
        metrics.close()
    first = asked[0]
    assert (first.method, first.target, first.headers, first.peer) == ("GET", "/metrics?x", {"host": "localhost"}, "127.0.0.1")


def test_the_port_has_few_connections_at_a_time(metrics: Metrics) -> None:
    port = free_port()
    metrics.listen("127.0.0.1", port, lambda _: None)
    try:
        with ExitStack() as opened:
            idle = [
                opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
                for _ in range(MOST_CONNECTIONS + 1)
            ]
            # Connections are accepted in their order.
            assert idle[-1].recv(1) == b""
            idle[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert idle[0].recv(12) == b"HTTP/1.1 200"
    finally:
        metrics.close()


def test_a_silent_connection_does_not_hold_up_a_stop(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "SECONDS_PER_REQUEST", 3600.0)
    port = free_port()
    metrics.listen("127.0.0.1", port, lambda _: None)
    with ExitStack() as opened:
        silent, asking = (opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) for _ in "12")
        asking.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert asking.recv(12) == b"HTTP/1.1 200"  # so the one before has been accepted
        metrics.close()
        with suppress(ConnectionResetError):
            assert silent.recv(1) == b""


# ── who names them


def named_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:ollama_proxy|process|python)_[a-z_]+\b", text))


def test_the_dashboard_asks_for_metrics_that_exist(metrics: Metrics) -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    asked = named_in(" ".join(queries))
    assert asked <= names(metrics)
    # And it leaves none of the proxy's own out, of histograms but for what their quantiles need.
    left_out = {name for name in names(metrics) if name.startswith(PREFIX)} - asked
    assert {name for name in left_out if not name.endswith(("_seconds", "_sum", "_count", "_created"))} == set()


def test_the_dashboard_asks_any_prometheus(metrics: Metrics) -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_documentation_lists_every_metric_and_no_other(metrics: Metrics) -> None:
    page = (ROOT / "docs/operations.md").read_text()
    table = page.partition("<!-- metrics -->")[2].partition("<!-- end of metrics -->")[0]
    listed = re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE)
    assert {name for name, _ in listed} == {
        name
        for name in names(metrics)
        if name.startswith(PREFIX) and not name.endswith(("_bucket", "_count", "_sum", "_created"))
    }
    assert named_in(page) <= names(metrics)


def test_the_documentation_lists_every_label(metrics: Metrics) -> None:
    page = (ROOT / "docs/operations.md").read_text()
    table = page.partition("<!-- metrics -->")[2].partition("<!-- end of metrics -->")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    answered(metrics, first_part=0.1, error="other", prompt_tokens=1, retries=1)
    for sample in samples(metrics):
        name, *labels = sample.split(" ")
        known = {label.partition("=")[0] for label in labels} - {"le"}
        metric = next((name.removesuffix(end) for end in ("_bucket", "_count", "_sum") if name.endswith(end)), name)
        if not metric.endswith("_created"):
            assert set(re.findall(r"`(\w+)`", listed[metric])) == known
