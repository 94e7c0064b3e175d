"""A server whose stream consists of a great many small things: to read four times as many takes about four times as long."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.attacks.backend_side import BEARER, MODEL, Says, head, setup
from tests.live.attacks.targets import DOORS, cpu_seconds, on_linux
from tests.live.raw_http import Raw, post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.attacks.backend_side import Setup

pytestmark = on_linux
COUNT = 3_000


def event(value: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % json.dumps(value).encode()


def delta(**fields: Any) -> bytes:
    return event({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields}]})


def call(arguments: str, **fields: Any) -> bytes:
    return delta(tool_calls=[{"function": {"name": "f", "arguments": arguments}, **fields}])


def piece(arguments: str) -> bytes:
    return delta(tool_calls=[{"index": 0, "function": {"arguments": arguments}}])


def item(number: int, **fields: Any) -> bytes:
    return event({"type": "response.output_item.done", "output_index": number, "item": {"id": f"i{number}", **fields}})


BEGIN = call("", index=0, id="a")
CHAT: dict[str, Callable[[int], list[bytes]]] = {
    "white space": lambda n: [delta(content=" ")] * n,
    "calls": lambda n: [call("{}", index=number, id=f"a{number}") for number in range(n)],
    "calls without an index": lambda n: [call("{}", id=f"a{number}") for number in range(n)],
    "calls that begin and do not end": lambda n: [call("{", index=n - number, id=f"a{number}") for number in range(n)],
    "calls of one delta": lambda n: [
        delta(tool_calls=[{"index": number, "function": {"name": "f", "arguments": "{}"}} for number in range(n)])
    ],
    "ids of one call": lambda n: [BEGIN, piece('{"a":"'), *(delta(tool_calls=[{"index": 0, "id": f"b{x}"}]) for x in range(n))],
    "arguments of white space": lambda n: [BEGIN, *[piece(" ")] * n],
    "arguments that are nothing": lambda n: [BEGIN, *[piece('"')] * n],
    "white space behind a comma": lambda n: [BEGIN, piece('{"a":1,'), *[piece(" ")] * n],
    "objects within objects": lambda n: [BEGIN, *[piece('{"a":')] * n],
    "a call that is repeated": lambda n: [
        call(json.dumps({"a": "x" * 8 * n}), index=0, id="a"),
        call('{"a": "', index=0, id="a"),
        *[delta(tool_calls=[{"index": 0, "function": {"arguments": "x"}}] * 8)] * n,
    ],
    "details of reasoning": lambda n: [delta(reasoning_details=[{"type": "reasoning.text", "text": "abc " * 20}])] * n,
    "a call in the text": lambda n: [delta(content="<tool_call>"), *[delta(content="a ")] * n],
}
RESPONSES: dict[str, Callable[[int], list[bytes]]] = {
    "items of reasoning": lambda n: [item(number, type="reasoning", summary=[], encrypted_content="x") for number in range(n)],
    "calls with one id": lambda n: [
        item(number, type="function_call", call_id="c", name="f", arguments="{}") for number in range(n)
    ],
}
ASKED = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "hello"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
}


@pytest.fixture(scope="module", params=[DOORS[0], pytest.param(DOORS[1], marks=pytest.mark.nightly)])
def chatting(request: pytest.FixtureRequest) -> Iterator[Setup]:
    with setup(request.param, "translate", BACKEND_APIS="chat") as running:
        yield running


@pytest.fixture(scope="module", params=[DOORS[0], pytest.param(DOORS[1], marks=pytest.mark.nightly)])
def responding(request: pytest.FixtureRequest) -> Iterator[Setup]:
    with setup(request.param, "translate", BACKEND_APIS="responses") as running:
        yield running


@pytest.mark.parametrize("kind", CHAT)
def test_a_stream_of_many_things_takes_linear_time(chatting: Setup, kind: str) -> None:
    _check(chatting, CHAT[kind])


@pytest.mark.parametrize("kind", RESPONSES)
def test_so_does_one_of_responses(responding: Setup, kind: str) -> None:
    _check(responding, RESPONSES[kind])


def _check(running: Setup, make: Callable[[int], list[bytes]]) -> None:
    _cost(running, make(10))
    once = max(_cost(running, make(COUNT)), 0.05)
    more = _cost(running, make(4 * COUNT))
    assert more < 6 * once + 0.15, (once, more)


def _cost(running: Setup, events: list[bytes]) -> float:
    """The CPU time that a stream takes."""
    stream = b"".join(events)
    running.server.forget()
    running.server.answer = lambda _: Says([head(200, "Connection: close", kind="text/event-stream"), stream], "close")
    before = cpu_seconds(running.proxy.worker)
    with Raw(running.proxy.port) as connection, suppress(ConnectionError):
        connection.send(post("/api/chat", ASKED, BEARER, "Connection: close"))
        while connection.socket.recv(1 << 18):
            pass
    return cpu_seconds(running.proxy.worker) - before
