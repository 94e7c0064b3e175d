"""The calls that each real client makes, in its order, and what it must find in the replies.

The order and the fields are those that the clients' sources show. Everything runs twice: before a back end that has chat
completions and no more, and before one that also has Responses and Anthropic's messages.
"""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import openai
import pytest
from ollama import AsyncClient, Client, ResponseError
from pydantic import BaseModel, ConfigDict, Field

from tests.live.bare_client import (
    ANSWER,
    ARGUMENTS,
    CALL,
    CHAT,
    FUNCTION,
    GENERATE,
    GO,
    HELLO,
    JSON,
    KEY,
    NDJSON,
    PARAMETERS,
    PLAIN,
    SAID,
    TOOL,
    UPGRADE,
    Answer,
    asked,
    send,
)
from tests.live.proxy import ProxyProcess
from tests.standins import Chunk, Error, ScriptedBackend, Stream, error_body, finish, reasoning, role, text, tool_delta, usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping


@pytest.fixture(scope="module", params=["chat only", "everything"])
def _shared(request: pytest.FixtureRequest) -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with (
        ScriptedBackend(api_key=KEY, everything=request.param == "everything") as backend,
        # Page Assist asks its users for the last setting, as it does with Ollama.
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, OPENAI_API_KEY=KEY, OLLAMA_ORIGINS="chrome-extension://*") as proxy,
    ):
        yield backend, proxy


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


def events(answer: Answer) -> list[Any]:
    """The events of a stream, without the end mark of those that have one."""
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream"), answer.body
    lines = [line.removeprefix("data: ") for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def read_in_javascript(answer: Answer) -> Iterator[Any]:
    """The frames as ollama-js gives them: it throws at any key `error`, and stops at the first that is the last."""
    assert answer.status == 200
    for line in answer.body.split(b"\n"):
        frame = json.loads(line)
        assert "error" not in frame
        yield frame
        if frame.get("done") or frame.get("status") == "success":
            return
    raise AssertionError("Did not receive done or success response in stream.")


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


def test_zed_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
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


def test_koog_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
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


def test_vercels_provider_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
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


def test_open_webui_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
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
    assert send(url, "POST", "/v1/completions", GENERATE, JSON).json["choices"][0]["text"] == SAID
    vectors = send(url, "POST", "/v1/embeddings", {"model": "text-embedding-test", "input": ["a", "b"]}, JSON).json
    assert [item["index"] for item in vectors["data"]] == [0, 1]
    message = CHAT | {"max_tokens": 50}
    assert send(url, "POST", "/v1/messages", message, JSON).json["content"] == [{"type": "text", "text": SAID}]
    assert events(send(url, "POST", "/v1/messages", message | {"stream": True}, JSON))[-1]["type"] == "message_stop"
    response = {"model": "gpt-test", "input": "hello"}
    assert send(url, "POST", "/v1/responses", response, JSON).json["output"][0]["content"][0]["text"] == SAID
    last = events(send(url, "POST", "/v1/responses", response | {"stream": True}, JSON))[-1]
    assert (last["type"], last["response"]["status"]) == ("response.completed", "completed")
    backend.reply_with(Error(429, error_body("slow down"), {"Retry-After": "3"}))
    busy = send(url, "POST", "/api/chat", body, JSON)
    assert (busy.status, busy.headers["Retry-After"], busy.json) == (429, "3", {"error": "slow down"})


# LiteLLM


def test_litellm_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
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


def test_continue_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
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


def test_home_assistant_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
    asyncio.run(_home_assistant(url, backend))


async def _home_assistant(url: str, backend: ScriptedBackend) -> None:
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


def test_langchain4j_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
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


def test_llama_index_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
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


# langchain-ollama


def test_langchain_ollama_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
    with Client(url) as client:
        names = [model.model or "" for model in client.list().models]
        assert any(name == "gpt-test" or name.startswith("gpt-test:") for name in names)
        backend.reply_with(Stream(CALL))
        options: Any = {"temperature": 0.0, "num_ctx": None, "stop": []}
        asked_for: Any = {"model": "gpt-test", "tools": [TOOL], "options": options, "keep_alive": None, "format": ""}
        chunks = list(client.chat(messages=HELLO, stream=True, **asked_for))
        [call] = [call for chunk in chunks for call in chunk["message"].get("tool_calls") or ()]
        assert call["function"]["arguments"] == ARGUMENTS
        assert not any(chunk.get("done_reason") == "load" for chunk in chunks)
        assert (chunks[-1]["done_reason"], chunks[-1]["prompt_eval_count"], chunks[-1]["eval_count"]) == ("stop", 7, 2)
        history: list[Any] = [
            *HELLO,
            {"role": "assistant", "tool_calls": [{"type": "function", "id": "a-b-c", "function": FUNCTION}]},
            {"role": "tool", "content": "sunny", "tool_call_id": "a-b-c", "id": None},
        ]
        answer = "".join(chunk["message"]["content"] for chunk in client.chat(messages=history, stream=True, **asked_for))
        assert answer == SAID
        _, call, result = asked(backend)["messages"]
        assert result["tool_call_id"] == call["tool_calls"][0]["id"] != ""
        entry = {"token": "a", "logprob": -0.5, "bytes": [97]}
        choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": None, "logprobs": {"content": [entry]}}
        backend.reply_with(Stream([role(), Chunk({"choices": [choice]}), finish()]))
        likely = list(client.chat(model="gpt-test", messages=HELLO, stream=True, logprobs=True))
        assert [each["logprob"] for chunk in likely for each in chunk.get("logprobs") or ()] == [-0.5]
        assert len(client.embed("text-embedding-test", ["a", "b"], options={"num_ctx": None})["embeddings"]) == 2


# @langchain/ollama, for JavaScript


def test_langchain_for_javascript_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
    names = [model["name"] for model in send(url, "GET", "/api/tags", None, JSON).json["models"]]
    assert "gpt-test" in names
    *_, pulled = read_in_javascript(send(url, "POST", "/api/pull", {"name": "gpt-test", "stream": True}, JSON))
    assert pulled == {"status": "success"}
    backend.reply_with(Stream(CALL))
    body = CHAT | {"stream": True, "tools": [TOOL], "options": {"temperature": 0, "num_ctx": 4096}, "keep_alive": "5m"}
    frames = list(read_in_javascript(send(url, "POST", "/api/chat", body, JSON)))
    [call] = [call for frame in frames for call in frame["message"].get("tool_calls", [])]
    assert call["function"] == {"index": 0, **FUNCTION}
    assert frames[-1]["prompt_eval_count"] + frames[-1]["eval_count"] == 9
    result = [
        {"role": "assistant", "content": "", "tool_calls": [{"function": FUNCTION}]},
        {"role": "tool", "content": "sunny"},
    ]
    frames = list(read_in_javascript(send(url, "POST", "/api/chat", body | {"messages": [*HELLO, *result]}, JSON)))
    assert "".join(frame["message"]["content"] for frame in frames) == SAID
    told = '{"city":"Rome"}'
    backend.reply_with(Stream([role(), text(told), finish()]))
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", **PARAMETERS, "additionalProperties": False}
    frames = list(read_in_javascript(send(url, "POST", "/api/chat", CHAT | {"stream": True, "format": schema}, JSON)))
    assert json.loads("".join(frame["message"]["content"] for frame in frames)) == ARGUMENTS
    assert asked(backend)["response_format"]["json_schema"]["schema"] == schema
    embed = {"model": "text-embedding-test", "input": ["a", "b"], "truncate": False}
    assert len(send(url, "POST", "/api/embed", embed, JSON).json["embeddings"]) == 2


# n8n


def test_n8n_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
    empty = {"Authorization": "Bearer ", **JSON}
    assert [model["name"] for model in send(url, "GET", "/api/tags", None, empty).json["models"]]
    options: dict[str, Any] = {"top_k": -1, "low_vram": False, "main_gpu": 0, "num_batch": 512, "num_gpu": -1, "use_mmap": True}
    options |= {"temperature": 0.7, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "repeat_penalty": 1.0}
    backend.reply_with(Stream(CALL))
    body = CHAT | {"stream": False, "tools": [TOOL], "options": options, "think": False}
    answer = send(url, "POST", "/api/chat", body, empty).json
    [call] = answer["message"]["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("weather", ARGUMENTS)
    assert (answer["prompt_eval_count"], answer["eval_count"]) == (7, 2)
    taken = {"tools", "temperature", "top_p", "frequency_penalty", "presence_penalty", "reasoning_effort"}
    assert set(asked(backend)) <= set(PLAIN) | taken
    result = [{"role": "assistant", "content": "", "tool_calls": [call]}]
    result += [{"role": "tool", "tool_name": "weather", "content": "sunny"}]
    answer = send(url, "POST", "/api/chat", body | {"messages": [*HELLO, *result], "tools": []}, empty).json
    assert answer["message"]["content"] == SAID
    assert "tools" not in asked(backend)
    embed = {"model": "text-embedding-test", "input": ["a"]}
    assert len(send(url, "POST", "/api/embed", embed, empty).json["embeddings"]) == 1


# JetBrains AI Assistant


def test_jetbrains_finds_what_it_reads(url: str) -> None:
    assert send(url, "GET", "/").status == 200
    for model in send(url, "GET", "/api/tags").json["models"]:
        shown = send(url, "POST", "/api/show", {"model": model["name"]}, JSON).json
        assert {"format", "family", "parameter_size", "quantization_level"} <= set(shown["details"])
        assert shown["model_info"]
    assert send(url, "POST", "/api/show", {"model": "nope"}, JSON).status == 404
    lines = [json.loads(line) for line in streamed(url, "/api/chat", CHAT | {"stream": True}, JSON)]
    assert "".join(line["message"]["content"] for line in lines) == SAID


# Cline


def test_cline_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
    body = CHAT | {"stream": True, "options": {"num_ctx": 32768}}
    backend.reply_with(Stream([role(), reasoning("hm"), text("It is "), text("sunny."), finish(), usage(9, 2)]))
    frames = list(read_in_javascript(send(url, "POST", "/api/chat", body, JSON)))
    assert all(type(frame["message"]["content"]) is str for frame in frames)
    assert "".join(frame["message"]["content"] for frame in frames) == "It is sunny."
    assert (frames[-1]["prompt_eval_count"], frames[-1]["eval_count"]) == (9, 2)


# Raycast


def test_raycast_finds_what_it_reads(url: str) -> None:
    for authorization in ("Basic dXNlcjpwYXNz", "Bearer a-token-of-its-own"):
        headers = JSON | {"Authorization": authorization}
        assert send(url, "GET", "/api/version", None, headers).json["version"]
        names = [model["name"] for model in send(url, "GET", "/api/tags", None, headers).json["models"]]
        shown = send(url, "POST", "/api/show", {"name": names[0]}, headers).json
        pairs = dict(re.split(r"\s+", line, maxsplit=1) for line in shown["parameters"].splitlines())
        assert int(pairs["num_ctx"]) > 0
        assert re.search(r"^FROM \S+$", shown["modelfile"], re.MULTILINE)
        assert json.loads(streamed(url, "/api/chat", CHAT | {"stream": True}, headers)[-1])["done"]
        *_, last = [json.loads(line) for line in streamed(url, "/api/generate", GENERATE | {"stream": True}, headers)]
        assert last["context"]
        loaded = send(url, "GET", "/api/ps", None, headers).json["models"]
        assert "gpt-test" in [model["name"] for model in loaded]
        vector = send(url, "POST", "/api/embeddings", {"model": "text-embedding-test", "prompt": "a"}, headers)
        assert vector.json["embedding"]
        assert json.loads(streamed(url, "/api/pull", {"name": "gpt-test"}, headers)[-1])["status"] == "success"
        unknown = send(url, "POST", "/api/show", {"name": "nope"}, headers)
        assert (unknown.status, type(unknown.json["error"])) == (404, str)
        assert send(url, "POST", "/api/copy", {"source": "gpt-test", "destination": "mine"}, headers).status == 200
        assert send(url, "DELETE", "/api/delete", {"name": "mine"}, headers).status == 200


# Page Assist, an extension of the browser


def test_page_assist_finds_what_it_reads(url: str) -> None:
    page = {"Origin": "chrome-extension://jfgfiigpkhlkbnfnbobbkinehhfdhndo", **JSON}
    assert 200 <= send(url, "GET", "/", None, page).status < 300
    tags = send(url, "GET", "/api/tags", None, page)
    assert tags.headers["Access-Control-Allow-Origin"] == page["Origin"]
    families = {model["name"]: model["details"]["families"] for model in tags.json["models"]}
    assert all(type(family) is str for each in families.values() for family in each)
    assert not {"bert", "nomic-bert"} & set(families["gpt-test"])
    frames = list(read_in_javascript(send(url, "POST", "/api/chat", CHAT | {"stream": True}, page)))
    assert "".join(frame["message"]["content"] for frame in frames) == SAID
    assert send(url, "POST", "/api/copy", {"source": "gpt-test", "destination": "mine"}, page).status == 200
    assert send(url, "DELETE", "/api/delete", {"name": "mine"}, page).status == 200


# Obsidian's Copilot and Local GPT


def test_obsidian_finds_what_it_reads(url: str) -> None:
    page = {"Origin": "app://obsidian.md", **JSON}
    for path in ("/api/tags", "/api/chat", "/api/embed"):
        asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
        preflight = send(url, "OPTIONS", path, None, {"Origin": page["Origin"], **asking})
        assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, page["Origin"])
        allowed = preflight.headers["Access-Control-Allow-Headers"].lower().split(",")
        assert {"authorization", "content-type"} <= set(allowed)
    tags = send(url, "GET", "/api/tags", None, page)
    assert [model["name"] for model in tags.json["models"]]
    chat = send(url, "POST", "/api/chat", CHAT | {"stream": True}, page)
    assert "".join(frame["message"]["content"] for frame in read_in_javascript(chat)) == SAID
    embedded = send(url, "POST", "/api/embed", {"model": "text-embedding-test", "input": ["a"]}, page)
    assert embedded.json["embeddings"]
    for answer in (tags, chat, embedded):
        assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]


# The `ollama` command


def test_the_command_finds_what_it_reads(url: str) -> None:
    assert send(url, "HEAD", "/", None, GO).status < 400
    assert [int(part) for part in send(url, "GET", "/api/version", None, GO).json["version"].split(".")]
    unknown = send(url, "POST", "/api/show", {"model": "new", "name": ""}, GO)
    assert (unknown.status, unknown.json["error"]) == (404, "model 'new:latest' not found")
    pulled = [json.loads(line) for line in streamed(url, "/api/pull", {"model": "", "name": "gpt-test"}, GO)]
    assert all(len(frame["digest"]) >= 19 for frame in pulled if frame.get("digest") and not frame.get("status"))
    assert pulled[-1] == {"status": "success"}
    shown = send(url, "POST", "/api/show", {"model": "gpt-test", "name": ""}, GO).json
    assert shown["details"]["parent_model"] == ""
    assert {"vision", "thinking", "embedding"}.isdisjoint(shown["capabilities"])
    loaded = send(url, "POST", "/api/generate", {"model": "gpt-test", "prompt": "", "options": None}, GO).json
    assert (loaded["done"], loaded["done_reason"]) == (True, "load")
    turns = [json.loads(line) for line in streamed(url, "/api/chat", CHAT | {"options": {}}, GO)]
    assert "".join(turn["message"]["content"] for turn in turns) == SAID
    for path, date in (("/api/tags", "modified_at"), ("/api/ps", "expires_at")):
        for model in send(url, "GET", path, None, GO).json["models"]:
            assert len(model["digest"][:12]) == 12
            assert datetime.fromisoformat(model[date])
    assert send(url, "POST", "/api/me", None, GO).status != 401


# VS Code with Copilot Chat


class CopilotInfo(Strict):
    model_config = ConfigDict(strict=True, extra="allow")

    architecture: Annotated[str, Field(alias="general.architecture")]
    basename: Annotated[str, Field(alias="general.basename")]


class CopilotShown(Strict):
    template: str
    capabilities: list[str]
    model_info: CopilotInfo


def test_copilot_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
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
    backend.reply_with(Stream(CALL), Stream(ANSWER))
    asked_for: Any = {"model": "gpt-test", "tools": [TOOL], "stream": True, "stream_options": {"include_usage": True}}
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", default_headers=agent) as client:
        hello: Any = HELLO
        chunks: list[Any] = list(client.chat.completions.create(messages=hello, **asked_for))
        calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
        assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
            ("call_1", "weather", '{"city":"Rome"}')
        ]
        assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "tool_calls"
        assert chunks[-1].usage.total_tokens == 9
        assert {chunk.model for chunk in chunks} == {"gpt-test"}
        assert asked(backend)["tools"] == [TOOL]
        history: Any = [
            *HELLO,
            {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function", "function": CALLED}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ]
        chunks = list(client.chat.completions.create(messages=history, **asked_for))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "It is sunny."


CALLED = {"name": "weather", "arguments": '{"city":"Rome"}'}


# Codex


def test_codex_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
    assert [model["id"] for model in send(url, "GET", "/v1/models").json["data"]]
    version = [int(part) for part in send(url, "GET", "/api/version").json["version"].split(".")]
    assert version >= [0, 13, 4]
    names = [model["name"] for model in send(url, "GET", "/api/tags").json["models"]]
    assert "gpt-oss:20b" not in names
    steps = [json.loads(line) for line in streamed(url, "/api/pull", {"model": "gpt-oss:20b", "stream": True}, JSON)]
    assert steps[-1] == {"status": "success"}
    body = CODEX | {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}]}
    headers = JSON | {"Accept": "text/event-stream", "Originator": "codex_cli_rs", "Session_id": "a-b-c"}
    if not backend.everything:
        backend.reply_with(
            Stream([role(), reasoning("hm"), tool_delta(0, "call_1", "shell", '{"command":["ls"]}'), finish("tool_calls")])
        )
    answer = send(url, "POST", "/v1/responses", body, headers)
    assert answer.body.startswith(b"event: response.created\n")
    told = events(answer)
    done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert told[-1]["type"] == "response.completed"
    assert told[-1]["response"]["id"] == told[0]["response"]["id"] != ""
    assert told[-1]["response"]["usage"]["total_tokens"] > 0
    if backend.everything:
        assert asked(backend) == body
        return
    assert [item["type"] for item in done] == ["reasoning", "function_call"]
    assert (done[1]["name"], done[1]["arguments"]) == ("shell", '{"command":["ls"]}')
    names = [tool["function"]["name"] for tool in asked(backend)["tools"]]
    assert names == ["shell", "apply_patch"]
    output = {"type": "function_call_output", "call_id": done[1]["call_id"], "output": '{"output":"a.py"}'}
    told = events(send(url, "POST", "/v1/responses", body | {"input": [*body["input"], *done, output]}, headers))
    assert "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta") == SAID
    system, user, call, result = asked(backend)["messages"]
    assert (system["role"], user["content"], result["content"]) == ("system", "hello", '{"output":"a.py"}')
    assert result["tool_call_id"] == call["tool_calls"][0]["id"] == "call_1"


CODEX: dict[str, Any] = {
    "model": "gpt-test",
    "instructions": "You are Codex.",
    "tools": [
        {"type": "function", "name": "shell", "description": "d", "strict": False, "parameters": PARAMETERS},
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "d",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
        },
        {"type": "web_search", "external_web_access": False},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "a-b-c",
}


# Xcode


def test_xcode_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
    listing = send(url, "GET", "/v1/models").json
    assert listing["object"] == "list"
    assert all({"id", "object", "created", "owned_by"} <= set(model) for model in listing["data"])
    backend.reply_with(Stream(CALL), Stream(ANSWER))
    body = PLAIN | {"tools": [TOOL]}
    [call] = [
        call
        for chunk in events(send(url, "POST", "/v1/chat/completions", body, JSON))
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls", [])
    ]
    assert call["function"] == CALLED
    answer = send(url, "POST", "/v1/chat/completions", PLAIN, JSON)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    said = [choice["delta"].get("content", "") for chunk in events(answer) for choice in chunk["choices"]]
    assert "".join(said) == "It is sunny."


# Claude Code


def test_claude_code_finds_what_it_reads(url: str, backend: ScriptedBackend) -> None:
    headers = JSON | {
        "Authorization": "Bearer ollama",
        "Anthropic-Version": "2023-06-01",
        "Anthropic-Beta": "claude-code-20250219",
    }
    assert send(url, "HEAD", "/", None, headers).status == 200
    assert "gpt-test" in [model["name"] for model in send(url, "GET", "/api/tags", None, headers).json["models"]]
    tools = [{"name": "weather", "description": "d", "input_schema": PARAMETERS}]
    counted = send(url, "POST", "/v1/messages/count_tokens?beta=true", CHAT | {"tools": tools}, headers)
    assert counted.json["input_tokens"] > 0
    # The title of the session, first, from a call of its own.
    title = send(url, "POST", "/v1/messages?beta=true", CHAT | {"max_tokens": 512, "stream": True}, headers)
    deltas = [event["delta"] for event in events(title) if event["type"] == "content_block_delta"]
    assert "".join(delta["text"] for delta in deltas if delta["type"] == "text_delta") == SAID
    if backend.everything:
        assert backend.requests[-1].path == "/v1/messages?beta=true"
        return
    backend.reply_with(Stream([role(), reasoning("hm"), *CALL[1:]]), Stream(ANSWER))
    body = CHAT | {"max_tokens": 32000, "stream": True, "tools": tools, "system": [{"type": "text", "text": "s"}]}
    told = events(send(url, "POST", "/v1/messages?beta=true", body, headers))
    assert told[0]["message"]["usage"]["input_tokens"] > 0
    blocks = {event["index"]: event["content_block"] for event in told if event["type"] == "content_block_start"}
    assert [blocks[index]["type"] for index in sorted(blocks)] == ["thinking", "tool_use"]
    for event in told:
        if event["type"] == "content_block_delta":
            kind, delta = event["delta"]["type"], event["delta"]
            if kind == "input_json_delta":
                blocks[event["index"]]["input"] = json.loads(delta["partial_json"])
            else:
                field = kind.removesuffix("_delta")
                blocks[event["index"]][field] += delta[field]
    assert blocks[0] == {"type": "thinking", "thinking": "hm", "signature": blocks[0]["signature"]}
    assert (blocks[1]["name"], blocks[1]["input"]) == ("weather", ARGUMENTS)
    [change] = [event for event in told if event["type"] == "message_delta"]
    assert (change["delta"]["stop_reason"], change["usage"]["output_tokens"]) == ("tool_use", 2)
    result = {"type": "tool_result", "tool_use_id": blocks[1]["id"], "content": "sunny", "is_error": False}
    history = [*HELLO, {"role": "assistant", "content": [*blocks.values()]}, {"role": "user", "content": [result]}]
    told = events(send(url, "POST", "/v1/messages?beta=true", body | {"messages": history}, headers))
    assert "".join(event["delta"].get("text", "") for event in told if event["type"] == "content_block_delta") == "It is sunny."
    assert [message["role"] for message in asked(backend)["messages"]] == ["system", "user", "assistant", "tool"]
