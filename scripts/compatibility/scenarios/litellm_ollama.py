"""LiteLLM with its two ways of calling Ollama: `ollama_chat/` and `ollama/`, which turns a chat into a prompt."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import litellm
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

HELLO = [{"role": "user", "content": "hello"}]


class Provider:
    """One of the two ways."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def keywords(self, model: str = CHAT_MODEL, messages: Any = HELLO, **keywords: Any) -> dict[str, Any]:
        """Arguments for a completion."""
        return {"model": self.prefix + model, "messages": messages, "api_base": URL, "timeout": 20, **keywords}

    def complete(self, *arguments: Any, **keywords: Any) -> Any:
        """Ask for a completion."""
        return litellm.completion(**self.keywords(*arguments, **keywords))

    def prepare_tool(self) -> None:
        """What a model says that calls a tool; for `ollama/` it is asked for JSON."""
        if self.prefix == "ollama/":
            prepare(text=[json.dumps(CALL)])
        else:
            prepare(tool=CALL)


@scenario("An answer as a whole")
def whole(provider: Provider) -> None:
    answer = provider.complete()
    expect((answer.choices[0].message.content, answer.choices[0].finish_reason), (SAID, "stop"))
    expect(answer.usage.total_tokens, 8)


@scenario("A streamed answer")
def streamed(provider: Provider) -> None:
    expect("".join(part.choices[0].delta.content or "" for part in provider.complete(stream=True)), SAID)


@scenario("An asynchronous call")
def asynchronous(provider: Provider) -> None:
    async def both() -> None:
        expect((await litellm.acompletion(**provider.keywords())).choices[0].message.content, SAID)
        parts = await litellm.acompletion(**provider.keywords(stream=True))
        expect("".join([part.choices[0].delta.content or "" async for part in parts]), SAID)

    asyncio.run(both())


@scenario("Options")
def options(provider: Provider) -> None:
    provider.complete(temperature=0.125, seed=4711)
    expect("0.125" in asked() and "4711" in asked(), True)


@scenario("A tool call and its result")
def tools(provider: Provider) -> None:
    provider.prepare_tool()
    message = provider.complete(tools=[TOOL]).choices[0].message
    [call] = message.tool_calls
    expect((call.function.name, json.loads(call.function.arguments)), (CALL["name"], CALL["arguments"]))
    result = {"role": "tool", "content": "sunny in Rome", "tool_call_id": call.id}
    answer = provider.complete(messages=[*HELLO, message.model_dump(), result])
    expect(answer.choices[0].message.content, SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("A tool call in a stream")
def tools_streamed(provider: Provider) -> None:
    provider.prepare_tool()
    parts = list(provider.complete(tools=[TOOL], stream=True))
    calls = [call for part in parts for call in part.choices[0].delta.tool_calls or []]
    expect([call.function.name for call in calls if call.function.name], [CALL["name"]])


@scenario("Structured output")
def structured(provider: Provider) -> None:
    prepare(text=['{"answer":', " 42}"])
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    expect(json.loads(provider.complete(response_format=form).choices[0].message.content), {"answer": 42})
    expect('"answer"' in asked(), True)


@scenario("Thinking beside the answer")
def thinking(provider: Provider) -> None:
    prepare(thinking="let me see", text=["42"])
    message = provider.complete(reasoning_effort="low").choices[0].message
    expect((getattr(message, "reasoning_content", None), message.content), ("let me see", "42"))


@scenario("An image")
def image(provider: Provider) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    provider.complete(messages=[{"role": "user", "content": [{"type": "text", "text": "what is it?"}, picture]}])
    expect(PNG in asked(), True)


@scenario("Embeddings")
def embeddings(provider: Provider) -> None:
    if provider.prefix != "ollama/":
        raise Lacking
    vectors = litellm.embedding(f"ollama/{PLAIN_MODEL}", ["one", "two"], api_base=URL).data
    expect((len(vectors), vectors[0]["embedding"] != vectors[1]["embedding"]), (2, True))


@scenario("The list of models")
def models(provider: Provider) -> None:
    if provider.prefix != "ollama/":
        raise Lacking
    listed = litellm.get_valid_models(check_provider_endpoint=True, custom_llm_provider="ollama", api_base=URL)
    expect({name.removesuffix(":latest") for name in listed}, {f"ollama/{CHAT_MODEL}", f"ollama/{PLAIN_MODEL}"})


@scenario("An unknown model is an error")
def unknown_model(provider: Provider) -> None:
    error = expect_error(lambda: provider.complete(UNKNOWN_MODEL), litellm.NotFoundError, UNKNOWN_MODEL, "not found")
    expect(error.status_code, 404)


@scenario("A client that leaves a stream frees the back end")
def leaving(provider: Provider) -> None:
    prepare(slow=True)
    parts = provider.complete(stream=True)
    next(parts)
    # It cannot be closed, only dropped.
    del parts
    gc.collect()
    expect_freed()


if __name__ == "__main__":
    perform({prefix: Provider(prefix) for prefix in ("ollama_chat/", "ollama/")})
