"""A model whose server fails is answered by the next, and what the client gets is always one server's answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import ollama
import openai
import pytest

from tests.live.proxy import ProxyProcess, free_port
from tests.patience import PATIENCE
from tests.standins import (
    Chunk,
    Cut,
    Delta,
    End,
    Error,
    Raw,
    ScriptedBackend,
    Sleep,
    Stream,
    Whole,
    finish,
    message_events,
    response_events,
    role,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HELLO = [{"role": "user", "content": "hi"}]
TEXT = "Hello world!"
FILE = """
[backends.first]
url = "{first}"
[backends.second]
url = "{second}"
[backends.away]
url = "http://127.0.0.1:{away}/v1"

[models.main]
backend = "first"
model = "gpt-first"
fallback = ["unknown", "other"]
[models.other]
backend = "second"
model = "gpt-second"
[models.gone]
backend = "away"
model = "gpt-away"
fallback = ["other"]
[models.twice]
backend = "away"
model = "gpt-away"
fallback = ["gone", "main", "other"]
[models.alone]
backend = "first"
model = "gpt-first"
[models.nobody]
backend = "away"
fallback = ["gone-too"]
[models.gone-too]
backend = "away"
"""
PATHS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": HELLO},
    "/api/generate": {"prompt": "hi"},
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/completions": {"prompt": "hi"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 50},
    "/v1/responses": {"input": "hi"},
}
EMBEDDING_PATHS: dict[str, dict[str, Any]] = {
    "/api/embed": {"input": "hi"},
    "/api/embeddings": {"prompt": "hi"},
    "/v1/embeddings": {"input": "hi"},
}
SERVER_ERRORS = [
    *(Error(status) for status in (500, 502, 503, 504, 529, 402)),
    Error(429, headers={"Retry-After": "3600"}),
    Cut(),
]
BEFORE_CONTENT: dict[str, list[Any]] = {
    "comments": [Raw(b": ping\n\n: ping\n\n")],
    "nothing": [],
    "role": [role()],
    "empty": [role(), text(""), Raw(b": PROCESSING\n\n"), Delta({"content": None, "reasoning": None})],
}


@pytest.fixture(scope="module", params=[False, True], ids=["chat only", "everything"])
def servers(request: pytest.FixtureRequest) -> Iterator[tuple[ScriptedBackend, ScriptedBackend]]:
    everything = request.param
    with ScriptedBackend(everything=everything) as first, ScriptedBackend(everything=everything) as second:
        yield first, second


@pytest.fixture(scope="module")
def proxy(servers: tuple[ScriptedBackend, ScriptedBackend], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    first, second = servers
    path: Path = tmp_path_factory.mktemp("models") / "models.toml"
    path.write_text(FILE.format(first=first.base_url, second=second.base_url, away=free_port()))
    with ProxyProcess(OPENAI_API_BASE_URL=first.base_url, MODELS_FILE=str(path)) as running:
        for name, call in PATHS.items():
            # Which paths a server has is known then.
            for model in ("alone", "other"):
                httpx.post(running.url + name, json={"model": model, **call}, timeout=PATIENCE).raise_for_status()
        yield running


@pytest.fixture(autouse=True)
def _fresh(servers: tuple[ScriptedBackend, ScriptedBackend]) -> Iterator[None]:
    for server in servers:
        server.requests.clear()
    yield
    for server in servers:
        server._scripts.clear()


def post(proxy: ProxyProcess, path: str, model: str, **more: Any) -> httpx.Response:
    call = (PATHS | EMBEDDING_PATHS)[path]
    return httpx.post(proxy.url + path, json={"model": model, **call, **more}, timeout=PATIENCE)


def posts(server: ScriptedBackend) -> list[Any]:
    return [request.json["model"] for request in server.requests if request.method == "POST"]


def said(path: str, reply: httpx.Response) -> str:
    """The text of an answer of any of the APIs, streamed or whole."""
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith(("data: ", "{"))]
    return "".join(_piece(path, json.loads(line)) for line in lines if line != "[DONE]")


def _piece(path: str, event: dict[str, Any]) -> str:
    assert "error" not in event or event["error"] is None, event
    match event:
        case {"message": {"content": str(piece)}} | {"response": str(piece)}:
            return piece
        case {"choices": [{"delta": delta}]}:
            return delta.get("content") or ""
        case {"choices": [{"message": message}]}:
            return str(message["content"])
        case {"choices": [{"text": piece}]}:
            return str(piece)
        case {"type": "content_block_delta", "delta": {"text": piece}}:
            return str(piece)
        case {"type": "response.output_text.delta", "delta": str(piece)}:
            return piece
        case {"type": "message", "content": [{"text": piece}]}:
            return str(piece)
        case {"object": "response", "output": [{"content": [{"text": piece}]}]}:
            return str(piece)
    return ""


def fail_next_call(backend: ScriptedBackend, failure: Any) -> None:
    """Let a call fail; one whose connection is cut before any answer is made once more."""
    backend.reply_with(*[failure] * (2 if isinstance(failure, Cut) else 1))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("failure", SERVER_ERRORS, ids=lambda failure: str(getattr(failure, "status", "cut")))
@pytest.mark.parametrize("path", PATHS)
def test_the_next_model_answers_for_a_server_that_fails(
    proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend], path: str, failure: Any, stream: bool
) -> None:
    first, second = servers
    fail_next_call(first, failure)
    reply = post(proxy, path, "main", stream=stream)
    assert reply.status_code == 200, reply.text
    assert said(path, reply) == TEXT
    assert (set(posts(first)), posts(second)) == ({"gpt-first"}, ["gpt-second"])
    line = proxy.access(reply)
    assert (line["model"], line["fallback"], line["backend"]) == ("main", "other", "second")


@pytest.mark.parametrize("path", [*PATHS, *EMBEDDING_PATHS])
def test_the_next_model_answers_for_a_server_that_is_away(
    proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend], path: str
) -> None:
    reply = post(proxy, path, "gone")
    assert reply.status_code == 200
    assert proxy.access(reply)["fallback"] == "other"
    assert "gpt-second" not in reply.text


@pytest.mark.parametrize("failure", [Error(500), Error(429), Cut()], ids=["500", "429", "cut"])
@pytest.mark.parametrize("path", EMBEDDING_PATHS)
def test_embeddings_fall_back(
    proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend], path: str, failure: Any
) -> None:
    first, second = servers
    fail_next_call(first, failure)
    assert post(proxy, path, "main").status_code == 200
    assert (set(posts(first)), posts(second)) == ({"gpt-first"}, ["gpt-second"])


def test_models_are_asked_in_order(proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend]) -> None:
    first, second = servers
    first.reply_with(Error(500))
    reply = post(proxy, "/api/chat", "twice", stream=False)
    assert reply.json()["model"] == "twice"
    assert (set(posts(first)), posts(second)) == ({"gpt-first"}, ["gpt-second"])


@pytest.mark.parametrize("path", PATHS)
def test_where_all_fail_the_error_of_the_first_is_told(
    proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend], path: str
) -> None:
    first, second = servers
    first.reply_with(Error(429, {"error": {"message": "slow down"}}, headers={"Retry-After": "17"}))
    second.reply_with(Error(500, {"error": {"message": "boom"}}))
    reply = post(proxy, path, "main")
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "17")
    assert "slow down" in reply.text
    assert "boom" not in reply.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
@pytest.mark.parametrize("path", PATHS)
def test_an_error_about_the_call_is_told(
    proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend], path: str, status: int
) -> None:
    first, second = servers
    first.reply_with(Error(status, {"error": {"message": "the model does not like it", "param": "model"}}))
    assert post(proxy, path, "main").status_code == status
    assert posts(second) == []


def test_a_server_that_nobody_stands_in_for_is_told_as_ever(proxy: ProxyProcess) -> None:
    for path in PATHS:
        reply = post(proxy, path, "nobody")
        assert reply.status_code == 502
        assert "cannot connect" in reply.text


def before(server: ScriptedBackend, path: str, kind: str) -> list[Any]:
    if server.everything and path == "/v1/messages":
        return [] if kind == "nothing" else [Chunk(message_events([])[0]), Chunk({"type": "ping"})]
    if server.everything and path == "/v1/responses":
        return [] if kind == "nothing" else [Chunk(event) for event in response_events(["-"])[:3]]
    return BEFORE_CONTENT[kind]


@pytest.mark.parametrize("end", [Cut(), End(), Chunk({"type": "error", "error": {"message": "overloaded"}})], ids=str)
@pytest.mark.parametrize("kind", BEFORE_CONTENT)
@pytest.mark.parametrize("path", PATHS)
def test_a_stream_that_ends_before_its_first_content_is_answered_by_the_next(
    proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend], path: str, kind: str, end: Any
) -> None:
    first, second = servers
    first.reply_with(Stream([*before(first, path, kind), end]))
    reply = post(proxy, path, "main", stream=True)
    assert reply.status_code == 200
    assert said(path, reply) == TEXT
    assert posts(second) == ["gpt-second"]
    for event in ("message_start", "response.created", '"role":"assistant","content":""'):
        assert reply.text.count(f'"type":"{event}"' if "role" not in event else event) <= 1


CONTENT = [role(), text("One")]


def content_of(server: ScriptedBackend, path: str) -> list[Any]:
    if server.everything and path == "/v1/messages":
        return [Chunk(event) for event in message_events(["One"])[:3]]
    if server.everything and path == "/v1/responses":
        return [Chunk(event) for event in response_events(["One"])[:4]]
    return CONTENT


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_whose_content_has_begun_is_never_restarted(
    proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend], path: str
) -> None:
    first, second = servers
    first.reply_with(Stream([*content_of(first, path), Sleep(0.2), Cut()]))
    with httpx.stream(
        "POST", proxy.url + path, json={"model": "main", **PATHS[path], "stream": True}, timeout=PATIENCE
    ) as reply:
        try:
            body = b"".join(reply.iter_raw())
        except httpx.RemoteProtocolError:
            body = b""
    assert b"world" not in body
    assert posts(second) == []


@pytest.fixture(scope="module")
def pinging(
    servers: tuple[ScriptedBackend, ScriptedBackend], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyProcess]:
    first, second = servers
    path: Path = tmp_path_factory.mktemp("models") / "models.toml"
    path.write_text(FILE.format(first=first.base_url, second=second.base_url, away=free_port()))
    with ProxyProcess(OPENAI_API_BASE_URL=first.base_url, MODELS_FILE=str(path), HEARTBEAT_SECONDS="0.05") as running:
        yield running


@pytest.mark.parametrize("kind", ["nothing", "comments"])
@pytest.mark.parametrize("failure", ["status", "stream"])
@pytest.mark.parametrize("path", PATHS)
def test_the_next_model_answers_also_after_pings(
    pinging: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend], path: str, failure: str, kind: str
) -> None:
    first, second = servers
    slow = [Sleep(0.4)]
    script = Error(500, before=slow) if failure == "status" else Stream([*before(first, path, kind), *slow, Cut()], before=slow)
    first.reply_with(script)
    reply = post(pinging, path, "main", stream=True)
    assert said(path, reply) == TEXT
    assert posts(second)[-1] == "gpt-second"
    line = pinging.access(reply)
    assert line["heartbeats"] > 0
    assert line["fallback"] == "other"
    for event in ("message_start", "response.created"):
        assert reply.text.count(f'"type":"{event}"') <= 1


def test_the_official_sdks_read_a_stream_of_the_second_server_after_pings(
    pinging: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend]
) -> None:
    first, _ = servers
    slow = Error(500, before=[Sleep(0.4)])
    first.reply_with(slow)
    client = ollama.Client(pinging.url, timeout=PATIENCE)
    frames = client.chat("main", [{"role": "user", "content": "hi"}], stream=True)
    assert "".join(frame.message.content or "" for frame in frames) == TEXT
    first.reply_with(slow)
    sdk = openai.OpenAI(base_url=pinging.url + "/v1", api_key="none", max_retries=0, timeout=PATIENCE)
    chunks = sdk.chat.completions.create(model="main", messages=[{"role": "user", "content": "hi"}], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    first.reply_with(slow)
    with sdk.responses.stream(model="main", input="hi") as events:
        assert events.get_final_response().output_text == TEXT
    first.reply_with(slow)
    claude = anthropic.Anthropic(base_url=pinging.url, api_key="none", max_retries=0, timeout=PATIENCE)
    with claude.messages.stream(model="main", max_tokens=50, messages=[{"role": "user", "content": "hi"}]) as message:
        assert message.get_final_text() == TEXT


def test_an_error_that_looks_like_an_answer_is_no_answer(
    proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend]
) -> None:
    first, second = servers
    for path in ("/api/chat", "/v1/chat/completions"):
        second.requests.clear()
        first.reply_with(Whole({"error": {"message": "we are at capacity", "code": 503}}))
        reply = post(proxy, path, "main", stream=False)
        assert said(path, reply) == TEXT
        assert posts(second) == ["gpt-second"]


def test_metrics_count_who_stood_in(proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend]) -> None:
    servers[0].reply_with(Error(500))
    post(proxy, "/api/chat", "main")
    metrics = httpx.get(proxy.url + "/metrics", timeout=PATIENCE).text
    assert 'ollama_proxy_fallbacks_total{backend="second"}' in metrics


def test_an_answer_without_content_is_an_answer(proxy: ProxyProcess, servers: tuple[ScriptedBackend, ScriptedBackend]) -> None:
    first, second = servers
    for path in ("/api/chat", "/v1/chat/completions"):
        first.reply_with(Stream([role(), finish("stop")]))
        assert post(proxy, path, "main", stream=True).status_code == 200
        assert posts(second) == []
