"""Bodies of a great many small things: what is too much is refused unparsed, and the cost of what is allowed grows linearly."""

from __future__ import annotations

import json
import threading
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.attacks.backend_side import in_mode, one_setup_each
from tests.live.attacks.targets import (
    BEARER,
    HELLO,
    MIB,
    MODELS,
    NAMES,
    TARGETS,
    Target,
    cpu_seconds,
    on_linux,
    resident,
    target,
)
from tests.live.raw_http import exchange, get, post

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = on_linux
TOO_MANY: dict[str, bytes] = {
    "lists": b'{"x":[' + b"[]," * 2_000_000 + b"0]}",
    "numbers": b'{"context":[' + b"0," * 2_000_000 + b"0]}",
    "objects": b'{"messages":[' + b"{}," * 2_000_000 + b"{}]}",
    "brackets": b"[" * 4_000_000,
}


@one_setup_each
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("body", TOO_MANY.values(), ids=TOO_MANY)
def test_too_many_values_are_refused_before_they_are_parsed(attacked: Target, path: str, body: bytes) -> None:
    used, held = cpu_seconds(attacked.proxy.worker), resident(attacked.proxy.worker)
    answer = exchange(attacked.port, post(path, body, BEARER))
    assert (answer.status, "MAX_JSON_ELEMENTS" in answer.body.decode()) == (413, True)
    # Parsed, they take more than 200 MB.
    assert resident(attacked.proxy.worker, peak=True) - held < 100 * MIB
    assert cpu_seconds(attacked.proxy.worker) - used < 1


@pytest.fixture(scope="module", params=TARGETS, ids=NAMES)
def strict(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A proxy that allows three of everything."""
    door, mode = request.param
    names = ("MESSAGES", "TOOLS", "STOPS", "INPUTS", "CONTEXT")
    with target(door, mode, MAX_SCHEMA_NODES="9", **{f"MAX_{name}": "3" for name in names}) as running:
        yield running


TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "messages": ("MAX_MESSAGES", "/api/chat", {"messages": HELLO * 4}),
    "messages of OpenAI": ("MAX_MESSAGES", "/v1/chat/completions", {"messages": HELLO * 4}),
    "messages of Anthropic": ("MAX_MESSAGES", "/v1/messages", {"messages": HELLO * 4, "max_tokens": 5}),
    "items": ("MAX_MESSAGES", "/v1/responses", {"input": HELLO * 4}),
    "tools": ("MAX_TOOLS", "/api/chat", {"messages": HELLO, "tools": [TOOL] * 4}),
    "stop strings": ("MAX_STOPS", "/api/generate", {"prompt": "x", "options": {"stop": ["a", "b", "c", "d"]}}),
    "inputs": ("MAX_INPUTS", "/api/embed", {"input": ["a", "b", "c", "d"]}),
    "a schema": ("MAX_SCHEMA_NODES", "/api/chat", {"messages": HELLO, "format": {"enum": list(range(20))}}),
    "a context": ("MAX_CONTEXT", "/api/generate", {"prompt": "x", "context": [1, 2, 3, 4]}),
}


@pytest.mark.parametrize(("name", "path", "body"), KINDS.values(), ids=KINDS)
def test_each_kind_of_thing_has_its_limit(strict: Target, name: str, path: str, body: dict[str, Any]) -> None:
    answer = exchange(strict.port, post(path, body | {"model": MODELS[strict.mode]}, BEARER))
    assert (answer.status, name in answer.body.decode()) == (413, True)
    assert strict.works()


@in_mode("translate")  # in fix mode Ollama itself reads the context
def test_a_context_that_unpacks_to_a_great_many_messages_is_taken_for_none(attacked: Target) -> None:
    packed = zlib.compress(b"[" + b'{"role":"","content":""},' * 600_000 + b"0]")
    padded = packed + bytes(-len(packed) % 3)
    context = [0x6F6C6C, len(packed), *(int.from_bytes(padded[i : i + 3]) for i in range(0, len(padded), 3))]
    used, held = cpu_seconds(attacked.proxy.worker), resident(attacked.proxy.worker)
    call = {"model": "gpt-test", "prompt": "hello", "context": context, "stream": False}
    assert exchange(attacked.port, post("/api/generate", call, BEARER)).status == 200
    assert resident(attacked.proxy.worker, peak=True) - held < 100 * MIB
    assert cpu_seconds(attacked.proxy.worker) - used < 1


LARGE: dict[str, tuple[str, dict[str, Any]]] = {
    "long texts": ("/api/chat", {"messages": [{"role": "user", "content": "word " * 2000}]}),
    "escapes": ("/api/chat", {"messages": [{"role": "user", "content": "\\ud800" * 1000}]}),
    "many messages": (
        "/api/chat",
        {"messages": [{"role": "user", "content": "x" * 10}, {"role": "assistant", "content": "y"}]},
    ),
    "many messages of Anthropic": ("/v1/messages", {"messages": HELLO, "max_tokens": 5}),
    "many items": ("/v1/responses", {"input": HELLO}),
}


@one_setup_each
@pytest.mark.parametrize("kind", LARGE)
def test_the_cost_of_what_is_allowed_grows_no_faster_than_its_size(attacked: Target, kind: str) -> None:
    path, call = LARGE[kind]
    name = "input" if "input" in call else "messages"
    costs = []
    # Both have so many values that the body is parsed: fix mode does not parse one that is within all limits at a glance.
    for times in (400, 1600):
        body = json.dumps(call | {name: call[name] * (times // len(call[name])), "model": MODELS[attacked.mode]})
        request = post(path, body.replace("\\\\ud800", "\\ud800").encode(), BEARER)
        exchange(attacked.port, request)
        # The lesser of two, since a busy machine adds to either.
        costs.append(min(_cost(attacked, request) for _ in range(2)))
    # Four times as much, and sixteen times for what is quadratic.
    assert costs[1] < 10 * max(costs[0], 0.05), costs


@in_mode("translate")
def test_thinking_in_many_blocks_costs_by_its_size(attacked: Target) -> None:
    costs = []
    for count in (8_000, 32_000):
        blocks = [{"type": "thinking", "thinking": "t" * 50, "signature": "s"}] * count
        messages = [*HELLO, {"role": "assistant", "content": blocks}, *HELLO]
        request = post("/v1/messages", {"model": "gpt-test", "max_tokens": 5, "messages": messages}, BEARER)
        exchange(attacked.port, request)
        costs.append(min(_cost(attacked, request) for _ in range(2)))
    assert costs[1] < 10 * max(costs[0], 0.05), costs


def _cost(attacked: Target, request: bytes) -> float:
    """The CPU time that a request takes."""
    used = cpu_seconds(attacked.proxy.worker)
    exchange(attacked.port, request)
    return cpu_seconds(attacked.proxy.worker) - used


WAIT = 0.2
HEAVY: dict[str, bytes] = {
    "a long text": json.dumps({"messages": [{"role": "user", "content": "word " * (4 * MIB)}]}).encode(),
    "escapes": b'{"messages":[{"role":"user","content":"' + b"\\ud800" * (2 * MIB) + b'"}]}',
    "messages": json.dumps({"messages": HELLO * 9_000}).encode(),
    "values": b'{"messages":[],"x":[' + b'{"a":1},' * 120_000 + b"0]}",
    "values that are too many": b"[" * 30_000_000,
}


@one_setup_each
@pytest.mark.parametrize("path", ["/api/chat", "/v1/responses"])
@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY)
def test_others_wait_little_while_a_large_body_is_read(attacked: Target, path: str, body: bytes) -> None:
    """What counts is the CPU time that the proxy spends while another client waits."""
    if path == "/v1/responses":
        body = body.replace(b'"messages"', b'"input"', 1)
    request = post(path, body[:-1] + b',"max_tokens":5,"model":"%s"}' % MODELS[attacked.mode].encode(), BEARER)
    ended = threading.Event()

    def attack() -> None:
        try:
            exchange(attacked.port, request)
        finally:
            ended.set()

    attacker = threading.Thread(target=attack)
    attacker.start()
    longest = 0.0
    while not ended.is_set():
        before = cpu_seconds(attacked.proxy.worker)
        assert exchange(attacked.port, get("/api/version", BEARER)).status == 200
        longest = max(longest, cpu_seconds(attacked.proxy.worker) - before)
    attacker.join()
    assert longest <= WAIT + 0.02, longest
