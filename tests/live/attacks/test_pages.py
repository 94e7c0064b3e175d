"""No page that a user happens to visit makes the proxy do anything, or reads from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.targets import BEARER, MODELS, NAMES, TARGETS, Target, target
from tests.live.proxy import free_port
from tests.live.raw_http import exchange, get
from tests.standins import StrictOllama

if TYPE_CHECKING:
    from collections.abc import Iterator

POD = "abc123xyz-11435.proxy.runpod.net"
IMAGE = (
    # What Chromium 140 sends for an image of an address over plain HTTP that is not its own machine.
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.9",
)
ACTIONS = ["/api/delete?model={}", "/api/pull?model={}", "/api/copy?source={}&destination=x", "/api/generate?model={}&prompt=x"]


@pytest.fixture(scope="module", params=TARGETS, ids=NAMES)
def opened(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A proxy without keys, as on a user's own machine."""
    door, mode = request.param
    with target(door, mode, PROXY_API_KEYS="") as running:
        yield running


def arrived(attacked: Target) -> int:
    """How many requests have reached the server behind the proxy, apart from lists of models."""
    return len([each for each in attacked.backend.requests if "models" not in str(each)[:200]])


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("told", [(), ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: image")], ids=["plain http", "https"])
def test_an_image_does_nothing(opened: Target, action: str, told: tuple[str, ...]) -> None:
    before = arrived(opened)
    answer = exchange(opened.port, get(action.format(MODELS[opened.mode]), *IMAGE, *told))
    assert (answer.status, "QUERY_BODIES" in answer.json["error"]) == (405, True)
    assert arrived(opened) == before


@pytest.mark.parametrize("path", ["/api/signout", "/api/user/keys/some", "/api/me"])
@pytest.mark.parametrize("told", [(), ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: image")], ids=["plain http", "https"])
def test_an_image_stays_a_get_where_an_action_needs_no_body(opened: Target, path: str, told: tuple[str, ...]) -> None:
    before = len(opened.backend.requests)
    answer = exchange(opened.port, get(path, *IMAGE, *told))
    assert {request.method for request in opened.backend.requests[before:]} <= {"GET"}
    assert opened.mode == "fix" or answer.status == 405


def test_programs_and_whoever_brings_a_key_may_use_a_query(opened: Target) -> None:
    path = f"/api/show?model={MODELS[opened.mode]}"
    assert exchange(opened.port, get(path, "User-Agent: curl/8.14.1")).status == 200
    assert exchange(opened.port, get(path, *IMAGE, BEARER)).status == 200
    assert exchange(opened.port, get(path, *IMAGE, "Authorization: Basic dTprZXktb2YtdGhlLXRlc3Rz")).status == 405


@pytest.mark.parametrize(("door", "mode"), TARGETS, ids=NAMES)
def test_the_user_may_let_browsers_use_a_query(door: object, mode: object) -> None:
    with target(door, mode, PROXY_API_KEYS="", QUERY_BODIES="true") as running:  # type: ignore[arg-type]  # of the table
        path = f"/api/show?model={MODELS[running.mode]}"
        assert exchange(running.port, get(path, *IMAGE)).status == 200
        assert exchange(running.port, get(path, *IMAGE, "Sec-Fetch-Site: cross-site")).status == 405


@pytest.mark.parametrize("path", ["/api/tags", "/api/generate?model=tiny&prompt=x", "/v1/models"])
@pytest.mark.parametrize("extra", ["", "X-Forwarded-Host: a.proxy.runpod.net", "X-Forwarded-For: 192.0.2.1", "CF-Ray: 1"])
def test_a_foreign_name_that_leads_here_reads_nothing(opened: Target, path: str, extra: str) -> None:
    """DNS rebinding: the page's own name resolves to a loopback address, so that its origin is that of the proxy."""
    for origin in ("", "Origin: http://rebound.example"):
        lines = [f"GET {path} HTTP/1.1", "Host: rebound.example", *filter(None, (extra, origin)), "", ""]
        assert exchange(opened.port, "\r\n".join(lines).encode()).status == 403


@pytest.mark.parametrize(("door", "mode"), TARGETS, ids=NAMES)
def test_nor_does_it_from_the_port_for_metrics(door: object, mode: object) -> None:
    port = free_port()
    hosts = {"localhost": 200, f"127.0.0.1:{port}": 200, "rebound.example": 403, f"rebound.example:{port}": 403}
    with target(door, mode, METRICS_PORT=str(port)):  # type: ignore[arg-type]  # of the table
        for host, status in hosts.items():
            answer = exchange(port, f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (answer.status, b"ollama_proxy" in answer.body) == (status, status == 200), host


@pytest.mark.parametrize("host", [POD, "localhost:11434", "127.0.0.1"])
def test_behind_the_edge_of_a_pod_nothing_has_to_be_set(opened: Target, host: str) -> None:
    edge = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "CF-Connecting-IP: 192.0.2.1", "CDN-Loop: cloudflare")
    lines = ["GET /api/tags HTTP/1.1", f"Host: {host}", *edge, "", ""]
    assert exchange(opened.port, "\r\n".join(lines).encode()).status == 200


def test_the_host_that_a_trusted_proxy_puts_is_believed() -> None:
    with target("console", "fix", PROXY_API_KEYS="", TRUSTED_PROXIES="127.0.0.1") as running:
        assert isinstance(running.backend, StrictOllama)
        assert exchange(running.port, b"GET /api/tags HTTP/1.1\r\nHost: pod.example\r\n\r\n").status == 200
