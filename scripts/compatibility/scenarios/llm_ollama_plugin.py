"""The command `llm` with its plugin `llm-ollama`, through llm's Python interface."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import llm
from scenario import (
    CALL,
    CHAT_MODEL,
    PLAIN_MODEL,
    PNG,
    SAID,
    SCHEMA,
    UNKNOWN_MODEL,
    asked,
    expect,
    expect_error,
    expect_freed,
    perform,
    prepare,
    scenario,
)


def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


def model() -> Any:
    return llm.get_model(f"ollama/{CHAT_MODEL}")


@scenario("An answer as a whole")
def whole(_: Any) -> None:
    expect(model().prompt("hello", stream=False).text(), SAID)


@scenario("A streamed answer")
def streamed(_: Any) -> None:
    parts = list(model().prompt("hello", stream=True))
    expect(("".join(parts), len(parts) > 2), (SAID, True))


@scenario("An asynchronous call")
def asynchronous(_: Any) -> None:
    async def run() -> None:
        expect(await llm.get_async_model(f"ollama/{CHAT_MODEL}").prompt("hello").text(), SAID)

    asyncio.run(run())


@scenario("Options")
def options(_: Any) -> None:
    model().prompt("hello", temperature=0.125, seed=4711).text()
    expect("0.125" in asked() and "4711" in asked(), True)


@scenario("A tool call and its result")
def tools(_: Any) -> None:
    prepare(tool=CALL)
    expect(model().chain("hello", tools=[weather], stream=False).text(), SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("A tool call in a stream")
def tools_streamed(_: Any) -> None:
    prepare(tool=CALL)
    expect("".join(model().chain("hello", tools=[weather], stream=True)), SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("Structured output")
def structured(_: Any) -> None:
    prepare(text=['{"answer":', " 42}"])
    expect(model().prompt("hello", schema=SCHEMA).text(), '{"answer": 42}')
    expect('"answer"' in asked(), True)


@scenario("Thinking beside the answer")
def thinking(_: Any) -> None:
    prepare(thinking="let me see", text=["42"])
    response = model().prompt("hello", think=True)
    expect((response.text(), response.response_json["message"]["thinking"]), ("42", "let me see"))


@scenario("An image")
def image(_: Any) -> None:
    picture = llm.Attachment(type="image/png", content=base64.b64decode(PNG))
    model().prompt("what is it?", attachments=[picture]).text()
    expect(PNG in asked(), True)


@scenario("Embeddings")
def embeddings(_: Any) -> None:
    vectors = list(llm.get_embedding_model(f"ollama/{PLAIN_MODEL}").embed_multi(["one", "two"]))
    expect((len(vectors), vectors[0] != vectors[1]), (2, True))


@scenario("The list of models")
def models(_: Any) -> None:
    listed = {it.model_id.removesuffix(":latest") for it in llm.get_models() if "ollama" in type(it).__module__}
    expect(listed, {f"ollama/{CHAT_MODEL}", f"ollama/{PLAIN_MODEL}"})


@scenario("An unknown model is an error")
def unknown_model(_: Any) -> None:
    expect_error(lambda: llm.get_model(f"ollama/{UNKNOWN_MODEL}"), llm.UnknownModelError, UNKNOWN_MODEL)


@scenario("A client that leaves a stream frees the back end")
def leaving(_: Any) -> None:
    asked_model = model()
    prepare(slow=True)
    parts = iter(asked_model.prompt("hello", stream=True))
    next(parts)
    parts.close()
    expect_freed()


if __name__ == "__main__":
    perform({"client": None})
