"""Pydantic AI with its Ollama provider, which calls `/v1/chat/completions`."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, Embedder, ModelHTTPError, NativeOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.ollama import OllamaProvider
from scenario import (
    CALL,
    CHAT_MODEL,
    PLAIN_MODEL,
    PNG,
    SAID,
    UNKNOWN_MODEL,
    URL,
    asked,
    expect,
    expect_error,
    expect_freed,
    perform,
    prepare,
    scenario,
)


class Answer(BaseModel):
    """What structured output is to look like."""

    answer: int


def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


def agent(model: str = CHAT_MODEL, **keywords: Any) -> Agent[None, Any]:
    return Agent(OpenAIChatModel(model, provider=OllamaProvider(base_url=f"{URL}/v1")), **keywords)


async def streamed_text(asked_agent: Agent[None, Any]) -> str:
    async with asked_agent.run_stream("hello") as result:
        return "".join([part async for part in result.stream_text(delta=True, debounce_by=None)])


@scenario("An answer as a whole")
def whole(_: Any) -> None:
    expect(agent().run_sync("hello").output, SAID)


@scenario("A streamed answer")
def streamed(_: Any) -> None:
    expect(asyncio.run(streamed_text(agent())), SAID)


@scenario("An asynchronous call")
def asynchronous(_: Any) -> None:
    async def run() -> None:
        expect((await agent().run("hello")).output, SAID)

    asyncio.run(run())


@scenario("Options")
def options(_: Any) -> None:
    agent().run_sync("hello", model_settings={"temperature": 0.125, "seed": 4711})
    expect("0.125" in asked() and "4711" in asked(), True)


@scenario("A tool call and its result")
def tools(_: Any) -> None:
    prepare(tool=CALL)
    expect(agent(tools=[weather]).run_sync("hello").output, SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("A tool call in a stream")
def tools_streamed(_: Any) -> None:
    prepare(tool=CALL)
    expect(asyncio.run(streamed_text(agent(tools=[weather]))), SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("Structured output")
def structured(_: Any) -> None:
    prepare(text=['{"answer":', " 42}"])
    expect(agent(output_type=NativeOutput(Answer)).run_sync("hello").output, Answer(answer=42))
    expect('"answer"' in asked(), True)


@scenario("Thinking beside the answer")
def thinking(_: Any) -> None:
    prepare(thinking="let me see", text=["42"])
    result = agent().run_sync("hello")
    thoughts = [part.content for part in result.new_messages()[-1].parts if isinstance(part, ThinkingPart)]
    expect((thoughts, result.output), (["let me see"], "42"))


@scenario("An image")
def image(_: Any) -> None:
    agent().run_sync(["what is it?", BinaryContent(base64.b64decode(PNG), media_type="image/png")])
    expect(PNG in asked(), True)


@scenario("Embeddings")
def embeddings(_: Any) -> None:
    embedder = Embedder(OpenAIEmbeddingModel(PLAIN_MODEL, provider=OllamaProvider(base_url=f"{URL}/v1")))
    vectors = embedder.embed_documents_sync(["one", "two"]).embeddings
    expect((len(vectors), vectors[0] != vectors[1]), (2, True))


@scenario("An unknown model is an error")
def unknown_model(_: Any) -> None:
    error = expect_error(lambda: agent(UNKNOWN_MODEL).run_sync("hello"), ModelHTTPError, "not found")
    expect(error.status_code, 404)


@scenario("A client that leaves a stream frees the back end")
def leaving(_: Any) -> None:
    async def leave() -> None:
        async with agent().run_stream("hello") as result:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                return

    prepare(slow=True)
    asyncio.run(leave())
    expect_freed()


if __name__ == "__main__":
    perform({"client": None})
