"""What clients that are not the official SDK are tried with.

A client's script has a function for each thing that the client can do, and leaves out what the client does not have:

* `answers` and, as a coroutine, `answers_later`: the answers to a text, in each way in which the client gives an answer;
* `stream`: an iterator of the pieces of an answer; `leave`, where that is more than to drop the iterator;
* `use_options`: hands a temperature and a seed on;
* `use_tool`: offers `weather`, gives the result back, and returns the answer; `stream_tool`: the names of the tools called;
  `TOOL_REPLY`, where the model calls a tool in another way than by the API's field;
* `structured`: the answer in the form of `SCHEMA`; `think`: the thinking and the answer; `show_image`: sends `PNG`;
* `embed`: the vectors of two texts; `models`: the names of the models;
* `ask_unknown`: calls `UNKNOWN_MODEL`, which ends with the script's `ERROR`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

from scenario import (
    CALL,
    CHAT_MODEL,
    PLAIN_MODEL,
    PNG,
    SAID,
    UNKNOWN_MODEL,
    asked,
    expect,
    expect_error,
    expect_freed,
    perform,
    prepare,
    scenario,
)

called: list[str] = []
"""The names of the tools that a client has called by itself."""


def weather(city: str) -> str:
    """The weather."""
    called.append("weather")
    return f"sunny in {city}"


@scenario("An answer as a whole")
def whole(client: Any) -> None:
    expect({*client.answers()}, {SAID})


@scenario("A streamed answer")
def streamed(client: Any) -> None:
    parts = list(client.stream())
    expect(("".join(parts), len(parts) > 2), (SAID, True))


@scenario("An asynchronous call")
def asynchronous(client: Any) -> None:
    expect({*asyncio.run(client.answers_later())}, {SAID})


@scenario("Options")
def options(client: Any) -> None:
    client.use_options(temperature=0.125, seed=4711)
    expect("0.125" in asked() and "4711" in asked(), True)


@scenario("A tool call and its result")
def tools(client: Any) -> None:
    prepare(**getattr(client, "TOOL_REPLY", {"tool": CALL}))
    expect(client.use_tool(), SAID)
    expect("sunny in Rome" in asked(), True)


@scenario("A tool call in a stream")
def tools_streamed(client: Any) -> None:
    called.clear()
    prepare(**getattr(client, "TOOL_REPLY", {"tool": CALL}))
    expect(client.stream_tool(), [CALL["name"]])


@scenario("Structured output")
def structured(client: Any) -> None:
    prepare(text=['{"answer":', " 42}"])
    expect(client.structured(), {"answer": 42})
    expect('"answer"' in asked(), True)


@scenario("Thinking beside the answer")
def thinking(client: Any) -> None:
    prepare(thinking="let me see", text=["42"])
    expect(client.think(), ("let me see", "42"))


@scenario("An image")
def image(client: Any) -> None:
    client.show_image()
    expect(PNG in asked(), True)


@scenario("Embeddings")
def embeddings(client: Any) -> None:
    first, second = client.embed()
    expect((len(first) > 1, len(first) == len(second), first != second), (True, True, True))


@scenario("The list of models")
def models(client: Any) -> None:
    names = {name.rpartition("/")[2].removesuffix(":latest") for name in client.models()}
    expect(names, {CHAT_MODEL, PLAIN_MODEL})


@scenario("An unknown model is an error")
def unknown_model(client: Any) -> None:
    error = expect_error(client.ask_unknown, client.ERROR, UNKNOWN_MODEL)
    # Not every error has a status.
    expect(getattr(error, "status_code", 404), 404)


@scenario("A client that leaves a stream frees the back end")
def leaving(client: Any) -> None:
    prepare(slow=True)
    if hasattr(client, "leave"):
        client.leave()
    else:
        next(client.stream())
        gc.collect()
    expect_freed()


def try_client() -> None:
    """Try the client whose script is run."""
    perform({"client": sys.modules["__main__"]})
