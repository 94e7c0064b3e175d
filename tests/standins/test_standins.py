"""The stand-ins do what the live tests rely on."""

import asyncio
import hashlib
import http.client
import itertools
import json
import math
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx
import openai
import pytest

# The type checker finds the script `addons/ollama.py` under this name.
from ollama import Client, ResponseError
from openai.types.chat import ChatCompletionChunk

from tests.patience import PATIENCE
from tests.standins import (
    COUNTED,
    Chunk,
    Cut,
    Done,
    End,
    Error,
    Gate,
    Mangler,
    Raw,
    ScriptedBackend,
    Sleep,
    Stream,
    StrictOllama,
    WaitForClient,
    Whole,
    chat_completion,
    embedding_of,
    finish,
    reasoning,
    recording,
    text,
    tool_delta,
    usage,
)
from tests.standins.ollama_upstream import go_json

PROMPT: Any = [{"role": "user", "content": "hi"}]


def ask(backend: ScriptedBackend, *, api_key: str = "any") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=backend.base_url, api_key=api_key, max_retries=0, timeout=PATIENCE)


async def chunks_of(backend: ScriptedBackend, **more: Any) -> list[ChatCompletionChunk]:
    async with ask(backend) as client:
        stream = await client.chat.completions.create(model="gpt-test", messages=PROMPT, stream=True, **more)
        return [chunk async for chunk in stream]


def received_until_cut(reply: httpx.Response) -> bytes:
    received = bytearray()
    try:
        for piece in reply.iter_raw():
            received += piece
    except httpx.RemoteProtocolError:
        return bytes(received)
    pytest.fail("the reply ended properly")


def said(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    """Lax, so that a request can be as short as the test."""
    with ScriptedBackend(strict=False) as server:
        yield server


@contextmanager
def sdk(server: StrictOllama | Mangler) -> Iterator[Client]:
    client = Client(server.url)
    yield client
    client.close()


@pytest.fixture
def upstream() -> Iterator[StrictOllama]:
    with StrictOllama() as server:
        yield server


# -- The scripted back end, as it answers by itself -------------------------------------------------------------------


async def _listed(backend: ScriptedBackend) -> list[str]:
    async with ask(backend) as client:
        return [model.id async for model in client.models.list()]


def test_models_are_listed_and_found(backend: ScriptedBackend) -> None:
    assert asyncio.run(_listed(backend)) == ["gpt-test", "text-embedding-test"]
    backend.models = [{"id": "owner/model", "object": "model", "created": 1, "owned_by": "x"}]
    assert httpx.get(f"{backend.base_url}/models/owner/model").json() == backend.models[0]
    unknown = httpx.get(f"{backend.base_url}/models/gpt-test")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


def test_stream_by_default_ends_with_stop_and_counts_tokens_only_when_asked(backend: ScriptedBackend) -> None:
    chunks = asyncio.run(chunks_of(backend))
    assert said(chunks) == "Hello world!"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {chunk.model for chunk in chunks} == {"gpt-test"}
    counted = asyncio.run(chunks_of(backend, stream_options={"include_usage": True}))[-1]
    assert counted.choices == []
    assert counted.usage is not None
    assert counted.usage.total_tokens == 8


def test_whole_by_default(backend: ScriptedBackend) -> None:
    async def call() -> tuple[str | None, str]:
        async with ask(backend) as client:
            chat = await client.chat.completions.create(model="gpt-test", messages=PROMPT)
            old = await client.completions.create(model="gpt-test", prompt="hi")
            return chat.choices[0].message.content, old.choices[0].text

    assert asyncio.run(call()) == ("Hello world!", "Hello world!")


def test_completions_stream_text(backend: ScriptedBackend) -> None:
    async def call() -> str:
        async with ask(backend) as client:
            stream = await client.completions.create(model="gpt-test", prompt="hi", stream=True)
            return "".join([chunk.choices[0].text async for chunk in stream])

    assert asyncio.run(call()) == "Hello world!"


@pytest.mark.parametrize("asked", ["float", "base64"])
def test_embeddings_are_the_same_in_both_encodings(backend: ScriptedBackend, asked: str) -> None:
    async def call() -> list[list[float]]:
        async with ask(backend) as client:
            # The SDK asks for base64 and decodes it when it is not told what to ask for.
            told: Any = {"encoding_format": "float"} if asked == "float" else {}
            reply = await client.embeddings.create(model="text-embedding-test", input=["a", "b c"], **told)
            return [item.embedding for item in reply.data]

    vectors = asyncio.run(call())
    assert backend.requests[0].json["encoding_format"] == asked
    assert vectors == [embedding_of("a"), embedding_of("b c")]
    assert [len(vector) for vector in vectors] == [8, 8]
    assert not math.isclose(math.hypot(*vectors[0]), 1)


def test_embeddings_honour_dimensions(backend: ScriptedBackend) -> None:
    body = {"model": "x", "input": "a", "dimensions": 40}
    reply = httpx.post(f"{backend.base_url}/embeddings", json=body).json()
    assert reply["data"][0]["embedding"] == embedding_of("a", 40)
    assert len(set(reply["data"][0]["embedding"])) > 30


# -- The scripted back end, as it is told -----------------------------------------------------------------------------


def test_steps_are_played_in_order(backend: ScriptedBackend) -> None:
    steps = [
        reasoning("hm", key="reasoning"),
        text("a"),
        tool_delta(0, "call_1", "f", ""),
        tool_delta(0, arguments="{}"),
        finish("tool_calls"),
        usage(2, 7),
    ]
    backend.reply_with(Stream(steps))
    chunks = asyncio.run(chunks_of(backend))
    thought, spoken, opened, filled, ended, counted = chunks
    assert thought.choices[0].delta.model_extra == {"reasoning": "hm"}
    assert spoken.choices[0].delta.content == "a"
    assert opened.choices[0].delta.tool_calls is not None
    assert opened.choices[0].delta.tool_calls[0].id == "call_1"
    assert filled.choices[0].delta.tool_calls is not None
    assert filled.choices[0].delta.tool_calls[0].function is not None
    assert filled.choices[0].delta.tool_calls[0].function.arguments == "{}"
    assert ended.choices[0].finish_reason == "tool_calls"
    assert counted.usage is not None
    assert counted.usage.completion_tokens == 7


def test_raw_bytes_and_given_chunks_are_written_as_they_are(backend: ScriptedBackend) -> None:
    backend.reply_with(Stream([Raw(b": ping\r\n\r\n"), Chunk({"a": "é"}), Raw(b"\xc3"), Raw(b"\xa9"), End()]))
    reply = httpx.post(f"{backend.base_url}/chat/completions", json={"stream": True})
    assert reply.content == b': ping\r\n\r\ndata: {"a":"\xc3\xa9"}\n\n\xc3\xa9'
    assert b"".join(piece for _, piece in backend.sent) == reply.content


@pytest.mark.parametrize(
    ("steps", "tail"),
    [([], b"data: [DONE]\n\n"), ([Done(), Raw(b": late")], b"data: [DONE]\n\n: late"), ([End()], b"")],
)
def test_streams_end_with_done_unless_told_otherwise(backend: ScriptedBackend, steps: list[Any], tail: bytes) -> None:
    backend.reply_with(Stream(steps))
    assert httpx.post(f"{backend.base_url}/chat/completions", json={"stream": True}).content == tail


def test_scripts_are_used_up_in_order(backend: ScriptedBackend) -> None:
    backend.reply_with(Whole(chat_completion("first")), Whole(chat_completion("second")))
    bodies = [httpx.post(f"{backend.base_url}/chat/completions", json={}).json() for _ in range(3)]
    spoken = [body["choices"][0]["message"]["content"] for body in bodies]
    assert spoken == ["first", "second", "Hello world!"]


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        (None, b'"message": "scripted error 429"', "application/json"),
        ({"detail": "slow"}, b'{"detail": "slow"}', "application/json"),
        ("slow down", b"slow down", "text/plain; charset=utf-8"),
        (b"<html>", b"<html>", "application/octet-stream"),
    ],
)
def test_errors_are_sent_as_scripted(backend: ScriptedBackend, body: Any, sent: bytes, kind: str) -> None:
    backend.reply_with(Error(429, body, {"Retry-After": "7"}))
    reply = httpx.post(f"{backend.base_url}/chat/completions", json={})
    assert (reply.status_code, reply.headers["retry-after"], reply.headers["content-type"]) == (429, "7", kind)
    assert sent in reply.content


def test_errors_are_the_sdks_own(backend: ScriptedBackend) -> None:
    backend.reply_with(Error(429))
    with pytest.raises(openai.RateLimitError, match="scripted error 429"):
        asyncio.run(chunks_of(backend))


def test_cut_drops_the_connection_after_what_was_written(backend: ScriptedBackend) -> None:
    backend.reply_with(Stream([text("~" * 100), Cut()]))
    with httpx.stream("POST", f"{backend.base_url}/chat/completions", json={"stream": True}) as reply:
        assert received_until_cut(reply).count(b"~") == 100
    assert backend.wait_idle()
    assert backend.wait_for_disconnect(0) is None, "a cut is not a client that left"


def test_cut_instead_of_an_answer(backend: ScriptedBackend) -> None:
    backend.reply_with(Cut())
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        httpx.post(f"{backend.base_url}/chat/completions", json={})


def test_gate_holds_the_stream_until_the_test_opens_it(backend: ScriptedBackend) -> None:
    gate = threading.Event()
    backend.reply_with(Stream([text("a"), Gate(gate), text("b")]))
    with httpx.stream("POST", f"{backend.base_url}/chat/completions", json={"stream": True}) as reply:
        pieces = reply.iter_raw()
        assert b'"a"' in next(pieces)
        assert backend.active == 1
        opened = time.monotonic()
        gate.set()
        assert b'"b"' in b"".join(pieces)
    assert backend.sent[0][0] <= opened <= backend.sent[1][0]
    assert backend.wait_idle()


def test_sleep_parts_two_writes(backend: ScriptedBackend) -> None:
    backend.reply_with(Stream([text("a"), Sleep(0.1), text("b")]))
    asyncio.run(chunks_of(backend))
    assert backend.sent[1][0] - backend.sent[0][0] >= 0.1


@pytest.mark.parametrize(
    "script",
    [
        Stream([text("a"), Sleep(30)]),
        Stream([text("a"), WaitForClient()]),
        Stream([text("a"), Gate(threading.Event())]),
        Stream([], before=[Sleep(30)]),
        Whole({}, before=[Sleep(30)]),
    ],
)
def test_client_leaving_is_noticed_at_once(backend: ScriptedBackend, script: Stream | Whole) -> None:
    backend.reply_with(script)
    with socket.create_connection(("127.0.0.1", backend.port)) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert backend.wait_for_requests(1)
        if isinstance(script, Stream) and script.steps:
            assert client.recv(65536)
    noticed = backend.wait_for_disconnect()
    assert noticed is not None
    assert backend.wait_idle()
    assert backend.wait_for_disconnect(0) is None, "each departure is told once"


def test_leaving_the_context_ends_what_is_running() -> None:
    with ScriptedBackend(strict=False) as backend:
        backend.reply_with(Stream([text("a"), Sleep(30)]))
        client = socket.create_connection(("127.0.0.1", backend.port))
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert client.recv(65536)
    client.close()
    assert backend.active == 0
    assert backend.wait_for_disconnect(0) is None
    assert not [thread for thread in threading.enumerate() if thread.name == "ScriptedBackend"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", backend.port))


def test_requests_are_recorded_as_sent(backend: ScriptedBackend) -> None:
    with socket.create_connection(("127.0.0.1", backend.port)) as client:
        client.sendall(
            b"POST /v1/embeddings?a=%20b HTTP/1.1\r\nhOST: x\r\nX-two: 2\r\nx-One: 1\r\nContent-Length: 13\r\n"
            b'Connection: close\r\n\r\n{"input":"a"}'
        )
        while client.recv(65536):
            pass
    (request,) = backend.requests
    assert (request.method, request.path, request.json) == ("POST", "/v1/embeddings?a=%20b", {"input": "a"})
    assert request.raw_headers[:3] == (("hOST", "x"), ("X-two", "2"), ("x-One", "1"))
    assert request.headers["x-two"] == "2"


def test_key_is_demanded() -> None:
    with ScriptedBackend(api_key="right") as backend:

        async def call(key: str) -> str | None:
            async with ask(backend, api_key=key) as client:
                reply = await client.chat.completions.create(model="gpt-test", messages=PROMPT)
                return reply.choices[0].message.content

        assert asyncio.run(call("right")) == "Hello world!"
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
            asyncio.run(call("wrong"))


# -- The strict back end ----------------------------------------------------------------------------------------------

FULL_CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:,"}}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "any": 1}}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "stop": ["a"],
    "temperature": 1,
    "seed": 3,
    "stream": True,
    "stream_options": {"include_usage": True},
}


def user(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "x"} | fields]}


STRICT_CASES = [
    ("chat/completions", FULL_CHAT, None),
    ("chat/completions", user() | {"num_ctx": 1}, "num_ctx"),
    ("chat/completions", user() | {"seed": "1"}, "seed"),
    ("chat/completions", {"model": "m"}, "messages"),
    ("chat/completions", user(images=[]), "messages.0.user.images"),
    ("chat/completions", user(content=None), "messages.0.user.content.str"),
    ("chat/completions", user(content=[{"type": "text"}]), "messages.0.user.content.list"),
    ("chat/completions", user(role="alien"), "messages.0"),
    ("chat/completions", user() | {"tools": [{"type": "function", "function": {}}]}, "tools.0"),
    ("chat/completions", user() | {"tools": [{"type": "function", "function": {"name": "f", "x": 1}}]}, "tools.0"),
    ("completions", {"model": "m", "prompt": "x", "max_tokens": 3, "suffix": "y"}, None),
    ("completions", {"model": "m", "prompt": "x", "messages": []}, "messages"),
    ("embeddings", {"model": "m", "input": ["a"], "dimensions": 3, "encoding_format": "base64"}, None),
    ("embeddings", {"model": "m", "input": 3}, "input"),
    ("embeddings", {"model": "m", "input": "a", "truncate": True}, "truncate"),
]


@pytest.mark.parametrize(("operation", "body", "blamed"), STRICT_CASES)
def test_strict_backend_takes_only_what_openai_documents(operation: str, body: dict[str, Any], blamed: str | None) -> None:
    with ScriptedBackend() as backend:
        reply = httpx.post(f"{backend.base_url}/{operation}", json=body)
        if blamed is None:
            assert (reply.status_code, backend.violations) == (200, [])
        else:
            assert reply.status_code == 400
            assert reply.json()["error"]["param"].startswith(blamed)
            (violation,) = backend.violations
            assert violation.startswith(f"{operation}: ")
            assert blamed in violation
            backend.violations.clear()


@pytest.mark.parametrize("body", [b'{"model": "m", "messages": [], "bogus": 1}', b"[]", b"{"])
def test_what_openai_does_not_take_is_told_when_the_back_end_ends(body: bytes) -> None:
    with pytest.raises(AssertionError, match="chat/completions: "), ScriptedBackend() as backend:
        assert httpx.post(f"{backend.base_url}/chat/completions", content=body).status_code == 400
    assert not [thread for thread in threading.enumerate() if thread.name == "ScriptedBackend"]


def test_a_failed_test_is_told_by_its_own_error() -> None:
    def fail() -> None:
        with ScriptedBackend() as backend:
            httpx.post(f"{backend.base_url}/embeddings", json={})
            raise KeyError

    with pytest.raises(KeyError):
        fail()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("responses", {"model": "m", "input": "hello"}),
        ("messages", {"model": "m", "messages": PROMPT, "max_tokens": 5}),
        ("messages/count_tokens", {"model": "m", "messages": PROMPT}),
        ("audio/transcriptions", None),
    ],
)
def test_only_a_backend_with_everything_has_further_calls(backend: ScriptedBackend, path: str, body: Any) -> None:
    content = b"--x--" if body is None else json.dumps(body).encode()
    assert httpx.post(f"{backend.base_url}/{path}", content=content).status_code == 404
    with ScriptedBackend(everything=True) as full:
        assert httpx.post(f"{full.base_url}/{path}", content=content).status_code == 200
        full.reply_with(Error(500))
        assert httpx.post(f"{full.base_url}/{path}", content=content).status_code == 500


async def test_further_calls_are_answered_as_the_sdks_read_them() -> None:
    with ScriptedBackend(everything=True) as full:
        async with ask(full) as client, client.responses.stream(model="m", input="hello") as events:
            assert (await events.get_final_response()).output_text == "Hello world!"
        async with anthropic.AsyncAnthropic(base_url=full.url, api_key="any", max_retries=0) as client_of_messages:
            asked: Any = {"model": "m", "messages": PROMPT}
            async with client_of_messages.messages.stream(max_tokens=5, **asked) as pieces:
                assert "".join([piece async for piece in pieces.text_stream]) == "Hello world!"
            assert (await client_of_messages.messages.count_tokens(**asked)).input_tokens == COUNTED


def test_lax_backend_takes_anything() -> None:
    with ScriptedBackend(strict=False) as backend:
        assert httpx.post(f"{backend.base_url}/chat/completions", json={"bogus": 1}).status_code == 200


# -- The strict Ollama: the whole recording played back ---------------------------------------------------------------

VARYING = {"created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"}
TELLING_HEADERS = (
    "content-type",
    "content-length",
    "transfer-encoding",
    "allow",
    "location",
    "vary",
    "server",
    "access-control-allow-origin",
    "access-control-allow-methods",
)


def exchange_with(url: str, request: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Send a recorded request with nothing added, which no comfortable client does."""
    body = request.get("text", "").encode() if "json" not in request else json.dumps(request["json"]).encode()
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    try:
        connection.request(request["method"], request["path"], body or None, request["headers"])
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def shape(data: Any) -> Any:
    """Keep order, keys and values, apart from those that differ between two runs of the real server."""
    if isinstance(data, dict):
        return [(key, type(value).__name__ if key in VARYING else shape(value)) for key, value in data.items()]
    return [shape(item) for item in data] if isinstance(data, list) else data


def same_length(response: Mapping[str, Any]) -> bool:
    """Whether the recorded length is of use: no times in the body, and no path that was shortened later."""
    body = response.get("json")
    return body is None or (not VARYING & set(body) and len(go_json(body)) == int(response["headers"].get("content-length", 0)))


@pytest.mark.parametrize("name", recording())
def test_strict_ollama_answers_as_recorded(upstream: StrictOllama, name: str) -> None:
    recorded = recording()[name]
    if name in ("delete", "delete name key"):
        upstream.models.append({"name": next(iter(recorded["request"]["json"].values())) + ":latest"})
    status, headers, body = exchange_with(upstream.url, recorded["request"])
    wanted = recorded["response"]
    assert status == wanted["status"]
    if "json" in wanted:
        assert shape(json.loads(body)) == shape(wanted["json"])
    elif "frames" in wanted:
        assert shape([json.loads(line) for line in body.splitlines()]) == shape(wanted["frames"])
        assert body.endswith(b"}\n")
    else:
        assert body.decode() == wanted["text"]
    for header in TELLING_HEADERS:
        if header == "content-length" and not same_length(wanted):
            continue
        assert headers.get(header) == wanted["headers"].get(header), header


# -- The strict Ollama through the official client --------------------------------------------------------------------


def test_ollama_sdk_is_served(upstream: StrictOllama) -> None:
    with sdk(upstream) as client:
        assert [model.model for model in client.list().models] == ["tiny:latest", "tinytools:latest"]
        assert client.show("tiny").details is not None
        assert client.show("tinytools").capabilities == ["completion", "tools", "thinking"]
        whole = client.chat("tiny", PROMPT)
        frames = list(client.chat("tiny", PROMPT, stream=True))
        assert len(frames) == 7
        assert "".join(frame.message.content or "" for frame in frames) == whole.message.content == "m worldpv in!"
        assert client.generate("tiny", "hi").response == "m worldpv in!"
        assert "".join(frame.response for frame in client.generate("tiny", "hi", stream=True)) == "m worldpv in!"
        assert [len(vector) for vector in client.embed("tiny", ["a", "b", "c"]).embeddings] == [64] * 3
        assert len(client.embeddings("tiny", "a").embedding) == 64
        with pytest.raises(ResponseError, match="model 'nope' not found") as caught:
            client.chat("nope", PROMPT)
        assert caught.value.status_code == 404


def test_ollama_sdk_changes_the_models(upstream: StrictOllama) -> None:
    with sdk(upstream) as client:
        states = [progress.status for progress in client.pull("fresh", stream=True)]
        assert states[0] == "pulling manifest"
        assert states[-1] == "success"
        assert client.copy("fresh", "copied").status == "success"
        assert client.create("made", from_="fresh").status == "success"
        assert client.push("made").status == "success"
        names = {model.model for model in client.list().models}
        assert names == {"tiny:latest", "tinytools:latest", "fresh:latest", "copied:latest", "made:latest"}
        assert client.delete("copied").status == "success"
        assert "copied:latest" not in {model.model for model in client.list().models}
        with pytest.raises(ResponseError, match="file does not exist"):
            client.pull("nope")
        assert [request.method for request in upstream.requests][-3:] == ["DELETE", "GET", "POST"]


def test_unloading_takes_a_model_from_ps(upstream: StrictOllama) -> None:
    with sdk(upstream) as client:
        assert [model.model for model in client.ps().models] == ["tiny:latest"]
        assert client.generate("tiny", keep_alive=0).done_reason == "unload"
        assert list(client.ps().models) == []


def test_blobs_are_counted_and_hashed(upstream: StrictOllama, tmp_path: Any) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "blob").write_bytes(content)
    with sdk(upstream) as client:
        digest = client.create_blob(tmp_path / "blob")
    assert upstream.last_blob == (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
    assert upstream.requests[-1].body is None
    url = f"{upstream.url}/api/blobs/{digest}"
    assert httpx.head(url).status_code == 200
    assert httpx.post(url, content=content).status_code == 200
    small = hashlib.sha256(b"abc").hexdigest()
    assert httpx.post(f"{upstream.url}/api/blobs/sha256-{small}", content=b"abc").status_code == 201
    assert upstream.requests[-1].body == b"abc"


def test_frames_come_one_by_one(upstream: StrictOllama) -> None:
    upstream.first_frame_delay, upstream.frame_delay = 0.05, 0.02
    began = time.monotonic()
    with httpx.stream("POST", f"{upstream.url}/api/chat", json={"model": "tiny", "messages": PROMPT}) as reply:
        assert time.monotonic() - began >= 0.05
        pieces = list(reply.iter_raw())
    assert pieces == [piece for _, piece in upstream.sent]
    assert all(re.fullmatch(rb"\{.*\}\n", piece) for piece in pieces)
    stamps = [stamp for stamp, _ in upstream.sent]
    assert all(later - earlier >= 0.02 for earlier, later in itertools.pairwise(stamps))


@pytest.mark.parametrize("count", [0, 2])
def test_stream_is_cut_after_so_many_frames(upstream: StrictOllama, count: int) -> None:
    upstream.cut_after = count
    with (
        httpx.stream("POST", f"{upstream.url}/api/generate", json={"model": "tiny", "prompt": "x"}) as reply,
    ):
        received = received_until_cut(reply)
    assert received.count(b"\n") == count
    assert upstream.wait_for_disconnect(0) is None


# -- The mangler ------------------------------------------------------------------------------------------------------


@pytest.fixture
def mangler(upstream: StrictOllama) -> Iterator[Mangler]:
    with Mangler(upstream.url) as server:
        yield server


def test_chat_fails_through_the_mangler(upstream: StrictOllama, mangler: Mangler) -> None:
    with sdk(upstream) as direct:
        assert direct.chat("tiny", PROMPT).message.content
    with sdk(mangler) as through, pytest.raises(ResponseError, match="405 method not allowed") as caught:
        through.chat("tiny", PROMPT)
    assert caught.value.status_code == 405
    sound, mangled = upstream.requests
    assert (sound.method, mangled.method) == ("POST", "GET")
    assert sound.path == mangled.path == "/api/chat"
    assert sound.body == mangled.body
    expected = dict(sound.headers) | {"Host": mangler.url.removeprefix("http://")}
    del expected["Connection"]
    assert dict(mangled.headers) == expected


def test_gets_pass_the_mangler_unchanged(upstream: StrictOllama, mangler: Mangler) -> None:
    direct, passed = (
        exchange_with(server.url, {"method": "GET", "path": "/api/tags?a=%2F", "headers": {}}) for server in (upstream, mangler)
    )
    assert passed[0] == 200
    assert passed[2] == direct[2]
    assert set(passed[1]) == set(direct[1])
    assert upstream.requests[1].path == "/api/tags?a=%2F"


@pytest.mark.parametrize("chunked", [False, True])
def test_mangler_keeps_the_framing_of_a_body(upstream: StrictOllama, mangler: Mangler, chunked: bool) -> None:
    httpx.post(f"{mangler.url}/api/chat", content=iter([b"abc", b"def"]) if chunked else b"abcdef")
    (request,) = upstream.requests
    assert request.body == b"abcdef"
    assert ("Transfer-Encoding" in request.headers, "Content-Length" in request.headers) == (chunked, not chunked)


def test_mangler_can_lose_the_body(upstream: StrictOllama) -> None:
    with Mangler(upstream.url, drop_body=True) as mangler:
        httpx.post(f"{mangler.url}/api/chat", json={"model": "tiny"})
    (request,) = upstream.requests
    assert (request.method, request.body) == ("GET", b"")
    assert not [name for name in request.headers if name.lower().startswith(("content-", "transfer-"))]


def test_streams_pass_the_mangler_unbuffered(upstream: StrictOllama) -> None:
    upstream.frame_permits = permits = threading.Semaphore(0)
    body = b'{"model":"tiny","messages":[{}]}'
    with (
        Mangler(upstream.url, method="POST") as mangler,
        httpx.stream("GET", f"{mangler.url}/api/chat", content=body) as reply,
    ):
        arrived = []
        for piece in reply.iter_raw():
            arrived.append(piece)
            permits.release()  # the next frame is sent only when this one has arrived
    assert arrived == [piece for _, piece in upstream.sent]


def test_client_leaving_the_mangler_is_noticed_upstream(upstream: StrictOllama) -> None:
    upstream.frame_delay = 10
    with Mangler(upstream.url, method="POST") as mangler:
        with socket.create_connection(("127.0.0.1", mangler.port)) as client:
            body = b'{"model":"tiny","prompt":"x"}'
            head = f"GET /api/generate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            assert client.recv(65536)
        noticed = upstream.wait_for_disconnect()
    assert noticed is not None


def test_upstream_cut_reaches_the_client_of_the_mangler(upstream: StrictOllama) -> None:
    upstream.cut_after = 2
    with (
        Mangler(upstream.url, method="POST") as mangler,
        httpx.stream("GET", f"{mangler.url}/api/generate", content=b'{"model":"tiny","prompt":"x"}') as reply,
    ):
        received = received_until_cut(reply)
    assert received.count(b"\n") == 2


def test_mangler_without_an_upstream_is_a_bad_gateway() -> None:
    with StrictOllama() as gone:
        pass
    with Mangler(gone.url) as mangler:
        assert httpx.get(mangler.url).status_code == 502
