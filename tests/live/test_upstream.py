"""The contract with the coroutine that answers, in a mitmproxy and in the console command's server, which really listen.

These tests fail when an upgrade of mitmproxy or of uvicorn moves the internals that the package relies on.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import socket
import ssl
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h2.connection
import h2.events
import httpx
import pytest
from mitmproxy.addons import core, next_layer, proxyserver, tlsconfig
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.test import tflow
from ollama_openai_proxy.api.error_shapes import error_response
from ollama_openai_proxy.asgi import serve_request
from ollama_openai_proxy.mitm.http1_patches import teach_manners
from ollama_openai_proxy.mitm.in_process_upstream import InProcessServer, InProcessUpstream
from ollama_openai_proxy.net.bounds import Bounds
from ollama_openai_proxy.net.event_loop import new_event_loop
from ollama_openai_proxy.net.http_messages import Reply, Request
from ollama_openai_proxy.net.server import Server

from tests.bodies import GeneratedBody
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from pathlib import Path

    from mitmproxy import http
    from mitmproxy.connection import Client
    from ollama_openai_proxy.net.http1_protocol import BoundedProtocol

    type Respond = Callable[[Request], Coroutine[Any, Any, Reply]]


BOUNDS = Bounds(
    max_head_size=1 << 16,
    max_header_count=100,
    head_timeout=0,
    keep_alive_timeout=0,
    body_timeout=0,
    write_timeout=0,
    linger_timeout=5,
    max_linger_size=1 << 20,
    max_connections=100,
)
PARTS = "/parts"
"""Where a request is answered while its body arrives."""


class Door:
    """An addon that hands every flow to the upstream under test."""

    def __init__(self, respond: Respond) -> None:
        self.upstream = InProcessUpstream(respond)
        teach_manners()
        self.flows: list[http.HTTPFlow] = []
        self.intercept = False

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self.flows.append(flow)
        flow.request.stream = flow.request.path == PARTS
        assert self.upstream.attach(flow)

    def request(self, flow: http.HTTPFlow) -> None:
        if self.intercept:
            flow.intercept()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        assert isinstance(flow.server_conn, InProcessServer)
        flow.response.stream = "content-length" not in flow.response.headers

    def client_disconnected(self, client: Any) -> None:
        self.upstream.detach(client)


class Asgi:
    """An application that hands every request to the coroutine under test."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await serve_request(self._answer, scope, receive, send)

    async def _answer(self, request: Request) -> Reply:
        if request.parts is not None and request.path != PARTS:
            body = b"".join([part async for part in request.parts])
            request = replace(request, body=body, parts=None)
        return await self._respond(request)

    async def drain(self, is_busy: Callable[[], bool]) -> None:
        pass

    def retire(self) -> None:
        pass

    def hurry(self) -> None:
        pass


class CountingServer(Server):
    """The console command's server, which counts its clients."""

    clients = 0

    def waits(self, connection: BoundedProtocol) -> None:
        super().waits(connection)
        if connection.cycle is None:
            self.clients += 1


class Listening:
    """mitmproxy, or the console command's server, in a thread, with the coroutine under test behind it."""

    def __init__(self, respond: Respond, confdir: Path | None = None, *, direct: bool = False, **options: Any) -> None:
        self._connections = 0
        self._clients = contextlib.ExitStack()
        self._server = CountingServer(Asgi(respond), BOUNDS, error_response) if direct else None
        self.door = Door(respond)
        self._confdir = confdir
        self._options = options
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run_in_thread)

    def __enter__(self) -> Listening:
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._clients.close()
        self.loop.call_soon_threadsafe(self._server.stop if self._server else self._master.should_exit.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    @property
    def connections(self) -> int:
        """How many clients have connected."""
        return self._server.clients if self._server else self._connections

    def _run_in_thread(self) -> None:
        with asyncio.Runner(loop_factory=new_event_loop if self._server else None) as runner:
            runner.run(self._serve(self._server) if self._server else self._run())

    async def _serve(self, server: Server) -> None:
        self.loop = asyncio.get_running_loop()
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self._listens_on(listening.getsockname()[1])
        await server.serve([listening])

    def _listens_on(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self._started.set()

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        options = Options()
        if self._confdir:
            options.update(confdir=str(self._confdir))
        self._master = Master(options)
        tls = [tlsconfig.TlsConfig()] if self._confdir else []
        self._master.addons.add(core.Core(), proxyserver.Proxyserver(), next_layer.NextLayer(), *tls, self.door, self)
        options.update(
            mode=["reverse:http://127.0.0.1:9"],
            listen_host="127.0.0.1",
            listen_port=0,
            connection_strategy="lazy",
            **self._options,
        )
        await self._master.run()
        await self._proxyserver().servers.update([])

    def _proxyserver(self) -> proxyserver.Proxyserver:
        addon: proxyserver.Proxyserver = self._master.addons.get("proxyserver")
        return addon

    def client_connected(self, client: Client) -> None:
        self._connections += 1

    def running(self) -> None:
        self._listens_on(self._proxyserver().listen_addrs()[0][1])

    def call[T](self, function: Callable[[], T]) -> T:
        """Run a function in mitmproxy's thread."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def tasks(self) -> list[str]:
        """The names of the answers in progress."""
        return self.call(lambda: [t.get_name() for t in asyncio.all_tasks() if t.get_name().startswith("answer")])

    def connect(self) -> socket.socket:
        """A connection, which is closed at the end if the test does not close it."""
        return self._clients.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE))


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def read_to_end(sock: socket.socket) -> bytes:
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = sock.recv(65536)
        assert piece, f"the connection ended after {data!r}"
        data += piece
    return data


async def echo(request: Request) -> Reply:
    said = {"method": request.method, "target": request.target, "body": request.body.decode()}
    return Reply(200, {"Content-Type": "application/json"}, json.dumps(said).encode())


class Stepwise:
    """A streamed reply whose parts the test lets go one by one; notes when it is cancelled."""

    def __init__(self, parts: int = 3, *, before_reply: bool = False) -> None:
        self.go = threading.Semaphore(0)
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self._parts = parts
        self._before_reply = before_reply

    async def __call__(self, request: Request) -> Reply:
        self.started.set()
        if self._before_reply:
            await self._wait()
        return Reply(200, {"Content-Type": "text/plain"}, GeneratedBody(self._body()))

    async def _body(self) -> AsyncGenerator[bytes, None]:
        for number in range(self._parts):
            await self._wait()
            yield f"part {number}\n".encode()

    async def _wait(self) -> None:
        try:
            while not self.go.acquire(blocking=False):  # the test is another thread
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest.fixture(params=[False, True], ids=["flows", "direct"])
def direct(request: pytest.FixtureRequest) -> bool:
    answer: bool = request.param
    return answer


def test_a_whole_reply_has_a_length_and_the_connection_is_kept(direct: bool) -> None:
    with Listening(echo, direct=direct) as listening, httpx.Client(base_url=listening.url) as client:
        for number in range(3):
            reply = client.post(f"/some/path?n={number}", content=b"hello")
            assert reply.json() == {"method": "POST", "target": f"/some/path?n={number}", "body": "hello"}
            assert reply.headers["content-length"] == str(len(reply.content))
            assert "date" in reply.headers
        assert listening.connections == 1


def test_parts_arrive_one_by_one(direct: bool) -> None:
    stepwise = Stepwise()
    stepwise.go.release()
    with (
        Listening(stepwise, direct=direct) as listening,
        httpx.Client() as client,
        client.stream("GET", listening.url) as reply,
    ):
        assert reply.headers["transfer-encoding"] == "chunked"
        parts = reply.iter_raw()
        assert next(parts) == b"part 0\n"
        for number in range(1, 3):
            stepwise.go.release()
            assert next(parts) == f"part {number}\n".encode()
        assert list(parts) == []


def test_a_streamed_reply_leaves_the_connection_usable(direct: bool) -> None:
    stepwise = Stepwise(parts=1)
    stepwise.go.release()
    stepwise.go.release()
    with Listening(stepwise, direct=direct) as listening, httpx.Client() as client:
        assert client.get(listening.url).text == "part 0\n"
        assert client.get(listening.url).text == "part 0\n"
        assert listening.connections == 1


@pytest.mark.parametrize("before_reply", [True, False], ids=["before the reply", "in mid-stream"])
def test_a_client_that_leaves_cancels_the_coroutine(direct: bool, before_reply: bool) -> None:
    stepwise = Stepwise(before_reply=before_reply)
    with Listening(stepwise, direct=direct) as listening:
        sock = listening.connect()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        if not before_reply:
            stepwise.go.release()
            read_until(sock, b"part 0\n\r\n")
        assert stepwise.started.wait(5)
        sock.close()
        assert stepwise.cancelled.wait(0.5)
        wait_for(lambda: not listening.tasks())


def test_the_cleanup_of_a_cancelled_stream_runs(direct: bool) -> None:
    closed = threading.Event()

    async def respond(request: Request) -> Reply:
        async def body() -> AsyncGenerator[bytes, None]:
            try:
                while True:
                    yield b"x" * 100
                    await asyncio.sleep(0.01)
            finally:
                await asyncio.sleep(0)
                closed.set()

        return Reply(200, {}, GeneratedBody(body()))

    with Listening(respond, direct=direct) as listening:
        sock = listening.connect()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(100)
        sock.close()
        assert closed.wait(2)


def test_a_slow_reader_slows_the_generator(direct: bool) -> None:
    produced = 0
    part = b"x" * 65536
    parts = 2000

    async def respond(request: Request) -> Reply:
        async def body() -> AsyncGenerator[bytes, None]:
            nonlocal produced
            for _ in range(parts):
                produced += 1
                yield part

        return Reply(200, {}, GeneratedBody(body()))

    with Listening(respond, direct=direct) as listening:
        sock = listening.connect()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        before = -1
        while produced != before:  # until it stands still
            before = produced
            time.sleep(0.2)
        assert 0 < produced < parts / 4
        assert len(read_to_end(sock)) > parts * len(part)
        assert produced == parts


def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection(direct: bool) -> None:
    stepwise = Stepwise(parts=2)
    for _ in range(2):
        stepwise.go.release()
    with Listening(stepwise, direct=direct) as listening:
        sock = listening.connect()
        sock.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        head, _, body = read_to_end(sock).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 OK")
        assert b"transfer-encoding" not in head.lower()
        assert body == b"part 0\npart 1\n"


def test_http_1_0_is_kept_alive_where_it_asks_for_it(direct: bool) -> None:
    with Listening(echo, direct=direct) as listening:
        sock = listening.connect()
        for _ in range(2):
            sock.sendall(b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
            assert b"Connection: keep-alive" in read_until(sock, b"}")


def test_a_connection_is_closed_where_the_client_asks_for_it(direct: bool) -> None:
    with Listening(echo, direct=direct) as listening:
        sock = listening.connect()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"Connection: close" in read_to_end(sock)


def test_head_gets_the_length_without_the_body(direct: bool) -> None:
    async def respond(request: Request) -> Reply:
        return Reply(200, {}, b"", length=7) if request.method == "HEAD" else Reply(200, {}, b"content")

    with Listening(respond, direct=direct) as listening, httpx.Client() as client:
        reply = client.head(listening.url)
        assert reply.headers["content-length"] == "7"
        assert reply.content == b""
        assert client.get(listening.url).content == b"content"


def test_pipelined_requests_are_answered_in_order(direct: bool) -> None:
    with Listening(echo, direct=direct) as listening:
        sock = listening.connect()
        sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(4)) + b"GET /4 HTTP/1.0\r\n\r\n")
        answers = read_to_end(sock)
        assert [answers.find(b'"/%d"' % n) for n in range(5)] == sorted(answers.find(b'"/%d"' % n) for n in range(5))
        assert answers.count(b" 200 OK") == 5


def test_an_exception_before_the_reply_is_an_empty_500(direct: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def respond(request: Request) -> Reply:
        raise RuntimeError(request.body.decode())

    with Listening(respond, direct=direct) as listening, httpx.Client() as client:
        reply = client.post(listening.url, content=b"a secret")
        assert (reply.status_code, reply.content) == (500, b"")
        assert "RuntimeError" in caplog.text
        assert "a secret" not in caplog.text


def test_an_exception_in_the_stream_cuts_the_connection(direct: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def respond(request: Request) -> Reply:
        async def body() -> AsyncGenerator[bytes, None]:
            yield b"begun"
            raise RuntimeError("a secret")

        return Reply(200, {}, GeneratedBody(body()))

    with Listening(respond, direct=direct) as listening, httpx.Client() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(listening.url)
        assert "a secret" not in caplog.text


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"], ids=["at once", "after 100-continue"])
def test_a_chunked_body_arrives_whole(direct: bool, expect: str) -> None:
    with Listening(echo, direct=direct) as listening:
        sock = listening.connect()
        sock.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{expect}Transfer-Encoding: chunked\r\n\r\n".encode())
        if expect:
            assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        sock.sendall(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        assert b'"hello world"' in read_until(sock, b"}")


async def repeat(request: Request) -> Reply:
    """The body, as it arrives."""

    async def body() -> AsyncGenerator[bytes, None]:
        if request.parts is None:  # it came with the head
            yield request.body
            return
        async for part in request.parts:
            yield part

    return Reply(200, {}, GeneratedBody(body()))


def test_a_body_can_be_answered_part_by_part(direct: bool) -> None:
    with Listening(repeat, direct=direct) as listening:
        sock = listening.connect()
        sock.sendall(b"POST /parts HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        sock.sendall(b"hello")
        assert read_until(sock, b"hello\r\n").endswith(b"\r\n\r\n5\r\nhello\r\n")
        sock.sendall(b"world")
        assert read_until(sock, b"0\r\n\r\n") == b"5\r\nworld\r\n0\r\n\r\n"
        sock.sendall(b"POST /parts HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi")
        assert read_to_end(sock).endswith(b"\r\n\r\nhi")


def test_a_client_that_leaves_within_its_body_is_no_longer_answered(direct: bool) -> None:
    broken = threading.Event()

    async def respond(request: Request) -> Reply:
        assert request.parts is not None
        try:
            async for _ in request.parts:
                pass
        except (ConnectionResetError, asyncio.CancelledError):
            broken.set()
            raise
        return Reply(200)

    with Listening(respond, direct=direct) as listening:
        sock = listening.connect()
        sock.sendall(b"POST /parts HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
        wait_for(listening.tasks)
        sock.close()
        assert broken.wait(2)
        wait_for(lambda: not listening.tasks())


def test_a_killed_flow_ends_the_stream() -> None:
    stepwise = Stepwise()
    with Listening(stepwise) as listening:
        sock = listening.connect()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        stepwise.go.release()
        read_until(sock, b"part 0\n\r\n")
        listening.call(listening.door.flows[0].kill)
        stepwise.go.release()
        assert read_to_end(sock) == b""
        wait_for(lambda: not listening.tasks())


def test_an_intercepted_flow_waits_and_then_is_answered() -> None:
    stepwise = Stepwise(parts=1)
    stepwise.go.release()
    with Listening(stepwise) as listening:
        listening.door.intercept = True
        sock = listening.connect()
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: listening.door.flows and listening.door.flows[0].intercepted)
        assert not stepwise.started.is_set()
        listening.call(listening.door.flows[0].resume)
        assert read_until(sock, b"0\r\n\r\n").endswith(b"part 0\n\r\n0\r\n\r\n")


def test_streamed_bodies_can_be_stored() -> None:
    stepwise = Stepwise(parts=2)
    for _ in range(2):
        stepwise.go.release()
    with Listening(stepwise, store_streamed_bodies=True) as listening, httpx.Client() as client:
        client.get(listening.url)
        response = listening.door.flows[0].response
        assert response is not None
        assert response.raw_content == b"part 0\npart 1\n"


def test_a_flow_without_a_client_is_answered_whole() -> None:
    stepwise = Stepwise(parts=2)
    for _ in range(2):
        stepwise.go.release()
    with Listening(stepwise) as listening:
        flow = tflow.tflow()
        assert listening.call(lambda: listening.door.upstream.attach(flow)) is False
        asyncio.run_coroutine_threadsafe(listening.door.upstream.answer(flow), listening.loop).result(10)
        assert flow.response is not None
        assert flow.response.content == b"part 0\npart 1\n"
        assert "transfer-encoding" not in flow.response.headers


class Http2Client:
    """A client that can reset one stream, which httpx never does."""

    def __init__(self, port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        self._socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        self.protocol = h2.connection.H2Connection()
        self.protocol.initiate_connection()
        self.data: dict[int, bytes] = collections.defaultdict(bytes)
        self.ended: set[int] = set()

    def get(self, path: str) -> int:
        stream: int = self.protocol.get_next_available_stream_id()
        head = [(":method", "GET"), (":path", path), (":scheme", "https"), (":authority", "x")]
        self.protocol.send_headers(stream, head, end_stream=True)
        self.flush()
        return stream

    def flush(self) -> None:
        self._socket.sendall(self.protocol.data_to_send())

    def read_until(self, condition: Callable[[], object]) -> None:
        while not condition():
            for event in self.protocol.receive_data(self._socket.recv(65536)):
                if isinstance(event, h2.events.DataReceived):
                    self.data[event.stream_id] += event.data
                elif isinstance(event, h2.events.StreamEnded):
                    self.ended.add(event.stream_id)
            self.flush()

    def close(self) -> None:
        self._socket.close()


def test_http_2_streams_are_independent(tmp_path: Path) -> None:
    by_path = {"/a": Stepwise(), "/b": Stepwise()}

    async def respond(request: Request) -> Reply:
        return await by_path[request.path](request)

    with Listening(respond, confdir=tmp_path) as listening, contextlib.closing(Http2Client(listening.port)) as client:
        a, b = client.get("/a"), client.get("/b")
        for stepwise in by_path.values():
            stepwise.go.release()
        client.read_until(lambda: client.data[a] == client.data[b] == b"part 0\n")
        client.protocol.reset_stream(b)
        client.flush()
        assert by_path["/b"].cancelled.wait(2)
        assert not by_path["/a"].cancelled.is_set()
        for _ in range(2):
            by_path["/a"].go.release()
        client.read_until(lambda: a in client.ended)
        assert client.data[a] == b"part 0\npart 1\npart 2\n"
        assert len({flow.client_conn.id for flow in listening.door.flows}) == 1
