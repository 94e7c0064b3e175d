"""Pydantic AI with its Ollama provider, which calls `/v1/chat/completions`."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

from client import called, try_client, weather
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, Embedder, ModelHTTPError, NativeOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.messages import ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.ollama import OllamaProvider
from scenario import CHAT_MODEL, PLAIN_MODEL, PNG, UNKNOWN_MODEL, URL

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = ModelHTTPError


class Answer(BaseModel):
    """What structured output is to look like."""

    answer: int


def agent(model: str = CHAT_MODEL, **keywords: Any) -> Agent[None, Any]:
    return Agent(OpenAIChatModel(model, provider=OllamaProvider(base_url=f"{URL}/v1")), **keywords)


async def pieces(asked: Agent[None, Any], most: int | None = None) -> list[str]:
    """The pieces of a streamed answer, or the first of them."""
    found: list[str] = []
    async with asked.run_stream("hello") as result:
        async for part in result.stream_text(delta=True, debounce_by=None):
            found.append(part)
            if len(found) == most:
                break
    return found


def answers() -> list[str]:
    return [agent().run_sync("hello").output]


def stream() -> Iterator[str]:
    return iter(asyncio.run(pieces(agent())))


def leave() -> None:
    asyncio.run(pieces(agent(), 1))


async def answers_later() -> list[str]:
    return [(await agent().run("hello")).output]


def use_options(temperature: float, seed: int) -> None:
    agent().run_sync("hello", model_settings={"temperature": temperature, "seed": seed})


def use_tool() -> str:
    said: str = agent(tools=[weather]).run_sync("hello").output
    return said


def stream_tool() -> list[str]:
    asyncio.run(pieces(agent(tools=[weather])))
    return called


def structured() -> object:
    return agent(output_type=NativeOutput(Answer)).run_sync("hello").output.model_dump()


def think() -> tuple[object, object]:
    result = agent().run_sync("hello")
    thoughts = [part.content for part in result.new_messages()[-1].parts if isinstance(part, ThinkingPart)]
    return "".join(thoughts), result.output


def show_image() -> None:
    agent().run_sync(["what is it?", BinaryContent(base64.b64decode(PNG), media_type="image/png")])


def embed() -> list[Any]:
    embedder = Embedder(OpenAIEmbeddingModel(PLAIN_MODEL, provider=OllamaProvider(base_url=f"{URL}/v1")))
    return list(embedder.embed_documents_sync(["one", "two"]).embeddings)


def ask_unknown() -> object:
    return agent(UNKNOWN_MODEL).run_sync("hello")


if __name__ == "__main__":
    try_client()
