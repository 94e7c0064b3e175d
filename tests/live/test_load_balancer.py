"""Replicas behind a real HAProxy with deploy/haproxy.cfg: what it does to streams, and what a restart is to clients."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import httpx
import pytest
from aiohttp import web
from ollama import AsyncClient, Client

from tests.live.proxy import ROOT, ProxyProcess, free_port
from tests.live.raw_http import Raw, post
from tests.patience import PATIENCE, wait_until
from tests.standins import Gate, ScriptedBackend, Sleep, Stream, ThreadedServer, WaitForClient, finish, role, text, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from tests.standins import Step

PROGRAM = "haproxy"
MODEL = "gpt-test"
QUESTION = [{"role": "user", "content": "Hello"}]
CHATS = 200
AT_A_TIME = 16
WORDS = [f"word{number} " for number in range(8)]
PAUSE = 0.05
"""Seconds between two words."""


@pytest.fixture(autouse=True)
def _haproxy_is_there() -> None:
    if shutil.which(PROGRAM) is None:
        missing = f"there is no {PROGRAM} (Debian, Ubuntu: apt install haproxy)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


class HAProxy:
    """HAProxy with the configuration as it is, in front of two ports."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "haproxy.log"
        replicas = {f"REPLICA_{number}": f"127.0.0.1:{port}" for number, port in enumerate(ports, 1)}
        self._environment = os.environ | replicas | {"BIND": f"127.0.0.1:{self.port}"}

    def __enter__(self) -> Self:
        command = [PROGRAM, "-db", "-f", str(ROOT / "deploy" / "haproxy.cfg")]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=subprocess.STDOUT)
        wait_until(lambda: self._process.poll() is not None or answers(self.url), self.log)
        assert self._process.poll() is None, self.log()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def answered_by(self, number: int) -> int:
        """How many chats a replica has answered."""
        return len(re.findall(rf'replicas/replica-{number} .* 200 .*"POST /api/chat ', self.log()))


class Replicas:
    """Two proxies in front of one back end."""

    def __init__(self, backend: ScriptedBackend) -> None:
        self.ports = [free_port(), free_port()]
        self._base_url = backend.base_url
        self._processes: list[ProxyProcess] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._processes = [stack.enter_context(self._new(port)) for port in self.ports]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def restart(self, number: int) -> tuple[int, str]:
        """Stop one as a service manager does, and start another one in its place; returns its status and what it logged."""
        former = self._processes[number - 1]
        status = former.stop()
        self._processes[number - 1] = self._stack.enter_context(self._new(self.ports[number - 1]))
        return status, former.log

    def _new(self, port: int) -> ProxyProcess:
        return ProxyProcess(PROXY_PORT=str(port), OPENAI_API_BASE_URL=self._base_url)


class Recorder(ThreadedServer):
    """A replica that is always ready, remembers what it is asked, and answers or drops the connection."""

    def __init__(self, *, cuts: bool = False) -> None:
        super().__init__()
        self._cuts = cuts

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/readyz", self._say_ready)
        app.router.add_route("*", "/{path:.*}", self._answer)

    async def _say_ready(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _answer(self, request: web.Request) -> web.Response:
        self._note_request(request, await request.read())
        if self._cuts:
            await self.cut(request)
        return web.json_response({"version": "0.0.1"})


def answers(url: str) -> bool:
    try:
        httpx.get(f"{url}/api/version", trust_env=False)
    except httpx.TransportError:
        return False
    return True


def spoken(words: list[str]) -> list[Step]:
    return [role(), *(step for word in words for step in (text(word), Sleep(PAUSE))), finish(), usage(5, len(words))]


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as backend:
        yield backend


@pytest.fixture
def replicas(backend: ScriptedBackend) -> Iterator[Replicas]:
    with Replicas(backend) as replicas:
        yield replicas


@pytest.fixture
def balancer(replicas: Replicas, tmp_path: Path) -> Iterator[HAProxy]:
    with HAProxy(tmp_path, replicas.ports) as balancer:
        yield balancer


@pytest.fixture
def client(balancer: HAProxy) -> Iterator[Client]:
    client = Client(balancer.url, trust_env=False)
    yield client
    client.close()


# -- Restarts ----------------------------------------------------------------------------------------------------------


class Clients:
    """Chats, so many at a time, until they are told that it is enough."""

    def __init__(self, url: str) -> None:
        self.complete = 0
        self.wrong: list[str] = []
        self.enough = False
        self._url = url

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(self._chat_on())

    async def _chat_on(self) -> None:
        client = AsyncClient(self._url, timeout=PATIENCE, trust_env=False)
        try:
            while not self.enough or self.complete + len(self.wrong) < CHATS:
                await self._chat(client)
        finally:
            await client.close()

    async def _chat(self, client: AsyncClient) -> None:
        said: list[str] = []
        ends: list[bool | None] = []
        trouble = ""
        try:
            async for part in await client.chat(MODEL, QUESTION, stream=True):
                said.append(part.message.content or "")
                ends.append(part.done)
        except Exception as error:  # whatever befalls a client counts
            trouble = repr(error)
        if trouble or "".join(said) != "".join(WORDS) or ends != [False] * (len(ends) - 1) + [True]:
            self.wrong.append(f"{trouble}: {said}, {ends}")
        else:
            self.complete += 1


async def test_no_answer_is_lost_while_each_replica_is_restarted(
    backend: ScriptedBackend, replicas: Replicas, balancer: HAProxy
) -> None:
    backend.reply_with(*[Stream(spoken(WORDS))] * CHATS * 10)
    clients = Clients(balancer.url)
    running = asyncio.create_task(clients.run())
    try:
        for number in (1, 2):
            await restart_amid(clients, replicas, balancer, number)
    finally:
        clients.enough = True
        await running
    assert clients.wrong == []
    assert clients.complete >= CHATS
    assert min(balancer.answered_by(1), balancer.answered_by(2)) >= CHATS // 5


async def restart_amid(clients: Clients, replicas: Replicas, balancer: HAProxy, number: int) -> None:
    before = clients.complete
    await reached(lambda: clients.complete >= before + CHATS // 5, clients, balancer)
    status, log = await asyncio.to_thread(replicas.restart, number)
    assert status == 0, log
    assert "Traceback" not in log
    # More than were under way when the former process ended. HAProxy may not have noticed a restart that was quick.
    answered = balancer.answered_by(number)
    await reached(lambda: balancer.answered_by(number) > answered + AT_A_TIME, clients, balancer)


async def reached(condition: Callable[[], bool], clients: Clients, balancer: HAProxy) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{clients.complete} chats, {clients.wrong}\n{balancer.log()}"
        await asyncio.sleep(0.05)


# -- Streams -----------------------------------------------------------------------------------------------------------


def test_a_frame_is_not_held_back(backend: ScriptedBackend, client: Client) -> None:
    seen = threading.Event()
    steps: list[Step] = [role(), text("Hello"), Gate(seen), text(" world"), finish(), usage(5, 2)]
    backend.reply_with(Stream(steps))
    parts = client.chat(MODEL, QUESTION, stream=True)
    assert next(parts).message.content == "Hello"
    seen.set()
    assert [part.message.content for part in parts] == [" world", ""]


def test_a_client_that_leaves_frees_the_back_end(backend: ScriptedBackend, balancer: HAProxy) -> None:
    backend.reply_with(Stream([text("Hello"), WaitForClient()]))
    body = {"model": MODEL, "messages": QUESTION}
    with httpx.stream("POST", f"{balancer.url}/api/chat", json=body, trust_env=False) as reply:
        next(reply.iter_lines())
    assert backend.wait_for_disconnect() is not None


def test_a_client_that_leaves_before_the_first_frame_frees_the_back_end(backend: ScriptedBackend, balancer: HAProxy) -> None:
    backend.reply_with(Stream([text("Hello")], before=[WaitForClient()]))
    with Raw(balancer.port) as connection:
        connection.send(post("/api/chat", {"model": MODEL, "messages": QUESTION}))
        wait_until(lambda: any(request.method == "POST" for request in backend.requests))
    assert backend.wait_for_disconnect() is not None


# -- Safety ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, {"model": MODEL}])
def test_what_has_reached_a_replica_is_never_sent_again(tmp_path: Path, body: object) -> None:
    with Recorder(cuts=True) as first, Recorder(cuts=True) as second, HAProxy(tmp_path, [first.port, second.port]) as balancer:
        first.requests.clear()
        second.requests.clear()
        reply = httpx.post(f"{balancer.url}/api/chat", json=body, trust_env=False)
        assert reply.status_code == 502
        assert reply.json() == {"error": "the replica ended before its answer"}
        assert len(first.requests) + len(second.requests) == 1


def test_a_replica_that_refuses_connections_is_passed_over(tmp_path: Path) -> None:
    with Recorder() as one, HAProxy(tmp_path, [free_port(), one.port]) as balancer:
        replies = [httpx.get(f"{balancer.url}/api/version", trust_env=False) for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200] * 4


def test_clients_are_told_in_their_own_terms_that_no_replica_is_ready(tmp_path: Path) -> None:
    with HAProxy(tmp_path, [free_port(), free_port()]) as balancer:
        reply = httpx.post(f"{balancer.url}/api/chat", json={}, trust_env=False, timeout=PATIENCE)
        assert (reply.status_code, reply.json()) == (503, {"error": "no replica is ready"})


def test_a_client_cannot_pretend_to_be_another_one(tmp_path: Path) -> None:
    with Recorder() as first, Recorder() as second, HAProxy(tmp_path, [first.port, second.port]) as balancer:
        httpx.get(f"{balancer.url}/api/tags", headers={"X-Forwarded-For": "192.0.2.1"}, trust_env=False)
        (request,) = [each for each in (*first.requests, *second.requests) if each.path == "/api/tags"]
        assert request.headers.getall("X-Forwarded-For") == ["127.0.0.1"]


def test_the_metrics_of_some_replica_are_not_for_clients(client: Client, balancer: HAProxy) -> None:
    assert httpx.get(f"{balancer.url}/metrics", trust_env=False).status_code == 404
    assert client.list().models
