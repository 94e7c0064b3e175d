"""While a model loads, a streamed call gets empty frames, and no client notices."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import ollama
import pytest

from tests.live.proxy import ProxyProcess
from tests.live.test_fix_mode import receive_until
from tests.patience import PATIENCE
from tests.standins import Error, Gate, Mangler, ScriptedBackend, Stream, StrictOllama, WaitForClient, Whole, text
from tests.standins import chat_completion as completion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

BEAT = 0.1
LOADING = 0.35
HELLO = [{"role": "user", "content": "Why?"}]
CALLS: dict[str, dict[str, Any]] = {"/api/chat": {"messages": HELLO}, "/api/generate": {"prompt": "Why?"}}
FAILURE = "llama runner process has terminated: <signal: killed>"


@pytest.fixture(scope="module")
def ollama_server() -> Iterator[StrictOllama]:
    with StrictOllama() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(ollama_server: StrictOllama) -> Iterator[ProxyProcess]:
    with ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=ollama_server.url, HEARTBEAT_SECONDS=str(BEAT)) as running:
        yield running


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    """Translate mode."""
    with (
        ScriptedBackend() as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, HEARTBEAT_SECONDS=str(BEAT)) as running,
    ):
        yield backend, running


@pytest.fixture
def upstream(ollama_server: StrictOllama) -> Iterator[StrictOllama]:
    """An Ollama that loads its model for a while."""
    ollama_server.first_frame_delay = LOADING
    ollama_server.requests.clear()
    ollama_server.sent.clear()
    yield ollama_server
    assert ollama_server.wait_idle()
    ollama_server.first_frame_delay = ollama_server.frame_delay = 0
    ollama_server.failure = ollama_server.cut_after = None


def stream_lines(url: str, path: str, body: dict[str, Any], status: int = 200) -> list[bytes]:
    """The lines of a streamed reply, with their ends."""
    with httpx.stream("POST", url + path, json=body, trust_env=False, timeout=PATIENCE) as response:
        assert response.status_code == status
        assert response.headers["Content-Type"] == "application/x-ndjson"
        return b"".join(response.iter_raw()).splitlines(keepends=True)


def without_silence(lines: Iterable[bytes], path: str, model: str) -> list[bytes]:
    """The lines that are no empty frames. The first two have to be; on a busy machine there may be some between others, too."""
    told = list(lines)
    empty = {"message": {"role": "assistant", "content": ""}} if path == "/api/chat" else {"response": ""}
    filler = {"model": model, "created_at": "", "done": False} | empty
    silent = [{**json.loads(line), "created_at": ""} == filler for line in told]
    assert all(silent[:2])
    return [line for line, is_filler in zip(told, silent, strict=True) if not is_filler]


# -- In front of Ollama ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("model", ["tiny", "Tiny:latest"])
def test_while_ollama_loads_its_model_empty_frames_come_and_then_its_own(
    upstream: StrictOllama, proxy: ProxyProcess, path: str, model: str
) -> None:
    lines = stream_lines(proxy.url, path, {"model": model} | CALLS[path])
    assert without_silence(lines, path, model) == [piece for _, piece in upstream.sent]


def test_the_first_of_them_comes_in_time_and_the_rest_as_ollama_sends_them(upstream: StrictOllama, proxy: ProxyProcess) -> None:
    upstream.frame_delay = 0.05
    begun = time.monotonic()
    with httpx.stream("POST", f"{proxy.url}/api/chat", json={"model": "tiny", "messages": HELLO}, trust_env=False) as response:
        arrivals = [(time.monotonic(), piece) for piece in response.iter_raw()]
    assert arrivals[0][0] - begun >= BEAT
    own = [piece for _, piece in upstream.sent]
    assert [piece for _, piece in arrivals[-len(own) :]] == own
    assert len(arrivals) > len(own), "no empty frame came while the model loaded"


@pytest.mark.parametrize("path", CALLS)
def test_where_ollama_answers_in_time_there_are_none(upstream: StrictOllama, proxy: ProxyProcess, path: str) -> None:
    upstream.first_frame_delay = 0
    upstream.frame_delay = 0.02
    lines = stream_lines(proxy.url, path, {"model": "tiny"} | CALLS[path])
    own = [piece for _, piece in upstream.sent]
    # On a busy machine Ollama is not in time everywhere.
    assert [line for line in lines if line in own] == own
    assert len(lines) < len(own) + 5


def test_they_come_between_the_frames_of_a_slow_answer_too(upstream: StrictOllama, proxy: ProxyProcess) -> None:
    upstream.frame_delay = 4 * BEAT
    lines = stream_lines(proxy.url, "/api/chat", {"model": "tiny", "messages": HELLO})
    own = [piece for _, piece in upstream.sent]
    assert without_silence(lines, "/api/chat", "tiny") == own
    assert len(lines[lines.index(own[0]) :]) > len(own)


@pytest.mark.parametrize("path", CALLS)
def test_an_error_that_comes_late_is_the_last_frame(upstream: StrictOllama, proxy: ProxyProcess, path: str) -> None:
    upstream.failure = FAILURE
    lines = stream_lines(proxy.url, path, {"model": "tiny"} | CALLS[path])
    (last,) = without_silence(lines, path, "tiny")
    assert json.loads(last) == {"error": FAILURE}
    assert last.endswith(b"}\n")


def test_an_ollama_that_dies_while_it_loads_ends_the_stream_with_an_error(upstream: StrictOllama, proxy: ProxyProcess) -> None:
    upstream.cut_after = 0
    (last,) = without_silence(stream_lines(proxy.url, "/api/chat", {"model": "tiny"} | CALLS["/api/chat"]), "/api/chat", "tiny")
    assert "broke off" in json.loads(last)["error"]


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"model":3}', b'{"model":"nonsense","messages":[]}', b'{"model":"tiny","think":true}'],
)
def test_an_error_that_comes_in_time_has_its_status(upstream: StrictOllama, proxy: ProxyProcess, content: bytes) -> None:
    direct, through = (httpx.post(f"{url}/api/chat", content=content, trust_env=False) for url in (upstream.url, proxy.url))
    assert direct.status_code >= 400
    assert (through.status_code, through.content) == (direct.status_code, direct.content)


@pytest.mark.parametrize("failure", [None, FAILURE])
@pytest.mark.parametrize("path", CALLS)
def test_a_call_that_is_not_streamed_just_waits(
    upstream: StrictOllama, proxy: ProxyProcess, path: str, failure: str | None
) -> None:
    upstream.failure = failure
    body = {"model": "tiny", "stream": False} | CALLS[path]
    response = httpx.post(f"{proxy.url}{path}", json=body, trust_env=False)
    assert response.status_code == (500 if failure else 200)
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Content-Length" in response.headers
    assert response.json().get("error") == failure


def test_other_calls_just_wait_as_well(upstream: StrictOllama, proxy: ProxyProcess) -> None:
    lines = stream_lines(proxy.url, "/api/pull", {"model": "another"})
    assert lines == [piece for _, piece in upstream.sent]
    assert httpx.put(f"{proxy.url}/api/version", trust_env=False).status_code == 200


def test_a_client_that_leaves_during_the_silence_frees_ollama(upstream: StrictOllama, proxy: ProxyProcess) -> None:
    upstream.first_frame_delay = 10
    leave_after_a_beat(proxy.port, "/api/chat", {"model": "tiny", "messages": HELLO})
    noticed = upstream.wait_for_disconnect()
    assert noticed is not None


def leave_after_a_beat(port: int, path: str, body: dict[str, Any]) -> float:
    """Call, read one empty frame, hang up; returns when that was."""
    content = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
        raw.sendall(
            b"GET %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(content), content)
        )
        receive_until(raw, b'"done":false')
        return time.monotonic()


# -- The official SDK --------------------------------------------------------------------------------------------------


def said(parts: Iterable[Any]) -> tuple[str, dict[str, Any]]:
    """The text of a streamed answer, and its last part without times."""
    *some, last = list(parts)
    words = "".join(part.message.content if "message" in part else part.response for part in [*some, last])
    return words, {name: value for name, value in last.model_dump().items() if name != "created_at"}


async def collected(parts: AsyncIterator[Any]) -> list[Any]:
    return [part async for part in parts]


def ask(url: str, path: str, *, sync: bool) -> list[Any]:
    """The parts of a streamed call of the SDK."""
    if sync:
        with ollama.Client(url, trust_env=False) as sdk:
            return list(
                sdk.chat("tiny", HELLO, stream=True) if path == "/api/chat" else sdk.generate("tiny", "Why?", stream=True)
            )

    async def ask_async() -> list[Any]:
        async with ollama.AsyncClient(url, trust_env=False) as sdk:
            if path == "/api/chat":
                return await collected(await sdk.chat("tiny", HELLO, stream=True))
            return await collected(await sdk.generate("tiny", "Why?", stream=True))

    return asyncio.run(ask_async())


@pytest.mark.parametrize("sync", [True, False], ids=["Client", "AsyncClient"])
@pytest.mark.parametrize("path", CALLS)
def test_the_sdk_gets_the_text_and_the_last_frame_that_it_gets_without_heartbeats(
    upstream: StrictOllama, proxy: ProxyProcess, path: str, sync: bool
) -> None:
    with Mangler(proxy.url) as pod:
        through = ask(pod.url, path, sync=sync)
    upstream.first_frame_delay = 0
    direct = ask(upstream.url, path, sync=sync)
    assert said(through) == said(direct)
    assert len(through) >= len(direct) + 2


@pytest.mark.parametrize("sync", [True, False], ids=["Client", "AsyncClient"])
def test_the_sdk_raises_an_error_that_comes_late(upstream: StrictOllama, proxy: ProxyProcess, sync: bool) -> None:
    upstream.failure = FAILURE
    with pytest.raises(ollama.ResponseError) as raised:
        ask(proxy.url, "/api/chat", sync=sync)
    assert raised.value.error == FAILURE


# -- In front of an OpenAI-compatible server ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", CALLS)
def test_while_the_back_end_is_silent_empty_frames_come(backend: ScriptedBackend, url: str, path: str) -> None:
    spoken = threading.Event()
    backend.reply_with(Stream([text("Well"), text(" well")], before=[Gate(spoken)]))
    lines = []
    with httpx.stream("POST", url + path, json={"model": "gpt-test"} | CALLS[path], trust_env=False) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            lines.append(line.encode())
            if len(lines) == 2:
                spoken.set()
    rest = [json.loads(line) for line in without_silence(lines, path, "gpt-test")]
    words = [frame["message"]["content"] if path == "/api/chat" else frame["response"] for frame in rest]
    assert "".join(words) == "Well well"
    assert [frame["done"] for frame in rest] == [False] * (len(rest) - 1) + [True]
    assert rest[-1]["done_reason"] == "stop"


def test_the_sdk_does_not_notice_them(backend: ScriptedBackend, client: ollama.Client) -> None:
    spoken = threading.Event()
    backend.reply_with(Stream([text("Well")], before=[Gate(spoken)]))
    words = []
    for number, part in enumerate(client.chat("gpt-test", HELLO, stream=True)):
        words.append(part.message.content)
        if number == 1:
            spoken.set()
    assert "".join(filter(None, words)) == "Well"
    assert part.done
    assert part.eval_count is not None


def test_a_refusal_of_the_back_end_that_comes_late_is_the_last_frame(backend: ScriptedBackend, client: ollama.Client) -> None:
    refused = threading.Event()
    backend.reply_with(Error(400, before=[Gate(refused)]))
    parts = client.generate("gpt-test", "Why?", stream=True)
    assert next(parts).response == ""
    refused.set()
    with pytest.raises(ollama.ResponseError, match="scripted error 400"):
        list(parts)


def test_a_call_that_is_not_streamed_waits_for_the_back_end(backend: ScriptedBackend, client: ollama.Client) -> None:
    answered = threading.Event()
    backend.reply_with(Whole(completion("Well"), before=[Gate(answered)]))
    threading.Timer(3 * BEAT, answered.set).start()
    assert client.chat("gpt-test", HELLO).message.content == "Well"


def test_a_client_that_leaves_during_the_silence_frees_the_back_end(backend: ScriptedBackend, url: str) -> None:
    backend.reply_with(Stream([], before=[WaitForClient()]))
    port = int(url.rpartition(":")[2])
    leave_after_a_beat(port, "/api/chat", {"model": "gpt-test", "messages": HELLO})
    noticed = backend.wait_for_disconnect()
    assert noticed is not None
