"""What real clients send, to the letter.

Requests are replayed as they were seen on the wire: method, path, headers, body, from a client that adds nothing of its own.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from tests.live.bare_client import (
    ARGUMENTS,
    CHAT,
    FUNCTION,
    GENERATE,
    GO,
    HELLO,
    JSON,
    KEY,
    PARAMETERS,
    PLAIN,
    PNG,
    SAID,
    UPGRADE,
    Answer,
    asked,
    send,
)
from tests.live.proxy import Door, ProxyProcess
from tests.patience import PATIENCE
from tests.standins import Cut, ScriptedBackend, Sleep, Stream, WaitForClient, embedding_of, finish, reasoning, role, text

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with (
        ScriptedBackend(api_key=KEY) as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, OPENAI_API_KEY=KEY) as proxy,
    ):
        yield backend, proxy


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
        CHAT | {"max_output_tokens": 50, "temperature": 0.1, "top_p": 0.2, "tool_choice": "auto"} | {"options": {}},
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
    url: str, backend: ScriptedBackend, path: str, body: object, headers: dict[str, str]
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
        case(6, "false", False, "none"),
        case(6, "null", None, None),
        case(6, "low", "low", "low"),
        case(6, "medium", "medium", "medium"),
        case(6, "high", "high", "high"),
    ],
)
@pytest.mark.parametrize(("path", "question"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "hello"})])
def test_every_way_to_ask_for_thinking_is_taken(
    url: str, backend: ScriptedBackend, path: str, question: dict[str, Any], think: object, effort: str | None
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
    url: str, backend: ScriptedBackend, path: str, body: dict[str, Any], done_reason: str
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


def test_the_command_runs_a_prompt_and_a_session(url: str, backend: ScriptedBackend) -> None:
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
    for path, body, name in (("/api/show", show, "nn:latest"), ("/api/generate", stop, "nn")):
        gone = go(url, "POST", path, body)
        assert (gone.status, gone.json) == (404, {"error": f"model '{name}' not found"})


@pytest.mark.parametrize("chunked", [case(9, "the command", True), case(9, "ollama-python", False)])
def test_files_are_uploaded_and_no_model_is_made_of_them(url: str, chunked: bool) -> None:
    data = b"GGUF and some more bytes"
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    uploaded = send(url, "POST", f"/api/blobs/{digest}", data, GO, chunked=chunked)
    assert (uploaded.status, uploaded.body) == (201, b"")
    body = {"model": "made", "files": {"m.gguf": digest}, "parameters": {"stop": ["a"]}, "stream": not chunked}
    made = send(url, "POST", "/api/create", body, GO)
    assert made.status == 400
    assert "cannot be created from files" in made.json["error"]


# ── seen on the wire: tools, formats, images


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
def test_a_result_reaches_its_call_however_it_is_written(
    url: str, backend: ScriptedBackend, history: list[dict[str, Any]]
) -> None:
    function = {"name": "weather", "parameters": {"$schema": "x", **PARAMETERS, "additionalProperties": False}, "strict": True}
    tools = [{"type": "function", "function": function}]
    answer = send(url, "POST", "/api/chat", {"model": "gpt-test", "messages": [*HELLO, *history], "tools": tools})
    assert answer.said == SAID
    # System messages are joined in the first.
    messages = [message for message in asked(backend)["messages"] if message["role"] != "system"]
    _, call, result, *rest = messages
    assert (call["role"], result["role"]) == ("assistant", "tool")
    assert result["tool_call_id"] == call["tool_calls"][0]["id"] != ""
    assert call["tool_calls"][0]["type"] == "function"
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == ARGUMENTS
    assert result["content"] == "sunny"
    assert len(rest) == len([message for message in history if message["role"] != "system"]) - 2
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
def test_a_format_is_asked_for(url: str, backend: ScriptedBackend, given: object, sent: object) -> None:
    assert send(url, "POST", "/api/chat", CHAT | {"format": given, "stream": False}).said == SAID
    if sent == "json_schema":
        sent = {"type": "json_schema", "json_schema": {"name": "schema", "schema": given}}
    assert asked(backend)["response_format"] == sent


@pytest.mark.parametrize(("path", "place"), [("/api/chat", "ChatRequest.messages.images"), ("/api/generate", "images")])
def test_an_image_that_is_no_text_is_refused(url: str, backend: ScriptedBackend, path: str, place: str) -> None:
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
def test_embeddings_are_asked_for_in_many_ways(
    url: str, backend: ScriptedBackend, path: str, body: dict[str, Any], count: int
) -> None:
    answer = send(url, "POST", path, {"model": "text-embedding-test"} | body)
    assert answer.status == 200
    if count:
        assert [len(vector) for vector in answer.json["embeddings"]] == [body.get("dimensions", 8)] * count
    else:
        assert answer.json["embedding"] == pytest.approx(embedding_of("one"))
    assert set(asked(backend)) <= {"model", "input", "dimensions", "encoding_format"}


def test_the_openai_sdk_asks_for_its_vectors_in_base64(url: str, backend: ScriptedBackend) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="ollama") as client:
        reply = client.embeddings.create(model="text-embedding-test", input=["one", "two"])
    assert asked(backend)["encoding_format"] == "base64"
    assert [item.embedding for item in reply.data] == [embedding_of("one"), embedding_of("two")]


# ── seen on the wire: connections


@pytest.fixture(scope="module", params=["console", "mitmdump"])
def door(request: pytest.FixtureRequest, _shared: tuple[ScriptedBackend, ProxyProcess]) -> Iterator[ProxyProcess]:
    door: Door = request.param
    if door == "console":
        yield _shared[1]
        return
    with ProxyProcess(door=door, OPENAI_API_BASE_URL=_shared[0].base_url, OPENAI_API_KEY=KEY) as proxy:
        yield proxy


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_an_offer_of_http_2_is_passed_over(door: ProxyProcess, backend: ScriptedBackend, path: str) -> None:
    long = CHAT | {"messages": [{"role": "user", "content": "hello " * 20_000}], "stream": False}
    with socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE) as sock, sock.makefile("rb") as replies:
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
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
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
def test_each_frame_is_a_write_of_its_own(
    door: ProxyProcess, backend: ScriptedBackend, path: str, body: dict[str, Any]
) -> None:
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


def test_a_long_frame_is_one_chunk(url: str, backend: ScriptedBackend) -> None:
    backend.reply_with(Stream([text("x" * 500_000), finish()]))
    received = b"".join(raw_pieces(int(url.rpartition(":")[2]), "/api/chat", json.dumps(CHAT).encode()))
    length, _, rest = received.partition(b"\r\n")
    assert int(length, 16) > 500_000
    # The last frame may have come in the same read.
    first, *further = rest[: int(length, 16)].splitlines(keepends=True)
    assert len(first) > 500_000
    assert all(frame.endswith(b"}\n") for frame in (first, *further))


def test_one_connection_serves_fifty_calls(door: ProxyProcess, backend: ScriptedBackend) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=PATIENCE)
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


def test_a_client_that_closes_in_mid_stream_frees_the_way_for_the_next(url: str, backend: ScriptedBackend) -> None:
    for path, body in (("/api/chat", CHAT), ("/api/generate", GENERATE), ("/v1/chat/completions", CHAT | {"stream": True})):
        backend.reply_with(Stream([text("a"), WaitForClient()]))
        with httpx.stream("POST", url + path, json=body, timeout=PATIENCE) as reply:
            next(reply.iter_bytes())
        noticed = backend.wait_for_disconnect()
        assert noticed is not None
        assert send(url, "POST", "/api/chat", CHAT).said == SAID


# ── seen on the wire: errors and web pages


def test_an_error_is_a_text_and_a_status(url: str, backend: ScriptedBackend) -> None:
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
def test_a_page_of_this_machine_may_chat(url: str, backend: ScriptedBackend, origin: str) -> None:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = send(url, "OPTIONS", "/api/chat", None, {"Origin": origin, **asking})
    assert (preflight.status, preflight.body) == (204, b"")
    assert preflight.headers["Access-Control-Allow-Origin"] == origin
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"].split(",")
    assert "content-type" in preflight.headers["Access-Control-Allow-Headers"].lower().split(",")
    for method, path, body in (("GET", "/api/tags", None), ("POST", "/api/chat", CHAT), ("POST", "/api/show", {"model": "x"})):
        reply = send(url, method, path, body, {"Origin": origin, **JSON})
        assert reply.headers["Access-Control-Allow-Origin"] == origin
