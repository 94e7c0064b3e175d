"""Errors name the servers behind the proxy to clients on this machine only."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.attacks.backend_side import CALLS, Says, head, one_setup_each, setup
from tests.live.attacks.targets import TARGETS, Mode
from tests.live.proxy import Door, ProxyProcess
from tests.live.raw_http import exchange, get, post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.attacks.backend_side import Setup

HOST = "localhost"
FAR: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "another address to listen on": ({"PROXY_HOST": "0.0.0.0"}, ()),
    "behind a reverse proxy": ({}, ("X-Forwarded-For: 192.0.2.1",)),
}


def failing(port: int, *headers: str) -> dict[str, tuple[str, str]]:
    """What clients are told, and the id of their request, for each call."""
    told = {}
    for name, (path, body) in [*CALLS.items(), ("a list", ("/api/tags", None)), ("the models", ("/v1/models", None))]:
        request = get(path, *headers) if body is None else post(path, body, *headers)
        answer = exchange(port, request, "GET" if body is None else "POST", may_be_cut=True)
        assert answer.status >= 500
        told[name] = (answer.body.decode(), answer.headers["x-request-id"])
    return told


@one_setup_each
@pytest.mark.parametrize("behind", TARGETS, ids=" ".join)
@pytest.mark.parametrize("far", FAR)
def test_clients_elsewhere_are_told_the_id_of_their_request(behind: tuple[Door, Mode], far: str) -> None:
    settings, headers = FAR[far]
    door, mode = behind
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        place = f"{HOST}:{nobody.getsockname()[1]}"
        own: dict[str, Any] = {
            "PROXY_MODE": mode,
            "OPENAI_API_BASE_URL": f"http://{place}/v1",
            "OLLAMA_UPSTREAM_URL": f"http://{place}",
        }
        with ProxyProcess(door=door, **own, **settings) as proxy:
            for name, (text, request_id) in failing(proxy.port, *headers).items():
                assert HOST not in text, name
                assert request_id in text, name
                assert any(request_id in line and place in line for line in proxy.log.splitlines()), name


@pytest.mark.parametrize(("door", "mode"), TARGETS)
def test_clients_on_this_machine_are_told_the_server(door: Door, mode: Mode) -> None:
    with setup(door, mode, PROXY_API_KEYS="") as running:
        running.server.answer = lambda _: Says([], "close")
        assert running.server.url in running.call(CALLS["OpenAI's embeddings"]).body.decode()


@pytest.fixture(scope="module", params=TARGETS, ids=" ".join)
def impatient(request: pytest.FixtureRequest) -> Iterator[Setup]:
    """A proxy that listens on every address."""
    with setup(*request.param, PROXY_HOST="0.0.0.0", REQUEST_TIMEOUT="0.5", STREAM_IDLE_TIMEOUT="0.5") as running:
        yield running


@pytest.mark.parametrize("fault", ["close", "cut", "redirect", "late"])
def test_no_fault_tells_the_name(impatient: Setup, fault: str) -> None:
    server = impatient.server
    server.forget()
    says = {
        "close": Says([], "close"),
        "cut": Says([head(200, length=100), b"{"], "close"),
        "redirect": Says([head(302, f"Location: {server.url}1/x", length=0)]),
        "late": Says([]),
    }
    server.answer = server.lists = lambda _: says[fault]
    for name in [*CALLS]:
        answer = impatient.call(CALLS[name])
        seen = json.dumps(answer.headers) + answer.body.decode()
        assert f"127.0.0.1:{server.port}" not in seen, name
