"""What real clients send, to the letter, and what each of them must find in the reply.

The first half replays requests as they were seen on the wire (method, path, headers, body) from a client that adds nothing of
its own. The second half makes each client's calls in its order and reads the replies by that client's own types.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import itertools
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import httpx
import openai
import pytest
from aiohttp import web
from ollama import AsyncClient, Client, ResponseError
from pydantic import BaseModel, ConfigDict, Field

from tests.live.proxy import Door, ProxyProcess
from tests.standins import (
    Cut,
    Error,
    ScriptedBackend,
    Sleep,
    Stream,
    WaitForClient,
    embedding_of,
    error_body,
    finish,
    reasoning,
    role,
    text,
    tool_delta,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from tests.standins import Step

KEY = "the-proxys-own-key"
HELLO = [{"role": "user", "content": "hello"}]
SAID = "Hello world!"
PLAIN = {"model": "gpt-test", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
"""What the back end is asked when a client leaves everything open."""
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
JSON = {"Content-Type": "application/json"}
NDJSON = "application/x-ndjson"
GO = {"User-Agent": "ollama/0.0.0 (amd64 linux) Go/go1.26.8", "Accept": NDJSON, "Accept-Encoding": "gzip", **JSON}
UPGRADE = {
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    "User-Agent": "Java-http-client/21.0.2",
}
CHAT = {"model": "gpt-test", "messages": HELLO}
GENERATE = {"model": "gpt-test", "prompt": "hello"}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": PARAMETERS}}
CALL: list[Step] = [role(), tool_delta(0, "call_1", "weather", '{"city":"Rome"}'), finish("tool_calls"), usage(7, 2)]
ANSWER: list[Step] = [role(), text("It is "), text("sunny."), finish(), usage(9, 2)]


class Backend(ScriptedBackend):
    """Also answers `/v1/responses`, with the events by which a client knows the beginning and the end."""

    def __init__(self) -> None:
        super().__init__(api_key=KEY)

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        if (request.method, request.path) != ("POST", "/v1/responses"):
            return await super()._serve_any(request)
        self._note_request(request, await request.read())
        events = ("response.created", "response.completed")
        stream = "".join(f"event: {event}\ndata: {json.dumps({'type': event})}\n\n" for event in events)
        return web.Response(text=stream, content_type="text/event-stream")


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[Backend, ProxyProcess]]:
    with Backend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, OPENAI_API_KEY=KEY) as proxy:
        yield backend, proxy


def asked(backend: ScriptedBackend) -> Any:
    """The body of the last call to a model."""
    return next(request.json for request in reversed(backend.requests) if request.method == "POST")


# ── a client that adds nothing of its own


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[Any]:
        assert self.status == 200, self.body
        assert self.headers["Content-Type"] == NDJSON
        assert self.body.endswith(b"\n")
        return [json.loads(line) for line in self.body.removesuffix(b"\n").split(b"\n")]

    @property
    def said(self) -> str:
        """The text of an answer, streamed or whole."""
        frames = self.frames if self.headers["Content-Type"] == NDJSON else [self.json]
        assert self.status == 200, frames
        assert [frame["done"] for frame in frames] == [False] * (len(frames) - 1) + [True]
        return "".join(frame["message"]["content"] if "message" in frame else frame["response"] for frame in frames)


def send(
    url: str, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, *, chunked: bool = False
) -> Answer:
    """Make one call with these headers and no others but `Host` and the body's framing; a body that is no bytes is JSON."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    try:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        elif content is not None:
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(iter([content[:5], content[5:]]) if chunked and content else content, encode_chunked=chunked)
        response = connection.getresponse()
        assert response.version == 11
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


# ── seen on the wire: calls that are answered


def case(number: int, name: str, *values: Any) -> Any:
    return pytest.param(*values, id=f"{number} {name}")


NULL_OPTIONS = dict.fromkeys(
    [
        *("num_ctx", "num_gpu", "num_thread", "num_predict", "repeat_last_n", "repeat_penalty", "temperature", "stop"),
        *("top_k", "top_p", "tfs_z", "mirostat", "mirostat_eta", "mirostat_tau"),
    ]
)
CONTENT_TYPES: dict[str, dict[str, str]] = {
    "no Content-Type": {},
    "octet-stream": {"Content-Type": "application/octet-stream"},
    "a form type": {"Content-Type": "application/x-www-form-urlencoded"},
    "plain text": {"Content-Type": "text/plain;charset=UTF-8"},
}
ANSWERED = [
    *[
        case(1, f"{name}, {path}", path, body, headers)
        for name, headers in CONTENT_TYPES.items()
        for path, body in (("/api/chat", CHAT), ("/api/generate", GENERATE))
    ],
    case(2, "no stream key", "/api/chat", CHAT, GO),
    case(2, "stream null", "/api/generate", GENERATE | {"stream": None}, GO),
    case(2, "stream true", "/api/chat", CHAT | {"stream": True}, JSON | {"Accept": "application/json"}),
    case(2, "stream false", "/api/chat", CHAT | {"stream": False}, JSON | {"Accept": "application/json"}),
    case(
        *(4, "an old ollama-python", "/api/generate"),
        GENERATE
        | {"system": "", "template": "", "context": [], "stream": True, "raw": False, "format": "", "images": []}
        | {"options": {}, "keep_alive": None, "suffix": ""},
        JSON,
    ),
    case(
        *(4, "langchain-community, generate", "/api/generate"),
        GENERATE | {"options": NULL_OPTIONS, **dict.fromkeys(("format", "system", "template", "keep_alive", "raw", "images"))},
        JSON,
    ),
    case(
        *(4, "langchain-community, chat", "/api/chat"),
        CHAT | {"options": NULL_OPTIONS, **dict.fromkeys(("format", "system", "template", "keep_alive", "raw"))},
        JSON,
    ),
    case(
        *(4, "Go", "/api/generate"),
        b'{"model":"gpt-test","prompt":"hello","suffix":"","system":"","template":"","options":null}',
        GO,
    ),
    case(4, "llama-index", "/api/chat", CHAT | {"options": {"temperature": None, "num_ctx": 3900}, "tools": None}, JSON),
    case(4, "langchaingo", "/api/chat", CHAT | {"format": "", "options": {}}, JSON),
    case(4, "ollama-python", "/api/chat", CHAT | {"stream": False, "tools": []}, JSON),
    case(
        *(4, "ollama-rs", "/api/chat"),
        CHAT | {"messages": [HELLO[0] | {"tool_calls": [], "images": None, "thinking": None}], "stream": False, "tools": []},
        {},
    ),
    case(4, "langchain4j", "/api/chat", CHAT | {"options": {"stop": []}, "tools": [], "stream": True}, {}),
    case(
        *(11, "ollama-ai-provider-v2", "/api/chat"),
        CHAT
        | {"think": False, "max_output_tokens": 50, "temperature": 0.1, "top_p": 0.2, "tool_choice": "auto"}
        | {"options": {}},
        JSON,
    ),
    case(
        *(11, "langchain-community", "/api/chat"),
        CHAT | {"system": "You are a parrot.", "template": "{{ .Prompt }}", "raw": True},
        JSON,
    ),
    case(11, "pydantic-ai", "/api/chat", CHAT | {"max_completion_tokens": 5, "max_tokens": 5, "n": 2}, JSON),
    case(12, "an empty format", "/api/chat", CHAT | {"format": ""}, JSON),
    case(12, "a null format", "/api/generate", GENERATE | {"format": None}, JSON),
    *[
        case(19, name, "/api/chat", CHAT, JSON | {"Authorization": value})
        for name, value in (
            ("an empty token", "Bearer "),
            ("a token", "Bearer api-key-not-set"),
            ("a user and a password", "Basic dXNlcjpwYXNz"),
        )
    ],
    case(20, "gzip is accepted", "/api/chat", CHAT, JSON | {"Accept-Encoding": "gzip, deflate, br, zstd"}),
    *[
        case(24, agent.partition("/")[0], "/api/chat", CHAT, JSON | {"User-Agent": agent})
        for agent in (
            "ollama-python/0.6.3 (x86_64 linux) Python/3.13.0",
            "ollama-js/0.6.4 (x64 linux Node.js/v22.1.0)",
            "litellm/1.106.0",
            "ai/5.0.0 ai-sdk/provider-utils/3.0.0 runtime/node.js/22",
            "python-requests/2.32.0",
        )
    ],
]


@pytest.mark.parametrize(("path", "body", "headers"), ANSWERED)
def test_what_means_nothing_changes_nothing(
    url: str, backend: Backend, path: str, body: object, headers: dict[str, str]
) -> None:
    answer = send(url, "POST", path, body, headers)
    assert answer.said == SAID
    assert "Content-Encoding" not in answer.headers
    assert asked(backend) == PLAIN
    assert backend.requests[-1].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
@pytest.mark.parametrize("headers", [JSON, {}, GO], ids=["1 a type without a body", "24 no headers", "8 the command"])
def test_a_call_without_a_body_is_answered_whatever_it_says_of_one(
    url: str, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = send(url, method, path, None, headers)
    assert answer.status == 200
    assert int(answer.headers["Content-Length"]) > 0
    assert bool(answer.body) == (method == "GET")


# ── seen on the wire: names


NAME_PAIRS = [
    case(3, "name", {"name": "gpt-test"}),
    case(3, "model", {"model": "gpt-test"}),
    case(3, "an empty model", {"model": "", "name": "gpt-test"}),
    case(3, "an empty name", {"model": "gpt-test", "name": ""}),
]


@pytest.mark.parametrize("names", NAME_PAIRS)
@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("POST", "/api/show", {"system": "", "template": "", "verbose": False, "options": None}),
        ("POST", "/api/pull", {"username": "", "password": "", "insecure": False}),
        ("POST", "/api/push", {"username": "", "password": "", "insecure": False, "stream": False}),
        ("DELETE", "/api/delete", {}),
    ],
)
def test_a_model_is_named_by_either_key(url: str, method: str, path: str, more: dict[str, Any], names: dict[str, str]) -> None:
    answer = send(url, method, path, names | more, GO)
    assert answer.status == 200
    match path:
        case "/api/show":
            assert answer.json["model_info"]["general.basename"] == "gpt-test"
        case "/api/pull":
            assert answer.frames[-1] == {"status": "success"}
        case "/api/push":
            assert answer.json == {"status": "success"}
        case _:
            assert answer.body == b""


@pytest.mark.parametrize("key", ["name", "model"])
def test_a_model_is_made_under_either_key(url: str, key: str) -> None:
    body = {key: "made", "from": "gpt-test", "system": "s", "parameters": {"temperature": 0.5}, "messages": []}
    assert send(url, "POST", "/api/create", body, GO).frames[-1] == {"status": "success"}
    assert send(url, "POST", "/api/show", {key: "made"}).json["system"] == "s"
    assert send(url, "DELETE", "/api/delete", {key: "made"}).status == 200


# ── seen on the wire: keep_alive, think, loads and unloads


FOREVER = 250 * 365 * 86400
KEPT: list[tuple[object, float]] = [
    *[("5m", 300), ("10m", 600), ("10m0s", 600), ("5m0s", 300), ("1h30m", 5400), ("42.5s", 42.5), (300, 300), (300.0, 300)],
    *[(1.5e2, 150), (-1, FOREVER), (-1.0, FOREVER), (-3.14, FOREVER), ("-1m", FOREVER), (None, 300)],
    *[(0, 0), (0.0, 0), ("0s", 0), ("0", 0)],
]


@pytest.mark.parametrize(("keep_alive", "seconds"), [case(5, json.dumps(value), value, seconds) for value, seconds in KEPT])
@pytest.mark.parametrize(("path", "question"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "hello"})])
def test_a_model_stays_for_as_long_as_the_client_wants(
    url: str, path: str, question: dict[str, Any], keep_alive: object, seconds: float
) -> None:
    body = question | {"model": "gpt-test", "keep_alive": keep_alive, "stream": False}
    assert send(url, "POST", path, body).said == SAID
    loaded = {model["name"]: model["expires_at"] for model in send(url, "GET", "/api/ps").json["models"]}
    if seconds == 0:
        assert "gpt-test" not in loaded
    else:
        left = (datetime.fromisoformat(loaded["gpt-test"]) - datetime.now(UTC)).total_seconds()
        assert left > FOREVER if seconds == FOREVER else seconds - 10 < left <= seconds


@pytest.mark.parametrize(
    ("think", "effort"),
    [
        case(6, "true", True, None),
        case(6, "false", False, None),
        case(6, "null", None, None),
        case(6, "low", "low", "low"),
        case(6, "medium", "medium", "medium"),
        case(6, "high", "high", "high"),
    ],
)
@pytest.mark.parametrize(("path", "question"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "hello"})])
def test_every_way_to_ask_for_thinking_is_taken(
    url: str, backend: Backend, path: str, question: dict[str, Any], think: object, effort: str | None
) -> None:
    backend.reply_with(Stream([role(), reasoning("hm"), text(SAID), finish()]))
    answer = send(url, "POST", path, question | {"model": "gpt-test", "think": think})
    assert answer.said == SAID
    assert any("thinking" in frame.get("message", frame) for frame in answer.frames) == (think is not False)
    assert asked(backend) == PLAIN | ({"reasoning_effort": effort} if effort else {})


IDLE = [
    *[
        case(7, f"load, {name}", path, body, "load")
        for name, path, body in (
            ("only a model", "/api/generate", {}),
            ("an empty prompt", "/api/generate", {"prompt": "", "stream": True}),
            ("Go", "/api/generate", {"prompt": "", "suffix": "", "system": "", "template": "", "options": None}),
            ("no messages", "/api/chat", {}),
            ("empty messages", "/api/chat", {"messages": [], "stream": True, "think": None}),
        )
    ],
    *[
        case(7, f"unload by {value!r}, {path}", path, {empty: nothing, "keep_alive": value}, "unload")
        for value in (0, 0.0, "0s", "0")
        for path, empty, nothing in (("/api/generate", "prompt", ""), ("/api/chat", "messages", []))
    ],
]


@pytest.mark.parametrize(("path", "body", "done_reason"), IDLE)
def test_a_model_is_loaded_and_unloaded_without_a_call(
    url: str, backend: Backend, path: str, body: dict[str, Any], done_reason: str
) -> None:
    for _ in range(2):  # also where it is loaded or unloaded already
        answer = send(url, "POST", path, {"model": "gpt-test"} | body, GO)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
        assert (answer.said, answer.json["done_reason"]) == ("", done_reason)
        assert "Transfer-Encoding" not in answer.headers
    assert all(request.method == "GET" for request in backend.requests)


# ── seen on the wire: the command


def go(url: str, method: str, path: str, body: str | None = None) -> Answer:
    return send(url, method, path, body.encode() if body is not None else None, GO)


def test_the_command_runs_a_prompt_and_a_session(url: str, backend: Backend) -> None:
    for show in (
        '{"model":"gpt-test","system":"","template":"","verbose":false,"options":null,"name":""}',
        '{"model":"","system":"","template":"","verbose":false,"options":null,"name":"gpt-test"}',
    ):
        assert go(url, "HEAD", "/").status == 200
        assert "completion" in go(url, "POST", "/api/show", show).json["capabilities"]
    one = '{"model":"gpt-test","prompt":"hello","suffix":"","system":"","template":"","options":{}}'
    assert go(url, "POST", "/api/generate", one).said == SAID
    load = '{"model":"gpt-test","prompt":"","suffix":"","system":"","template":"","options":null}'
    assert go(url, "POST", "/api/generate", load).json["done_reason"] == "load"
    turns = [{"role": "user", "content": "hello"}]
    for count in (1, 3, 5):
        assert go(url, "POST", "/api/chat", json.dumps({"model": "gpt-test", "messages": turns, "options": {}})).said == SAID
        assert len(asked(backend)["messages"]) == count
        turns += [{"role": "assistant", "content": SAID}, {"role": "user", "content": "more"}]


def test_the_command_stops_and_removes(url: str) -> None:
    assert go(url, "POST", "/api/copy", '{"source":"gpt-test","destination":"nn"}').status == 200
    show = '{"model":"","system":"","template":"","verbose":false,"options":null,"name":"nn"}'
    stop = '{"model":"nn","prompt":"","suffix":"","system":"","template":"","keep_alive":"0s","options":null}'
    for _ in range(2):  # `stop`, and then the same calls at the beginning of `rm`
        assert go(url, "HEAD", "/").status == 200
        assert go(url, "POST", "/api/show", show).status == 200
        assert go(url, "POST", "/api/generate", stop).json["done_reason"] == "unload"
    assert go(url, "DELETE", "/api/delete", '{"model":"","name":"nn"}').status == 200
    for method, path, body in (("POST", "/api/show", show), ("POST", "/api/generate", stop)):
        gone = go(url, method, path, body)
        assert (gone.status, gone.json) == (404, {"error": "model 'nn' not found"})


@pytest.mark.parametrize("chunked", [case(9, "the command", True), case(9, "ollama-python", False)])
def test_files_are_uploaded_and_a_model_is_made_of_them(url: str, chunked: bool) -> None:
    data = b"GGUF and some more bytes"
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    uploaded = send(url, "POST", f"/api/blobs/{digest}", data, GO, chunked=chunked)
    assert (uploaded.status, uploaded.body) == (201, b"")
    body = {"model": "made", "files": {"m.gguf": digest}, "parameters": {"stop": ["a"]}, "stream": not chunked}
    made = send(url, "POST", "/api/create", body, GO)
    assert (made.json if chunked else made.frames[-1]) == {"status": "success"}


# ── seen on the wire: tools, formats, images


ARGUMENTS = {"city": "Rome"}
FUNCTION = {"name": "weather", "arguments": ARGUMENTS}
HISTORIES = {
    "langchain: nothing but the order": [
        {"role": "assistant", "tool_calls": [{"type": "function", "id": "a", "function": FUNCTION}]},
        {"role": "tool", "content": "sunny"},
    ],
    "haystack: no content, no id": [
        {"role": "assistant", "tool_calls": [{"function": FUNCTION}]},
        {"role": "tool", "content": "sunny"},
    ],
    "langchain4j: a null content": [
        {"role": "assistant", "content": None, "tool_calls": [{"function": FUNCTION}]},
        {"role": "tool", "content": "sunny", "images": None},
    ],
    "ollama-python: the name": [
        {"role": "assistant", "content": "", "tool_calls": [{"function": FUNCTION}]},
        {"role": "tool", "content": "sunny", "tool_name": "weather"},
    ],
    "litellm: the id": [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "type": "function", "function": FUNCTION}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "a"},
    ],
    "Go: the name and the id": [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"index": 0, **FUNCTION}}]},
        {"role": "tool", "content": "sunny", "tool_name": "weather", "tool_call_id": "a"},
    ],
    "Continue: a system message in between": [
        {"role": "assistant", "tool_calls": [{"function": FUNCTION}]},
        {"role": "system", "content": "Be brief."},
        {"role": "tool", "content": "sunny"},
    ],
}


@pytest.mark.parametrize("history", [case(10, name, history) for name, history in HISTORIES.items()])
def test_a_result_reaches_its_call_however_it_is_written(url: str, backend: Backend, history: list[dict[str, Any]]) -> None:
    function = {"name": "weather", "parameters": {"$schema": "x", **PARAMETERS, "additionalProperties": False}, "strict": True}
    tools = [{"type": "function", "function": function}]
    answer = send(url, "POST", "/api/chat", {"model": "gpt-test", "messages": [*HELLO, *history], "tools": tools})
    assert answer.said == SAID
    _, call, result, *rest = asked(backend)["messages"]
    assert (call["role"], result["role"]) == ("assistant", "tool")
    assert result["tool_call_id"] == call["tool_calls"][0]["id"] != ""
    assert call["tool_calls"][0]["type"] == "function"
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == ARGUMENTS
    assert result["content"] == "sunny"
    assert len(rest) == len(history) - 2
    assert asked(backend)["tools"][0]["function"]["parameters"] == function["parameters"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        case(12, "json", "json", {"type": "json_object"}),
        case(
            *(12, "a schema with all its extras"),
            {"$schema": "x", "title": "T", "$defs": {"a": {"type": "string"}}, **PARAMETERS, "additionalProperties": False},
            "json_schema",
        ),
    ],
)
def test_a_format_is_asked_for(url: str, backend: Backend, given: object, sent: object) -> None:
    assert send(url, "POST", "/api/chat", CHAT | {"format": given, "stream": False}).said == SAID
    if sent == "json_schema":
        sent = {"type": "json_schema", "json_schema": {"name": "schema", "schema": given}}
    assert asked(backend)["response_format"] == sent


@pytest.mark.parametrize(("path", "place"), [("/api/chat", "ChatRequest.messages.images"), ("/api/generate", "images")])
def test_an_image_that_is_no_text_is_refused(url: str, backend: Backend, path: str, place: str) -> None:
    image = {"type": "Buffer", "data": [137, 80, 78, 71]}
    body = CHAT | {"messages": [HELLO[0] | {"images": [image]}]} if path == "/api/chat" else GENERATE | {"images": [image]}
    answer = send(url, "POST", path, body)
    assert answer.status == 400
    assert answer.json["error"].startswith("json: cannot unmarshal object into Go struct field")
    assert place in answer.json["error"]
    assert not [request for request in backend.requests if request.method == "POST"]
    good = CHAT | {"messages": [HELLO[0] | {"images": [PNG]}], "stream": False}
    assert send(url, "POST", "/api/chat", good).said == SAID


# ── seen on the wire: embeddings


@pytest.mark.parametrize(
    ("path", "body", "count"),
    [
        case(16, "a text", "/api/embed", {"input": "one"}, 1),
        case(16, "a list", "/api/embed", {"input": ["one", "two"], "truncate": False}, 2),
        case(16, "options of nulls", "/api/embed", {"input": ["one"], "options": NULL_OPTIONS, "keep_alive": None}, 1),
        case(14, "litellm", "/api/embed", {"input": ["one"], "dimensions": 4, "truncate": True, "options": {}}, 1),
        case(16, "the older call", "/api/embeddings", {"prompt": "one", "options": NULL_OPTIONS}, 0),
        case(16, "the older call of semantic-kernel", "/api/embeddings", {"prompt": "one", "options": None}, 0),
    ],
)
def test_embeddings_are_asked_for_in_many_ways(url: str, backend: Backend, path: str, body: dict[str, Any], count: int) -> None:
    answer = send(url, "POST", path, {"model": "text-embedding-test"} | body)
    assert answer.status == 200
    if count:
        assert [len(vector) for vector in answer.json["embeddings"]] == [body.get("dimensions", 8)] * count
    else:
        assert answer.json["embedding"] == pytest.approx(embedding_of("one"))
    assert set(asked(backend)) <= {"model", "input", "dimensions", "encoding_format"}


def test_the_openai_sdk_asks_for_its_vectors_in_base64(url: str, backend: Backend) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="ollama") as client:
        reply = client.embeddings.create(model="text-embedding-test", input=["one", "two"])
    assert asked(backend)["encoding_format"] == "base64"
    assert [item.embedding for item in reply.data] == [embedding_of("one"), embedding_of("two")]


# ── seen on the wire: connections


@pytest.fixture(scope="module", params=["console", "mitmdump"])
def door(request: pytest.FixtureRequest, _shared: tuple[Backend, ProxyProcess]) -> Iterator[ProxyProcess]:
    door: Door = request.param
    if door == "console":
        yield _shared[1]
        return
    with ProxyProcess(door=door, OPENAI_API_BASE_URL=_shared[0].base_url, OPENAI_API_KEY=KEY) as proxy:
        yield proxy


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_an_offer_of_http_2_is_passed_over(door: ProxyProcess, backend: Backend, path: str) -> None:
    long = CHAT | {"messages": [{"role": "user", "content": "hello " * 20_000}], "stream": False}
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as sock, sock.makefile("rb") as replies:
        for body in (json.dumps(long).encode(), json.dumps(CHAT | {"stream": False}).encode()):
            headers = {"Host": f"127.0.0.1:{door.port}", "Content-Length": str(len(body)), **UPGRADE, **JSON}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            sock.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
            status = replies.readline()
            reply = http.client.parse_headers(replies)
            assert status == b"HTTP/1.1 200 OK\r\n"
            assert "Upgrade" not in reply
            answer = json.loads(replies.read(int(reply["Content-Length"])))
            message = answer["message"] if path == "/api/chat" else answer["choices"][0]["message"]
            assert message["content"] == SAID
            assert asked(backend)["messages"] == json.loads(body)["messages"]
    assert not {"Upgrade", "HTTP2-Settings"} & set(backend.requests[-1].headers)


def raw_pieces(port: int, path: str, body: bytes) -> Iterator[bytes]:
    """What each read from the socket gives of a streamed reply, after its head."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        received = b""
        while b"\r\n\r\n" not in received:
            received += sock.recv(1 << 20)
        piece = received.partition(b"\r\n\r\n")[2]
        while True:
            if piece:
                yield piece
            if piece.endswith(b"0\r\n\r\n"):
                return
            piece = sock.recv(1 << 20)
            assert piece


@pytest.mark.parametrize(("path", "body"), [("/api/chat", CHAT), ("/api/generate", GENERATE)])
def test_each_frame_is_a_write_of_its_own(door: ProxyProcess, backend: Backend, path: str, body: dict[str, Any]) -> None:
    words = [f"word {number} " for number in range(8)]
    backend.reply_with(Stream([step for word in words for step in (Sleep(0.05), text(word))] + [Sleep(0.05), finish()]))
    frames = []
    writes = 0
    for piece in raw_pieces(door.port, path, json.dumps(body).encode()):
        # Whole chunks of whole lines, so that a client may parse each read by itself.
        while piece and piece != b"0\r\n\r\n":
            length, _, rest = piece.partition(b"\r\n")
            data, end, piece = rest[: int(length, 16)], rest[int(length, 16) :][:2], rest[int(length, 16) + 2 :]
            assert end == b"\r\n"
            assert data.endswith(b"}\n")
            frames += [json.loads(line) for line in data.splitlines()]
            writes += 1
    assert len(frames) == len(words) + 1
    # The kernel may join two writes for one read, but each write stays a chunk.
    assert writes >= len(words)


def test_a_long_frame_is_one_chunk(url: str, backend: Backend) -> None:
    backend.reply_with(Stream([text("x" * 500_000), finish()]))
    received = b"".join(raw_pieces(int(url.rpartition(":")[2]), "/api/chat", json.dumps(CHAT).encode()))
    length, _, rest = received.partition(b"\r\n")
    assert int(length, 16) > 500_000
    assert rest[: int(length, 16)].endswith(b"}\n")
    assert rest[: int(length, 16)].count(b"\n") == 1


def test_one_connection_serves_fifty_calls(door: ProxyProcess, backend: Backend) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
    connection.connect()
    sock = connection.sock
    calls = [
        ("POST", "/api/chat", CHAT),
        ("GET", "/api/tags", None),
        ("POST", "/api/generate", GENERATE | {"stream": False}),
        ("POST", "/api/show", {"model": "nope"}),
        ("POST", "/v1/chat/completions", PLAIN),
        ("HEAD", "/", None),
        ("POST", "/api/embed", {"model": "text-embedding-test", "input": "x"}),
    ]
    for method, path, body in itertools.islice(itertools.cycle(calls), 50):
        connection.request(method, path, json.dumps(body) if body else None)
        response = connection.getresponse()
        content = response.read()
        assert response.status == (404 if path == "/api/show" else 200)
        assert response.headers.get("Connection") != "close"
        assert bool(content) == (method != "HEAD")
        assert connection.sock is sock, "the connection was closed"
    connection.close()


def test_a_client_that_closes_in_mid_stream_frees_the_way_for_the_next(url: str, backend: Backend) -> None:
    for path, body in (("/api/chat", CHAT), ("/api/generate", GENERATE), ("/v1/chat/completions", CHAT | {"stream": True})):
        backend.reply_with(Stream([text("a"), WaitForClient()]))
        with httpx.stream("POST", url + path, json=body, timeout=20) as reply:
            next(reply.iter_bytes())
            left = time.monotonic()
        noticed = backend.wait_for_disconnect()
        assert noticed is not None
        assert noticed - left < 1
        assert send(url, "POST", "/api/chat", CHAT).said == SAID


# ── seen on the wire: errors and web pages


def test_an_error_is_a_text_and_a_status(url: str, backend: Backend) -> None:
    unknown = send(url, "POST", "/api/chat", {"model": "nope", "messages": HELLO})
    assert (unknown.status, unknown.json) == (404, {"error": "model 'nope' not found"})
    for path, body in (("/api/chat", CHAT), ("/api/generate", GENERATE)):
        backend.reply_with(Stream([text("a"), Cut()]))
        *_, last = send(url, "POST", path, body).frames
        assert list(last) == ["error"]
        assert last["error"]
    *_, last = send(url, "POST", "/api/push", {"name": "nope"}).frames
    assert list(last) == ["error"]


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://127.0.0.1", "app://obsidian.md"])
def test_a_page_of_this_machine_may_chat(url: str, backend: Backend, origin: str) -> None:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = send(url, "OPTIONS", "/api/chat", None, {"Origin": origin, **asking})
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"].split(",")
    assert "content-type" in preflight.headers["Access-Control-Allow-Headers"].lower().split(",")
    for method, path, body in (("GET", "/api/tags", None), ("POST", "/api/chat", CHAT), ("POST", "/api/show", {"model": "x"})):
        reply = send(url, method, path, body, {"Origin": origin, **JSON})
        assert reply.headers["Access-Control-Allow-Origin"] == origin


# ── what each client reads
#
# The types are the clients' own: strict, so that a text is no number, and without what a client does not read.


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


type Unsigned = Annotated[int, Field(ge=0, lt=1 << 64)]
type FractionalDate = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)$")]


def read[T: Strict](kind: type[T], content: bytes | str) -> T:
    return kind.model_validate_json(content)


def streamed(url: str, path: str, body: object, headers: Mapping[str, str] | None = None) -> list[bytes]:
    """The lines of a stream; none of them blank or an error."""
    answer = send(url, "POST", path, body, headers)
    assert (answer.status, answer.headers["Content-Type"]) == (200, NDJSON)
    *lines, rest = answer.body.split(b"\n")
    assert rest == b""
    for line in lines:
        assert "error" not in json.loads(line)
    return lines


# Zed


class ZedDetails(Strict):
    format: str
    family: str
    parameter_size: str
    quantization_level: str


class ZedModel(Strict):
    name: str
    modified_at: str
    size: Unsigned
    digest: str
    details: ZedDetails


class ZedModels(Strict):
    models: list[ZedModel]


class ZedShown(Strict):
    capabilities: list[str]


class ZedFunction(Strict):
    name: str
    arguments: dict[str, Any]


class ZedCall(Strict):
    id: str | None = None
    function: ZedFunction


class ZedMessage(Strict):
    role: Literal["assistant"]
    content: str
    tool_calls: list[ZedCall] | None = None
    thinking: str | None = None


class ZedDelta(Strict):
    model: str
    created_at: str
    message: ZedMessage
    done: bool
    done_reason: str | None = None
    prompt_eval_count: Unsigned | None = None
    eval_count: Unsigned | None = None


def test_zed_finds_what_it_reads(url: str, backend: Backend) -> None:
    models = read(ZedModels, send(url, "GET", "/api/tags", None, {"Accept": "application/json"}).body).models
    names = [model.name for model in models if "-embed" not in model.name]
    assert names == ["gpt-test"]
    with ThreadPoolExecutor(5) as pool:
        shown = list(pool.map(lambda model: send(url, "POST", "/api/show", {"model": model.name}), models))
    assert [answer.status for answer in shown] == [200] * len(models)
    assert "tools" in read(ZedShown, shown[[model.name for model in models].index("gpt-test")].body).capabilities

    backend.reply_with(Stream(CALL), Stream(ANSWER))
    body = {
        "model": "gpt-test",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hello", "images": None}],
        "stream": True,
        "keep_alive": -1,
        "options": {"num_ctx": 4096, "num_predict": None, "stop": None, "temperature": 1.0, "top_p": None},
        "tools": [TOOL],
        "think": None,
    }
    deltas = [read(ZedDelta, line) for line in streamed(url, "/api/chat", body)]
    [call] = [call for delta in deltas for call in delta.message.tool_calls or []]
    assert (call.function.name, call.function.arguments) == ("weather", ARGUMENTS)
    assert [delta.done for delta in deltas].count(True) == 1
    assert deltas[-1].done
    assert (deltas[-1].prompt_eval_count, deltas[-1].eval_count) == (7, 2)
    body["messages"] = [
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [{"id": call.id, "function": FUNCTION}], "thinking": None},
        {"role": "tool", "tool_name": "weather", "content": "sunny"},
    ]
    deltas = [read(ZedDelta, line) for line in streamed(url, "/api/chat", body)]
    assert "".join(delta.message.content for delta in deltas) == "It is sunny."


# Koog


class KoogDetails(Strict):
    format: str
    family: str
    parameter_size: str


class KoogModel(Strict):
    name: str
    model: str
    size: Annotated[int, Field(lt=1 << 63)]
    modified_at: str
    digest: str
    details: KoogDetails


class KoogModels(Strict):
    models: list[KoogModel]


class KoogShown(Strict):
    capabilities: list[Literal["audio", "completion", "embedding", "insert", "vision", "thinking", "tools"]]


class KoogAnswer(Strict):
    model: str
    message: ZedMessage
    done: bool


class KoogVector(Strict):
    embedding: list[float]


def test_koog_finds_what_it_reads(url: str, backend: Backend) -> None:
    tags = send(url, "GET", "/api/tags")
    assert tags.headers["Content-Type"].startswith("application/json")
    for model in read(KoogModels, tags.body).models:
        shown = send(url, "POST", "/api/show", {"name": model.name}, JSON)
        assert shown.headers["Content-Type"].startswith("application/json")
        assert read(KoogShown, shown.body).capabilities
    backend.reply_with(Stream(CALL))
    answer = send(url, "POST", "/api/chat", CHAT | {"stream": False, "tools": [TOOL]}, JSON)
    assert answer.headers["Content-Type"].startswith("application/json")
    read_answer = read(KoogAnswer, answer.body)
    assert read_answer.done
    assert read_answer.message.content == ""
    assert read_answer.message.tool_calls
    vector = send(url, "POST", "/api/embeddings", {"model": "text-embedding-test", "prompt": "one"}, JSON)
    assert len(read(KoogVector, vector.body).embedding) == 8
    assert send(url, "POST", "/api/pull", {"name": "gpt-test", "stream": False}, JSON).json == {"status": "success"}


# Enchanted


class EnchantedModel(Strict):
    name: str
    digest: str
    size: int
    modified_at: FractionalDate
    details: ZedDetails


class EnchantedModels(Strict):
    models: list[EnchantedModel]


class EnchantedMessage(Strict):
    role: Literal["assistant"]
    content: str


class EnchantedAnswer(Strict):
    model: str
    created_at: FractionalDate
    done: bool
    message: EnchantedMessage


def test_enchanted_finds_what_it_reads(url: str) -> None:
    token = {"Authorization": "Bearer a-token-of-its-own"}
    assert send(url, "HEAD", "/", None, token).status == 200
    assert send(url, "GET", "/", None, token).body == b"Ollama is running"
    models = read(EnchantedModels, send(url, "GET", "/api/tags", None, token).body).models
    assert len(models) == 2
    lines = streamed(url, "/api/chat", CHAT | {"stream": True, "options": {"temperature": 0}}, token | JSON)
    answers = [read(EnchantedAnswer, line) for line in lines]
    assert "".join(answer.message.content for answer in answers) == SAID
    assert answers[-1].done


# Roo Code


class RooDetails(Strict):
    family: str
    parameter_size: str


class RooModel(Strict):
    model: str
    name: str
    details: RooDetails


class RooModels(Strict):
    models: list[RooModel]


class RooShown(Strict):
    details: RooDetails
    model_info: dict[str, Any]
    capabilities: list[str]


def test_roo_code_finds_what_it_reads(url: str) -> None:
    usable = []
    for model in read(RooModels, send(url, "GET", "/api/tags").body).models:
        shown = read(RooShown, send(url, "POST", "/api/show", {"model": model.model}, JSON).body)
        lengths = [value for key, value in shown.model_info.items() if "context_length" in key]
        assert type(lengths[0]) is int
        assert lengths[0] > 0
        if "tools" in shown.capabilities:
            usable.append(model.name)
    assert usable == ["gpt-test"]
    lines = streamed(url, "/api/chat", CHAT | {"stream": True, "options": {"num_ctx": 32768, "temperature": 0}}, JSON)
    assert json.loads(lines[-1])["done"] is True
    unknown = send(url, "POST", "/api/chat", {"model": "nope", "messages": HELLO, "stream": True}, JSON)
    assert (unknown.status, unknown.headers["Content-Type"]) == (404, "application/json; charset=utf-8")


# Vercel's AI SDK with ollama-ai-provider-v2


class VercelFunction(Strict):
    name: str
    arguments: dict[str, Any]


class VercelCall(Strict):
    function: VercelFunction


class VercelMessage(Strict):
    role: str
    content: str
    tool_calls: list[VercelCall] | None = None
    thinking: str | None = None


class VercelChat(Strict):
    model: str
    created_at: str
    done: bool
    message: VercelMessage
    eval_count: int | None = None
    prompt_eval_count: int | None = None


class VercelGenerated(Strict):
    model: str
    created_at: str
    response: str
    done: bool
    context: list[int]
    eval_count: int
    eval_duration: int


class VercelEmbedded(Strict):
    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


def test_vercels_provider_finds_what_it_reads(url: str, backend: Backend) -> None:
    extra = {"max_output_tokens": 50, "temperature": 0.5, "top_p": 1, "think": False}
    backend.reply_with(Stream(CALL), Stream(CALL))
    body = CHAT | extra | {"tools": [TOOL], "tool_choice": "auto"}
    lines = streamed(url, "/api/chat", body | {"stream": True}, JSON)
    calls = [call for line in lines for call in read(VercelChat, line).message.tool_calls or []]
    assert calls[0].function.arguments == ARGUMENTS
    whole = read(VercelChat, send(url, "POST", "/api/chat", body | {"stream": False}, JSON).body)
    assert whole.message.tool_calls == calls
    history = [
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [{"id": "x", "type": "function", "function": FUNCTION}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "x"},
    ]
    assert send(url, "POST", "/api/chat", body | {"messages": history, "stream": False}, JSON).said == SAID
    generated = read(VercelGenerated, send(url, "POST", "/api/generate", GENERATE | extra | {"stream": False}, JSON).body)
    assert generated.context
    last = streamed(url, "/api/generate", GENERATE | extra | {"stream": True}, JSON)[-1]
    assert read(VercelGenerated, last).context
    vectors = {"model": "text-embedding-test", "input": ["one", "two"]}
    assert len(read(VercelEmbedded, send(url, "POST", "/api/embed", vectors, JSON).body).embeddings) == 2


# ollama-rs


class RustModel(Strict):
    name: str
    modified_at: str
    size: Unsigned


class RustModels(Strict):
    models: list[RustModel]


class RustShown(Strict):
    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    model_info: dict[str, Any]
    capabilities: list[str]


class RustFinal(Strict):
    model: str
    created_at: str
    done: Literal[True]
    total_duration: Unsigned
    load_duration: Unsigned
    prompt_eval_count: Annotated[int, Field(ge=0, lt=1 << 16)]
    prompt_eval_duration: Unsigned
    eval_count: Annotated[int, Field(ge=0, lt=1 << 16)]
    eval_duration: Unsigned


class RustGenerated(RustFinal):
    response: str
    context: list[int]


class RustProgress(Strict):
    status: str
    digest: str | None = None
    total: Unsigned | None = None
    completed: Unsigned | None = None


def test_ollama_rs_finds_what_it_reads(url: str) -> None:
    assert read(RustModels, send(url, "GET", "/api/tags").body).models
    shown = read(RustShown, send(url, "POST", "/api/show", {"name": "gpt-test"}).body)
    assert re.search(r"^FROM \S+$", shown.modelfile, re.MULTILINE)
    body = CHAT | {"messages": [HELLO[0] | {"tool_calls": [], "thinking": None}], "stream": True, "tools": []}
    assert read(RustFinal, streamed(url, "/api/chat", body)[-1]).eval_count == 3
    assert read(RustFinal, send(url, "POST", "/api/chat", body | {"stream": False}).body).eval_count == 3
    context = read(RustGenerated, streamed(url, "/api/generate", GENERATE | {"stream": True})[-1]).context
    assert context
    assert read(RustGenerated, send(url, "POST", "/api/generate", GENERATE | {"stream": False, "context": context}).body)
    embedded = send(url, "POST", "/api/embed", {"model": "text-embedding-test", "input": "one"})
    assert read(VercelEmbedded, embedded.body).embeddings
    steps = [read(RustProgress, line) for line in streamed(url, "/api/pull", {"name": "gpt-test", "insecure": False})]
    assert steps[-1].status == "success"


# Open WebUI


def test_open_webui_finds_what_it_reads(url: str, backend: Backend) -> None:
    version = send(url, "GET", "/api/version").json["version"]
    assert tuple(int(part) for part in re.sub(r"^v|-.*$", "", version).split(".")) >= (0, 1, 16)
    models = {model["model"]: model for model in send(url, "GET", "/api/tags").json["models"]}
    assert all(isinstance(model["name"], str) for model in models.values())
    body = CHAT | {"stream": True, "options": {"num_ctx": 2048}, "keep_alive": "5m"}
    frames = [json.loads(line) for line in streamed(url, "/api/chat", body, JSON)]
    assert "".join(frame["message"]["content"] for frame in frames) == SAID
    last = frames[-1]
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert last["eval_count"] / (last["eval_duration"] / 1e9) > 0
    assert last["prompt_eval_count"] / (last["prompt_eval_duration"] / 1e9) > 0
    assert last["total_duration"] >= last["load_duration"] > 0
    [loaded] = [model for model in send(url, "GET", "/api/ps").json["models"] if model["model"] == "gpt-test"]
    assert datetime.fromisoformat(loaded["expires_at"]) > datetime.now(UTC)
    eject = {"model": "gpt-test", "keep_alive": 0, "prompt": ""}
    assert send(url, "POST", "/api/generate", eject, JSON).status == 200
    assert "gpt-test" not in [model["model"] for model in send(url, "GET", "/api/ps").json["models"]]

    embedded = send(url, "POST", "/api/embed", {"model": "text-embedding-test", "input": ["a", "b"]}, JSON).json
    assert len(embedded["embeddings"]) == 2
    assert send(url, "POST", "/api/embeddings", {"model": "text-embedding-test", "prompt": "a"}, JSON).json["embedding"]
    assert send(url, "POST", "/api/show", {"model": "gpt-test"}, JSON).json["details"]
    assert json.loads(streamed(url, "/api/pull", {"model": "gpt-test"}, JSON)[-1])["status"] == "success"
    assert json.loads(streamed(url, "/api/create", {"model": "own", "from": "gpt-test"}, JSON)[-1])["status"] == "success"
    assert send(url, "POST", "/api/copy", {"source": "own", "destination": "mine"}, JSON).status == 200
    for name in ("own", "mine"):
        assert send(url, "DELETE", "/api/delete", {"model": name}, JSON).status == 200

    assert {model["id"] for model in send(url, "GET", "/v1/models").json["data"]} == set(models)
    sse = send(url, "POST", "/v1/chat/completions", CHAT | {"stream": True}, JSON)
    assert sse.headers["Content-Type"].startswith("text/event-stream")
    assert sse.body.endswith(b"data: [DONE]\n\n")
    backend.reply_with(Error(429, error_body("slow down"), {"Retry-After": "3"}))
    busy = send(url, "POST", "/api/chat", body, JSON)
    assert (busy.status, busy.headers["Retry-After"], busy.json) == (429, "3", {"error": "slow down"})


# VS Code with Copilot Chat


class CopilotInfo(Strict):
    model_config = ConfigDict(strict=True, extra="allow")

    architecture: Annotated[str, Field(alias="general.architecture")]
    basename: Annotated[str, Field(alias="general.basename")]


class CopilotShown(Strict):
    template: str
    capabilities: list[str]
    model_info: CopilotInfo


def test_copilot_finds_what_it_reads(url: str, backend: Backend) -> None:
    agent = {"User-Agent": "GitHubCopilotChat/0.38.0"}
    version = [int(part) for part in send(url, "GET", "/api/version", None, agent).json["version"].split(".")]
    assert version >= [0, 6, 4]
    names = [model["model"] for model in send(url, "GET", "/api/tags", None, agent).json["models"]]
    shown = {name: read(CopilotShown, send(url, "POST", "/api/show", {"model": name}, agent).body) for name in names}
    assert "tools" in shown["gpt-test"].capabilities
    for name, model in shown.items():
        length = (model.model_info.model_extra or {})[f"{model.model_info.architecture}.context_length"]
        assert type(length) is int
        assert length > 4096
        assert model.model_info.basename == name
    backend.reply_with(Stream(CALL))
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", default_headers=agent) as client:
        tools: Any = [TOOL]
        messages: Any = HELLO
        stream = client.chat.completions.create(
            model="gpt-test", messages=messages, tools=tools, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert [(call.function.name, call.function.arguments) for call in calls if call.function] == [
        ("weather", '{"city":"Rome"}')
    ]
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "tool_calls"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 9
    assert asked(backend)["tools"] == [TOOL]


# Codex


def test_codex_finds_what_it_reads(url: str, backend: Backend) -> None:
    assert send(url, "GET", "/v1/models").status == 200
    version = [int(part) for part in send(url, "GET", "/api/version").json["version"].split(".")]
    assert version >= [0, 13, 4]
    names = [model["name"] for model in send(url, "GET", "/api/tags").json["models"]]
    assert "gpt-oss:20b" not in names
    steps = [json.loads(line) for line in streamed(url, "/api/pull", {"model": "gpt-oss:20b", "stream": True}, JSON)]
    assert steps[-1] == {"status": "success"}
    body = {"model": "gpt-test", "input": [{"role": "user", "content": "hello"}], "stream": True, "store": False}
    answer = send(url, "POST", "/v1/responses", body, JSON | {"Accept": "text/event-stream"})
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.body.startswith(b"event: response.created\n")
    assert b"event: response.completed\n" in answer.body
    assert asked(backend) == body


# LiteLLM


def test_litellm_finds_what_it_reads(url: str, backend: Backend) -> None:
    for _ in range(6):
        shown = send(url, "POST", "/api/show", {"name": "gpt-test"}).json
        assert "tools" in shown["template"].lower()
        length = next(value for key, value in shown["model_info"].items() if "context_length" in key)
        assert type(length) is int
    assert send(url, "GET", "/api/tags").json["models"][0]["name"]
    prompt = "### User:\nhello\n\n"
    octets = {"Content-Type": "application/octet-stream"}
    whole = send(url, "POST", "/api/generate", GENERATE | {"prompt": prompt, "options": {}, "stream": False}, octets)
    assert whole.said == SAID
    assert (whole.json["prompt_eval_count"], whole.json["eval_count"]) == (5, 3)
    backend.reply_with(Stream([text('{"name": "weather", "arguments": {"city": "Rome"}}'), finish()]))
    tools = send(url, "POST", "/api/generate", GENERATE | {"prompt": prompt, "format": "json", "stream": False})
    assert json.loads(tools.said)["name"] == "weather"
    assert asked(backend)["response_format"] == {"type": "json_object"}
    history = [
        *HELLO,
        {"role": "assistant", "tool_calls": [{"id": "x", "function": FUNCTION}], "thinking": "hm"},
        {"role": "tool", "content": "sunny", "tool_call_id": "x"},
    ]
    for line in streamed(url, "/api/chat", CHAT | {"messages": history, "stream": True}):
        frame = json.loads(line)
        assert (frame["model"], type(frame["done"]), type(frame["message"])) == ("gpt-test", bool, dict)
    assert asked(backend)["messages"][2]["tool_call_id"] == "x"
    embedded = send(url, "POST", "/api/embed", {"model": "text-embedding-test", "input": ["a"], "dimensions": 4}).json
    assert (len(embedded["embeddings"][0]), type(embedded["prompt_eval_count"])) == (4, int)


# Continue


def test_continue_finds_what_it_reads(url: str, backend: Backend) -> None:
    shown = send(url, "POST", "/api/show", {"name": "gpt-test"}, JSON).json
    pairs = dict(re.split(r"\s+", line, maxsplit=1) for line in shown["parameters"].splitlines())
    assert int(pairs["num_ctx"]) > 0
    fills_in = ".Suffix" in shown["template"]
    assert fills_in == ("insert" in shown["capabilities"])
    options = {"num_ctx": 8192, "num_predict": 50, "mirostat": None, "num_gpu": 1, "num_thread": 4, "stop": ["\n\n"]}
    lines = streamed(url, "/api/chat", CHAT | {"options": options, "keep_alive": 1800, "stream": True}, JSON)
    assert "".join(json.loads(line)["message"]["content"] for line in lines) == SAID
    assert (asked(backend)["max_tokens"], asked(backend)["stop"]) == (50, ["\n\n"])
    for more in ({"suffix": "return x"}, {"raw": True}):
        body = GENERATE | {"options": options, "keep_alive": 1800} | more
        completed = [json.loads(line) for line in streamed(url, "/api/generate", body, JSON)]
        assert "".join(frame["response"] for frame in completed) == SAID
        assert backend.requests[-1].path == "/v1/completions"
    embedded = send(url, "POST", "/api/embed", {"model": "text-embedding-test", "input": ["a", "b"]}, JSON).json
    assert len(embedded["embeddings"]) == 2
    assert [model["name"] for model in send(url, "GET", "/api/tags").json["models"]] == ["gpt-test", "text-embedding-test"]
    assert json.loads(streamed(url, "/api/pull", {"name": "gpt-test"}, JSON)[-1])["status"] == "success"


# Home Assistant


def test_home_assistant_finds_what_it_reads(url: str, backend: Backend) -> None:
    asyncio.run(_home_assistant(url, backend))


async def _home_assistant(url: str, backend: Backend) -> None:
    async with AsyncClient(host=url) as client:
        async with asyncio.timeout(5):
            listing = await client.list()
        assert "gpt-test" in [model.model for model in listing.models]
        await client.pull("gpt-test:latest")
        rounds = 9
        for number in range(rounds):
            calls = [
                tool_delta(0, f"call_{number}", "weather", '{"city":"Rome"}'),
                tool_delta(1, None, "weather", '{"city":"Oslo"}'),
            ]
            backend.reply_with(Stream([role(), *calls, finish("tool_calls")]))
        backend.reply_with(Stream(ANSWER))
        history: list[Any] = [{"role": "system", "content": "s"}, *HELLO]
        for number in range(rounds + 1):
            stream = await client.chat(
                model="gpt-test:latest",
                messages=list(history),
                tools=[TOOL],
                stream=True,
                keep_alive="120s" if number else -1,
                options={"num_ctx": 8192},
                think=False,
            )
            content, called = await _heard(stream)
            history.append({"role": "assistant", "content": content or None, "tool_calls": called or None})
            if not called:
                break
            # Neither a name nor an id: only the order says which result is whose.
            history += [{"role": "tool", "content": json.dumps(call["function"]["arguments"])} for call in called]
        assert content == "It is sunny."
        sent = asked(backend)["messages"]
        made = [call for message in sent for call in message.get("tool_calls", [])]
        results = {message["tool_call_id"]: message["content"] for message in sent if message["role"] == "tool"}
        assert len(made) == len(results) == 2 * rounds
        assert [json.loads(results[call["id"]]) for call in made] == [
            json.loads(call["function"]["arguments"]) for call in made
        ]
        structured = await client.chat(model="gpt-test", messages=HELLO, stream=True, format=PARAMETERS)
        assert (await _heard(structured))[0] == SAID
        assert asked(backend)["response_format"]["json_schema"]["schema"] == PARAMETERS
        for status in (401, 403):
            backend.reply_with(Error(status, error_body("no")))
            with pytest.raises(ResponseError) as caught:
                await _heard(await client.chat(model="gpt-test", messages=HELLO, stream=True))
            assert caught.value.status_code == status


async def _heard(stream: AsyncIterator[Any]) -> tuple[str, list[dict[str, Any]]]:
    content, called = "", []
    async for chunk in stream:
        content += chunk["message"].content or ""
        for call in chunk["message"].tool_calls or []:
            assert isinstance(call.function.arguments, dict)
            called.append({"function": {"name": call.function.name, "arguments": call.function.arguments}})
    return content, called


# LangChain4j


def test_langchain4j_finds_what_it_reads(url: str, backend: Backend) -> None:
    headers = UPGRADE | JSON | {"X-Custom": "yes"}
    body = CHAT | {"options": {"temperature": 0.5, "stop": []}, "stream": True, "tools": []}
    answers = [json.loads(line) for line in streamed(url, "/api/chat", body, headers)]
    assert "".join(answer["message"]["content"] for answer in answers) == SAID
    assert [answer["done"] for answer in answers] == [False] * (len(answers) - 1) + [True]
    assert (answers[-1]["prompt_eval_count"], answers[-1]["eval_count"]) == (5, 3)
    generated = [json.loads(line) for line in streamed(url, "/api/generate", GENERATE | {"stream": True}, headers)]
    assert "".join(answer["response"] for answer in generated) == SAID
    assert generated[-1]["done"]
    embedded = send(url, "POST", "/api/embed", {"model": "text-embedding-test", "input": ["a", "b"]}, headers).json
    assert len(embedded["embeddings"]) == 2
    [name, *_] = [model["name"] for model in send(url, "GET", "/api/tags", None, UPGRADE).json["models"]]
    card = send(url, "POST", "/api/show", {"name": name}, headers).json
    assert card["details"]["family"]
    assert card["modelfile"]
    assert card["model_info"]
    running = send(url, "GET", "/api/ps", None, UPGRADE).json["models"]
    assert {"gpt-test", "text-embedding-test"} == {model["name"] for model in running}
    assert all(type(model["size_vram"]) is int for model in running)
    assert send(url, "DELETE", "/api/delete", {"name": name}, headers).status == 200
    unknown = send(url, "POST", "/api/chat", body | {"model": "nope"}, headers)
    assert unknown.status == 404


# llama-index


def test_llama_index_finds_what_it_reads(url: str, backend: Backend) -> None:
    client = Client(url)
    info = client.show("gpt-test").modelinfo or {}
    window = next(value for key, value in info.items() if "context_length" in key)
    assert int(window) > 0
    options: Any = {"temperature": None, "num_ctx": window}
    backend.reply_with(Stream(CALL))
    answer = client.chat(model="gpt-test", messages=HELLO, stream=False, tools=[TOOL], options=options, format=None)
    whole = dict(answer)
    assert whole["message"]["tool_calls"][0]["function"]["arguments"] == ARGUMENTS
    assert whole["prompt_eval_count"] + whole["eval_count"] == 9
    history: list[Any] = [*HELLO, {"role": "assistant", "tool_calls": whole["message"]["tool_calls"]}]
    history.append({"role": "tool", "content": "sunny"})
    frames = list(client.chat(model="gpt-test", messages=history, stream=True, options=options))
    assert "".join(frame["message"]["content"] for frame in frames) == SAID
    assert len(client.embed(model="text-embedding-test", input=["a", "b"]).embeddings) == 2
    client.close()


# llm-ollama


def test_llm_ollama_finds_what_it_reads(url: str) -> None:
    client = Client(url)
    digests: list[dict[str | None, str | None]] = []
    for _ in range(2):
        models = client.list()["models"]
        digests.append({model["digest"]: model["model"] for model in models})
    assert digests[0] == digests[1]
    assert len(digests[0]) == 2
    kinds = {name: client.show(name or "").capabilities or [] for name in digests[0].values()}
    assert "completion" in kinds["gpt-test"]
    assert "embedding" in kinds["text-embedding-test"]
    chunks = list(client.chat(model="gpt-test", messages=HELLO, stream=True))
    assert "".join(chunk["message"]["content"] for chunk in chunks) == SAID
    assert (chunks[-1]["prompt_eval_count"], chunks[-1]["eval_count"]) == (5, 3)
    assert len(client.embed(model="text-embedding-test", input=["a"], truncate=True)["embeddings"]) == 1
    client.close()
