"""LiteLLM with one of its two ways of calling Ollama: `ollama_chat/`, or `ollama/`, which turns a chat into a prompt."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import litellm
from client import try_client, weather
from scenario import CALL, CHAT_MODEL, PLAIN_MODEL, PNG, SCHEMA, TOOL, UNKNOWN_MODEL, URL, expect

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = litellm.NotFoundError
PREFIX = sys.argv[3]
# For `ollama/`, the model is asked for JSON.
TOOL_REPLY = {"text": [json.dumps(CALL)]} if PREFIX == "ollama/" else {"tool": CALL}
HELLO = [{"role": "user", "content": "hello"}]


def keywords(model: str = CHAT_MODEL, messages: Any = HELLO, **further: Any) -> dict[str, Any]:
    return {"model": PREFIX + model, "messages": messages, "api_base": URL, "timeout": 20, **further}


def complete(**further: Any) -> Any:
    return litellm.completion(**keywords(**further))


def answers() -> list[str]:
    answer = complete()
    expect((answer.choices[0].finish_reason, answer.usage.total_tokens), ("stop", 8))
    return [answer.choices[0].message.content]


def stream() -> Iterator[str]:
    return (part.choices[0].delta.content or "" for part in complete(stream=True))


async def answers_later() -> list[str]:
    answer = await litellm.acompletion(**keywords())
    parts = await litellm.acompletion(**keywords(stream=True))
    return [answer.choices[0].message.content, "".join([part.choices[0].delta.content or "" async for part in parts])]


def use_options(temperature: float, seed: int) -> None:
    complete(temperature=temperature, seed=seed)


def use_tool() -> str:
    message = complete(tools=[TOOL]).choices[0].message
    [call] = message.tool_calls
    result = {"role": "tool", "content": weather(**json.loads(call.function.arguments)), "tool_call_id": call.id}
    said: str = complete(messages=[*HELLO, message.model_dump(), result]).choices[0].message.content
    return said


def stream_tool() -> list[str]:
    calls = [call for part in complete(tools=[TOOL], stream=True) for call in part.choices[0].delta.tool_calls or []]
    return [call.function.name for call in calls if call.function.name]


def structured() -> object:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    return json.loads(complete(response_format=form).choices[0].message.content)


def think() -> tuple[object, object]:
    message = complete(reasoning_effort="low").choices[0].message
    return getattr(message, "reasoning_content", None), message.content


def show_image() -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    complete(messages=[{"role": "user", "content": [{"type": "text", "text": "what is it?"}, picture]}])


def ask_unknown() -> object:
    return complete(model=UNKNOWN_MODEL)


if PREFIX == "ollama/":

    def embed() -> list[Any]:
        return [it["embedding"] for it in litellm.embedding(PREFIX + PLAIN_MODEL, ["one", "two"], api_base=URL).data]

    def models() -> list[str]:
        names: list[str] = litellm.get_valid_models(check_provider_endpoint=True, custom_llm_provider="ollama", api_base=URL)
        return names


if __name__ == "__main__":
    try_client()
