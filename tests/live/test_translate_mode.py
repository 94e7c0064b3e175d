"""Translate mode through the official SDK: real client, real proxy process, scripted back end."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from ollama import AsyncClient, Client, ResponseError

from tests.live.proxy import Door, ProxyProcess, free_port
from tests.patience import PATIENCE
from tests.standins import (
    Chunk,
    Cut,
    Delta,
    Done,
    End,
    Error,
    Gate,
    Raw,
    ScriptedBackend,
    Stream,
    WaitForClient,
    Whole,
    chat_completion,
    embedding_of,
    error_body,
    finish,
    reasoning,
    text,
    tool_delta,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with (
        ScriptedBackend(strict=True, api_key="test-key") as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, OPENAI_API_KEY="test-key") as proxy,
    ):
        yield backend, proxy


def post(url: str, path: str, **body: Any) -> httpx.Response:
    return httpx.post(url + path, json=body, timeout=PATIENCE)


def asked(backend: ScriptedBackend) -> Any:
    """The body of the last call to a model."""
    return next(request.json for request in reversed(backend.requests) if request.method == "POST")


# ── every method of the SDK


def test_list_names_the_models_of_the_back_end(client: Client) -> None:
    models = client.list().models
    assert [model.model for model in models] == ["gpt-test", "text-embedding-test"]
    assert len({model.digest for model in models}) == 2
    assert all(model.size and model.modified_at and model.details for model in models)


def test_show_describes_a_model(client: Client) -> None:
    shown = client.show("gpt-test")
    assert shown.capabilities == ["completion", "tools"]
    architecture = shown.modelinfo["general.architecture"]
    assert shown.modelinfo[f"{architecture}.context_length"] > 0


def test_ps_names_the_models_in_use(client: Client) -> None:
    client.chat("gpt-test", HELLO, keep_alive="10m")
    assert "gpt-test" in [model.model for model in client.ps().models]
    client.generate("gpt-test", keep_alive=0)
    assert "gpt-test" not in [model.model for model in client.ps().models]


def test_chat_answers_whole(client: Client) -> None:
    answer = client.chat("gpt-test", HELLO)
    assert answer.message.content == "Hello world!"
    assert answer.message.role == "assistant"
    assert (answer.model, answer.done, answer.done_reason) == ("gpt-test", True, "stop")
    counters = [answer.total_duration, answer.load_duration, answer.prompt_eval_count]
    counters += [answer.prompt_eval_duration, answer.eval_count, answer.eval_duration]
    assert all(isinstance(counter, int) and counter > 0 for counter in counters)


def test_chat_answers_streamed(client: Client) -> None:
    frames = list(client.chat("gpt-test", HELLO, stream=True))
    assert [frame.message.content for frame in frames] == ["Hello", " world", "!", ""]
    assert [frame.done for frame in frames] == [False, False, False, True]
    assert frames[-1].done_reason == "stop"
    assert frames[-1].eval_count


def test_generate_answers_whole_and_streamed(client: Client) -> None:
    assert client.generate("gpt-test", "hello").response == "Hello world!"
    frames = list(client.generate("gpt-test", "hello", stream=True))
    assert "".join(frame.response for frame in frames) == "Hello world!"
    assert frames[-1].done_reason == "stop"
    assert frames[-1].context


def test_embed_gives_normalised_vectors_in_order(client: Client) -> None:
    reply = client.embed("text-embedding-test", ["one", "two"])
    assert len(reply.embeddings) == 2
    for vector, given in zip(reply.embeddings, ["one", "two"], strict=True):
        length = math.hypot(*embedding_of(given))
        assert vector == pytest.approx([x / length for x in embedding_of(given)], abs=1e-6)
    assert reply.total_duration
    assert reply.prompt_eval_count


def test_embeddings_gives_the_vector_as_it_is(client: Client) -> None:
    assert client.embeddings("text-embedding-test", "one").embedding == pytest.approx(embedding_of("one"), abs=1e-6)


async def test_the_asynchronous_client_works_alike(url: str, backend: ScriptedBackend) -> None:
    async with AsyncClient(url) as client:
        assert (await client.chat("gpt-test", HELLO)).message.content == "Hello world!"
        frames = [frame async for frame in await client.generate("gpt-test", "hello", stream=True)]
        assert "".join(frame.response for frame in frames) == "Hello world!"
        assert len((await client.list()).models) == 2
        assert (await client.show("gpt-test")).capabilities
        assert len((await client.embed("text-embedding-test", "one")).embeddings) == 1
        assert (await client.embeddings("text-embedding-test", "one")).embedding
        assert (await client.ps()).models


# ── what the back end is asked


def test_options_reach_the_back_end_under_its_names(client: Client, backend: ScriptedBackend) -> None:
    options = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "num_predict": 20, "stop": ["END"], "top_k": 40, "num_ctx": 512}
    client.chat("gpt-test", HELLO, options=options, format={"type": "object", "properties": {}})
    body = asked(backend)
    assert (body["temperature"], body["top_p"], body["seed"], body["max_tokens"]) == (0.5, 0.9, 7, 20)
    assert body["stop"] == ["END"]
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object", "properties": {}}


def test_nothing_is_asked_that_the_client_left_open(client: Client, backend: ScriptedBackend) -> None:
    client.chat("gpt-test", HELLO)
    assert asked(backend) == {
        "model": "gpt-test",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_images_go_with_their_type(client: Client, backend: ScriptedBackend) -> None:
    client.chat("gpt-test", [{"role": "user", "content": "what is it?", "images": [PNG]}])
    assert asked(backend)["messages"][0]["content"] == [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]


def test_a_context_continues_the_conversation(client: Client, backend: ScriptedBackend) -> None:
    first = client.generate("gpt-test", "my name is Ada", system="be brief")
    client.generate("gpt-test", "what is my name?", context=list(first.context or []))
    assert [(m["role"], m["content"]) for m in asked(backend)["messages"]] == [
        ("system", "be brief"),
        ("user", "my name is Ada"),
        ("assistant", "Hello world!"),
        ("user", "what is my name?"),
    ]


def test_raw_and_suffix_prompts_are_completions(client: Client, backend: ScriptedBackend) -> None:
    assert client.generate("gpt-test", "once upon", raw=True).response
    assert backend.requests[-1].path.endswith("/v1/completions")
    client.generate("gpt-test", "def f():", suffix="return 1")
    assert (asked(backend)["prompt"], asked(backend)["suffix"]) == ("def f():", "return 1")


def test_loading_and_unloading_ask_the_back_end_nothing(client: Client, backend: ScriptedBackend) -> None:
    assert client.generate("gpt-test").done_reason == "load"
    assert client.chat("gpt-test", []).done_reason == "load"
    assert client.generate("gpt-test", keep_alive=0).done_reason == "unload"
    assert client.embed("text-embedding-test", []).embeddings == []
    assert all(request.method == "GET" for request in backend.requests)


# ── what the back end answers


def test_a_tool_call_makes_the_round_trip(client: Client, backend: ScriptedBackend) -> None:
    backend.reply_with(
        Stream(
            [
                tool_delta(0, "abc", "weather", '{"ci'),
                tool_delta(0, arguments='ty": "Rome"}'),
                tool_delta(1, "def", "weather", '{"city": "Oslo"}'),
                finish("tool_calls"),
                usage(9, 4),
            ]
        )
    )
    frames = list(client.chat("gpt-test", HELLO, tools=[TOOL], stream=True))
    calls = [call for frame in frames for call in frame.message.tool_calls or []]
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("weather", {"city": "Rome"}),
        ("weather", {"city": "Oslo"}),
    ]
    assert (frames[-1].done_reason, frames[-1].prompt_eval_count, frames[-1].eval_count) == ("stop", 9, 4)
    assert asked(backend)["tools"][0]["function"]["name"] == "weather"

    # The SDK drops ids, so the results come back in order only.
    history = [*HELLO, {"role": "assistant", "tool_calls": calls}]
    history += [{"role": "tool", "content": "sunny"}, {"role": "tool", "content": "snow"}]
    client.chat("gpt-test", history)
    _, asking, *results = asked(backend)["messages"]
    assert [result["tool_call_id"] for result in results] == [call["id"] for call in asking["tool_calls"]]
    assert [result["content"] for result in results] == ["sunny", "snow"]
    assert json.loads(asking["tool_calls"][0]["function"]["arguments"]) == {"city": "Rome"}


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_becomes_thinking(client: Client, backend: ScriptedBackend, key: str) -> None:
    backend.reply_with(Stream([reasoning("let me ", key), reasoning("see", key), text("42"), finish()]))
    answer = client.chat("gpt-test", HELLO, think=True)
    assert (answer.message.thinking, answer.message.content) == ("let me see", "42")


def test_think_tags_become_thinking(client: Client, backend: ScriptedBackend) -> None:
    backend.reply_with(Stream([text("<thi"), text("nk>hm"), text("</think>\n\n4"), text("2"), finish()]))
    answer = client.chat("gpt-test", HELLO)
    assert (answer.message.thinking, answer.message.content) == ("hm", "42")


def test_a_cut_at_the_token_limit_is_a_length(client: Client, backend: ScriptedBackend) -> None:
    backend.reply_with(Stream([text("a"), finish("length")]))
    assert client.chat("gpt-test", HELLO).done_reason == "length"


def test_line_separators_survive_the_sdk(client: Client, backend: ScriptedBackend) -> None:
    tricky = 'a\u2028b\u2029c\x85d\x0be\x1cf<>&"\\ \U0001f600 é'
    backend.reply_with(Stream([text(tricky), finish()]))
    assert "".join(f.message.content or "" for f in client.chat("gpt-test", HELLO, stream=True)) == tricky


def test_a_back_end_that_does_not_stream_is_understood(client: Client, backend: ScriptedBackend) -> None:
    backend.reply_with(Whole(chat_completion("all at once")))
    frames = list(client.chat("gpt-test", HELLO, stream=True))
    assert "".join(frame.message.content or "" for frame in frames) == "all at once"
    assert frames[-1].done


def test_there_is_one_last_frame_whatever_the_back_end_sends_around_it(client: Client, backend: ScriptedBackend) -> None:
    backend.reply_with(
        Stream(
            [
                Raw(b": comment\n\n"),
                Delta({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}),
                Raw(b'data:{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":null}]}\r\n\r\n'),
                finish(),
                Chunk({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}),
                End(),
            ]
        )
    )
    frames = list(client.chat("gpt-test", HELLO, stream=True))
    assert [frame.done for frame in frames] == [False, False, True]
    assert (frames[-1].prompt_eval_count, frames[-1].eval_count) == (5, 2)


# ── errors


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("status", [400, 401, 403, 413, 422, 429, 500, 503])
def test_an_error_of_the_back_end_keeps_status_and_text(
    client: Client, backend: ScriptedBackend, status: int, stream: bool
) -> None:
    backend.reply_with(Error(status, error_body("it is so")))
    with pytest.raises(ResponseError) as caught:
        list(client.chat("gpt-test", HELLO, stream=stream))
    begin, _, words = caught.value.error.rpartition("it is so")
    # Of a key it is said whose it was.
    assert (caught.value.status_code, bool(begin), words) == (status, status == 401, "")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        ("the model is gone", 404, "the model is gone"),
        ("Not Found", 501, "the back end has no such call: it answered 404 (Not Found)"),
        ("it is so", 501, "the back end has no such call: it answered 404 (it is so)"),
    ],
)
def test_a_path_that_the_back_end_lacks_is_no_missing_model(
    client: Client, backend: ScriptedBackend, text: str, status: int, told: str, stream: bool
) -> None:
    backend.reply_with(Error(404, error_body(text)))
    with pytest.raises(ResponseError) as caught:
        list(client.chat("gpt-test", HELLO, stream=stream))
    assert (caught.value.status_code, caught.value.error) == (status, told)


def test_retry_after_is_passed_on(url: str, backend: ScriptedBackend) -> None:
    backend.reply_with(Error(429, error_body("slow down"), headers={"Retry-After": "17"}))
    assert post(url, "/api/chat", model="gpt-test", messages=HELLO).headers["retry-after"] == "17"


def test_a_page_of_html_is_not_shown_as_an_error_text(client: Client, backend: ScriptedBackend) -> None:
    backend.reply_with(Error(502, "<html>Bad gateway</html>"))
    with pytest.raises(ResponseError, match="sent a web page"):
        client.chat("gpt-test", HELLO)


@pytest.mark.parametrize(
    "steps",
    [
        [text("a"), Cut()],
        [text("a"), Raw(b'data: {"error": {"message": "out of memory", "code": 500}}\n\n'), Done()],
    ],
    ids=["cut", "error chunk"],
)
def test_a_failure_in_mid_stream_is_an_error_and_no_end(client: Client, backend: ScriptedBackend, steps: list[Any]) -> None:
    backend.reply_with(Stream(steps))
    seen = []
    with pytest.raises(ResponseError) as caught:
        seen += client.chat("gpt-test", HELLO, stream=True)
    backend.reply_with(Stream(steps))
    frames = []
    with contextlib.suppress(ResponseError):
        for frame in client.chat("gpt-test", HELLO, stream=True):
            frames.append(frame)  # noqa: PERF402  # keep what came before the error
    assert [frame.message.content for frame in frames] == ["a"]
    assert not any(frame.done for frame in frames)
    assert caught.value.error
    backend.reply_with(Stream(steps))
    with pytest.raises(ResponseError) as whole:
        client.chat("gpt-test", HELLO)
    assert whole.value.status_code >= 500


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_broken_tool_call_does_not_cost_the_answer(client: Client, backend: ScriptedBackend, stream: bool) -> None:
    backend.reply_with(Stream([text("a"), tool_delta(0, "x", "f", '{"broken'), finish("tool_calls")]))
    frames = list(client.chat("gpt-test", HELLO, stream=True)) if stream else [client.chat("gpt-test", HELLO)]
    assert "".join(frame.message.content or "" for frame in frames) == "a"
    assert not any(frame.message.tool_calls for frame in frames)
    assert frames[-1].done


def test_a_back_end_that_is_not_there_is_a_502() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    with ProxyProcess(OPENAI_API_BASE_URL=nowhere) as proxy:
        reply = post(proxy.url, "/api/chat", model="any", messages=HELLO)
        assert reply.status_code == 502
        assert f"cannot connect to the back end at {nowhere}" in reply.json()["error"]


def test_an_unknown_model_is_ollamas_404(client: Client, url: str) -> None:
    for call, name in ((client.chat, "nope"), (client.generate, "nope"), (client.show, "nope:latest")):
        with pytest.raises(ResponseError) as caught:
            call("nope")
        assert (caught.value.status_code, caught.value.error) == (404, f"model '{name}' not found")
    reply = post(url, "/api/embed", model="nope", input="x")
    assert (reply.status_code, reply.json()) == (404, {"error": 'model "nope" not found, try pulling it first'})


@pytest.mark.parametrize(
    ("method", "path", "status", "allow", "text"),
    [
        ("GET", "/api/nope", 404, None, "404 page not found"),
        ("POST", "/api/nope", 404, None, "404 page not found"),
        ("POST", "/api/tags", 405, "HEAD, GET", "405 method not allowed"),
        ("DELETE", "/api/ps", 405, "GET", "405 method not allowed"),
        ("PUT", "/api/chat", 405, "POST", "405 method not allowed"),
    ],
)
def test_unknown_paths_and_methods_answer_as_ollama(
    url: str, method: str, path: str, status: int, allow: str | None, text: str
) -> None:
    reply = httpx.request(method, url + path)
    assert (reply.status_code, reply.text, reply.headers.get("allow")) == (status, text, allow)
    assert reply.headers["content-type"] == "text/plain"


def test_a_wrong_method_is_mended_where_there_is_a_body(url: str) -> None:
    body = json.dumps({"model": "gpt-test", "messages": HELLO, "stream": False})
    for method in ("GET", "PUT", "POST"):
        reply = httpx.request(method, f"{url}//api//chat/", content=body)
        assert reply.json()["message"]["content"] == "Hello world!"


def test_a_lost_body_is_explained(url: str) -> None:
    reply = httpx.get(f"{url}/api/chat")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert reply.json()["error"].startswith("405 method not allowed")
    assert "https://" in reply.json()["error"]


def test_streaming_is_the_default_and_the_content_type_does_not_matter(url: str) -> None:
    body = json.dumps({"MODEL": "gpt-test", "messages": HELLO}) + " and more"
    reply = httpx.post(f"{url}/api/chat", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert reply.headers["content-type"] == "application/x-ndjson"
    frames = [json.loads(line) for line in reply.text.splitlines()]
    assert [frame["done"] for frame in frames] == [False, False, False, True]


def test_each_reply_carries_a_request_id(url: str) -> None:
    given = httpx.get(f"{url}/api/tags", headers={"X-Request-Id": "mine"})
    assert given.headers["x-request-id"] == "mine"
    made = post(url, "/api/chat", model="nope", messages=HELLO)
    assert len(made.headers["x-request-id"]) == 32


def test_without_a_key_none_is_sent() -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        assert post(proxy.url, "/api/chat", model="gpt-test", messages=HELLO, stream=False).status_code == 200
        assert all("authorization" not in request.headers for request in backend.requests)


# ── time


def test_frames_reach_the_client_as_the_back_end_sends_them(url: str, backend: ScriptedBackend) -> None:
    arrived = [threading.Event() for _ in range(5)]
    steps = [step for number, event in enumerate(arrived) for step in (text(str(number)), Gate(event))]
    backend.reply_with(Stream([*steps, finish()]))
    contents = []
    with httpx.stream("POST", f"{url}/api/chat", json={"model": "gpt-test", "messages": HELLO}, timeout=PATIENCE) as reply:
        for line in reply.iter_lines():
            contents.append(json.loads(line)["message"]["content"])
            # The back end sends the next piece only when the client has this one.
            arrived[min(len(contents), 5) - 1].set()
    assert contents == ["0", "1", "2", "3", "4", ""]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("begun", [True, False], ids=["in mid-answer", "before the answer"])
def test_a_client_that_leaves_frees_the_back_end(url: str, backend: ScriptedBackend, stream: bool, begun: bool) -> None:
    backend.reply_with(Stream([text("a"), WaitForClient()] if begun else [WaitForClient()]))
    sock = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
    body = json.dumps({"model": "gpt-test", "messages": HELLO, "stream": stream})
    sock.sendall(f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    if stream and begun:
        received = b""
        while b'"a"' not in received:
            received += (part := sock.recv(65536))
            assert part, received
    else:
        assert backend.wait_for_requests()
        while not any(request.method == "POST" for request in backend.requests):
            time.sleep(0.01)
    sock.close()
    noticed = backend.wait_for_disconnect()
    assert noticed is not None
    # The next request is answered at once.
    assert post(url, "/api/chat", model="gpt-test", messages=HELLO, stream=False).status_code == 200


def test_a_long_answer_is_the_same_streamed_and_whole(client: Client, backend: ScriptedBackend) -> None:
    steps = [text(f"word {number} ") for number in range(2000)] + [finish()]
    backend.reply_with(Stream(steps), Stream(steps))
    streamed = "".join(frame.message.content or "" for frame in client.chat("gpt-test", HELLO, stream=True))
    assert streamed == client.chat("gpt-test", HELLO).message.content
    assert streamed.endswith("word 1999 ")


@pytest.mark.parametrize("door", ["console", "mitmdump"])
def test_neither_keys_nor_bodies_are_logged(door: Door) -> None:
    with ScriptedBackend(api_key="marked-key") as backend:
        url, key = backend.base_url, "marked-key"
        with ProxyProcess(door=door, OPENAI_API_BASE_URL=url, OPENAI_API_KEY=key, LOG_LEVEL="debug") as proxy:
            backend.reply_with(Error(400, error_body("marked-reason")), Stream([text("marked-answer"), Cut()]))
            for _ in range(3):
                post(proxy.url, "/api/chat", model="gpt-test", messages=[{"role": "user", "content": "marked-prompt"}])
            post(proxy.url, "/api/generate", model="gpt-test", prompt=["marked-prompt"])
        assert "/api/chat" in proxy.log
        assert "marked-" not in proxy.log


# ── what back ends take


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_refused_parameter_is_renamed_and_the_client_notices_nothing(stream: bool) -> None:
    refusal = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        backend.reply_with(Error(400, error_body(refusal, param="max_tokens")))
        for _ in range(2):
            reply = post(proxy.url, "/api/chat", model="gpt-test", messages=HELLO, stream=stream, options={"num_predict": 5})
            assert reply.status_code == 200
        sent = [set(request.json) & {"max_tokens", "max_completion_tokens"} for request in backend.requests[1:]]
        assert sent == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]


def test_several_refusals_in_turn_are_learnt_and_a_real_one_reaches_the_client() -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        names = ["temperature", "top_p", "seed"]
        backend.reply_with(*(Error(400, error_body(f"Unsupported parameter: '{name}'", param=name)) for name in names))
        options = {"temperature": 1, "top_p": 0.5, "seed": 3}
        assert post(proxy.url, "/api/chat", model="gpt-test", messages=HELLO, options=options).status_code == 200
        assert not set(asked(backend)) & set(names)
        backend.reply_with(Error(400, error_body("the prompt is too long", param="messages")))
        reply = post(proxy.url, "/api/chat", model="gpt-test", messages=HELLO, options=options)
        assert reply.status_code == 400
        assert "the prompt is too long" in reply.json()["error"]


def test_embeddings_of_a_back_end_that_refuses_dimensions_are_cut_here() -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        backend.reply_with(Error(400, error_body("This model does not support specifying dimensions.", param="dimensions")))
        reply = post(proxy.url, "/api/embed", model="text-embedding-test", input="one", dimensions=3).json()
        assert math.hypot(*reply["embeddings"][0]) == pytest.approx(1)
        assert len(reply["embeddings"][0]) == 3


def test_a_profile_sends_what_its_family_knows() -> None:
    with (
        ScriptedBackend(strict=False) as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, BACKEND_PROFILE="vllm") as proxy,
    ):
        options = {"top_k": 20, "min_p": 0.1, "repeat_penalty": 1.2}
        assert post(proxy.url, "/api/chat", model="gpt-test", messages=HELLO, options=options, think=False).status_code == 200
        sent = asked(backend)
        assert (sent["top_k"], sent["min_p"], sent["repetition_penalty"]) == (20, 0.1, 1.2)
        assert sent["chat_template_kwargs"]["enable_thinking"] is False


def test_the_command_line_is_not_told_to_sign_in(url: str, backend: ScriptedBackend) -> None:
    backend.reply_with(Error(401, error_body("wrong key")))
    body = {"model": "gpt-test", "messages": HELLO}
    reply = httpx.post(f"{url}/api/chat", json=body, headers={"User-Agent": "ollama/0.24.0 (amd64 linux) Go/go1.26"})
    assert reply.status_code == 502
    assert reply.json()["error"].endswith(": wrong key")
