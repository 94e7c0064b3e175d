"""Conversations as frameworks send them, tools with names that servers refuse, and conversations that are too long."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.bare_client import asked, send
from tests.live.proxy import ProxyProcess
from tests.standins import Error, ScriptedBackend, Stream, error_body, finish, role, text, tool_delta

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "gpt-test"


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with ScriptedBackend() as backend:
        backend.models += [{"id": "small", "object": "model", "created": 1, "owned_by": "tests", "context_length": 400}]
        with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
            yield backend, proxy


def answer(content: str = "fine") -> Stream:
    return Stream([role(), text(content), finish()])


def post(url: str, path: str, body: dict[str, Any]) -> Any:
    """The answer as one object; of a stream the tool calls and texts of its frames."""
    got = send(url, "POST", path, body)
    assert got.status == 200, got.body
    return json.loads(got.body) if not body.get("stream", True) else [json.loads(line) for line in got.body.splitlines()]


# ── results of tools


def call(city: str, **fields: Any) -> dict[str, Any]:
    return {"function": {"name": "weather", "arguments": {"city": city}}, **fields}


def assistant(*calls: dict[str, Any], content: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(content: str, **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **fields}


OSLO, BERGEN = "4 degrees in Oslo", "7 degrees in Bergen"

SHAPES = {
    "one message for all calls, by order": [assistant(call("Oslo"), call("Bergen")), result(OSLO), result(BERGEN)],
    "Strands: a message for each call, neither id nor name": [
        assistant(call("Oslo")),
        assistant(call("Bergen")),
        result(OSLO),
        result(BERGEN),
    ],
    "Strands: with text before": [
        {"role": "assistant", "content": "I look."},
        assistant(call("Oslo")),
        assistant(call("Bergen")),
        result(OSLO),
        result(BERGEN),
    ],
    "LlamaIndex: then its own empty message, by name": [
        assistant(call("Oslo")),
        assistant(call("Bergen")),
        {"role": "assistant", "content": ""},
        result(OSLO, tool_name="weather"),
        result(BERGEN, tool_name="weather"),
    ],
    "LlamaIndex: the id in the place of the name, in another order": [
        assistant(call("Oslo", id="a")),
        assistant(call("Bergen", id="b")),
        result(BERGEN, tool_name="b"),
        result(OSLO, tool_name="a"),
    ],
    "a message for each call, by id, in another order": [
        assistant(call("Oslo", id="a")),
        assistant(call("Bergen", id="b")),
        result(BERGEN, tool_call_id="b"),
        result(OSLO, tool_call_id="a"),
    ],
    "each call with its result": [assistant(call("Oslo")), result(OSLO), assistant(call("Bergen")), result(BERGEN)],
    "calls that share an id": [
        assistant(call("Oslo", id="0"), call("Bergen", id="0")),
        result(OSLO, tool_call_id="0"),
        result(BERGEN, tool_call_id="0"),
    ],
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_each_call_gets_its_own_result(backend: ScriptedBackend, url: str, shape: list[Any], *, stream: bool) -> None:
    backend.reply_with(answer())
    question = {"role": "user", "content": "How warm is it?"}
    post(url, "/api/chat", {"model": MODEL, "messages": [question, *shape], "stream": stream})
    messages = asked(backend)["messages"]
    cities = {
        made["id"]: json.loads(made["function"]["arguments"])["city"]
        for message in messages
        for made in message.get("tool_calls", ())
    }
    found = {cities[message["tool_call_id"]]: message["content"] for message in messages if message["role"] == "tool"}
    assert found == {"Oslo": OSLO, "Bergen": BERGEN}


# ── names of tools

DOTTED = "files.read"
SCHEMA = {"type": "object"}
NATIVE = [{"type": "function", "function": {"name": DOTTED, "parameters": SCHEMA}}]


def native_names(answered: Any) -> list[str]:
    frames = answered if isinstance(answered, list) else [answered]
    return [made["function"]["name"] for frame in frames for made in frame["message"].get("tool_calls", ())]


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/api/chat", {"messages": [{"role": "user", "content": "x"}], "tools": NATIVE, "stream": False}, native_names),
        ("/api/chat", {"messages": [{"role": "user", "content": "x"}], "tools": NATIVE}, native_names),
        (
            "/v1/messages",
            {
                "messages": [{"role": "user", "content": "x"}],
                "max_tokens": 9,
                "tools": [{"name": DOTTED, "input_schema": SCHEMA}],
                "stream": False,
            },
            lambda answered: [block["name"] for block in answered["content"]],
        ),
        (
            "/v1/responses",
            {"input": "x", "tools": [{"type": "function", "name": DOTTED, "parameters": SCHEMA}], "stream": False},
            lambda answered: [item["name"] for item in answered["output"]],
        ),
    ],
)
def test_a_tool_whose_name_servers_refuse_can_be_called(
    backend: ScriptedBackend, url: str, path: str, body: dict[str, Any], names: Any
) -> None:
    script = Stream([role(), tool_delta(0, "call_1", "files_read", "{}"), finish("tool_calls")])
    # Where the back end does not have the path itself, it is asked for that first.
    backend.reply_with(script)
    assert names(post(url, path, {"model": MODEL, **body})) == [DOTTED]
    (tool,) = asked(backend)["tools"]
    assert tool["function"] == {"name": "files_read", "parameters": {"type": "object", "properties": {}}}


# ── conversations that are too long

TALK = [{"role": ("user", "assistant")[n % 2], "content": f"message {n} " + "word " * 20} for n in range(59)]
LONG = [{"role": "system", "content": "the system prompt"}, *TALK]
TOO_LONG = (
    "This model's maximum context length is 1000 tokens. However, you requested 2000 tokens (2000 in the messages, 0 in the"
    " completion). Please reduce the length of the messages or completion."
)


def check_shortened(messages: list[dict[str, Any]]) -> None:
    assert messages[0]["content"] == "the system prompt"
    assert messages[1]["role"] == "user"
    assert messages[-1] == TALK[-1]
    assert 3 < len(messages) < len(LONG)
    assert messages[1:] == TALK[-len(messages) + 1 :]


def test_a_conversation_above_the_known_context_is_shortened_beforehand(backend: ScriptedBackend, url: str) -> None:
    backend.reply_with(answer())
    post(url, "/api/chat", {"model": "small", "messages": LONG, "stream": False})
    check_shortened(asked(backend)["messages"])


def test_a_conversation_that_is_refused_is_shortened_and_the_next_one_beforehand(backend: ScriptedBackend, url: str) -> None:
    backend.reply_with(Error(400, error_body(TOO_LONG, code="context_length_exceeded")), answer("short"), answer("again"))
    body = {"model": MODEL, "messages": LONG, "stream": False}
    assert post(url, "/api/chat", body)["message"]["content"] == "short"
    first, second = (request.json["messages"] for request in backend.requests if request.method == "POST")
    assert len(first) == len(LONG)
    check_shortened(second)
    assert post(url, "/api/chat", body)["message"]["content"] == "again"
    assert asked(backend)["messages"] == second


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"messages": LONG, "truncate": False}),
        ("/v1/messages", {"messages": TALK, "max_tokens": 9}),
        ("/v1/responses", {"input": LONG}),
    ],
)
def test_where_the_client_shortens_by_itself_the_refusal_is_told(
    backend: ScriptedBackend, url: str, path: str, body: dict[str, Any]
) -> None:
    backend.reply_with(Error(400, error_body(TOO_LONG, code="context_length_exceeded")))
    got = send(url, "POST", path, {"model": "gpt-test", "stream": False, **body})
    assert got.status == 400
    assert b"1000 tokens" in got.body
    assert len(asked(backend)["messages"]) >= len(TALK)


# ── defaults


def test_a_sound_among_the_images_is_sent_as_a_sound(backend: ScriptedBackend, url: str) -> None:
    sound = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(32)).decode()
    backend.reply_with(answer())
    message = {"role": "user", "content": "What is said?", "images": [sound]}
    post(url, "/api/chat", {"model": MODEL, "messages": [message], "stream": False})
    [sent] = asked(backend)["messages"]
    assert sent["content"][1] == {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}


@pytest.mark.parametrize(("given", "sent"), [({}, 2048), ({"max_tokens": 5}, 5)])
def test_a_text_completion_has_a_limit(backend: ScriptedBackend, url: str, given: dict[str, int], sent: int) -> None:
    send(url, "POST", "/v1/completions", {"model": MODEL, "prompt": "Once", **given})
    assert asked(backend)["max_tokens"] == sent
