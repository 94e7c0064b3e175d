"""A proxy that is told to stop: running answers end in order, new clients go elsewhere, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.live.cut_streams import CUT_AFTER_ERRORS, read_stream
from tests.live.proxy import Door, ProxyProcess
from tests.live.raw_http import Raw, post
from tests.patience import PATIENCE
from tests.standins import Done, ScriptedBackend, Sleep, Stream, StrictOllama, finish, role, text

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = [{"role": "user", "content": "hello"}]


@contextmanager
def running(door: Door = "console", **settings: str) -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with (
        ScriptedBackend() as backend,
        ProxyProcess(door=door, OPENAI_API_BASE_URL=backend.base_url, **settings) as proxy,  # type: ignore[arg-type]  # texts
    ):
        httpx.get(f"{proxy.url}/api/tags", trust_env=False)
        yield backend, proxy


def speak_for(backend: ScriptedBackend, seconds: float) -> None:
    """Let the next answer take a while."""
    pieces = [step for _ in range(round(seconds * 10)) for step in (text("x"), Sleep(0.1))]
    backend.reply_with(Stream([role(), *pieces, finish(), Done()]))


@contextmanager
def asking(url: str, path: str = "/api/chat", **body: Any) -> Iterator[Future[httpx.Response]]:
    """A client that has the first part of its answer, or would have if it were streamed."""
    question = {"model": "gpt-test", "messages": HELLO} | body
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(httpx.post, url + path, json=question, timeout=PATIENCE, trust_env=False)


def wait_for_call(backend: ScriptedBackend, calls: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE
    while sum(request.method == "POST" for request in backend.requests) < calls:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("door", ["console", "mitmdump"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_answer_that_ends_in_time_is_complete(door: Door, stream: bool) -> None:
    with running(door) as (backend, proxy):
        speak_for(backend, 1)
        with asking(proxy.url, stream=stream) as answer:
            wait_for_call(backend)
            assert proxy.stop() == 0
            last = json.loads(answer.result().text.splitlines()[-1])
        assert (last["done"], last["done_reason"]) == (True, "stop")


@pytest.mark.parametrize(
    ("path", "further"),
    [
        ("/api/chat", {}),
        ("/api/generate", {"prompt": "hello"}),
        ("/v1/chat/completions", {"stream": True}),
        ("/v1/responses", {"stream": True, "input": "hello"}),
        ("/v1/messages", {"stream": True, "max_tokens": 5}),
    ],
)
def test_the_rest_is_ended_with_an_error_that_its_client_understands(path: str, further: dict[str, Any]) -> None:
    with running(DRAIN_SECONDS="0.5") as (backend, proxy):
        speak_for(backend, 20)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(read_stream, proxy.url, path, {"model": "gpt-test", "messages": HELLO} | further)
            wait_for_call(backend)
            assert proxy.stop() == 0
            lines = answer.result().lines
        assert answer.result().cut == (path in CUT_AFTER_ERRORS)
        error = json.loads(lines[-1].removeprefix("data: "))["error"]
        assert "shutting down" in (error if isinstance(error, str) else error["message"])
        assert "Traceback" not in proxy.log


def test_a_whole_answer_that_does_not_end_in_time_becomes_an_error_with_a_status() -> None:
    with running(DRAIN_SECONDS="0.5") as (backend, proxy):
        speak_for(backend, 20)
        with asking(proxy.url, stream=False) as answer:
            wait_for_call(backend)
            assert proxy.stop() == 0
        assert answer.result().status_code == 503
        assert answer.result().json() == {"error": "the proxy is shutting down: try again"}


@pytest.mark.parametrize("door", ["console", "mitmdump"])
def test_a_second_signal_ends_it_at_once(door: Door) -> None:
    with running(door) as (backend, proxy):
        speak_for(backend, 20)
        with asking(proxy.url) as answer:
            wait_for_call(backend)
            os.kill(proxy.pid, signal.SIGTERM)
            wait_until_closed(proxy.port)
            assert proxy.stop() == 0
        assert "shutting down" in answer.result().text


def test_nobody_is_let_in_any_more_and_load_balancers_are_told() -> None:
    with running() as (backend, proxy), httpx.Client(trust_env=False, timeout=PATIENCE) as early:
        assert early.get(f"{proxy.url}/readyz").status_code == 200
        speak_for(backend, 2)
        with asking(proxy.url) as answer:
            wait_for_call(backend)
            os.kill(proxy.pid, signal.SIGTERM)
            wait_until_closed(proxy.port)
            ready = early.get(f"{proxy.url}/readyz")
            assert (ready.status_code, ready.json(), ready.headers["connection"]) == (503, {"status": "draining"}, "close")
            assert proxy.exit_code() == 0
            assert '"done":true' in answer.result().text


@pytest.mark.parametrize("door", ["console", "mitmdump"])
@pytest.mark.parametrize("sent", [0, 10, -5], ids=["nothing", "some of its head", "some of its body"])
def test_who_is_still_asking_is_answered(door: Door, sent: int) -> None:
    question = post("/api/chat", json.dumps({"model": "gpt-test", "messages": HELLO}).encode())
    with running(door) as (backend, proxy), Raw(proxy.port) as client:
        speak_for(backend, 0.1)
        client.send(question[:sent])
        wait_until_accepted(proxy)
        os.kill(proxy.pid, signal.SIGTERM)
        wait_until_closed(proxy.port)
        client.send(question[sent:])
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert json.loads(answer.body.splitlines()[-1])["done"]
        assert proxy.exit_code() == 0


def test_who_does_not_ask_in_time_is_told_so() -> None:
    question = post("/api/chat", json.dumps({"model": "gpt-test", "messages": HELLO}).encode())
    with running(DRAIN_SECONDS="0.5") as (_, proxy), Raw(proxy.port) as client:
        client.send(question[:-1])
        wait_until_accepted(proxy)
        assert proxy.stop() == 0
        answer = client.answer()
        assert (answer.status, answer.json) == (503, {"error": "the proxy is shutting down: try again"})


def test_who_has_nothing_to_ask_is_not_waited_for() -> None:
    with running() as (_, proxy), Raw(proxy.port), httpx.Client(trust_env=False) as client:
        assert client.get(f"{proxy.url}/api/version").status_code == 200
        assert proxy.stop() == 0


def test_an_answer_that_waits_for_a_slow_reader_is_sent_whole() -> None:
    big = "x" * (1 << 22)
    with running() as (backend, proxy), Raw(proxy.port, receive_buffer=1 << 12) as client:
        backend.reply_with(Stream([role(), text(big), finish(), Done()]))
        client.send(post("/api/chat", json.dumps({"model": "gpt-test", "messages": HELLO, "stream": False}).encode()))
        wait_for_call(backend)
        time.sleep(0.5)
        os.kill(proxy.pid, signal.SIGTERM)
        wait_until_closed(proxy.port)
        time.sleep(0.5)
        assert client.answer().json["message"]["content"] == big


def test_fix_mode_ends_its_streams_as_well() -> None:
    with (
        StrictOllama() as upstream,
        ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url, DRAIN_SECONDS="0.3") as proxy,
    ):
        upstream.frame_delay = 2
        with asking(proxy.url, model="tiny") as answer:
            while not any(request.method == "POST" for request in upstream.requests):
                time.sleep(0.01)
            assert proxy.stop() == 0
        assert answer.result().text.endswith('{"error":"the proxy is shutting down: try again"}\n')
        assert upstream.wait_for_disconnect() is not None


def test_nothing_is_left_behind_when_it_stops_under_way() -> None:
    with running(DRAIN_SECONDS="0", LOG_LEVEL="debug", PYTHONASYNCIODEBUG="1") as (backend, proxy):
        for _ in range(3):
            speak_for(backend, 20)
        with asking(proxy.url), asking(proxy.url), asking(proxy.url, "/v1/chat/completions", stream=True):
            wait_for_call(backend, 3)
            assert proxy.stop() == 0
        for sign in ("never retrieved", "was destroyed", "never awaited", "Unclosed", "Traceback", "ResourceWarning"):
            assert sign not in proxy.log


def wait_until_accepted(proxy: ProxyProcess) -> None:
    """Until all connections that are open have been accepted, which happens in the order in which they were opened."""
    assert httpx.get(f"{proxy.url}/healthz", trust_env=False).status_code == 200


def wait_until_closed(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.01)
    raise AssertionError("the proxy still listens")
