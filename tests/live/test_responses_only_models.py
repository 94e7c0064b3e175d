"""Models that only `/v1/responses` has are reached from every API, with tools, thinking, formats, images and errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import ollama
import openai
import pytest
from openai.types.responses import ResponseCreateParams
from pydantic import TypeAdapter

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE
from tests.standins import Chunk, Cut, Error, ScriptedBackend, Sleep, Stream, Whole, error_body, response, response_events

if TYPE_CHECKING:
    from collections.abc import Iterator

ONLY = error_body("This model is only supported in v1/responses and not in v1/chat/completions.", param="model")
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}
USER: Any = {"role": "user", "content": "hi"}
TEXT = "Hello world!"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
CREATED = {"type": "response.created", "response": response("", status="in_progress")}


def reasoning_events(text: str) -> list[dict[str, Any]]:
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "encrypted_content": "c2VjcmV0",
        "summary": [{"type": "summary_text", "text": text}],
    }
    place = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"summary": []}},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": text},
        {"type": "response.reasoning_summary_text.done", **place, "text": text},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]


def call_events(arguments: str, index: int = 1) -> list[dict[str, Any]]:
    item = {"type": "function_call", "id": f"fc_{index}", "call_id": f"call_{index}", "name": "f", "arguments": arguments}
    place = {"item_id": f"fc_{index}", "output_index": index}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": item | {"arguments": ""}},
        *({"type": "response.function_call_arguments.delta", **place, "delta": piece} for piece in arguments),
        {"type": "response.function_call_arguments.done", **place, "arguments": arguments},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def stream(*events: dict[str, Any], status: str = "completed", **more: Any) -> Stream:
    return Stream(
        [
            Chunk(CREATED),
            *map(Chunk, events),
            Chunk({"type": f"response.{status}", "response": response("", status=status) | more}),
        ]
    )


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend(everything=True) as running:
        running.models = [{"id": name, "object": "model", "owned_by": "tests"} for name in ("codex", "gpt-5.6-test")]
        yield running


@pytest.fixture(scope="module")
def proxy(backend: ScriptedBackend) -> Iterator[ProxyProcess]:
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, BACKEND_PROFILE="openai") as running:
        backend.reply_with(Error(404, ONLY))
        reply = httpx.post(running.url + "/api/chat", json={"model": "codex", "messages": [USER]}, timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        yield running


@pytest.fixture(autouse=True)
def _fresh(backend: ScriptedBackend) -> Iterator[None]:
    backend.requests.clear()
    yield
    calls = [request.json for request in backend.requests if request.method == "POST" and request.path == "/v1/responses"]
    for call in calls:
        TypeAdapter(ResponseCreateParams).validate_python(call)
    backend._scripts.clear()


@pytest.fixture
def client(proxy: ProxyProcess) -> openai.OpenAI:
    return openai.OpenAI(base_url=proxy.url + "/v1", api_key="none", max_retries=0, timeout=PATIENCE)


@pytest.fixture
def claude(proxy: ProxyProcess) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=proxy.url, api_key="none", max_retries=0, timeout=PATIENCE)


@pytest.fixture
def llama(proxy: ProxyProcess) -> ollama.Client:
    return ollama.Client(proxy.url, timeout=PATIENCE)


def asked(backend: ScriptedBackend) -> dict[str, Any]:
    [request] = [request for request in backend.requests if request.method == "POST"]
    assert request.path == "/v1/responses"
    sent: dict[str, Any] = request.json
    assert sent["store"] is False
    return sent


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/api/chat", {"messages": [USER]}),
        ("/api/generate", {"prompt": "hi"}),
        ("/v1/chat/completions", {"messages": [USER]}),
        ("/v1/messages", {"messages": [USER], "max_tokens": 50}),
    ],
)
def test_a_refusal_teaches_where_the_model_is(path: str, call: dict[str, Any]) -> None:
    with ScriptedBackend() as chat_only, ScriptedBackend(everything=True) as backend:
        assert chat_only.base_url != backend.base_url
        with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
            if path == "/v1/messages":
                # This back end would have it, too.
                backend.reply_with(Error(404, error_body("Invalid URL (POST /v1/messages)")))
            backend.reply_with(Error(404, ONLY))
            for stream in (False, True):
                reply = httpx.post(proxy.url + path, json={"model": "gpt-test", **call, "stream": stream}, timeout=PATIENCE)
                assert reply.status_code == 200, reply.text
                assert "Hello" in reply.text
            paths = [
                request.path for request in backend.requests if request.method == "POST" and "messages" not in request.path
            ]
            assert paths == ["/v1/chat/completions", "/v1/responses", "/v1/responses"]
            assert all(request.json["stream"] for request in backend.requests if request.path == "/v1/responses")


def test_text_and_usage(backend: ScriptedBackend, llama: ollama.Client) -> None:
    answer = llama.chat(
        "codex", [{"role": "system", "content": "be kind"}, USER], options={"num_predict": 50, "temperature": 0.5}
    )
    assert answer.message.content == TEXT
    assert (answer.done_reason, answer.prompt_eval_count, answer.eval_count) == ("stop", 5, 3)
    sent = asked(backend)
    assert sent["instructions"] == "be kind"
    assert sent["input"] == [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
    assert (sent["max_output_tokens"], sent["temperature"]) == (50, 0.5)


def test_a_stream_of_each_api(client: openai.OpenAI, claude: anthropic.Anthropic, llama: ollama.Client) -> None:
    assert "".join(frame.message.content or "" for frame in llama.chat("codex", [USER], stream=True)) == TEXT
    chunks = list(
        client.chat.completions.create(model="codex", messages=[USER], stream=True, stream_options={"include_usage": True})
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 8
    with claude.messages.stream(model="codex", max_tokens=50, messages=[USER]) as message:
        assert message.get_final_text() == TEXT


def test_tools_and_thinking_over_two_turns_of_chat(backend: ScriptedBackend, llama: ollama.Client) -> None:
    backend.reply_with(stream(*reasoning_events("Hm."), *call_events('{"a": 1}')))
    first = llama.chat("codex", [USER], tools=[TOOL], think="low")
    assert first.message.thinking == "Hm."
    assert first.message.tool_calls is not None
    assert first.message.tool_calls[0].function.arguments == {"a": 1}
    sent = asked(backend)
    assert sent["reasoning"] == {"effort": "low", "summary": "auto"}
    assert sent["tools"] == [{"type": "function", "strict": False, **TOOL["function"]}]
    backend.requests.clear()
    llama.chat("codex", [USER, first.message, {"role": "tool", "content": "ok", "tool_name": "f"}], tools=[TOOL])
    _, call, result = [item for item in asked(backend)["input"] if item["type"] != "reasoning"]
    assert (call["type"], call["name"], json.loads(call["arguments"])) == ("function_call", "f", {"a": 1})
    assert result == {"type": "function_call_output", "call_id": call["call_id"], "output": "ok"}


def test_tools_and_thinking_over_two_turns_of_messages(backend: ScriptedBackend, proxy: ProxyProcess) -> None:
    backend.reply_with(Error(404, error_body("Invalid URL (POST /v1/messages)")))
    url = proxy.url + "/v1/messages"
    tool = {"name": "f", "input_schema": TOOL["function"]["parameters"]}
    call = {"model": "codex", "max_tokens": 2000, "tools": [tool], "thinking": {"type": "enabled", "budget_tokens": 1024}}
    backend.reply_with(stream(*reasoning_events("Hm."), *call_events('{"a": 1}')))
    first = httpx.post(url, json={**call, "messages": [USER]}, timeout=PATIENCE).json()
    assert [block["type"] for block in first["content"]] == ["thinking", "tool_use"]
    assert first["stop_reason"] == "tool_use"
    backend.requests.clear()
    result = {"type": "tool_result", "tool_use_id": first["content"][1]["id"], "content": "ok"}
    messages = [USER, {"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
    httpx.post(url, json={**call, "messages": messages}, timeout=PATIENCE).raise_for_status()
    items = asked(backend)["input"]
    assert [item["type"] for item in items] == ["message", "reasoning", "function_call", "function_call_output"]
    assert items[1] == {"type": "reasoning", "id": "rs_1", "encrypted_content": "c2VjcmV0", "summary": []}


def test_tools_and_thinking_over_two_turns_of_chat_completions(backend: ScriptedBackend, client: openai.OpenAI) -> None:
    backend.reply_with(stream(*reasoning_events("Hm."), *call_events('{"a": 1}'), *call_events("{}", 2)))
    tools: Any = [TOOL]
    first = client.chat.completions.create(model="codex", messages=[USER], tools=tools, reasoning_effort="high")
    choice = first.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert [json.loads(call.function.arguments) for call in choice.message.tool_calls] == [{"a": 1}, {}]  # type: ignore[union-attr]
    assert asked(backend)["reasoning"] == {"effort": "high", "summary": "auto"}
    backend.requests.clear()
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "ok"} for call in choice.message.tool_calls]
    message: Any = choice.message.model_dump(exclude_none=True)
    client.chat.completions.create(model="codex", messages=[USER, message, *results], tools=tools)
    items = asked(backend)["input"]
    kinds = ["message", "reasoning", "function_call", "function_call", "function_call_output", "function_call_output"]
    assert [item["type"] for item in items] == kinds
    assert [item["call_id"] for item in items[2:]] == ["call_1", "call_2", "call_1", "call_2"]


def test_a_format_and_an_image(backend: ScriptedBackend, llama: ollama.Client, client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    llama.chat("codex", [{**USER, "images": [PNG]}], format=schema)
    sent = asked(backend)
    assert sent["text"]["format"] == {"type": "json_schema", "name": "schema", "schema": schema} | {
        name: value for name, value in sent["text"]["format"].items() if name == "strict"
    }
    image = next(part for part in sent["input"][-1]["content"] if part["type"] == "input_image")
    assert image["image_url"] == f"data:image/png;base64,{PNG}"
    backend.requests.clear()
    client.chat.completions.create(model="codex", messages=[USER], response_format={"type": "json_object"})
    assert asked(backend)["text"] == {"format": {"type": "json_object"}}


def test_an_answer_that_was_cut(backend: ScriptedBackend, proxy: ProxyProcess) -> None:
    cut = {"incomplete_details": {"reason": "max_output_tokens"}}
    texts = response_events(["Hel"])[1:4]
    ends = {"/api/chat": '"done_reason":"length"', "/v1/chat/completions": '"finish_reason":"length"'}
    for path, end in ends.items():
        backend.reply_with(stream(*texts, status="incomplete", **cut))
        reply = httpx.post(proxy.url + path, json={"model": "codex", "messages": [USER], "stream": True}, timeout=PATIENCE)
        assert end in reply.text


@pytest.mark.parametrize(
    ("script", "status", "text"),
    [
        (Error(429, error_body("slow down"), headers={"Retry-After": "9"}), 429, "slow down"),
        (Error(401, error_body("no such key")), 401, "no such key"),
        (stream(status="failed", error={"code": "server_error", "message": "boom"}), 500, "boom"),
        (
            Stream([Chunk({"type": "error", "code": "rate_limit_exceeded", "message": "too fast", "param": None})]),
            429,
            "too fast",
        ),
        (Stream([Chunk(CREATED), Cut()]), 502, "broke off"),
        (Whole({"error": {"message": "at capacity", "code": 503}}), 503, "at capacity"),
    ],
)
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
@pytest.mark.parametrize("streamed", [True, False])
def test_errors_keep_their_status_and_text(
    backend: ScriptedBackend, proxy: ProxyProcess, path: str, streamed: bool, script: Any, status: int, text: str
) -> None:
    backend.reply_with(script)
    reply = httpx.post(proxy.url + path, json={"model": "codex", "messages": [USER], "stream": streamed}, timeout=PATIENCE)
    assert reply.status_code == status
    assert text in reply.text


def test_a_whole_answer_is_read_as_well(backend: ScriptedBackend, llama: ollama.Client) -> None:
    backend.reply_with(Whole(response(TEXT)))
    assert "".join(frame.message.content or "" for frame in llama.chat("codex", [USER], stream=True)) == TEXT


def test_what_the_model_refuses_is_learned(backend: ScriptedBackend, llama: ollama.Client) -> None:
    backend.reply_with(
        Error(
            400,
            error_body("Unsupported value: 'low' is not supported. Supported values are: 'medium'.", param="reasoning.effort"),
        ),
        Error(
            400, error_body("Your organization must be verified to generate reasoning summaries.", param="reasoning.summary")
        ),
        Error(400, error_body("Unsupported parameter: 'temperature' is not supported with this model.", param="temperature")),
    )
    assert llama.chat("codex", [USER], think="low", options={"temperature": 0.1}).message.content == TEXT
    last = [request for request in backend.requests if request.method == "POST"][-1].json
    assert last["reasoning"] == {"effort": "medium"}
    assert "temperature" not in last


def test_a_client_that_leaves_frees_the_server(backend: ScriptedBackend, proxy: ProxyProcess) -> None:
    backend.reply_with(Stream([Chunk(CREATED), *map(Chunk, response_events(["One"])[1:4]), Sleep(60)]))
    call = {"model": "codex", "messages": [USER]}
    with httpx.stream("POST", proxy.url + "/api/chat", json=call, timeout=PATIENCE) as reply:
        assert "One" in next(reply.iter_lines())
    assert backend.wait_for_disconnect() is not None


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_the_newest_models_reason_beside_tools(backend: ScriptedBackend, proxy: ProxyProcess, path: str) -> None:
    call = {"model": "gpt-5.6-test", "messages": [USER], "tools": [TOOL]}
    httpx.post(proxy.url + path, json=call, timeout=PATIENCE).raise_for_status()
    asked(backend)
    backend.requests.clear()
    del call["tools"]
    httpx.post(proxy.url + path, json=call, timeout=PATIENCE).raise_for_status()
    assert [request.path for request in backend.requests if request.method == "POST"] == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"messages": "hi"}, "messages must be"),
        ({"messages": ["hi"]}, "messages[0] must be"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content must be"),
        ({"messages": [USER], "tools": {}}, "tools must be"),
        ({"messages": [{"role": "assistant", "tool_calls": [1]}]}, "messages[0].tool_calls must be"),
    ],
)
def test_a_call_that_cannot_be_translated_is_refused(proxy: ProxyProcess, wrong: dict[str, Any], text: str) -> None:
    reply = httpx.post(proxy.url + "/v1/chat/completions", json={"model": "codex", **wrong}, timeout=PATIENCE)
    assert reply.status_code == 400
    assert text in reply.json()["error"]["message"]
