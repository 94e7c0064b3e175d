"""Every public method of the official Python SDK, from 0.1.9 to the newest."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import ollama
from scenario import (
    CALL,
    CHAT_MODEL,
    PLAIN_MODEL,
    PNG,
    SAID,
    SCHEMA,
    TOOL,
    UNKNOWN_MODEL,
    URL,
    Lacking,
    asked,
    expect,
    expect_error,
    expect_freed,
    perform,
    prepare,
    scenario,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

HELLO = [{"role": "user", "content": "hello"}]
REFUSALS = (ollama.ResponseError, ollama.RequestError)


class Observed:
    """A client that notes which of its methods are called, and says so when it does not have one.

    Both clients look alike through it: the coroutines of an `AsyncClient` are waited for.
    """

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self.called: set[str] = set()
        self.loop = asyncio.new_event_loop()
        self.client = kind(URL)

    def __getattr__(self, name: str) -> Any:
        if not hasattr(self.client, name):
            raise Lacking(name)
        self.called.add(name)
        method = getattr(self.client, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            _check_keywords(method, keywords)
            result = method(*arguments, **keywords)
            if inspect.isawaitable(result):
                result = self.loop.run_until_complete(result)
            return self._waiting(result) if hasattr(result, "__aiter__") else result

        return call

    def _waiting(self, parts: AsyncIterator[Any]) -> Iterator[Any]:
        try:
            while True:
                try:
                    part = self.loop.run_until_complete(anext(parts))
                except StopAsyncIteration:
                    return
                yield part
        finally:
            self.loop.run_until_complete(parts.aclose())  # type: ignore[attr-defined]

    def another(self, **keywords: Any) -> Observed:
        """A further client with settings of its own, whose calls count, too."""
        other = object.__new__(Observed)
        other.kind, other.called, other.loop = self.kind, self.called, self.loop
        other.client = self.kind(URL, **keywords)
        return other

    @property
    def uncovered(self) -> list[str]:
        """The public methods that nobody has called."""
        public = {name for name in dir(self.kind) if not name.startswith("_") and callable(getattr(self.kind, name))}
        return [f"{self.kind.__name__}.{name}" for name in sorted(public - self.called)]


def _check_keywords(method: Any, keywords: dict[str, Any]) -> None:
    known = inspect.signature(method).parameters
    for name in keywords:
        if name not in known:
            raise Lacking(name)


def said(parts: Iterator[Any], *keys: str) -> str:
    """The pieces of a stream, which must have several and end with the last frame's flag."""
    whole, count, done = "", 0, False
    for part in parts:
        count, done = count + 1, part["done"]
        for key in keys:
            part = part[key]
        whole += part or ""
    if not done or count < 3:
        raise AssertionError(f"{count} parts, and the last one has done={done}")
    return whole


def names(client: Observed) -> list[str]:
    return [model["model"].removesuffix(":latest") for model in client.list()["models"]]


# ── models


@scenario("`list` names the models")
def list_models(client: Observed) -> None:
    models = client.list()["models"]
    expect(sorted(model["model"].removesuffix(":latest") for model in models), [PLAIN_MODEL, CHAT_MODEL])
    for model in models:
        expect(all([model["digest"], model["size"], model["modified_at"], model["details"]["family"]]), True)


@scenario("`show` describes a model")
def show(client: Observed) -> None:
    shown = client.show(CHAT_MODEL)
    expect(bool(shown["details"]["family"] and shown["template"]), True)
    information = shown["model_info"] if isinstance(shown, dict) else shown["modelinfo"]
    expect(information[f"{information['general.architecture']}.context_length"] > 0, True)
    if "capabilities" in getattr(type(shown), "model_fields", ()):
        expect({"completion", "tools"} <= set(shown["capabilities"]), True)


@scenario("`ps` names the models in use")
def ps(client: Observed) -> None:
    client.ps()
    client.chat(CHAT_MODEL, HELLO, keep_alive="10m")
    running = {model["model"].removesuffix(":latest"): model for model in client.ps()["models"]}
    expect(bool(running[CHAT_MODEL]["expires_at"]), True)


@scenario("`generate` without a prompt loads and unloads a model")
def loading(client: Observed) -> None:
    expect(client.generate(CHAT_MODEL, "", keep_alive="10m")["done_reason"], "load")
    expect(client.generate(CHAT_MODEL, "", keep_alive=0)["done_reason"], "unload")


@scenario("`pull` succeeds, whole and streamed")
def pull(client: Observed) -> None:
    expect(client.pull(PLAIN_MODEL)["status"], "success")
    expect(list(client.pull(PLAIN_MODEL, stream=True))[-1]["status"], "success")


@scenario("`push` succeeds, whole and streamed")
def push(client: Observed) -> None:
    expect(client.push(PLAIN_MODEL)["status"], "success")
    expect(list(client.push(PLAIN_MODEL, stream=True))[-1]["status"], "success")


@scenario("`create` makes a model from another, whole and streamed")
def create(client: Observed) -> None:
    source: dict[str, Any] = {"from_": CHAT_MODEL, "system": "Be brief."}
    if "modelfile" in inspect.signature(client.client.create).parameters:
        source = {"modelfile": f"FROM {CHAT_MODEL}\nSYSTEM Be brief."}
    expect(client.create("made", **source)["status"], "success")
    expect(list(client.create("made", stream=True, **source))[-1]["status"], "success")
    expect("made" in names(client), True)
    client.delete("made")


@scenario("`create_blob` uploads a file")
def create_blob(client: Observed) -> None:
    content = os.urandom(100_000)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weights")
        file.write_bytes(content)
        expect(client.create_blob(file), f"sha256:{hashlib.sha256(content).hexdigest()}")


@scenario("`copy` gives a model a second name, and `delete` takes it away")
def copy_and_delete(client: Observed) -> None:
    expect(client.copy(CHAT_MODEL, "copied")["status"], "success")
    expect("copied" in names(client), True)
    expect(client.delete("copied")["status"], "success")
    expect("copied" in names(client), False)


# ── answers


@scenario("`chat` answers whole")
def chat(client: Observed) -> None:
    answer = client.chat(CHAT_MODEL, HELLO)
    expect((answer["message"]["role"], answer["message"]["content"], answer["done"]), ("assistant", SAID, True))
    expect(all(answer[name] for name in ("total_duration", "prompt_eval_count", "eval_count", "eval_duration")), True)


@scenario("`chat` answers streamed")
def chat_streamed(client: Observed) -> None:
    expect(said(client.chat(CHAT_MODEL, HELLO, stream=True), "message", "content"), SAID)


@scenario("`generate` answers whole")
def generate(client: Observed) -> None:
    answer = client.generate(CHAT_MODEL, "hello", system="Be brief.")
    expect((answer["response"], answer["done"]), (SAID, True))
    expect("Be brief." in asked(), True)


@scenario("`generate` answers streamed")
def generate_streamed(client: Observed) -> None:
    expect(said(client.generate(CHAT_MODEL, "hello", stream=True), "response"), SAID)


@scenario("`generate` goes on from a `context`")
def context(client: Observed) -> None:
    first = client.generate(CHAT_MODEL, "my name is Ada")
    answer = client.generate(CHAT_MODEL, "what is my name?", context=list(first["context"]))
    expect(answer["response"], SAID)


@scenario("`options` reach the model")
def options(client: Observed) -> None:
    client.chat(CHAT_MODEL, HELLO, options={"temperature": 0.125, "seed": 4711})
    expect("0.125" in asked() and "4711" in asked(), True)
    client.generate(CHAT_MODEL, "hello", options={"temperature": 0.125, "seed": 4711})
    expect("0.125" in asked() and "4711" in asked(), True)


@scenario("`chat` calls a tool and takes its result")
def tools(client: Observed) -> None:
    prepare(tool=CALL)
    message = client.chat(CHAT_MODEL, HELLO, tools=[TOOL])["message"]
    [call] = message["tool_calls"]
    expect((call["function"]["name"], dict(call["function"]["arguments"])), (CALL["name"], CALL["arguments"]))
    history = [*HELLO, message, {"role": "tool", "content": "sunny in Rome", "tool_name": "weather"}]
    expect(client.chat(CHAT_MODEL, history, tools=[TOOL])["message"]["content"], SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("`chat` calls a tool in a stream")
def tools_streamed(client: Observed) -> None:
    prepare(tool=CALL)
    parts = list(client.chat(CHAT_MODEL, HELLO, tools=[TOOL], stream=True))
    calls = [call for part in parts for call in part["message"].get("tool_calls") or []]
    expect([call["function"]["name"] for call in calls], [CALL["name"]])
    expect(parts[-1]["done"], True)


@scenario("`format` with a JSON schema gives structured output")
def structured(client: Observed) -> None:
    for ask, keys in ((client.chat, ("message", "content")), (client.generate, ("response",))):
        prepare(text=['{"answer":', " 42}"])
        answer = ask(CHAT_MODEL, HELLO if len(keys) == 2 else "hello", format=SCHEMA)
        for key in keys:
            answer = answer[key]
        expect(answer, '{"answer": 42}')
        expect('"answer"' in asked(), True)


@scenario('`format="json"` asks for JSON')
def json_format(client: Observed) -> None:
    prepare(text=['{"answer":', " 42}"])
    expect(client.chat(CHAT_MODEL, HELLO, format="json")["message"]["content"], '{"answer": 42}')
    expect('"json' in asked(), True)


@scenario("`think` gives the thinking beside the answer")
def thinking(client: Observed) -> None:
    prepare(thinking="let me see", text=["42"])
    message = client.chat(CHAT_MODEL, HELLO, think=True)["message"]
    expect((message["thinking"], message["content"]), ("let me see", "42"))
    prepare(thinking="let me see", text=["42"])
    parts = list(client.chat(CHAT_MODEL, HELLO, think=True, stream=True))
    expect("".join(part["message"].get("thinking") or "" for part in parts), "let me see")
    expect("".join(part["message"].get("content") or "" for part in parts), "42")
    prepare(thinking="let me see", text=["42"])
    answer = client.generate(CHAT_MODEL, "hello", think=True)
    expect((answer["thinking"], answer["response"]), ("let me see", "42"))


@scenario("images reach the model, as bytes and from files")
def images(client: Observed) -> None:
    content = base64.b64decode(PNG)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "dot.png")
        file.write_bytes(content)
        for image in (content, file):
            client.chat(CHAT_MODEL, [{"role": "user", "content": "what is it?", "images": [image]}])
            expect(PNG in asked(), True)
            client.generate(CHAT_MODEL, "what is it?", images=[image])
            expect(PNG in asked(), True)


# ── embeddings


@scenario("`embed` embeds one text and several")
def embed(client: Observed) -> None:
    expect(len(client.embed(PLAIN_MODEL, "one")["embeddings"]), 1)
    vectors = client.embed(PLAIN_MODEL, ["one", "two"])["embeddings"]
    expect((len(vectors), vectors[0] != vectors[1]), (2, True))


@scenario("`embed` hands `dimensions` on")
def dimensions(client: Observed) -> None:
    client.embed(PLAIN_MODEL, "one", dimensions=4)
    expect('"dimensions":4' in asked().replace(" ", ""), True)


@scenario("`embeddings` embeds a text")
def embeddings(client: Observed) -> None:
    expect(len(client.embeddings(PLAIN_MODEL, "one")["embedding"]) > 1, True)


# ── errors and departures


@scenario("An unknown model is a `ResponseError` with status 404")
def unknown_model(client: Observed) -> None:
    calls = (
        lambda: client.chat(UNKNOWN_MODEL, HELLO),
        lambda: client.generate(UNKNOWN_MODEL, "hello"),
        lambda: client.show(UNKNOWN_MODEL),
        lambda: client.embeddings(UNKNOWN_MODEL, "one"),
    )
    for call in calls:
        expect(expect_error(call, ollama.ResponseError, UNKNOWN_MODEL, "not found").status_code, 404)


@scenario("An unknown model is a `ResponseError` with status 404 in a stream, too")
def unknown_model_streamed(client: Observed) -> None:
    calls = (
        lambda: list(client.chat(UNKNOWN_MODEL, HELLO, stream=True)),
        lambda: list(client.generate(UNKNOWN_MODEL, "hello", stream=True)),
    )
    for call in calls:
        expect(expect_error(call, ollama.ResponseError, UNKNOWN_MODEL, "not found").status_code, 404)


@scenario("Bad input is a `ResponseError` with status 400")
def bad_input(client: Observed) -> None:
    error = expect_error(lambda: client.copy("no such thing", "copied"), ollama.ResponseError, "is invalid")
    expect(error.status_code, 400)


@scenario("Tools for a model without them are a `ResponseError` with status 400")
def tools_refused(client: Observed) -> None:
    error = expect_error(lambda: client.chat(PLAIN_MODEL, HELLO, tools=[TOOL]), ollama.ResponseError, "does not support tools")
    expect(error.status_code, 400)


@scenario("A call without a model is refused")
def no_model(client: Observed) -> None:
    # Newer versions find out by themselves, with Pydantic.
    expect_error(lambda: client.chat("", HELLO), (*REFUSALS, ValueError), "model")


@scenario("An answer that breaks off is an error, whole and streamed")
def broken(client: Observed) -> None:
    for stream in (False, True):
        prepare(breaks=True)
        expect_error(partial(said_or_whole, client, stream), (ollama.ResponseError, httpx.HTTPError))


def said_or_whole(client: Observed, stream: bool) -> object:
    answer = client.chat(CHAT_MODEL, HELLO, stream=stream)
    return list(answer) if stream else answer


@scenario("A client that leaves a stream frees the back end")
def leaving(client: Observed) -> None:
    for begin in (
        lambda: client.chat(CHAT_MODEL, HELLO, stream=True),
        lambda: client.generate(CHAT_MODEL, "hello", stream=True),
    ):
        prepare(slow=True)
        parts = begin()
        next(parts)
        parts.close()
        expect_freed()
    expect(client.chat(CHAT_MODEL, HELLO)["message"]["content"], SAID)


@scenario("A client that gives up waiting frees the back end")
def timing_out(client: Observed) -> None:
    prepare(slow=True)
    impatient = client.another(timeout=0.3)
    expect_error(lambda: impatient.chat(CHAT_MODEL, HELLO), (httpx.TimeoutException, ConnectionError))
    expect_freed()


# ── the rest


@scenario("The module's functions find the server by `OLLAMA_HOST`")
def module_functions(_: Observed) -> None:
    expect(ollama.chat(CHAT_MODEL, HELLO)["message"]["content"], SAID)
    expect(len(ollama.list()["models"]), 2)


@scenario("`web_search` asks the server")
def web_search(client: Observed) -> None:
    _expect_at_the_server(client, lambda other: other.web_search("the weather"))


@scenario("`web_fetch` asks the server")
def web_fetch(client: Observed) -> None:
    _expect_at_the_server(client, lambda other: other.web_fetch("http://localhost/"))


def _expect_at_the_server(client: Observed, call: Any) -> None:
    """Find out whom a method asks, without asking anybody."""
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(503, json={"error": "nobody was asked"})

    other = client.another(headers={"Authorization": "Bearer key"}, transport=httpx.MockTransport(answer))
    expect_error(lambda: call(other), ollama.ResponseError)
    expect(hosts, [httpx.URL(URL).host])


@scenario("`systemone` asks the back end")
def systemone(client: Observed) -> None:
    answer = client.systemone(CHAT_MODEL, "It rains.", {"wet": {"type": "noul", "instructions": "Is it wet?"}})
    expect(answer["answers"]["wet"]["noul"], 0.75)


@scenario("`close` closes the client")
def close(client: Observed) -> None:
    other = client.another()
    other.list()
    other.close()
    expect_error(other.list, RuntimeError, "closed")


if __name__ == "__main__":
    clients = {kind.__name__: Observed(kind) for kind in (ollama.Client, ollama.AsyncClient)}
    perform(clients, lambda: [name for client in clients.values() for name in client.uncovered])
