"""The command `llm` with its plugin `llm-ollama`, through llm's Python interface."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import llm
from client import called, try_client, weather
from scenario import CHAT_MODEL, PLAIN_MODEL, PNG, SCHEMA, UNKNOWN_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

ERROR = llm.UnknownModelError


def model() -> Any:
    return llm.get_model(f"ollama/{CHAT_MODEL}")


def answers() -> list[str]:
    return [model().prompt("hello", stream=False).text()]


def stream() -> Iterator[str]:
    return iter(model().prompt("hello", stream=True))


async def answers_later() -> list[str]:
    return [await llm.get_async_model(f"ollama/{CHAT_MODEL}").prompt("hello").text()]


def use_options(temperature: float, seed: int) -> None:
    model().prompt("hello", temperature=temperature, seed=seed).text()


def use_tool() -> str:
    said: str = model().chain("hello", tools=[weather], stream=False).text()
    return said


def stream_tool() -> list[str]:
    list(model().chain("hello", tools=[weather], stream=True))
    return called


def structured() -> object:
    return json.loads(model().prompt("hello", schema=SCHEMA).text())


def think() -> tuple[object, object]:
    response = model().prompt("hello", think=True)
    text = response.text()
    return response.response_json["message"]["thinking"], text


def show_image() -> None:
    picture = llm.Attachment(type="image/png", content=base64.b64decode(PNG))
    model().prompt("what is it?", attachments=[picture]).text()


def embed() -> list[Any]:
    return list(llm.get_embedding_model(f"ollama/{PLAIN_MODEL}").embed_multi(["one", "two"]))


def models() -> list[str]:
    return [it.model_id for it in llm.get_models() if "ollama" in type(it).__module__]


def ask_unknown() -> object:
    return llm.get_model(f"ollama/{UNKNOWN_MODEL}")


if __name__ == "__main__":
    try_client()
