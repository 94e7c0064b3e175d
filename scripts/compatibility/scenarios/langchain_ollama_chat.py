"""LangChain's `langchain-ollama`."""

from __future__ import annotations

import asyncio
from typing import Any

import ollama
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM
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
    asked,
    expect,
    expect_error,
    expect_freed,
    perform,
    prepare,
    scenario,
)


def chat(**keywords: Any) -> ChatOllama:
    return ChatOllama(**{"model": CHAT_MODEL, "base_url": URL, **keywords})


@scenario("An answer as a whole")
def whole(_: Any) -> None:
    answer = chat().invoke("hello")
    expect(answer.content, SAID)
    expect(answer.usage_metadata and answer.usage_metadata["total_tokens"], 8)
    expect(OllamaLLM(model=CHAT_MODEL, base_url=URL).invoke("hello"), SAID)


@scenario("A streamed answer")
def streamed(_: Any) -> None:
    expect("".join(str(part.content) for part in chat().stream("hello")), SAID)


@scenario("An asynchronous call")
def asynchronous(_: Any) -> None:
    async def both() -> None:
        model = chat()
        expect((await model.ainvoke("hello")).content, SAID)
        expect("".join([str(part.content) async for part in model.astream("hello")]), SAID)

    asyncio.run(both())


@scenario("Options")
def options(_: Any) -> None:
    chat(temperature=0.125, seed=4711).invoke("hello")
    expect("0.125" in asked() and "4711" in asked(), True)


@scenario("A tool call and its result")
def tools(_: Any) -> None:
    model = chat().bind_tools([TOOL])
    prepare(tool=CALL)
    answer = model.invoke("hello")
    expect([(call["name"], call["args"]) for call in answer.tool_calls], [(CALL["name"], CALL["arguments"])])
    result = ToolMessage("sunny in Rome", tool_call_id=answer.tool_calls[0]["id"])
    expect(model.invoke([HumanMessage("hello"), answer, result]).content, SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("A tool call in a stream")
def tools_streamed(_: Any) -> None:
    prepare(tool=CALL)
    parts = list(chat().bind_tools([TOOL]).stream("hello"))
    expect([call["name"] for part in parts for call in part.tool_calls], [CALL["name"]])


@scenario("Structured output")
def structured(_: Any) -> None:
    prepare(text=['{"answer":', " 42}"])
    schema = {"title": "Answer", **SCHEMA}
    expect(chat().with_structured_output(schema, method="json_schema").invoke("hello"), {"answer": 42})
    expect('"answer"' in asked(), True)


@scenario("Thinking beside the answer")
def thinking(_: Any) -> None:
    prepare(thinking="let me see", text=["42"])
    answer = chat(reasoning=True).invoke("hello")
    expect((answer.additional_kwargs["reasoning_content"], answer.content), ("let me see", "42"))


@scenario("An image")
def image(_: Any) -> None:
    picture = {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}
    chat().invoke([HumanMessage([{"type": "text", "text": "what is it?"}, picture])])
    expect(PNG in asked(), True)


@scenario("Embeddings")
def embeddings(_: Any) -> None:
    model = OllamaEmbeddings(model=PLAIN_MODEL, base_url=URL)
    vectors = model.embed_documents(["one", "two"])
    expect((len(vectors), vectors[0] != vectors[1]), (2, True))
    expect(len(model.embed_query("one")), len(vectors[0]))


@scenario("The list of models")
def models(_: Any) -> None:
    expect(chat(validate_model_on_init=True).invoke("hello").content, SAID)
    expect_error(lambda: chat(model=UNKNOWN_MODEL, validate_model_on_init=True), ValueError, UNKNOWN_MODEL)


@scenario("An unknown model is an error")
def unknown_model(_: Any) -> None:
    error = expect_error(lambda: chat(model=UNKNOWN_MODEL).invoke("hello"), ollama.ResponseError, "not found")
    expect(error.status_code, 404)


@scenario("A client that leaves a stream frees the back end")
def leaving(_: Any) -> None:
    prepare(slow=True)
    parts = chat().stream("hello")
    next(parts)
    parts.close()  # type: ignore[attr-defined]
    expect_freed()


if __name__ == "__main__":
    perform({"client": None})
