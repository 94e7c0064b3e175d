"""LlamaIndex: `llama-index-llms-ollama` and `llama-index-embeddings-ollama`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import ollama
from client import try_client, weather
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.llms.ollama import Ollama
from pydantic import BaseModel
from scenario import CHAT_MODEL, PLAIN_MODEL, PNG, UNKNOWN_MODEL, URL

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = ollama.ResponseError
HELLO = [ChatMessage("hello")]
WEATHER = FunctionTool.from_defaults(weather)


class Answer(BaseModel):
    """What structured output is to look like."""

    answer: int


def model(**keywords: Any) -> Ollama:
    return Ollama(**{"model": CHAT_MODEL, "base_url": URL, "request_timeout": 20, **keywords})


def answers() -> list[str]:
    streamed = "".join(part.delta or "" for part in model().stream_complete("hello"))
    return [model().chat(HELLO).message.content, model().complete("hello").text, streamed]


def stream() -> Iterator[str]:
    return (part.delta or "" for part in model().stream_chat(HELLO))


async def answers_later() -> list[str]:
    parts = [part.delta or "" async for part in await model().astream_chat(HELLO)]
    return [(await model().achat(HELLO)).message.content, "".join(parts)]


def use_options(temperature: float, seed: int) -> None:
    model(temperature=temperature, additional_kwargs={"seed": seed}).chat(HELLO)


def use_tool() -> str | None:
    asked = model()
    answer = asked.chat_with_tools([WEATHER], user_msg="hello")
    [call] = asked.get_tool_calls_from_response(answer)
    result = ChatMessage(WEATHER(**call.tool_kwargs).content, role="tool", additional_kwargs={"tool_call_id": call.tool_id})
    said: str | None = asked.chat_with_tools([WEATHER], chat_history=[*HELLO, answer.message, result]).message.content
    return said


def stream_tool() -> list[str]:
    asked = model()
    *_, last = asked.stream_chat_with_tools([WEATHER], user_msg="hello")
    return [call.tool_name for call in asked.get_tool_calls_from_response(last)]


def structured() -> object:
    return model().as_structured_llm(Answer).chat(HELLO).raw.model_dump()


def think() -> tuple[object, object]:
    message = model(thinking=True).chat(HELLO).message
    # Versions keep it in different places.
    found = "let me see" in str(message.blocks) + str(message.additional_kwargs)
    return "let me see" if found else "", message.content


def show_image() -> None:
    picture = ImageBlock(image=base64.b64decode(PNG), image_mimetype="image/png")
    model().chat([ChatMessage(role="user", blocks=[TextBlock(text="what is it?"), picture])])


def embed() -> list[list[float]]:
    vectors: list[list[float]] = OllamaEmbedding(PLAIN_MODEL, base_url=URL).get_text_embedding_batch(["one", "two"])
    return vectors


def ask_unknown() -> object:
    return model(model=UNKNOWN_MODEL, context_window=2048).chat(HELLO)


if __name__ == "__main__":
    try_client()
