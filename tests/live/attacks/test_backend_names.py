"""Errors name the servers behind the proxy to clients on this machine only."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.live.attacks.backend_side import CALLS, SETUPS, Mode, Says, head, setup
from tests.live.proxy import Door, ProxyProcess
from tests.live.raw_http import exchange, get, post

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


@pytest.mark.parametrize(("door", "mode"), SETUPS)
@pytest.mark.parametrize("far", FAR)
def test_clients_elsewhere_are_told_the_id_of_their_request(door: Door, mode: Mode, far: str) -> None:
    settings, headers = FAR[far]
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


@pytest.mark.parametrize(("door", "mode"), SETUPS)
def test_clients_on_this_machine_are_told_the_server(door: Door, mode: Mode) -> None:
    with setup(door, mode, PROXY_API_KEYS="") as running:
        running.server.answer = lambda _: Says([], "close")
        assert running.server.url in running.call(CALLS["OpenAI's embeddings"]).body.decode()


@pytest.mark.parametrize(("door", "mode"), SETUPS)
@pytest.mark.parametrize("fault", ["close", "cut", "redirect", "late"])
def test_no_fault_tells_the_name(door: Door, mode: Mode, fault: str) -> None:
    with setup(door, mode, PROXY_HOST="0.0.0.0", REQUEST_TIMEOUT="0.5", STREAM_IDLE_TIMEOUT="0.5") as running:
        says = {
            "close": Says([], "close"),
            "cut": Says([head(200, length=100), b"{"], "close"),
            "redirect": Says([head(302, f"Location: {running.server.url}1/x", length=0)]),
            "late": Says([]),
        }
        running.server.answer = running.server.lists = lambda _: says[fault]
        for name in [*CALLS]:
            answer = running.call(CALLS[name])
            seen = json.dumps(answer.headers) + answer.body.decode()
            assert f"127.0.0.1:{running.server.port}" not in seen, name
