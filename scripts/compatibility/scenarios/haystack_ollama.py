"""Haystack's `ollama-haystack`."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ollama
from client import try_client, weather
from haystack import Document
from haystack.dataclasses import ChatMessage, ImageContent
from haystack.tools import Tool
from haystack_integrations.components.embedders.ollama import OllamaDocumentEmbedder, OllamaTextEmbedder
from haystack_integrations.components.generators.ollama import OllamaChatGenerator
from scenario import CHAT_MODEL, PARAMETERS, PLAIN_MODEL, PNG, SCHEMA, UNKNOWN_MODEL, URL, expect

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = ollama.ResponseError
HELLO = [ChatMessage.from_user("hello")]
WEATHER = Tool("weather", "the weather", PARAMETERS, weather)


class Enough(Exception):
    """Raised by a callback that wants no more."""


def generator(**keywords: Any) -> OllamaChatGenerator:
    return OllamaChatGenerator(**{"model": CHAT_MODEL, "url": URL, **keywords})


def reply(messages: list[ChatMessage] = HELLO, **keywords: Any) -> ChatMessage:
    [message] = generator(**keywords).run(messages)["replies"]
    return message


def answers() -> list[str]:
    return [reply().text, reply(streaming_callback=lambda _: None).text]


def stream() -> Iterator[str]:
    parts: list[str] = []
    reply(streaming_callback=lambda part: parts.append(part.content))
    return iter(parts)


def leave() -> None:
    def enough(_: object) -> None:
        raise Enough

    with suppress(Enough):
        reply(streaming_callback=enough)


async def answers_later() -> list[str]:
    return [(await generator().run_async(HELLO))["replies"][0].text]


def use_options(temperature: float, seed: int) -> None:
    reply(generation_kwargs={"temperature": temperature, "seed": seed})


def use_tool() -> object:
    message = reply(tools=[WEATHER])
    [call] = message.tool_calls
    result = ChatMessage.from_tool(weather(**call.arguments), call)
    return reply([*HELLO, message, result], tools=[WEATHER]).text


def stream_tool() -> list[str]:
    return [call.tool_name for call in reply(tools=[WEATHER], streaming_callback=lambda _: None).tool_calls]


def structured() -> object:
    return json.loads(reply(response_format=SCHEMA).text)


def think() -> tuple[object, object]:
    message = reply(think=True)
    return message.reasoning and message.reasoning.reasoning_text, message.text


def show_image() -> None:
    reply([ChatMessage.from_user(content_parts=["what is it?", ImageContent(PNG, "image/png")])])


def embed() -> list[Any]:
    documents = [Document(content="one"), Document(content="two")]
    embedded = OllamaDocumentEmbedder(PLAIN_MODEL, URL, progress_bar=False).run(documents)["documents"]
    expect(len(OllamaTextEmbedder(PLAIN_MODEL, URL).run("one")["embedding"]), len(embedded[0].embedding))
    return [it.embedding for it in embedded]


def ask_unknown() -> object:
    return reply(model=UNKNOWN_MODEL)


if __name__ == "__main__":
    try_client()
