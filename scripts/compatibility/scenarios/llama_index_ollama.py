"""LlamaIndex: `llama-index-llms-ollama` and `llama-index-embeddings-ollama`."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import ollama
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.llms.ollama import Ollama
from pydantic import BaseModel
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

HELLO = [ChatMessage("hello")]


class Answer(BaseModel):
    """What structured output is to look like."""

    answer: int


def weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


WEATHER = FunctionTool.from_defaults(weather)


def model(**keywords: Any) -> Ollama:
    return Ollama(**{"model": CHAT_MODEL, "base_url": URL, "request_timeout": 20, **keywords})


@scenario("An answer as a whole")
def whole(_: Any) -> None:
    expect(model().chat(HELLO).message.content, SAID)
    expect(model().complete("hello").text, SAID)


@scenario("A streamed answer")
def streamed(_: Any) -> None:
    expect("".join(part.delta or "" for part in model().stream_chat(HELLO)), SAID)
    expect("".join(part.delta or "" for part in model().stream_complete("hello")), SAID)


@scenario("An asynchronous call")
def asynchronous(_: Any) -> None:
    async def both() -> None:
        asked_model = model()
        expect((await asked_model.achat(HELLO)).message.content, SAID)
        expect("".join([part.delta or "" async for part in await asked_model.astream_chat(HELLO)]), SAID)

    asyncio.run(both())


@scenario("Options")
def options(_: Any) -> None:
    model(temperature=0.125, additional_kwargs={"seed": 4711}).chat(HELLO)
    expect("0.125" in asked() and "4711" in asked(), True)


@scenario("A tool call and its result")
def tools(_: Any) -> None:
    prepare(tool=CALL)
    asked_model = model()
    answer = asked_model.chat_with_tools([WEATHER], user_msg="hello")
    [call] = asked_model.get_tool_calls_from_response(answer)
    expect((call.tool_name, call.tool_kwargs), (CALL["name"], CALL["arguments"]))
    result = ChatMessage(WEATHER(**call.tool_kwargs).content, role="tool", additional_kwargs={"tool_call_id": call.tool_id})
    expect(asked_model.chat_with_tools([WEATHER], chat_history=[*HELLO, answer.message, result]).message.content, SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("A tool call in a stream")
def tools_streamed(_: Any) -> None:
    prepare(tool=CALL)
    asked_model = model()
    *_, last = asked_model.stream_chat_with_tools([WEATHER], user_msg="hello")
    expect([call.tool_name for call in asked_model.get_tool_calls_from_response(last)], [CALL["name"]])


@scenario("Structured output")
def structured(_: Any) -> None:
    prepare(text=['{"answer":', " 42}"])
    expect(model().as_structured_llm(Answer).chat(HELLO).raw, Answer(answer=42))
    expect('"answer"' in asked(), True)


@scenario("Thinking beside the answer")
def thinking(_: Any) -> None:
    prepare(thinking="let me see", text=["42"])
    message = model(thinking=True).chat(HELLO).message
    expect((message.content, "let me see" in str(message.blocks) + str(message.additional_kwargs)), ("42", True))


@scenario("An image")
def image(_: Any) -> None:
    picture = ImageBlock(image=base64.b64decode(PNG), image_mimetype="image/png")
    model().chat([ChatMessage(role="user", blocks=[TextBlock(text="what is it?"), picture])])
    expect(PNG in asked(), True)


@scenario("Embeddings")
def embeddings(_: Any) -> None:
    vectors = OllamaEmbedding(PLAIN_MODEL, base_url=URL).get_text_embedding_batch(["one", "two"])
    expect((len(vectors), vectors[0] != vectors[1]), (2, True))


@scenario("An unknown model is an error")
def unknown_model(_: Any) -> None:
    asked_model = model(model=UNKNOWN_MODEL, context_window=2048)
    expect_error(lambda: asked_model.chat(HELLO), ollama.ResponseError, "not found")


@scenario("A client that leaves a stream frees the back end")
def leaving(_: Any) -> None:
    asked_model = model()
    prepare(slow=True)
    parts = asked_model.stream_chat(HELLO)
    next(parts)
    parts.close()
    expect_freed()


if __name__ == "__main__":
    perform({"client": None})
