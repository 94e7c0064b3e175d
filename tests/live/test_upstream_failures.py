"""An Ollama that is down, dies, stalls, or has not started yet, and clients that are slow or leave."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import anthropic
import httpx
import ollama
import openai
import pytest
from aiohttp import web

from tests.live.proxy import ProxyProcess, free_port
from tests.live.test_fix_mode import peak_memory, receive_until
from tests.patience import PATIENCE
from tests.standins import StrictOllama, ThreadedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
HELLO: list[Any] = [{"role": "user", "content": "Why?"}]
NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
JSON = "application/json"
FRAMES = [b'{"response":"one","done":false}\n', b'{"response":"two","done":false}\n']
CHUNKS = [
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"tiny",'
    b'"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n' % word
    for word in (b"one", b"two")
]
MESSAGE_EVENTS = [
    b"event: message_start\n"
    b'data: {"type":"message_start","message":{"id":"1","type":"message","role":"assistant","model":"tiny","content":[],'
    b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":0}}}\n\n',
    b'event: ping\ndata: {"type":"ping"}\n\n',
]


@dataclass(frozen=True, slots=True)
class Breaking:
    """An answer, and what becomes of it."""

    kind: str = NDJSON
    parts: list[bytes] = field(default_factory=lambda: list(FRAMES))
    then: Literal["cut", "stall", "end"] = "cut"
    length: int | None = None
    head: bool = True
    """Whether the head is sent."""


class BreakingOllama(ThreadedServer):
    """Answers everything in the way that the test says, and well again when it has."""

    def __init__(self) -> None:
        super().__init__()
        self.next: Breaking | None = None

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._serve_any)

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        self._note_request(request, await request.read())
        answer = self.next or Breaking(JSON, [b"{}"], "end")
        if answer.head or answer.then != "cut":
            # A call over a kept connection that ends before the answer is made once more.
            self.next = None
        response = web.StreamResponse(headers={"Content-Type": answer.kind})
        if answer.length is not None:
            response.content_length = answer.length
        if answer.head:
            await response.prepare(request)
            for part in answer.parts:
                await self.write(response, part)
        if answer.then == "cut":
            await self.cut(request)
        if answer.then == "stall":
            await asyncio.Event().wait()
        return response


@pytest.fixture(scope="module")
def breaking() -> Iterator[BreakingOllama]:
    with BreakingOllama() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(breaking: BreakingOllama) -> Iterator[ProxyProcess]:
    with ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=breaking.url) as running:
        yield running


@pytest.fixture
def upstream(breaking: BreakingOllama) -> Iterator[BreakingOllama]:
    breaking.requests.clear()
    breaking.sent.clear()
    yield breaking
    breaking.next = None
    assert breaking.wait_idle()


@pytest.fixture
def client(proxy: ProxyProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, trust_env=False, timeout=PATIENCE) as plain:
        yield plain


def error_of(path: str, body: Any) -> str:
    """The text of an error in the shape of the API that the path belongs to."""
    if path.startswith("/v1/messages"):
        assert body.pop("request_id", "") != ""
        assert body == {"type": "error", "error": {"type": "api_error", "message": body["error"]["message"]}}
        return str(body["error"]["message"])
    if path.startswith("/v1/"):
        error = {"message": body["error"]["message"], "type": "api_error", "param": None, "code": None}
        assert body == {"error": error}
        return str(error["message"])
    assert list(body) == ["error"]
    return str(body["error"])


# -- Down --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def in_front_of_nothing(nowhere: str) -> Iterator[str]:
    with ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=nowhere) as running:
        yield running.url


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/api/tags", "/api/chat", "/", "/v1/chat/completions", "/v1/messages"])
def test_where_ollama_is_down_the_client_is_told_so_at_once_and_in_its_own_words(
    in_front_of_nothing: str, nowhere: str, path: str, method: str
) -> None:
    response = httpx.request(method, in_front_of_nothing + path, json={"model": "tiny"}, trust_env=False)
    assert response.status_code == 502
    assert response.headers["Content-Type"].startswith(JSON)
    text = error_of(path, response.json())
    assert f"cannot connect to Ollama at {nowhere}: Connection refused; " in text
    assert "OLLAMA_UPSTREAM_URL" in text


def test_a_large_upload_to_an_ollama_that_is_down_is_refused_before_it_has_arrived(in_front_of_nothing: str) -> None:
    port = int(in_front_of_nothing.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
        raw.sendall(b"POST /api/blobs/sha256:%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" % (b"0" * 64))
        assert raw.recv(4096).split()[1] == b"502"


def test_the_sdks_raise_what_they_are_told(in_front_of_nothing: str, nowhere: str) -> None:
    with (
        ollama.Client(in_front_of_nothing, trust_env=False) as sdk,
        pytest.raises(ollama.ResponseError, match="cannot connect") as raised,
    ):
        sdk.chat("tiny", HELLO, stream=False)
    assert raised.value.status_code == 502
    with pytest.raises(openai.InternalServerError, match=nowhere):
        openai_client(in_front_of_nothing).chat.completions.create(model="tiny", messages=HELLO)
    with pytest.raises(anthropic.InternalServerError, match=nowhere):
        anthropic_client(in_front_of_nothing).messages.create(model="tiny", messages=HELLO, max_tokens=5)


def openai_client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=PATIENCE)


def anthropic_client(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, timeout=PATIENCE)


# -- Cut ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", [b"", b'{"response":"thr'], ids=["between two lines", "within a line"])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/pull"])
def test_frames_that_break_off_end_with_an_error_behind_the_last_whole_line(
    upstream: BreakingOllama, client: httpx.Client, path: str, half: bytes
) -> None:
    upstream.next = Breaking(parts=[*FRAMES, half] if half else FRAMES)
    response = client.post(path, json={"model": "tiny"})
    *lines, last = response.content.splitlines(keepends=True)
    assert (response.status_code, lines) == (200, FRAMES)
    assert "broke off" in json.loads(last)["error"]
    assert last.endswith(b"}\n")
    # The proxy and the connection to it are none the worse.
    assert client.post(path, json={"model": "tiny"}).json() == {}


def test_the_ollama_sdk_raises_it(upstream: BreakingOllama, proxy: ProxyProcess) -> None:
    upstream.next = Breaking()
    parts = ollama.Client(proxy.url, trust_env=False).generate("tiny", "Why?", stream=True)
    assert [next(parts).response, next(parts).response] == ["one", "two"]
    with pytest.raises(ollama.ResponseError, match="broke off"):
        next(parts)


def test_openais_events_that_break_off_end_with_an_error_that_its_sdk_raises(
    upstream: BreakingOllama, proxy: ProxyProcess
) -> None:
    upstream.next = Breaking(f"{EVENTS}; charset=utf-8", CHUNKS)
    stream = openai_client(proxy.url).chat.completions.create(model="tiny", messages=HELLO, stream=True)
    assert [next(stream).choices[0].delta.content for _ in CHUNKS] == ["one", "two"]
    with pytest.raises(openai.APIError, match="broke off"):
        next(stream)


def test_half_an_event_does_not_swallow_the_error(upstream: BreakingOllama, client: httpx.Client) -> None:
    upstream.next = Breaking(EVENTS, [*CHUNKS, b'data: {"id":"1",'])
    told = bytearray()
    # Clients that ignore the event must not take the end for that of a whole answer.
    with client.stream("POST", "/v1/chat/completions", json={}) as response:
        try:
            for part in response.iter_raw():
                told += part
        except httpx.RemoteProtocolError:
            cut = True
        else:
            cut = False
    assert cut
    *events, last, rest = bytes(told).split(b"\n\n")
    assert ([event + b"\n\n" for event in events], rest) == (CHUNKS, b"")
    assert "broke off" in error_of("/v1/chat/completions", json.loads(last.strip().removeprefix(b"data: ")))


def test_anthropics_events_that_break_off_end_with_an_error_that_its_sdk_raises(
    upstream: BreakingOllama, proxy: ProxyProcess
) -> None:
    upstream.next = Breaking(EVENTS, MESSAGE_EVENTS)
    stream = anthropic_client(proxy.url).messages.create(model="tiny", messages=HELLO, max_tokens=5, stream=True)
    assert next(stream).type == "message_start"
    with pytest.raises(anthropic.APIStatusError, match="broke off"):
        list(stream)


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("head", [True, False], ids=["in its body", "before its head"])
def test_a_whole_answer_that_breaks_off_becomes_an_error_with_a_status(
    upstream: BreakingOllama, client: httpx.Client, path: str, head: bool
) -> None:
    upstream.next = Breaking(JSON, [b'{"half":'], length=100, head=head)
    response = client.post(path, json={"model": "tiny"})
    assert response.status_code == 502
    assert upstream.url in error_of(path, response.json())
    assert "broke off" in response.text
    upstream.next = None
    assert client.post(path, json={"model": "tiny"}).json() == {}


@pytest.mark.parametrize("length", [None, 5 * MIB], ids=["of unknown length", "large"])
def test_of_another_body_that_breaks_off_the_client_gets_what_there_is_and_no_end(
    upstream: BreakingOllama, client: httpx.Client, length: int | None
) -> None:
    upstream.next = Breaking("application/octet-stream", [b"half"], length=length)
    with client.stream("GET", "/api/unheard") as response:
        parts = response.iter_raw()
        assert (response.status_code, next(parts)) == (200, b"half")
        with pytest.raises(httpx.RemoteProtocolError):
            next(parts)


DOOMED_SERVER = r"""
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
connection = server.accept()[0]
connection.recv(65536)
connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
connection.sendall(b'20\r\n{"response":"one","done":false}\n\r\n20\r\n{"resp')
time.sleep(60)
"""


def test_an_ollama_that_is_killed_in_the_middle_of_a_stream_leaves_an_error_and_an_end(
    in_front_of_nothing: str, nowhere: str
) -> None:
    command = [sys.executable, "-c", DOOMED_SERVER, nowhere.rpartition(":")[2]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        url = f"{in_front_of_nothing}/api/generate"
        try:
            with httpx.stream("POST", url, json={}, trust_env=False, timeout=PATIENCE) as response:
                parts = response.iter_raw()
                assert next(parts) == FRAMES[0]
                server.kill()
                assert "broke off" in json.loads(b"".join(parts))["error"]
        finally:
            server.kill()
    assert httpx.get(f"{in_front_of_nothing}/api/tags", trust_env=False).status_code == 502


# -- Stalled, and slow -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Breaking(then="stall"),
        Breaking(EVENTS, CHUNKS, then="stall"),
        Breaking(JSON, [b"{"], then="stall", length=10),
        Breaking("text/plain", [b"x"], then="stall"),
        Breaking(head=False, then="stall"),
    ],
    ids=["frames", "events", "whole", "other", "before its head"],
)
def test_a_client_that_leaves_a_stalled_ollama_frees_it(
    upstream: BreakingOllama, proxy: ProxyProcess, answer: Breaking
) -> None:
    upstream.next = answer
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as raw:
        raw.sendall(b"POST /v1/anything HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        if answer.head and answer.length is None:
            receive_until(raw, answer.parts[-1])
        else:
            assert upstream.wait_for_requests()
    noticed = upstream.wait_for_disconnect()
    assert noticed is not None


@pytest.mark.parametrize("kind", [NDJSON, EVENTS, "application/octet-stream"])
def test_a_slow_reader_slows_ollama_and_not_the_proxys_memory(upstream: BreakingOllama, proxy: ProxyProcess, kind: str) -> None:
    size = 100 * MIB
    line = b"data: " + b"x" * (MIB // 4 - 8) + b"\n\n"
    upstream.next = Breaking(kind, [line] * (size // len(line)), then="end")
    before = peak_memory(proxy.worker)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as raw:
        raw.sendall(b"POST /api/pull HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        held = sent_when_it_stops(upstream)
        assert 0 < held < 40 * MIB
        received = sum(len(part) for part in iter(lambda: raw.recv(MIB), b""))
    assert received > size
    assert peak_memory(proxy.worker) - before < 20 * MIB


def sent_when_it_stops(upstream: BreakingOllama) -> int:
    """How many bytes the upstream could write until nobody took any more."""
    deadline = time.monotonic() + PATIENCE
    sent, since = 0, time.monotonic()
    while not sent or time.monotonic() - since < 0.5:
        assert time.monotonic() < deadline
        if (now := sum(len(part) for _, part in upstream.sent)) != sent:
            sent, since = now, time.monotonic()
        time.sleep(0.02)
    return sent


# -- Not started yet ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def starting() -> Iterator[tuple[ProxyProcess, int]]:
    """A proxy in front of a port on which an Ollama is going to listen again."""
    with ExitStack() as stack:
        with StrictOllama() as stopped:
            waiting = ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=stopped.url, UPSTREAM_WAIT_SECONDS="10")
            stack.enter_context(waiting)
        yield waiting, stopped.port


def test_a_request_waits_for_an_ollama_that_starts(starting: tuple[ProxyProcess, int]) -> None:
    proxy, port = starting
    content = b"x" * MIB
    blob = f"/api/blobs/sha256:{hashlib.sha256(content).hexdigest()}"
    with ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(httpx.get, f"{proxy.url}/api/tags", trust_env=False, timeout=PATIENCE),
            pool.submit(httpx.post, f"{proxy.url}/api/show", json={"model": "tiny"}, trust_env=False, timeout=PATIENCE),
            pool.submit(httpx.post, proxy.url + blob, content=content, trust_env=False, timeout=PATIENCE),
        ]
        time.sleep(1)
        assert not any(call.done() for call in asked)
        with StrictOllama(port=port) as upstream:
            assert [call.result().status_code for call in asked] == [200, 200, 201]
            assert upstream.last_blob == (blob.rpartition("/")[2], len(content))
            assert len(upstream.requests) == 3


def test_a_client_that_leaves_stops_the_waiting(starting: tuple[ProxyProcess, int]) -> None:
    proxy, port = starting
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE) as raw:
        raw.sendall(b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n" + b'{"model":"tiny"}')
        raw.settimeout(0.3)
        with pytest.raises(TimeoutError):
            raw.recv(1)
    with StrictOllama(port=port) as upstream:
        assert httpx.get(f"{proxy.url}/api/tags", trust_env=False).status_code == 200
        assert [request.path for request in upstream.requests] == ["/api/tags"]
