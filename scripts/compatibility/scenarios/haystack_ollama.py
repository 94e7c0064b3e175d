"""Haystack's `ollama-haystack`."""

from __future__ import annotations

import asyncio
from typing import Any

import ollama
from haystack import Document
from haystack.dataclasses import ChatMessage, ImageContent
from haystack.tools import Tool
from haystack_integrations.components.embedders.ollama import OllamaDocumentEmbedder, OllamaTextEmbedder
from haystack_integrations.components.generators.ollama import OllamaChatGenerator
from scenario import (
    CALL,
    CHAT_MODEL,
    PARAMETERS,
    PLAIN_MODEL,
    PNG,
    SAID,
    SCHEMA,
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

HELLO = [ChatMessage.from_user("hello")]
WEATHER = Tool("weather", "the weather", PARAMETERS, lambda city: f"sunny in {city}")


class Enough(Exception):
    """Raised by a callback that wants no more."""


def generator(**keywords: Any) -> OllamaChatGenerator:
    return OllamaChatGenerator(**{"model": CHAT_MODEL, "url": URL, **keywords})


def reply(messages: list[ChatMessage] = HELLO, **keywords: Any) -> ChatMessage:
    [message] = generator(**keywords).run(messages)["replies"]
    return message


@scenario("An answer as a whole")
def whole(_: Any) -> None:
    expect(reply().text, SAID)


@scenario("A streamed answer")
def streamed(_: Any) -> None:
    parts: list[str] = []
    expect(reply(streaming_callback=lambda part: parts.append(part.content)).text, SAID)
    expect(("".join(parts), len(parts) > 2), (SAID, True))


@scenario("An asynchronous call")
def asynchronous(_: Any) -> None:
    expect(asyncio.run(generator().run_async(HELLO))["replies"][0].text, SAID)


@scenario("Options")
def options(_: Any) -> None:
    reply(generation_kwargs={"temperature": 0.125, "seed": 4711})
    expect("0.125" in asked() and "4711" in asked(), True)


@scenario("A tool call and its result")
def tools(_: Any) -> None:
    prepare(tool=CALL)
    message = reply(tools=[WEATHER])
    [call] = message.tool_calls
    expect((call.tool_name, call.arguments), (CALL["name"], CALL["arguments"]))
    result = ChatMessage.from_tool("sunny in Rome", call)
    expect(reply([*HELLO, message, result], tools=[WEATHER]).text, SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("A tool call in a stream")
def tools_streamed(_: Any) -> None:
    prepare(tool=CALL)
    message = reply(tools=[WEATHER], streaming_callback=lambda _: None)
    expect([(call.tool_name, call.arguments) for call in message.tool_calls], [(CALL["name"], CALL["arguments"])])


@scenario("Structured output")
def structured(_: Any) -> None:
    prepare(text=['{"answer":', " 42}"])
    expect(reply(response_format=SCHEMA).text, '{"answer": 42}')
    expect('"answer"' in asked(), True)


@scenario("Thinking beside the answer")
def thinking(_: Any) -> None:
    prepare(thinking="let me see", text=["42"])
    message = reply(think=True)
    expect((message.reasoning and message.reasoning.reasoning_text, message.text), ("let me see", "42"))


@scenario("An image")
def image(_: Any) -> None:
    picture = ImageContent(PNG, "image/png")
    reply([ChatMessage.from_user(content_parts=["what is it?", picture])])
    expect(PNG in asked(), True)


@scenario("Embeddings")
def embeddings(_: Any) -> None:
    expect(len(OllamaTextEmbedder(PLAIN_MODEL, URL).run("one")["embedding"]) > 1, True)
    documents = [Document(content="one"), Document(content="two")]
    embedded = OllamaDocumentEmbedder(PLAIN_MODEL, URL, progress_bar=False).run(documents)["documents"]
    expect(embedded[0].embedding != embedded[1].embedding, True)


@scenario("An unknown model is an error")
def unknown_model(_: Any) -> None:
    expect_error(lambda: reply(model=UNKNOWN_MODEL), ollama.ResponseError, "not found")


@scenario("A client that leaves a stream frees the back end")
def leaving(_: Any) -> None:
    def leave(_: object) -> None:
        raise Enough

    prepare(slow=True)
    expect_error(lambda: reply(streaming_callback=leave), Enough)
    expect_freed()


if __name__ == "__main__":
    perform({"client": None})
