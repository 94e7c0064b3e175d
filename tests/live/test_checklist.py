"""What Ollama's own tests ask of a server, as far as a client sees it: through a real proxy.

`tests/conformance/checklist.toml` names the cases, the test that checks each, and the cases that are checked elsewhere.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.live.cut_streams import read_stream
from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE
from tests.standins import (
    Chunk,
    Done,
    End,
    Error,
    Raw,
    ScriptedBackend,
    Sleep,
    Stream,
    error_body,
    finish,
    reasoning,
    role,
    text,
    tool_delta,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ollama import Client

    from tests.standins import Step

JSON_TYPE = "application/json; charset=utf-8"
HELLO = [{"role": "user", "content": "hello"}]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(8)).decode()
SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
METRICS = ["total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"]
COMMAND = "ollama/0.24.0 (amd64 linux) Go/go1.24.1"
OLD, NEW = 1_500_000_000, 1_700_000_000
ZSTD = bytes.fromhex("28b52ffd200f790000") + b'{"model":"m"}\n\n'
"""A frame of Zstandard, uncompressed."""


class Backend(ScriptedBackend):
    """Also has a model that makes images."""

    def __init__(self) -> None:
        super().__init__(api_key="key")
        entry = {"object": "model", "owned_by": "tests"}
        self.models = [
            {"id": "gpt-test", "created": OLD, **entry},
            {"id": "text-embedding-test", "created": NEW, **entry},
            {"id": "painter", "created": OLD, "type": "image", **entry},
        ]


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[Backend, ProxyProcess]]:
    with Backend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, OPENAI_API_KEY="key") as proxy:
        yield backend, proxy


def post(url: str, path: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(url + path, json=body, headers=headers, timeout=PATIENCE, trust_env=False)


def get(url: str, path: str) -> httpx.Response:
    return httpx.get(url + path, timeout=PATIENCE, trust_env=False)


def frames(reply: httpx.Response) -> list[Any]:
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.text.endswith("\n")
    return [json.loads(line) for line in reply.text.removesuffix("\n").split("\n")]


def asked(backend: ScriptedBackend) -> Any:
    """The body of the last call to a model."""
    return next(request.json for request in reversed(backend.requests) if request.method == "POST")


def calls_made(backend: ScriptedBackend) -> int:
    return sum(request.method == "POST" for request in backend.requests)


# ── the server


def test_the_version_is_an_object_with_one_key(url: str) -> None:
    reply = get(url, "/api/version")
    assert (reply.status_code, reply.content) == (200, b'{"version":"0.40.12"}')
    assert (reply.headers["content-type"], reply.headers["content-length"]) == (JSON_TYPE, "21")


def test_a_back_end_without_models_has_empty_lists() -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        backend.models = []
        assert get(proxy.url, "/api/tags").content == b'{"models":[]}'
        assert get(proxy.url, "/api/ps").content == b'{"models":[]}'
        openai = get(proxy.url, "/v1/models")
        assert (openai.status_code, openai.json()["data"]) == (200, [])


def test_both_lists_have_the_same_names_in_the_same_order(url: str) -> None:
    names = [model["name"] for model in get(url, "/api/tags").json()["models"]]
    assert [model["id"] for model in get(url, "/v1/models").json()["data"]] == names


def test_a_name_of_the_list_can_be_used_on_the_openai_surface(tmp_path: Path) -> None:
    with ScriptedBackend() as main, ScriptedBackend() as lab:
        lab.models = [lab.models[0] | {"id": "lab-only"}]
        path = tmp_path / "models.toml"
        path.write_text(f'[backends.lab]\nurl = "{lab.base_url}"\n[models.alias]\nmodel = "gpt-test"\n')
        with ProxyProcess(OPENAI_API_BASE_URL=main.base_url, MODELS_FILE=str(path)) as proxy:
            names = {model["name"] for model in get(proxy.url, "/api/tags").json()["models"]}
            assert names == {"gpt-test", "text-embedding-test", "lab-only", "alias"}
            assert {model["id"] for model in get(proxy.url, "/v1/models").json()["data"]} == names
            for name, backend, target in (("alias", main, "gpt-test"), ("lab-only", lab, "lab-only")):
                reply = post(proxy.url, "/v1/chat/completions", {"model": name, "messages": HELLO})
                assert reply.status_code == 200
                assert asked(backend)["model"] == target


def test_one_model_is_found_by_its_id_on_the_openai_surface(url: str) -> None:
    found = get(url, "/v1/models/gpt-test")
    assert (found.status_code, found.json()["id"]) == (200, "gpt-test")
    assert get(url, "/v1/models/nope").status_code == 404


def test_describing_a_model_takes_a_post(url: str) -> None:
    reply = get(url, "/api/show")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert "405 method not allowed" in reply.text


@pytest.mark.parametrize("body", [b"", b" \n\t"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[("POST", f"/api/{name}") for name in ("chat", "generate", "embed", "embeddings", "show")],
        *[("POST", f"/api/{name}") for name in ("pull", "push", "create", "copy")],
        ("DELETE", "/api/delete"),
    ],
)
def test_a_call_without_a_body_is_told_so(url: str, method: str, path: str, body: bytes) -> None:
    reply = httpx.request(method, url + path, content=body, timeout=PATIENCE)
    assert (reply.status_code, reply.content) == (400, b'{"error":"missing request body"}')
    assert reply.headers["content-type"] == JSON_TYPE


@pytest.mark.parametrize(
    ("path", "body", "status", "last"),
    [
        ("/api/pull", {"model": "gpt-test"}, 200, {"status": "success"}),
        ("/api/push", {"model": "gpt-test"}, 200, {"status": "success"}),
        ("/api/create", {"model": "made", "from": "gpt-test"}, 200, {"status": "success"}),
        ("/api/push", {"model": "nope"}, 500, {"error": "open /models/manifests/registry.ollama.ai/library/nope/latest"}),
    ],
)
def test_a_transfer_that_is_not_streamed_ends_with_its_last_frame_only(
    url: str, path: str, body: dict[str, Any], status: int, last: dict[str, str]
) -> None:
    reply = post(url, path, body | {"stream": False})
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json")
    assert list(reply.json()) == list(last)
    assert reply.text.startswith(json.dumps(last, separators=(",", ":")).removesuffix('"}'))
    assert not reply.text.endswith("\n")
    if path == "/api/create":
        assert httpx.request("DELETE", f"{url}/api/delete", json={"model": "made"}, timeout=PATIENCE).status_code == 200


# ── names that clients make


def listed(client: Client) -> list[str | None]:
    return [model.model for model in client.list().models]


def test_deleting_one_of_two_copies_leaves_the_other(client: Client) -> None:
    client.copy("gpt-test", "first")
    client.copy("first", "second")
    client.delete("first")
    assert "first" not in listed(client)
    assert client.chat("second", HELLO).message.content == "Hello world!"
    client.delete("second")


def test_copying_onto_a_name_in_another_case_keeps_the_name(client: Client) -> None:
    client.copy("gpt-test", "My-Copy")
    client.copy("gpt-test", "MY-COPY")
    names = listed(client)
    client.delete("my-copy")
    assert [name for name in names if name and name.lower() == "my-copy:latest"] == ["My-Copy:latest"]


def test_a_model_made_under_the_name_of_another_takes_its_place(client: Client, backend: Backend) -> None:
    client.create("gpt-test", from_="gpt-test", system="Be brief.")
    names = listed(client)
    client.chat("gpt-test", HELLO)
    told = asked(backend)["messages"][0]
    client.delete("gpt-test")
    assert told == {"role": "system", "content": "Be brief."}
    assert (names.count("gpt-test:latest"), names.count("gpt-test")) == (1, 0)


# ── generate


def test_a_template_does_not_change_the_prompt(url: str, backend: Backend) -> None:
    body = {"model": "gpt-test", "prompt": "hello", "template": "{{ .System }} never {{ .Prompt }}", "stream": False}
    assert post(url, "/api/generate", body).json()["response"] == "Hello world!"
    assert asked(backend)["messages"] == HELLO


@pytest.mark.parametrize("stream", [True, False])
def test_a_raw_answer_has_no_context(url: str, stream: bool) -> None:
    body = {"model": "gpt-test", "prompt": "once", "raw": True, "stream": stream}
    last = post(url, "/api/generate", body).text.splitlines()[-1]
    assert json.loads(last)["done"] is True
    assert "context" not in json.loads(last)
    usual = json.loads(post(url, "/api/generate", body | {"raw": False}).text.splitlines()[-1])
    assert all(type(number) is int for number in usual["context"])
    assert usual["context"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_an_error_of_the_back_end_keeps_its_status_for_a_prompt(url: str, backend: Backend, status: int, stream: bool) -> None:
    backend.reply_with(Error(status, error_body("it is so")))
    reply = post(url, "/api/generate", {"model": "gpt-test", "prompt": "hello", "stream": stream})
    assert (reply.status_code, reply.json()) == (status, {"error": "it is so"})


@pytest.mark.parametrize(("path", "question"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "hello"})])
@pytest.mark.parametrize(("number", "taken"), [(-1, False), (0, True), (20, True), (21, False)])
def test_top_logprobs_have_a_range(url: str, path: str, question: dict[str, Any], number: int, taken: bool) -> None:
    body = question | {"model": "gpt-test", "logprobs": True, "top_logprobs": number, "stream": False}
    reply = post(url, path, body)
    if taken:
        assert reply.status_code == 200
    else:
        refusal = (400, {"error": "top_logprobs must be between 0 and 20"})
        assert (reply.status_code, reply.json()) == refusal
        # Before it is asked whether there is such a model.
        reply = post(url, path, body | {"model": "nope"})
        assert (reply.status_code, reply.json()) == refusal


def logprob_chunk(token: str, *, tops: int = 2) -> Chunk:
    entry = {"token": token, "logprob": -0.5, "bytes": list(token.encode())}
    others = [{"token": "?", "logprob": -1.5, "bytes": [63]}]
    content = [entry | {"top_logprobs": ([entry, *others])[:tops]}]
    choice = {"index": 0, "delta": {"content": token}, "finish_reason": None, "logprobs": {"content": content}}
    return Chunk({"id": "x", "object": "chat.completion.chunk", "created": OLD, "model": "gpt-test", "choices": [choice]})


@pytest.mark.parametrize("tops", [0, 2])
@pytest.mark.parametrize(("path", "question"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "hello"})])
def test_logprobs_come_with_the_bytes_of_their_token(
    url: str, backend: Backend, path: str, question: dict[str, Any], tops: int
) -> None:
    answer = Stream([role(), logprob_chunk("é", tops=tops), logprob_chunk("b", tops=tops), finish()])
    backend.reply_with(answer, answer)
    body = question | {"model": "gpt-test", "logprobs": True, "top_logprobs": tops}
    streamed = frames(post(url, path, body))
    assert asked(backend)["logprobs"] is True
    assert asked(backend).get("top_logprobs", 0) == tops
    assert ["logprobs" in frame for frame in streamed] == [True, True, False]
    whole = post(url, path, body | {"stream": False}).json()
    assert whole["logprobs"] == [entry for frame in streamed[:2] for entry in frame["logprobs"]]
    for token, entry in zip(("é", "b"), whole["logprobs"], strict=True):
        assert (entry["token"], entry["logprob"], entry["bytes"]) == (token, -0.5, list(token.encode()))
        others = entry.get("top_logprobs", [])
        assert len(others) == tops
        assert all(list(other) == ["token", "logprob", "bytes"] for other in others)
        values = [other["logprob"] for other in others]
        assert values == sorted(values, reverse=True)
        assert all(value <= 0 for value in values)


@pytest.mark.parametrize(("path", "question"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "hello"})])
def test_logprobs_that_nobody_wants_are_not_asked_for(url: str, backend: Backend, path: str, question: dict[str, Any]) -> None:
    reply = post(url, path, question | {"model": "gpt-test", "top_logprobs": 3})
    assert not any("logprobs" in frame for frame in frames(reply))
    assert "logprobs" not in asked(backend)
    assert "top_logprobs" not in asked(backend)


@pytest.mark.parametrize("images", [[], [PNG], [JPEG, PNG, JPEG]], ids=["none", "one", "three"])
def test_the_images_of_a_prompt_follow_it_in_their_order(url: str, backend: Backend, images: list[str]) -> None:
    reply = post(url, "/api/generate", {"model": "gpt-test", "prompt": "hello", "images": images, "stream": False})
    assert reply.status_code == 200
    [message] = asked(backend)["messages"]
    if images:
        urls = [f"data:image/{'png' if image == PNG else 'jpeg'};base64,{image}" for image in images]
        pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        assert message["content"] == [{"type": "text", "text": "hello"}, *pictures]
    else:
        assert message["content"] == "hello"


def test_a_model_that_makes_images_is_refused(url: str, backend: Backend) -> None:
    for path, body in (("/api/generate", {"prompt": "a cat", "width": 64, "height": 64}), ("/api/chat", {"messages": HELLO})):
        reply = post(url, path, body | {"model": "painter"})
        assert reply.status_code == 400
        assert reply.json()["error"].startswith('"painter" does not support ')
    assert calls_made(backend) == 0


# ── chat


def test_system_messages_are_joined_into_the_first(url: str, backend: Backend) -> None:
    said = [("user", "a"), ("assistant", "b"), ("system", "c"), ("user", "d"), ("system", "e")]
    messages = [{"role": role, "content": content} for role, content in said]
    assert post(url, "/api/chat", {"model": "gpt-test", "messages": messages, "stream": False}).status_code == 200
    arrived = [(message["role"], message["content"]) for message in asked(backend)["messages"]]
    assert arrived == [("system", "c\n\ne"), ("user", "a"), ("assistant", "b"), ("user", "d")]


def test_roles_reach_the_back_end_in_lower_case(url: str, backend: Backend) -> None:
    messages = [{"role": role, "content": "x"} for role in ("SYSTEM", "User", "ASSISTANT", "user")]
    assert post(url, "/api/chat", {"model": "gpt-test", "messages": messages, "stream": False}).status_code == 200
    assert [message["role"] for message in asked(backend)["messages"]] == ["system", "user", "assistant", "user"]


TWO_CALLS: list[Step] = [
    text("Let me see."),
    tool_delta(0, "call_one", "weather", ""),
    *[tool_delta(0, arguments=piece) for piece in '{"zone": "UTC", "city": "Rome", "days": [1, 2]}'],
    tool_delta(1, "call_two", "now", "{}"),
    finish("tool_calls"),
    usage(9, 4),
]


def check_calls(calls: list[dict[str, Any]]) -> None:
    assert [list(call) for call in calls] == [["id", "function"]] * 2
    assert [call["id"] for call in calls] == ["call_one", "call_two"]
    assert [json.dumps(call["function"]) for call in calls] == [
        '{"index": 0, "name": "weather", "arguments": {"zone": "UTC", "city": "Rome", "days": [1, 2]}}',
        '{"index": 1, "name": "now", "arguments": {}}',
    ]


def test_tool_calls_have_ollamas_form(url: str, backend: Backend) -> None:
    backend.reply_with(Stream(TWO_CALLS[1:]))
    whole = post(url, "/api/chat", {"model": "gpt-test", "messages": HELLO, "tools": [TOOL], "stream": False}).json()
    assert list(whole["message"]) == ["role", "content", "tool_calls"]
    assert (whole["message"]["content"], whole["done_reason"]) == ("", "stop")
    check_calls(whole["message"]["tool_calls"])


def test_the_pieces_of_a_tool_call_never_show(url: str, backend: Backend) -> None:
    backend.reply_with(Stream(TWO_CALLS))
    streamed = frames(post(url, "/api/chat", {"model": "gpt-test", "messages": HELLO, "tools": [TOOL]}))
    assert [frame["message"]["content"] for frame in streamed] == ["Let me see.", "", "", ""]
    assert [frame["done"] for frame in streamed] == [False, False, False, True]
    assert [len(frame["message"].get("tool_calls", ())) for frame in streamed] == [0, 1, 1, 0]
    check_calls([call for frame in streamed[1:3] for call in frame["message"]["tool_calls"]])
    assert streamed[3]["done_reason"] == "stop"


def test_a_call_without_arguments_or_id_is_complete_all_the_same(url: str, backend: Backend) -> None:
    backend.reply_with(Stream([tool_delta(0, None, "now", ""), finish("stop")]))
    whole = post(url, "/api/chat", {"model": "gpt-test", "messages": HELLO, "tools": [TOOL], "stream": False}).json()
    [call] = whole["message"]["tool_calls"]
    assert re.fullmatch(r"call_[a-z0-9]{8}", call["id"])
    assert call["function"] == {"index": 0, "name": "now", "arguments": {}}


def test_tools_and_logprobs_go_together(url: str, backend: Backend) -> None:
    backend.reply_with(Stream([logprob_chunk("a"), *TWO_CALLS[1:]]))
    body = {"model": "gpt-test", "messages": HELLO, "tools": [TOOL], "logprobs": True, "top_logprobs": 2}
    streamed = frames(post(url, "/api/chat", body))
    assert [entry["token"] for frame in streamed for entry in frame.get("logprobs", [])] == ["a"]
    check_calls([call for frame in streamed for call in frame["message"].get("tool_calls", [])])
    assert streamed[-1]["done"] is True
    assert "logprobs" not in streamed[-1]


@pytest.mark.parametrize(
    "steps",
    [
        [reasoning("let me "), reasoning("see"), text("4"), text("2")],
        [reasoning("let me ", "reasoning"), reasoning("see", "reasoning"), text("4"), text("2")],
        [text("<think>let me "), text("see</th"), text("ink>4"), text("2")],
    ],
    ids=["reasoning_content", "reasoning", "tags"],
)
def test_thinking_comes_before_the_text_and_leaves_no_tags(url: str, backend: Backend, steps: list[Any]) -> None:
    backend.reply_with(Stream([role(), *steps, finish()]))
    streamed = frames(post(url, "/api/chat", {"model": "gpt-test", "messages": HELLO, "think": True}))
    kinds = ["thinking" if "thinking" in frame["message"] else "content" for frame in streamed]
    assert [kind for kind, _ in itertools.groupby(kinds)] == ["thinking", "content"]
    assert "".join(frame["message"].get("thinking", "") for frame in streamed) == "let me see"
    assert "".join(frame["message"]["content"] for frame in streamed) == "42"
    for frame in streamed:
        assert list(frame["message"]) in (["role", "content", "thinking"], ["role", "content"])
        assert not ("thinking" in frame["message"] and frame["message"]["content"])


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "steps", [[reasoning("hm"), text("42")], [text("<think>hm</think>42")]], ids=["reasoning_content", "tags"]
)
@pytest.mark.parametrize(("path", "question"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "hello"})])
def test_thinking_that_is_not_wanted_is_not_shown(
    url: str, backend: Backend, path: str, question: dict[str, Any], steps: list[Any], stream: bool
) -> None:
    backend.reply_with(Stream([role(), *steps, finish()]))
    reply = post(url, path, question | {"model": "gpt-test", "think": False, "stream": stream})
    spoken = [json.loads(line) for line in reply.text.splitlines()]
    said = [frame.get("message") or {"content": frame["response"], **frame} for frame in spoken]
    assert "".join(message["content"] for message in said) == "42"
    assert not any("thinking" in message for message in said)


def test_reasoning_text_and_a_call_of_one_answer_are_told_apart(url: str, backend: Backend) -> None:
    steps = [
        reasoning("The user wants "),
        reasoning("Rome."),
        text("One moment."),
        tool_delta(0, "c", "weather", '{"city":"Rome"}'),
    ]
    backend.reply_with(Stream([role(), *steps, finish("tool_calls")]))
    body = {"model": "gpt-test", "messages": HELLO, "tools": [TOOL], "think": "high"}
    streamed = frames(post(url, "/api/chat", body))
    message = [frame["message"] for frame in streamed]
    # A space at the end of a piece may come with the next one, since none is told at the end of the thinking.
    assert "".join(part.get("thinking", "") for part in message) == "The user wants Rome."
    assert [part["content"] for part in message] == ["", "", "One moment.", "", ""]
    assert ["thinking" in part for part in message] == [True, True, False, False, False]
    [[call]] = [part["tool_calls"] for part in message if "tool_calls" in part]
    assert call["function"] == {"index": 0, "name": "weather", "arguments": {"city": "Rome"}}
    assert asked(backend)["reasoning_effort"] == "high"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("think", [True, False, None])
def test_a_format_is_asked_for_in_the_one_call_whatever_is_thought(
    url: str, backend: Backend, think: bool | None, stream: bool
) -> None:
    backend.reply_with(Stream([role(), reasoning("hm"), text('{"answer"'), text(": 42}"), finish()]))
    body = {"model": "gpt-test", "messages": HELLO, "format": SCHEMA, "stream": stream}
    reply = post(url, "/api/chat", body | ({"think": think} if think is not None else {}))
    messages = [json.loads(line)["message"] for line in reply.text.splitlines()]
    assert json.loads("".join(message["content"] for message in messages)) == {"answer": 42}
    assert "".join(message.get("thinking", "") for message in messages) == ("" if think is False else "hm")
    assert asked(backend)["response_format"]["json_schema"]["schema"] == SCHEMA
    assert calls_made(backend) == 1


def test_a_tools_schema_reaches_the_back_end_as_it_was_written(url: str, backend: Backend) -> None:
    parameters = {
        "type": "object",
        "required": ["unit"],
        "properties": {
            "zone": {"type": ["string", "null"], "description": "z"},
            "city": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "days": {"items": {"type": "integer"}, "type": "array"},
            "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
        },
        "additionalProperties": False,
    }
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": parameters}}
    assert post(url, "/api/chat", {"model": "gpt-test", "messages": HELLO, "tools": [tool], "stream": False}).status_code == 200
    assert json.dumps(asked(backend)["tools"][0]["function"]["parameters"]) == json.dumps(parameters)


def test_a_long_piece_is_one_line(url: str, backend: Backend) -> None:
    long = "long " * 200_000
    backend.reply_with(Stream([text(long), finish()]))
    streamed = frames(post(url, "/api/chat", {"model": "gpt-test", "messages": HELLO}))
    assert [frame["message"]["content"] for frame in streamed] == [long, ""]


# ── replies, key by key


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "question", "said"),
    [("/api/chat", {"messages": HELLO}, ["message"]), ("/api/generate", {"prompt": "hello"}, ["response"])],
)
def test_the_last_frame_has_all_its_numbers(
    url: str, path: str, question: dict[str, Any], said: list[str], stream: bool
) -> None:
    reply = post(url, path, question | {"model": "gpt-test", "stream": stream})
    last = json.loads(reply.text.splitlines()[-1])
    context = ["context"] if path == "/api/generate" else []
    assert list(last) == ["model", "created_at", *said, "done", "done_reason", *context, *METRICS]
    assert (last["model"], last["done"], last["done_reason"]) == ("gpt-test", True, "stop")
    assert all(type(last[name]) is int for name in METRICS)
    assert all(last[name] > 0 for name in METRICS)
    assert (last["prompt_eval_count"], last["eval_count"]) == (5, 3)
    assert last["total_duration"] >= last["load_duration"] + last["prompt_eval_duration"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z", last["created_at"])


DETAILS = ["parent_model", "format", "family", "families", "parameter_size", "quantization_level"]


def check_details(details: dict[str, Any]) -> None:
    assert list(details)[:6] == DETAILS
    assert all(isinstance(details[key], str) for key in DETAILS if key != "families")
    assert details["families"] == [details["family"]]
    assert details["format"] == "gguf"
    assert details["family"]


def test_a_listed_model_has_a_date_a_size_and_a_digest(url: str) -> None:
    models = get(url, "/api/tags").json()["models"]
    assert len(models) == 3
    for model in models:
        assert list(model)[:6] == ["name", "model", "modified_at", "size", "digest", "details"]
        assert model["name"] == model["model"]
        assert datetime.fromisoformat(model["modified_at"]).tzinfo is not None
        assert type(model["size"]) is int
        assert model["size"] > 0
        assert re.fullmatch(r"[0-9a-f]{64}", model["digest"])
        check_details(model["details"])
    assert len({model["digest"] for model in models}) == 3
    assert get(url, "/api/tags").json()["models"] == models


def test_a_loaded_model_has_a_size_and_an_end(url: str) -> None:
    post(url, "/api/generate", {"model": "gpt-test", "keep_alive": "10m"})
    loaded = get(url, "/api/ps").json()["models"]
    [model] = [model for model in loaded if model["name"] == "gpt-test"]
    keys = ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"]
    assert list(model) == keys
    assert model["size"] == model["size_vram"] > 0
    assert re.fullmatch(r"[0-9a-f]{64}", model["digest"])
    assert list(model["details"]) == DETAILS
    check_details(model["details"])
    assert 590 < (datetime.fromisoformat(model["expires_at"]) - datetime.now().astimezone()).total_seconds() <= 600
    assert type(model["context_length"]) is int
    assert model["context_length"] > 0


def test_a_described_model_has_parameters_and_numbers(url: str) -> None:
    shown = post(url, "/api/show", {"model": "gpt-test"}).json()
    keys = ["modelfile", "parameters", "template", "details", "model_info", "capabilities", "modified_at"]
    assert list(shown) == keys
    assert shown["modelfile"].startswith('# Modelfile generated by "ollama show"\n')
    assert all(re.fullmatch(r"\w+ +\S.*", line) and line[30] == " " for line in shown["parameters"].split("\n"))
    info = shown["model_info"]
    assert list(info) == sorted(info)
    assert type(info["general.parameter_count"]) is int
    assert type(info[f"{info['general.architecture']}.context_length"]) is int
    assert type(info[f"{info['general.architecture']}.embedding_length"]) is int
    assert datetime.fromisoformat(shown["modified_at"]).year == 2017
    check_details(shown["details"])


# ── embeddings


def embed(url: str, **body: Any) -> Any:
    reply = post(url, "/api/embed", {"model": "text-embedding-test", **body})
    assert (reply.status_code, reply.headers["content-type"]) == (200, JSON_TYPE)
    return reply.json()


@pytest.mark.parametrize("options", [{}, {"truncate": True}, {"truncate": False}, {"dimensions": 4}, {"dimensions": 0}])
def test_vectors_are_of_length_one_and_as_many_as_asked(url: str, backend: Backend, options: dict[str, Any]) -> None:
    for given, count in (("one", 1), (["one"], 1), (["one", "two", ""], 3)):
        reply = embed(url, input=given, **options)
        assert list(reply) == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
        assert len(reply["embeddings"]) == count
        for vector in reply["embeddings"]:
            assert len(vector) == (options.get("dimensions") or 8)
            assert math.hypot(*vector) == pytest.approx(1)
        assert "truncate" not in asked(backend)


@pytest.mark.parametrize("nothing", [{}, {"input": ""}, {"input": []}, {"input": None}])
def test_without_an_input_there_are_no_vectors(url: str, backend: Backend, nothing: dict[str, Any]) -> None:
    assert embed(url, **nothing) == {"model": "text-embedding-test", "embeddings": []}
    assert calls_made(backend) == 0


def test_an_input_that_is_too_long_is_refused_in_the_back_ends_words(url: str, backend: Backend) -> None:
    backend.reply_with(Error(400, error_body("the input length exceeds the context length")))
    reply = post(url, "/api/embed", {"model": "text-embedding-test", "input": "x", "truncate": False})
    assert (reply.status_code, reply.json()) == (400, {"error": "the input length exceeds the context length"})


# ── many at once


def test_a_busy_back_end_refuses_some_calls_and_no_connection_is_lost(url: str, backend: Backend) -> None:
    busy = "server busy, please try again.  maximum pending requests exceeded"
    waiting = Stream([role(), text("done"), finish()], before=[Sleep(0.2)])
    for _ in range(20):
        backend.reply_with(waiting, Error(503, error_body(busy)))
    with ThreadPoolExecutor(40) as pool, httpx.Client(timeout=PATIENCE, limits=httpx.Limits(max_connections=40)) as client:
        body = {"model": "gpt-test", "messages": HELLO, "stream": False}
        replies = list(pool.map(lambda _: client.post(f"{url}/api/chat", json=body), range(40)))
    answered = [reply.json()["message"]["content"] for reply in replies if reply.status_code == 200]
    refused = [reply.json() for reply in replies if reply.status_code == 503]
    assert (answered, refused) == (["done"] * 20, [{"error": busy}] * 20)


# ── the OpenAI surface


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", b'{ "model":"gpt-test", "messages":[{"role":"user","content":"\xc3\xa9"}],"stream":true}'),
        ("chat/completions", b'{"messages":[{"role":"user","content":"hi"}],"model":"gpt-test"}'),
        (
            "completions",
            b'{"model":"gpt-test","prompt":"hi","max_tokens":9,"stream":true,"stream_options":{"include_usage":true}}',
        ),
        ("embeddings", b'{"model":"text-embedding-test","input":["a","b"],"encoding_format":"base64"}'),
        ("embeddings", b'{"model":"text-embedding-test","input":"a","encoding_format":"float"}'),
    ],
)
def test_a_call_of_the_openai_surface_passes_as_it_is(url: str, backend: Backend, path: str, body: bytes) -> None:
    reply = httpx.post(f"{url}/v1/{path}", content=body, headers={"Content-Type": "application/json"}, timeout=PATIENCE)
    assert reply.status_code == 200
    assert backend.requests[-1].body == body
    sent = b"".join(data for _, data in backend.sent)
    if b'"stream"' in body:
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.content == sent
    else:
        direct = httpx.post(
            f"{backend.base_url}/{path}", content=body, headers={"Authorization": "Bearer key"}, timeout=PATIENCE
        )
        assert reply.content == direct.content


def test_a_completion_without_a_limit_gets_one(url: str, backend: Backend) -> None:
    for given, limit in (({}, 2048), ({"max_tokens": 9}, 9)):
        assert post(url, "/v1/completions", {"model": "gpt-test", "prompt": "hi", **given}).status_code == 200
        assert asked(backend) == {"model": "gpt-test", "prompt": "hi", "max_tokens": limit}


def test_a_stream_of_the_openai_surface_passes_to_the_letter(url: str, backend: Backend) -> None:
    steps: list[Step] = [
        role(),
        reasoning("hm", "reasoning"),
        Raw(b": comment\r\n\r\n"),
        Raw(b'data:{"choices":[{"index":0,"delta":{"content":"\xe2\x80'),
        Raw(b'\xa8"}}]}\n\n'),
        *TWO_CALLS,
        Raw(b'event: error\ndata: {"error":{"message":"late"}}\n\n'),
        End(),
    ]
    backend.reply_with(Stream(steps))
    reply = read_stream(url, "/v1/chat/completions", {"model": "gpt-test", "messages": HELLO, "stream": True})
    assert reply.content == b"".join(data for _, data in backend.sent)
    assert reply.cut, "a client that ignores the error event must not take the answer for whole"


def test_an_error_of_the_openai_surface_keeps_openais_form(url: str, backend: Backend) -> None:
    body = error_body("slow down", code="rate_limit_exceeded")
    backend.reply_with(Error(429, body, {"Retry-After": "7"}))
    reply = post(url, "/v1/chat/completions", {"model": "gpt-test", "messages": HELLO})
    assert (reply.status_code, reply.json(), reply.headers["retry-after"]) == (429, body, "7")


class Echo(BaseHTTPRequestHandler):
    """Answers each POST with its own head and body."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        reply = json.dumps([self.path, dict(self.headers), base64.b64encode(body).decode()]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def echo() -> Iterator[ProxyProcess]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with ProxyProcess(OPENAI_API_BASE_URL=f"http://127.0.0.1:{server.server_port}/v1", OPENAI_API_KEY="key") as proxy:
            yield proxy
        server.shutdown()


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages?beta=true", "/v1/audio/transcriptions"])
@pytest.mark.parametrize(("encoding", "body"), [("identity", b'{"model":"gpt-test"}'), ("zstd", ZSTD)])
def test_further_calls_of_the_openai_surface_reach_the_back_end(
    echo: ProxyProcess, path: str, encoding: str, body: bytes
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding, "Anthropic-Version": "2023-06-01"}
    reply = httpx.post(echo.url + path, content=body, headers=headers, timeout=PATIENCE)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream")
    arrived_at, arrived, echoed = reply.json()
    assert (arrived_at, base64.b64decode(echoed)) == (path, body if encoding == "identity" else b'{"model":"m"}\n\n')
    if encoding != "identity":
        del headers["Content-Encoding"]  # what is compressed is unpacked, so that its size is known
    assert headers.items() <= {name.title(): value for name, value in arrived.items()}.items()
    assert arrived["Authorization"] == "Bearer key"


# ── what goes wrong with proxies


@pytest.mark.parametrize(("path", "question"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "hello"})])
def test_blank_lines_and_comments_of_the_back_end_reach_no_client(
    url: str, backend: Backend, path: str, question: dict[str, Any]
) -> None:
    blank = Raw(b"\n\n: keep-alive\n\n\r\n:\n\n")
    backend.reply_with(Stream([blank, role(), blank, text("a"), blank, text("b"), blank, finish(), blank, usage(1, 2), blank]))
    reply = post(url, path, question | {"model": "gpt-test"})
    assert [frame["done"] for frame in frames(reply)] == [False, False, True]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([text("a"), Done()], id="no finish reason"),
        pytest.param([text("a"), finish(), End()], id="no DONE"),
        pytest.param([text("a"), End()], id="neither, but a proper end"),
        pytest.param([text("a"), finish(), usage(3, 9), Done()], id="counts after the finish"),
        pytest.param([text("a"), usage(3, 9), Done()], id="counts and no finish"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_without_its_usual_end_is_complete(url: str, backend: Backend, steps: list[Any], stream: bool) -> None:
    backend.reply_with(Stream([role(), *steps]))
    reply = post(url, "/api/chat", {"model": "gpt-test", "messages": HELLO, "stream": stream})
    spoken = [json.loads(line) for line in reply.text.splitlines()]
    assert "".join(frame["message"]["content"] for frame in spoken) == "a"
    assert [frame["done"] for frame in spoken] == ([False, True] if stream else [True])
    assert spoken[-1]["done_reason"] == "stop"
    if usage(3, 9) in steps:
        assert (spoken[-1]["prompt_eval_count"], spoken[-1]["eval_count"]) == (3, 9)
    assert all(spoken[-1][name] > 0 for name in METRICS)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"model": "gpt-test", "messages": HELLO}),
        ("/api/generate", {"model": "gpt-test", "prompt": "hello", "stream": False}),
        ("/api/embed", {"model": "text-embedding-test", "input": "a"}),
    ],
)
def test_the_command_is_never_asked_to_sign_in_because_of_the_back_end(
    url: str, backend: Backend, path: str, body: dict[str, Any]
) -> None:
    for agent, status in ((COMMAND, 502), ("ollama-python/0.6.3", 401)):
        backend.reply_with(Error(401, error_body("Incorrect API key provided.")))
        reply = post(url, path, body, **{"User-Agent": agent})
        assert reply.status_code == status
        assert reply.json()["error"].endswith(": Incorrect API key provided.")


NESTED = json.dumps({"error": {"message": "out of memory", "code": 500}})


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": {"message": NESTED}}, "out of memory"),
        ({"error": NESTED}, "out of memory"),
        ({"error": {"message": {"detail": "deep"}}}, None),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        ({"object": "error", "message": "plain"}, "plain"),
        ([{"error": {"message": "in a list"}}], "in a list"),
        ({}, None),
        (NESTED, "out of memory"),
        ("null", None),
        ("5", None),
        ("", None),
        (b"\xff\xfe", None),
    ],
    ids=str,
)
def test_an_error_is_a_sentence_whatever_the_back_end_sends(url: str, backend: Backend, body: Any, told: str | None) -> None:
    given = json.dumps(body).encode() if isinstance(body, list) else body
    backend.reply_with(Error(500, given))
    reply = post(url, "/api/chat", {"model": "gpt-test", "messages": HELLO})
    assert reply.status_code == 500
    assert list(reply.json()) == ["error"]
    check_sentence(reply.json()["error"], told)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"message": NESTED}, "out of memory"),
        (NESTED, "out of memory"),
        ({"code": 500}, "the back end reported an error"),
    ],
)
def test_an_error_in_mid_stream_is_a_sentence(url: str, backend: Backend, error: Any, told: str | None) -> None:
    backend.reply_with(Stream([text("a"), Chunk({"error": error})]))
    streamed = frames(post(url, "/api/chat", {"model": "gpt-test", "messages": HELLO}))
    assert len(streamed) == 2
    assert list(streamed[1]) == ["error"]
    check_sentence(streamed[1]["error"], told)


def check_sentence(sentence: Any, told: str | None) -> None:
    assert isinstance(sentence, str)
    assert sentence.strip()
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(sentence)
    if told:
        assert sentence == told
