"""Anthropic's API through the official SDK: before a back end that has chat completions only, and one that has everything.

What a back end has is handed on; messages are translated where it has none.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import anthropic
import httpx
import pytest
from anthropic.types import TextBlock, ThinkingBlock, ToolUseBlock

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE, give_up
from tests.standins import (
    COUNTED,
    Chunk,
    Cut,
    Done,
    Error,
    ScriptedBackend,
    Stream,
    WaitForClient,
    Whole,
    error_body,
    finish,
    message,
    message_events,
    reasoning,
    role,
    text,
    tool_delta,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.two_backends import Pair, Side
    from tests.standins import Script, Step

SAID = "Hello world!"
CLIENTS_KEY = "the-clients-own-key"
HELLO: Any = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"name": "weather", "description": "d", "input_schema": SCHEMA}
CALL: list[Step] = [role(), text("I look."), tool_delta(0, "call_1", "weather", '{"ci'), tool_delta(0, arguments='ty":"Rome"}')]
CALL += [finish("tool_calls"), usage(9, 4)]
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()


pytestmark = pytest.mark.usefixtures("pair")


@pytest.fixture
def url(pair: Pair) -> str:
    return pair.proxy.url


@pytest.fixture(scope="module")
def client(_pair: Pair) -> Iterator[anthropic.Anthropic]:
    with sdk(_pair.proxy.url) as client:
        yield client


def sdk(url: str, **more: Any) -> anthropic.Anthropic:
    settings: dict[str, Any] = {"api_key": CLIENTS_KEY, "max_retries": 0, "timeout": 20}
    return anthropic.Anthropic(base_url=url, **settings | more)


# ── messages


def test_a_message_is_answered_whole(client: anthropic.Anthropic, side: Side) -> None:
    older: Any = {"temperature": 0.5, "top_p": 0.9}
    answer = client.messages.create(model=side.alias, max_tokens=50, messages=HELLO, extra_body=older)
    [said] = answer.content
    assert isinstance(said, TextBlock)
    assert (said.text, answer.role, answer.model, answer.stop_reason) == (SAID, "assistant", side.alias, "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 3)
    if not side.everything:
        assert answer.id.startswith("msg_")
        assert side.posts()[-1].path == "/v1/chat/completions"
        assert side.asked["messages"] == HELLO
        assert (side.asked["max_tokens"], side.asked["temperature"], side.asked["top_p"]) == (50, 0.5, 0.9)


def test_a_message_is_streamed_event_by_event(client: anthropic.Anthropic, side: Side) -> None:
    events = list(client.messages.create(model=side.alias, max_tokens=50, messages=HELLO, stream=True))
    first = events[0]
    assert first.type == "message_start"
    assert (first.message.model, first.message.content) == (side.alias, [])
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert [delta.text for delta in deltas if delta.type == "text_delta"] == ["Hello", " world", "!"]
    last = events[-2]
    assert last.type == "message_delta"
    assert (last.delta.stop_reason, last.usage.output_tokens) == ("end_turn", 3)
    assert events[-1].type == "message_stop"


def test_the_stream_helper_puts_the_message_together(client: anthropic.Anthropic, side: Side) -> None:
    with client.messages.stream(model=side.model, max_tokens=50, messages=HELLO) as stream:
        assert list(stream.text_stream) == ["Hello", " world", "!"]
        final = stream.get_final_message()
    [said] = final.content
    assert isinstance(said, TextBlock)
    assert (said.text, final.stop_reason, final.usage.output_tokens) == (SAID, "end_turn", 3)


async def test_the_asynchronous_client_works_alike(url: str, side: Side) -> None:
    async with anthropic.AsyncAnthropic(base_url=url, api_key=CLIENTS_KEY, max_retries=0, timeout=PATIENCE) as client:
        answer = await client.messages.create(model=side.model, max_tokens=50, messages=HELLO)
        assert isinstance(answer.content[0], TextBlock)
        async with client.messages.stream(model=side.model, max_tokens=50, messages=HELLO) as stream:
            assert "".join([piece async for piece in stream.text_stream]) == SAID
        assert (await client.messages.count_tokens(model=side.model, messages=HELLO)).input_tokens > 0
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(model="nope", max_tokens=50, messages=HELLO)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_make_the_round_trip(client: anthropic.Anthropic, side: Side, stream: bool) -> None:
    side.backend.reply_with(_called(side, stream))
    asked: Any = {"model": side.model, "max_tokens": 50, "tools": [TOOL], "tool_choice": {"type": "any"}}
    answer = _answer(client, stream, messages=HELLO, **asked)
    assert answer.stop_reason == "tool_use"
    said, call = answer.content
    assert isinstance(said, TextBlock)
    assert isinstance(call, ToolUseBlock)
    assert (call.name, call.input) == ("weather", {"city": "Rome"})
    if not side.everything:
        assert side.asked["tools"][0]["function"] == {"name": "weather", "description": "d", "parameters": SCHEMA}
        assert side.asked["tool_choice"] == "required"
    blocks = [block.to_dict() for block in answer.content]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "sunny"}]}
    history = [*HELLO, {"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
    assert _answer(client, stream, messages=history, **asked).content[0].text == SAID
    if side.everything:
        assert side.asked["messages"] == history
    else:
        _, asking, told = side.asked["messages"]
        function = {"name": "weather", "arguments": '{"city": "Rome"}'}
        assert asking["content"] == "I look."
        [sent] = asking["tool_calls"]
        assert (sent["id"], json.loads(sent["function"]["arguments"])) == (call.id, {"city": "Rome"})
        assert sent["function"]["name"] == function["name"]
        assert told == {"role": "tool", "tool_call_id": call.id, "content": "sunny"}


def _called(side: Side, stream: bool) -> Script:
    if not side.everything:
        return Stream(CALL)
    if not stream:
        said = {"type": "text", "text": "I look."}
        return Whole(message("") | {"content": [said, TOOL_USE], "stop_reason": "tool_use"})
    *events, change, stop = message_events(["I look."], model=side.model)
    delta = {"type": "input_json_delta", "partial_json": '{"city":"Rome"}'}
    events += [
        {"type": "content_block_start", "index": 1, "content_block": TOOL_USE | {"input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": delta},
        {"type": "content_block_stop", "index": 1},
    ]
    change = change | {"delta": {"stop_reason": "tool_use", "stop_sequence": None}}
    return Stream([*map(Chunk, events), Chunk(change), Chunk(stop)])


def _answer(client: anthropic.Anthropic, stream: bool, **asked: Any) -> Any:
    if not stream:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as events:
        return events.get_final_message()


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_is_a_block_before_the_text(client: anthropic.Anthropic, chat_only: Side, stream: bool) -> None:
    chat_only.backend.reply_with(Stream([role(), reasoning("Let me "), reasoning("see."), text("Rome"), finish()]))
    asked: Any = {"model": chat_only.model, "max_tokens": 50000, "thinking": {"type": "enabled", "budget_tokens": 31999}}
    answer = _answer(client, stream, messages=HELLO, **asked)
    thought, said = answer.content
    assert isinstance(thought, ThinkingBlock)
    assert (thought.thinking, said.text) == ("Let me see.", "Rome")
    assert thought.signature
    assert chat_only.asked["reasoning_effort"] == "high"
    # The client sends it back as it got it.
    history = [*HELLO, {"role": "assistant", "content": [block.to_dict() for block in answer.content]}, *HELLO]
    assert _answer(client, stream, messages=history, **asked).content[0].text == SAID
    assert chat_only.asked["messages"][1] == {"role": "assistant", "content": "Rome"}


def test_thinking_that_is_switched_off_is_not_shown(client: anthropic.Anthropic, chat_only: Side) -> None:
    chat_only.backend.reply_with(Stream([role(), reasoning("hm"), text("Rome"), finish()]))
    answer = client.messages.create(model=chat_only.model, max_tokens=50, messages=HELLO, thinking={"type": "disabled"})
    assert [block.type for block in answer.content] == ["text"]


def test_a_system_prompt_comes_first(client: anthropic.Anthropic, side: Side) -> None:
    blocks: Any = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
    for system in ("Be kind.", blocks):
        assert client.messages.create(model=side.model, max_tokens=50, messages=HELLO, system=system).content
        if side.everything:
            assert side.asked["system"] == system
        else:
            assert side.asked["messages"] == [{"role": "system", "content": "Be kind."}, *HELLO]


def test_a_picture_reaches_the_back_end(client: anthropic.Anthropic, side: Side) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    content: Any = [{"type": "text", "text": "what is it?"}, picture]
    assert client.messages.create(model=side.model, max_tokens=50, messages=[{"role": "user", "content": content}]).content
    [sent] = side.asked["messages"]
    if side.everything:
        assert sent["content"] == content
    else:
        assert sent["content"] == [
            {"type": "text", "text": "what is it?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ]


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("something_new", "end_turn")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_reason_of_the_end_is_told(
    client: anthropic.Anthropic, chat_only: Side, stream: bool, finish_reason: str, stop_reason: str
) -> None:
    chat_only.backend.reply_with(Stream([role(), text("a"), finish(finish_reason)]))
    answer = _answer(client, stream, model=chat_only.model, max_tokens=5, messages=HELLO, stop_sequences=["END"])
    assert answer.stop_reason == stop_reason
    assert chat_only.asked["stop"] == ["END"]


def test_the_models_file_fills_in_what_a_message_leaves_open(client: anthropic.Anthropic, chat_only: Side) -> None:
    client.messages.create(model=chat_only.brief, max_tokens=50, messages=HELLO, extra_body={"temperature": 1})
    assert chat_only.asked["messages"] == [{"role": "system", "content": "Be brief."}, *HELLO]
    assert (chat_only.asked["temperature"], chat_only.asked["seed"], chat_only.asked["max_tokens"]) == (1, 7, 50)


# ── counting


def test_tokens_are_counted_by_the_back_end_or_else_guessed(client: anthropic.Anthropic, side: Side) -> None:
    short = client.messages.count_tokens(model=side.alias, messages=HELLO).input_tokens
    if side.everything:
        assert short == COUNTED
        assert side.asked == {"model": side.model, "messages": HELLO}
    else:
        long: Any = [{"role": "user", "content": "hello " * 1000}]
        assert 1 <= short < 10
        assert 1000 <= client.messages.count_tokens(model=side.alias, messages=long).input_tokens <= 2000
        assert client.messages.count_tokens(model=side.alias, messages=HELLO, tools=[TOOL]).input_tokens > short
        assert side.posts("/v1/chat") == []


# ── Claude Code


LONG_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "todos": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "content": {"type": "string", "minLength": 1},
                    "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]},
                },
                "required": ["content", "status"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["todos"],
    "additionalProperties": False,
}
CLAUDE_CODE: dict[str, Any] = {
    "max_tokens": 32000,
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>\nbe careful\n</system-reminder>"},
                {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}},
            ],
        }
    ],
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.0; cc_entrypoint=cli;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "The environment.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    "tools": [
        *({"name": name, "description": "long " * 1000, "input_schema": LONG_SCHEMA} for name in ("TodoWrite", "Task", "Bash")),
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
    ],
    "metadata": {"user_id": "user_abc_account__session_def"},
    "thinking": {"type": "enabled", "budget_tokens": 31999},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "temperature": 1,
    "stream": True,
}
CLAUDE_CODES_HEADERS = {
    "Authorization": f"Bearer {CLIENTS_KEY}",
    "Anthropic-Version": "2023-06-01",
    "Anthropic-Beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27",
    "Anthropic-Dangerous-Direct-Browser-Access": "true",
    "User-Agent": "claude-cli/2.0.10 (external, cli)",
    "X-App": "cli",
    "X-Stainless-Lang": "js",
}


def test_claude_codes_request_works(url: str, side: Side) -> None:
    script: list[Step] = [role(), reasoning("hm"), tool_delta(0, "call_1", "Bash", '{"todos":[]}'), finish("tool_calls")]
    if not side.everything:
        side.backend.reply_with(Stream(script))
    body = CLAUDE_CODE | {"model": side.alias}
    reply = httpx.post(f"{url}/v1/messages?beta=true", json=body, headers=CLAUDE_CODES_HEADERS, timeout=PATIENCE)
    assert (reply.status_code, reply.headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in reply.text.splitlines() if line.startswith("data: ")]
    names = [line.removeprefix("event: ") for line in reply.text.splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in events]
    assert events[0]["message"]["model"] == side.alias
    assert names[-1] == "message_stop"
    if side.everything:
        assert side.posts()[-1].path == "/v1/messages?beta=true"
        assert side.asked == body | {"model": side.model}
        assert side.posts()[-1].headers["Anthropic-Beta"] == CLAUDE_CODES_HEADERS["Anthropic-Beta"]
        return
    assert [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"] == [
        *("thinking", "tool_use")
    ]
    system, user = side.asked["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert "You are Claude Code." in system["content"]
    assert "The environment." in system["content"]
    assert "billing" not in system["content"]
    assert "cache_control" not in json.dumps(side.asked)
    assert [tool["function"]["name"] for tool in side.asked["tools"]] == ["TodoWrite", "Task", "Bash"]
    assert side.asked["tools"][0]["function"]["parameters"]["properties"] == LONG_SCHEMA["properties"]


def test_the_beta_calls_of_the_sdk_work(client: anthropic.Anthropic, side: Side) -> None:
    beta: Any = {"betas": ["context-management-2025-06-27"], "model": side.model, "messages": HELLO}
    assert client.beta.messages.create(max_tokens=50, **beta).content[0].type == "text"
    with client.beta.messages.stream(max_tokens=50, **beta) as stream:
        assert "".join(stream.text_stream) == SAID
    assert client.beta.messages.count_tokens(**beta).input_tokens > 0


# ── errors


class Way(NamedTuple):
    call: Callable[[anthropic.Anthropic, str], Any]


WAYS = {
    "whole": Way(lambda client, model: client.messages.create(model=model, max_tokens=50, messages=HELLO)),
    "streamed": Way(
        lambda client, model: list(client.messages.create(model=model, max_tokens=50, messages=HELLO, stream=True))
    ),
}
COUNT = Way(lambda client, model: client.messages.count_tokens(model=model, messages=HELLO))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def told(caught: pytest.ExceptionInfo[anthropic.APIStatusError]) -> dict[str, Any]:
    """The error in the reply, which has Anthropic's shape."""
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["type"] == "error"
    assert body["request_id"] == caught.value.response.headers["X-Request-Id"]
    error: dict[str, Any] = body["error"]
    assert list(error) == ["type", "message"]
    return error


@pytest.mark.parametrize("name", [*WAYS, "count"])
@pytest.mark.parametrize("model", ["nope", ""])
def test_an_unknown_model_is_told_in_ollamas_words(client: anthropic.Anthropic, pair: Pair, name: str, model: str) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        (WAYS | {"count": COUNT})[name].call(client, model)
    assert told(caught) == {"type": "not_found_error", "message": f"model '{model}' not found"}
    # Without a name it is the back end of the settings that may know better.
    assert not any(side.posts("/v1/chat") or (model and side.posts()) for side in pair.sides.values())


BAD: list[tuple[Any, str]] = [
    ({"max_tokens": 5}, "messages"),
    ({"messages": [], "max_tokens": 5}, "messages"),
    ({"messages": [{"role": "alien", "content": "x"}], "max_tokens": 5}, "messages.0.role"),
    ({"messages": HELLO, "max_tokens": 5, "model": None}, "model"),
    ({"messages": HELLO, "max_tokens": 5, "model": ["x"]}, "model"),
    ([], "object"),
    ("{", "unexpected EOF"),
]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/messages", {"messages": HELLO}, "max_tokens"),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 0}, "max_tokens"),
        *((path, *bad) for bad in BAD for path in ("/v1/messages?beta=true", "/v1/messages/count_tokens")),
    ],
)
def test_a_bad_request_is_told_in_anthropics_words(url: str, chat_only: Side, path: str, body: Any, field: str) -> None:
    content = body if isinstance(body, str) else json.dumps({"model": chat_only.model} | body if body else body)
    reply = httpx.post(url + path, content=content, headers={"X-Api-Key": CLIENTS_KEY}, timeout=PATIENCE)
    assert reply.status_code == 400
    assert list(reply.json()) == ["type", "error", "request_id"]
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert field in reply.json()["error"]["message"]
    assert chat_only.posts("/v1/chat") == []


@pytest.mark.parametrize(
    ("status", "kind", "name"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (503, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_a_back_ends_refusal_keeps_its_status_and_its_words(
    client: anthropic.Anthropic, side: Side, way: Way, status: int, kind: type[anthropic.APIStatusError], name: str
) -> None:
    native = {"type": "error", "error": {"type": name, "message": "it is so"}}
    side.backend.reply_with(Error(status, native if side.everything else error_body("it is so"), {"Retry-After": "7"}))
    with pytest.raises(kind) as caught:
        way.call(client, side.model)
    assert caught.value.status_code == status
    assert caught.value.response.headers["Retry-After"] == "7"
    assert isinstance(caught.value.body, dict)
    error = caught.value.body["error"] if side.everything else told(caught)
    begin, _, words = error["message"].rpartition("it is so")
    # Of a key it is said whose it was.
    assert (error["type"], bool(begin), words) == (name, status == 401, "")


def test_a_back_end_that_is_down_is_told_as_an_error(client: anthropic.Anthropic, pair: Pair, way: Way) -> None:
    with pytest.raises(anthropic.InternalServerError) as caught:
        way.call(client, "gone")
    assert caught.value.status_code == 502
    error = told(caught)
    assert error["type"] == "api_error"
    assert f"cannot connect to the back end at {pair.gone}: Connection refused" in error["message"]


def test_a_back_end_that_hangs_up_is_told_as_an_error(client: anthropic.Anthropic, side: Side, way: Way) -> None:
    # A call over a kept connection is made once more.
    side.backend.reply_with(Cut(), Cut())
    with pytest.raises(anthropic.InternalServerError) as caught:
        way.call(client, side.model)
    side.backend.forget_scripts()
    assert caught.value.status_code == 502
    assert told(caught)["type"] == "api_error"


def begun(side: Side) -> list[Step]:
    """The beginning of an answer as this back end streams it."""
    if side.everything:
        return [Chunk(event) for event in message_events(["Hello", " world"], model=side.model)[:3]]
    return [role(), text("Hello")]


@pytest.mark.parametrize("name", ["model", "alias"])
def test_a_stream_that_is_cut_does_not_end_quietly(client: anthropic.Anthropic, side: Side, name: str) -> None:
    cut = Stream([*begun(side), Cut()])
    side.backend.reply_with(cut, cut)
    with pytest.raises(anthropic.APIStatusError, match="broke off") as caught:
        WAYS["streamed"].call(client, getattr(side, name))
    assert isinstance(caught.value.body, dict)
    assert (caught.value.body["type"], caught.value.body["error"]["type"]) == ("error", "api_error")
    with (
        client.messages.stream(model=getattr(side, name), max_tokens=5, messages=HELLO) as stream,
        pytest.raises(anthropic.APIStatusError, match="broke off"),
    ):
        stream.get_final_message()


def test_a_message_that_is_cut_is_an_error(client: anthropic.Anthropic, chat_only: Side) -> None:
    chat_only.backend.reply_with(Stream([*begun(chat_only), Cut()]))
    with pytest.raises(anthropic.InternalServerError) as caught:
        WAYS["whole"].call(client, chat_only.model)
    assert (caught.value.status_code, told(caught)["type"]) == (502, "api_error")


def test_an_error_in_the_midst_of_an_answer_is_raised(client: anthropic.Anthropic, chat_only: Side, way: Way) -> None:
    late = Chunk({"error": {"message": "out of memory", "code": 500}})
    chat_only.backend.reply_with(Stream([*begun(chat_only), late, Done()]))
    with pytest.raises(anthropic.APIStatusError, match="out of memory"):
        way.call(client, chat_only.model)


# ── clients that leave


@pytest.mark.parametrize("name", ["model", "alias"])
def test_a_client_that_leaves_frees_the_back_end(client: anthropic.Anthropic, side: Side, name: str) -> None:
    side.backend.reply_with(Stream([*begun(side), WaitForClient()]))
    stream = client.messages.create(model=getattr(side, name), max_tokens=50, messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    noticed = side.backend.wait_for_disconnect()
    assert noticed is not None


def test_a_client_that_does_not_wait_frees_the_back_end(client: anthropic.Anthropic, side: Side, way: Way) -> None:
    side.backend.reply_with(*[Stream([], before=[WaitForClient()])] * 5)
    give_up(
        lambda seconds: way.call(client.with_options(timeout=seconds), side.model),
        anthropic.APITimeoutError,
        side.posts,
    )
    noticed = side.backend.wait_for_disconnect()
    assert noticed is not None


# ── keys


@pytest.mark.parametrize("how", [{"api_key": CLIENTS_KEY}, {"api_key": None, "auth_token": CLIENTS_KEY}])
def test_the_proxys_key_goes_in_the_place_of_the_clients(url: str, side: Side, pair: Pair, how: dict[str, Any]) -> None:
    with sdk(url, **how) as own:
        for call in (*WAYS.values(), COUNT):
            call.call(own, side.alias)
    for each in pair.sides.values():
        for request in each.backend.requests:
            assert CLIENTS_KEY not in str(request.raw_headers)
            assert request.headers["Authorization"] == f"Bearer {each.key}"
    if side.everything:
        assert [post.headers.getall("X-Api-Key") for post in side.posts()] == [[side.key]] * 3
        assert (
            side.posts()[-1].headers["Anthropic-Version"]
            == anthropic.Anthropic(api_key="x").default_headers["anthropic-version"]
        )


def test_a_key_of_the_proxy_is_taken_where_the_sdk_puts_it() -> None:
    with (
        ScriptedBackend(api_key="own") as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, OPENAI_API_KEY="own", PROXY_API_KEYS="sesame-sesame") as proxy,
    ):
        for how in ({"api_key": "sesame-sesame"}, {"api_key": None, "auth_token": "sesame-sesame"}):
            with sdk(proxy.url, **how) as client:
                assert WAYS["whole"].call(client, "gpt-test").stop_reason == "end_turn"
        with sdk(proxy.url) as client, pytest.raises(anthropic.AuthenticationError) as caught:
            WAYS["whole"].call(client, "gpt-test")
        assert told(caught)["type"] == "authentication_error"
