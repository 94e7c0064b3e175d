"""LangChain's `langchain-ollama`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ollama
from client import try_client, weather
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM
from scenario import CHAT_MODEL, PLAIN_MODEL, PNG, SCHEMA, TOOL, UNKNOWN_MODEL, URL, expect

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = ollama.ResponseError


def chat(**keywords: Any) -> ChatOllama:
    return ChatOllama(**{"model": CHAT_MODEL, "base_url": URL, **keywords})


def answers() -> list[object]:
    answer = chat().invoke("hello")
    expect(answer.usage_metadata and answer.usage_metadata["total_tokens"], 8)
    return [answer.content, OllamaLLM(model=CHAT_MODEL, base_url=URL).invoke("hello")]


def stream() -> Iterator[str]:
    return (str(part.content) for part in chat().stream("hello"))


async def answers_later() -> list[object]:
    parts = [str(part.content) async for part in chat().astream("hello")]
    return [(await chat().ainvoke("hello")).content, "".join(parts)]


def use_options(temperature: float, seed: int) -> None:
    chat(temperature=temperature, seed=seed).invoke("hello")


def use_tool() -> object:
    model = chat().bind_tools([TOOL])
    answer = model.invoke("hello")
    [call] = answer.tool_calls
    result = ToolMessage(weather(**call["args"]), tool_call_id=call["id"])
    return model.invoke([HumanMessage("hello"), answer, result]).content


def stream_tool() -> list[str]:
    return [call["name"] for part in chat().bind_tools([TOOL]).stream("hello") for call in part.tool_calls]


def structured() -> object:
    return chat().with_structured_output({"title": "Answer", **SCHEMA}, method="json_schema").invoke("hello")


def think() -> tuple[object, object]:
    answer = chat(reasoning=True).invoke("hello")
    return answer.additional_kwargs["reasoning_content"], answer.content


def show_image() -> None:
    picture = {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}
    chat().invoke([HumanMessage([{"type": "text", "text": "what is it?"}, picture])])


def embed() -> list[list[float]]:
    model = OllamaEmbeddings(model=PLAIN_MODEL, base_url=URL)
    vectors = model.embed_documents(["one", "two"])
    expect(len(model.embed_query("one")), len(vectors[0]))
    return vectors


def models() -> Iterator[str]:
    # It lists the models only to tell whether one is there.
    for name in (CHAT_MODEL, PLAIN_MODEL, UNKNOWN_MODEL):
        try:
            chat(model=name, validate_model_on_init=True)
        except ValueError:
            continue
        yield name


def ask_unknown() -> object:
    return chat(model=UNKNOWN_MODEL).invoke("hello")


if __name__ == "__main__":
    try_client()
