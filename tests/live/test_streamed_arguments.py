"""The arguments of a tool call reach a client as the back end writes them, piece by piece."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE
from tests.standins import Gate, ScriptedBackend, Stream, finish, role, text, tool_delta, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECES = 12
"""As from a server that writes one piece a second for twelve seconds."""
TEXTS = ['{"path": "a.py", "content": "', *(f"line {number}\\n" for number in range(PIECES)), '"}']
ARGUMENTS = {"path": "a.py", "content": "".join(f"line {number}\n" for number in range(PIECES))}
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}
CALLS: dict[str, dict[str, Any]] = {
    "/v1/messages": {
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "write"}],
        "tools": [{"name": "write", "input_schema": SCHEMA}],
    },
    "/v1/responses": {"input": "write", "tools": [{"type": "function", "name": "write", "parameters": SCHEMA}]},
    "/api/chat": {
        "messages": [{"role": "user", "content": "write"}],
        "tools": [{"type": "function", "function": {"name": "write", "parameters": SCHEMA}}],
    },
}


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        yield backend, proxy


def piece_of(event: dict[str, Any]) -> str:
    """The piece of arguments in an event of either API."""
    if event["type"] == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
        return str(event["delta"]["partial_json"])
    return str(event["delta"]) if event["type"] == "response.function_call_arguments.delta" else ""


def arguments_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    arguments: dict[str, Any] = json.loads("".join(map(piece_of, events)))
    return arguments


def events_of(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_each_piece_arrives_before_the_next_is_written(backend: ScriptedBackend, url: str, path: str) -> None:
    gates = [threading.Event() for _ in TEXTS]
    steps: list[Any] = [role(), text("I write."), tool_delta(0, "call_1", "write", "")]
    for gate, piece in zip(gates, TEXTS, strict=True):
        steps += [tool_delta(0, arguments=piece), Gate(gate)]
    backend.reply_with(Stream([*steps, finish("tool_calls"), usage(5, 3)]))
    events = []
    arrived = 0
    body = {"model": "gpt-test", "stream": True} | CALLS[path]
    with httpx.stream("POST", url + path, json=body, trust_env=False, timeout=PATIENCE) as response:
        assert response.status_code == 200
        for event in events_of(response):
            events.append(event)
            if piece_of(event):
                # The back end goes on only when its last piece is here: a piece that is held back would end in a time-out.
                gates[arrived].set()
                arrived += 1
    assert arrived >= len(TEXTS)
    assert arguments_of(events) == ARGUMENTS


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_long_arguments_arrive_whole(backend: ScriptedBackend, url: str, path: str) -> None:
    content = "".join(f"{number:06d} \\u00fcber \\n" for number in range(4000))
    pieces = [content[start : start + 100] for start in range(0, len(content), 100)]
    steps: list[Any] = [role(), tool_delta(0, "call_1", "write", '{"content": "')]
    steps += [*(tool_delta(0, arguments=piece) for piece in pieces), tool_delta(0, arguments='"}'), finish("tool_calls")]
    backend.reply_with(Stream(steps))
    body = {"model": "gpt-test", "stream": True} | CALLS[path]
    with httpx.stream("POST", url + path, json=body, trust_env=False, timeout=PATIENCE) as response:
        events = list(events_of(response))
    assert arguments_of(events) == {"content": json.loads(f'"{content}"')}


def test_ollamas_clients_get_a_call_when_it_is_whole(backend: ScriptedBackend, url: str) -> None:
    steps = [role(), tool_delta(0, "call_1", "write", ""), *(tool_delta(0, arguments=piece) for piece in TEXTS)]
    backend.reply_with(Stream([*steps, finish("tool_calls")]))
    body = {"model": "gpt-test"} | CALLS["/api/chat"]
    with httpx.stream("POST", f"{url}/api/chat", json=body, trust_env=False, timeout=PATIENCE) as response:
        frames = [json.loads(line) for line in response.iter_lines()]
    calls = [call["function"] for frame in frames for call in frame["message"].get("tool_calls", ())]
    assert [(call["name"], call["arguments"]) for call in calls] == [("write", ARGUMENTS)]
