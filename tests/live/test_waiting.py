"""A server that starts, or loads its model, keeps the client waiting and does not fail it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest

from tests.live.proxy import ProxyProcess, free_port
from tests.patience import PATIENCE, wait_until
from tests.standins import Error, ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = [{"role": "user", "content": "hi"}]
TEXT = "Hello world!"
LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
CALLS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": HELLO},
    "/api/generate": {"prompt": "hi"},
    "/api/embed": {"input": "hi"},
    "/v1/chat/completions": {"messages": HELLO, "stream": True},
    "/v1/completions": {"prompt": "hi"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 50},
    "/v1/responses": {"input": "hi", "stream": True},
    "/v1/embeddings": {"input": "hi"},
}


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(backend: ScriptedBackend) -> Iterator[ProxyProcess]:
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(backend: ScriptedBackend) -> None:
    backend.requests.clear()


def posts(backend: ScriptedBackend) -> list[str]:
    return [request.path for request in backend.requests if request.method == "POST"]


def loading(status: int, body: Any, **headers: str) -> Error:
    return Error(status, body, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("path", CALLS)
def test_a_server_that_loads_is_asked_again_by_each_api(proxy: ProxyProcess, backend: ScriptedBackend, path: str) -> None:
    # The path itself is known by then, and known to be missing, where the back end has only chat completions.
    httpx.post(proxy.url + path, json={"model": "gpt-test", **CALLS[path]}, timeout=PATIENCE).raise_for_status()
    backend.requests.clear()
    backend.reply_with(*[loading(503, LOADING)] * 3)
    reply = httpx.post(proxy.url + path, json={"model": "gpt-test", **CALLS[path]}, timeout=PATIENCE)
    assert reply.status_code == 200
    assert len(posts(backend)) == 4
    assert len(set(posts(backend))) == 1
    assert proxy.access(reply)["waits"] == 3


@pytest.mark.parametrize(
    "refusal",
    [
        loading(425, {"error": {"message": "Too Early"}}),
        loading(429, {"error": {"message": "cold start in progress, try again"}}, Retry_After="1"),
        loading(503, {"error": "Model org/model is currently loading", "estimated_time": 20.0}),
        loading(503, {"detail": "The model is not ready yet"}),
        loading(503, LOADING, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
    ],
)
def test_servers_say_in_several_ways_that_they_load(proxy: ProxyProcess, backend: ScriptedBackend, refusal: Error) -> None:
    backend.reply_with(refusal)
    reply = httpx.post(
        proxy.url + "/api/chat", json={"model": "gpt-test", "messages": HELLO, "stream": False}, timeout=PATIENCE
    )
    assert reply.json()["message"]["content"] == TEXT
    assert len(posts(backend)) == 2


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "refusal",
    [
        Error(503, {"error": {"message": "The engine is currently overloaded"}}),
        Error(429, {"error": {"message": "Rate limit reached"}}, headers={"Retry-After": "7"}),
        Error(500, {"error": {"message": "boom"}}),
        # More than the client would wait.
        Error(503, LOADING, headers={"Retry-After": "600"}),
    ],
)
def test_what_is_no_loading_is_told_at_once(proxy: ProxyProcess, backend: ScriptedBackend, path: str, refusal: Error) -> None:
    backend.reply_with(refusal)
    reply = httpx.post(proxy.url + path, json={"model": "gpt-test", "messages": HELLO}, timeout=PATIENCE)
    assert reply.status_code == refusal.status
    assert reply.headers.get("Retry-After") == refusal.headers.get("Retry-After")
    assert len(posts(backend)) == 1


@pytest.mark.parametrize("path", CALLS)
def test_a_server_that_starts_after_the_call_answers_the_call(path: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with ProxyProcess(OPENAI_API_BASE_URL=url, BACKEND_WAIT_SECONDS="100") as proxy:
        replies: list[httpx.Response] = []

        def call() -> None:
            replies.append(httpx.post(proxy.url + path, json={"model": "gpt-test", **CALLS[path]}, timeout=PATIENCE))

        caller = threading.Thread(target=call)
        caller.start()
        wait_until(lambda: "waiting for the server" in proxy.log)
        with ScriptedBackend(port=port):
            caller.join(PATIENCE)
        assert [reply.status_code for reply in replies] == [200], replies[0].text


def test_a_server_that_is_away_is_told_at_once_where_no_time_was_set() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    with ProxyProcess(OPENAI_API_BASE_URL=url) as proxy:
        for path, call in CALLS.items():
            reply = httpx.post(proxy.url + path, json={"model": "gpt-test", **call}, timeout=PATIENCE)
            assert reply.status_code == 502, path
            assert "waits" not in proxy.access(reply)


def test_a_time_of_nothing_waits_for_nothing(backend: ScriptedBackend) -> None:
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, BACKEND_WAIT_SECONDS="0") as proxy:
        backend.requests.clear()
        backend.reply_with(loading(503, LOADING))
        reply = httpx.post(proxy.url + "/api/chat", json={"model": "gpt-test", "messages": HELLO}, timeout=PATIENCE)
        assert (reply.status_code, reply.json()) == (503, {"error": "Loading model"})
        assert len(posts(backend)) == 1


def test_the_official_sdks_wait_as_well(proxy: ProxyProcess, backend: ScriptedBackend) -> None:
    backend.reply_with(*[loading(503, LOADING)] * 2)
    client = openai.OpenAI(base_url=proxy.url + "/v1", api_key="none", max_retries=0, timeout=PATIENCE)
    stream = client.chat.completions.create(model="gpt-test", messages=[{"role": "user", "content": "hi"}], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == TEXT
    backend.reply_with(*[loading(503, LOADING)] * 2)
    claude = anthropic.Anthropic(base_url=proxy.url, api_key="none", max_retries=0, timeout=PATIENCE)
    with claude.messages.stream(model="gpt-test", max_tokens=50, messages=[{"role": "user", "content": "hi"}]) as message:
        assert message.get_final_text() == TEXT


def test_a_client_that_leaves_ends_the_waiting() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    with ProxyProcess(OPENAI_API_BASE_URL=url, BACKEND_WAIT_SECONDS="3600") as proxy:
        call = {"model": "m", "messages": HELLO}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(proxy.url + "/api/chat", json=call, timeout=1)
        wait_until(lambda: '"client_gone": true' in proxy.log)
