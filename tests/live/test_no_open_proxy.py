"""Nothing but what the settings name is ever connected to, whatever mode mitmproxy was started in."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.proxy import ProxyProcess, free_port
from tests.live.raw_http import HOST, Listener, Raw, exchange, get
from tests.patience import wait_until
from tests.standins import ScriptedBackend, StrictOllama

if TYPE_CHECKING:
    from collections.abc import Iterator

FORBIDDEN = {"error": "this is no forward proxy: it answers for itself only"}
NO_WEBSOCKET = {"error": "WebSocket connections are not supported"}
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
GREETING = b"\x05\x01\x00"
SAYS = {"console": "Ollama API on", "mitmdump": "listening at"}
# `OTHER` stands for the address of the server that nobody may reach. Those of `--mode` are for mitmdump.
MODES: dict[str, list[str]] = {
    "console": [],
    "console, fixing": [],
    "regular": ["--mode", "regular"],
    "upstream": ["--mode", "upstream:http://OTHER"],
    "reverse, eager": ["--mode", "reverse:http://OTHER", "--set", "connection_strategy=eager"],
    "reverse, fixing": ["--mode", "reverse:http://OTHER"],
    "socks5": ["--mode", "socks5", "--set", "connection_strategy=eager"],
    "raw TCP": ["--mode", "reverse:tcp://OTHER"],
    "transparent": ["--mode", "transparent"],
}
SPEAK_HTTP = [name for name in MODES if not name.startswith(("socks5", "raw TCP", "transparent"))]


@pytest.fixture(scope="module")
def other() -> Iterator[Listener]:
    """The server on another port; at the end it must not have had a single visitor."""
    with Listener() as listener:
        yield listener
        assert listener.visits == 0


@pytest.fixture(scope="module")
def proxies(other: Listener) -> Iterator[dict[str, ProxyProcess]]:
    """One proxy in each mode."""
    with ExitStack() as stack:
        backend = stack.enter_context(ScriptedBackend())
        upstream = stack.enter_context(StrictOllama())
        running = {}
        for name, options in MODES.items():
            settings: dict[str, Any] = {"OPENAI_API_BASE_URL": backend.base_url}
            if "fixing" in name:
                settings = {"PROXY_MODE": "fix", "OLLAMA_UPSTREAM_URL": upstream.url}
            port = str(free_port())
            arguments = [word.replace("OTHER", f"127.0.0.1:{other.port}") for word in options]
            arguments += ["--listen-host", "127.0.0.1", "--listen-port", port] if options else []
            door: Any = "mitmdump" if options else "console"
            proxy = ProxyProcess(door=door, arguments=arguments, wait=False, PROXY_PORT=port, **settings)
            running[name] = stack.enter_context(proxy)
        for name, proxy in running.items():
            says = SAYS["mitmdump" if MODES[name] else "console"]
            # No connection tries it: where mitmproxy has not checked its start yet, an error of a connection would end it.
            wait_until(lambda says=says, proxy=proxy: says in proxy.log)  # type: ignore[misc]
        yield running
        assert other.visits == 0
        for proxy in running.values():
            os.kill(proxy.pid, signal.SIGTERM)
        for proxy in running.values():
            assert "Traceback" not in proxy.log


@pytest.fixture
def proxy(proxies: dict[str, ProxyProcess], request: pytest.FixtureRequest) -> ProxyProcess:
    return proxies[request.param]


@pytest.mark.parametrize("proxy", SPEAK_HTTP, indirect=True)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
def test_there_is_no_tunnel(proxy: ProxyProcess, other: Listener, host: str) -> None:
    with Raw(proxy.port) as connection:
        connection.send(f"CONNECT {host}:{other.port} HTTP/1.1\r\nHost: {host}:{other.port}\r\n\r\n".encode())
        connection.send(get("/through-the-tunnel"))
        answer = connection.answer("CONNECT")
        assert (answer.status, answer.json) == (403, FORBIDDEN)
        assert answer.headers["content-type"].startswith("application/json")
        assert connection.rest() == b""
    assert other.visits == 0


@pytest.mark.parametrize("proxy", SPEAK_HTTP, indirect=True)
def test_a_request_for_another_host_is_refused_by_name(proxy: ProxyProcess, other: Listener) -> None:
    for host in ("evil.example", f"evil.example:{other.port}", "10.0.0.1", "169.254.169.254", "[::2]:80"):
        # The Host header is one that would be allowed.
        answer = exchange(proxy.port, f"GET http://{host}/api/tags HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert (answer.status, answer.json) == (403, FORBIDDEN), host
    assert other.visits == 0


@pytest.mark.parametrize("proxy", SPEAK_HTTP, indirect=True)
def test_a_request_for_another_port_of_this_machine_is_answered_by_the_proxy_itself(
    proxy: ProxyProcess, other: Listener
) -> None:
    # Whatever stands in front of the path, clients that take the proxy for their HTTP_PROXY get Ollama's answers.
    target = f"127.0.0.1:{other.port}"
    answer = exchange(proxy.port, f"GET http://{target}/api/version HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert (answer.status, list(answer.json)) == (200, ["version"])
    missing = exchange(proxy.port, f"GET http://{target}/secret HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert missing.status == 404
    asked = exchange(proxy.port, f"GET /api/version HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert asked.json == answer.json
    assert other.visits == 0


@pytest.mark.parametrize("scheme", ["https", "ftp", "file", "gopher"])
@pytest.mark.parametrize("proxy", SPEAK_HTTP, indirect=True)
def test_no_scheme_leads_elsewhere(proxy: ProxyProcess, other: Listener, scheme: str) -> None:
    target = f"127.0.0.1:{other.port}"
    answer = exchange(proxy.port, f"GET {scheme}://{target}/secret HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    assert answer.status in (400, 404)
    assert other.visits == 0


@pytest.mark.parametrize("proxy", SPEAK_HTTP, indirect=True)
def test_a_websocket_is_refused(proxy: ProxyProcess, other: Listener) -> None:
    for target in ("/api/chat", "/v1/realtime", f"http://127.0.0.1:{other.port}/"):
        answer = exchange(proxy.port, get(target, *WEBSOCKET))
        assert answer.status == 400
        assert "WebSocket connections are not supported" in answer.body.decode()
    assert exchange(proxy.port, get("/api/tags", *WEBSOCKET)).json == NO_WEBSOCKET
    assert other.visits == 0


@pytest.mark.parametrize("proxy", SPEAK_HTTP, indirect=True)
def test_an_upgrade_to_http_2_is_ignored_and_answered_over_http_1(proxy: ProxyProcess) -> None:
    with Raw(proxy.port) as connection:
        for _ in range(2):
            connection.send(get("/api/version", *H2C))
            answer = connection.answer()
            assert (answer.status, list(answer.json)) == (200, ["version"])
            assert "upgrade" not in answer.headers
        body = b'{"model":"tiny","messages":[]}'
        head = b"POST /api/chat HTTP/1.1\r\n" + HOST + "\r\n".join(H2C).encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.send(head + body)
        assert connection.answer().status in (200, 404)


@pytest.mark.parametrize("proxy", ["socks5"], indirect=True)
def test_nothing_is_sent_on_for_a_client_of_socks(proxy: ProxyProcess, other: Listener) -> None:
    address = b"\x01\x7f\x00\x00\x01" + other.port.to_bytes(2, "big")
    with Raw(proxy.port) as connection:
        connection.send(GREETING)
        assert connection.socket.recv(2) == b"\x05\x00"
        connection.send(b"\x05\x01\x00" + address)
        connection.socket.recv(100)
        connection.send(b"\x00\x01raw bytes of some protocol")
        assert connection.rest() == b""
    assert other.visits == 0


@pytest.mark.parametrize("proxy", ["raw TCP", "transparent"], indirect=True)
def test_no_bytes_are_passed_on_as_they_are(proxy: ProxyProcess, other: Listener) -> None:
    for words in (b"\x00\x01raw bytes of some protocol\r\n\r\n", get("/secret")):
        with Raw(proxy.port) as connection, suppress(TimeoutError):
            connection.send(words)
            connection.rest()
    assert other.visits == 0


@pytest.mark.parametrize("proxy", SPEAK_HTTP, indirect=True)
@pytest.mark.parametrize(
    "words",
    [GREETING, b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"SSH-2.0-x\r\n\r\n"],
    ids=["socks5", "socks4", "tls", "ssh"],
)
def test_other_protocols_lead_nowhere(proxy: ProxyProcess, other: Listener, words: bytes) -> None:
    with Raw(proxy.port) as connection:
        connection.send(words)
        connection.socket.shutdown(socket.SHUT_WR)
        told = connection.rest()
    assert told == b"" or told.startswith(b"HTTP/1.1 400 ")
    assert other.visits == 0
