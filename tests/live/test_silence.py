"""A silent back end leaves no client in silence: before the beginning of a stream, in its middle, in every API."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE
from tests.standins import Chunk, Error, Gate, ScriptedBackend, Stream, finish, role, text, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.standins import Step

BEAT = "0.1"
ENOUGH = 3
"""Signs of life after which the back end goes on."""
HELLO = [{"role": "user", "content": "Why?"}]
CALLS: dict[str, dict[str, Any]] = {
    "/api/chat": {"messages": HELLO},
    "/api/generate": {"prompt": "Why?"},
    "/v1/chat/completions": {"messages": HELLO, "stream": True},
    "/v1/completions": {"prompt": "Why?", "stream": True},
    "/v1/messages": {"messages": HELLO, "max_tokens": 100, "stream": True},
    "/v1/responses": {"input": "Why?", "stream": True},
}
NATIVE: dict[str, tuple[list[Step], list[Step]]] = {
    "/v1/messages": (
        [Chunk({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": []}})],
        [Chunk({"type": "message_stop"})],
    ),
    "/v1/responses": (
        [Chunk({"type": "response.created", "response": {"id": "r", "object": "response", "output": []}})],
        [Chunk({"type": "response.completed", "response": {"id": "r", "object": "response", "output": []}})],
    ),
}


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with (
        ScriptedBackend() as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, HEARTBEAT_SECONDS=BEAT) as proxy,
    ):
        yield backend, proxy


@pytest.fixture(scope="module")
def everything() -> Iterator[tuple[ScriptedBackend, ProxyProcess]]:
    with (
        ScriptedBackend(everything=True) as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, HEARTBEAT_SECONDS=BEAT) as proxy,
    ):
        yield backend, proxy


def is_sign_of_life(line: str) -> bool:
    """Whether a line says nothing, in whichever API."""
    if line.startswith(":") or line in ("event: ping", "event: keepalive", "event: response.in_progress"):
        return True
    if not line.startswith("{"):
        return False
    frame = json.loads(line)
    return frame.get("done") is False and not (frame.get("response") or frame.get("message", {}).get("content"))


def stream(url: str, path: str, gates: list[threading.Event]) -> list[str]:
    """The lines of a stream; after enough signs of life the next gate opens."""
    lines, alive, gates = [], 0, list(gates)
    body = {"model": "gpt-test"} | CALLS[path]
    with httpx.stream("POST", url + path, json=body, trust_env=False, timeout=PATIENCE) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            lines.append(line)
            alive += is_sign_of_life(line)
            if gates and alive >= ENOUGH:
                gates.pop(0).set()
                alive = 0
    assert not gates
    return lines


@pytest.mark.parametrize("path", CALLS)
def test_a_silent_back_end_leaves_no_client_in_silence(backend: ScriptedBackend, url: str, path: str) -> None:
    before, within = threading.Event(), threading.Event()
    backend.reply_with(Stream([role(), text("Well"), Gate(within), text(" well"), finish()], before=[Gate(before)]))
    lines = stream(url, path, [before, within])
    assert "".join(line for line in lines if not is_sign_of_life(line)).count("ell") >= 2


@pytest.mark.parametrize("path", NATIVE)
def test_nor_does_one_whose_stream_passes(everything: tuple[ScriptedBackend, ProxyProcess], path: str) -> None:
    backend, proxy = everything
    before, within = threading.Event(), threading.Event()
    first, last = NATIVE[path]
    backend.reply_with(Stream([*first, Gate(within), *last], before=[Gate(before)]))
    lines = stream(proxy.url, path, [before, within])
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    own = [event for event in events if event["type"] not in ("ping", "keepalive")]
    assert [event["type"] for event in own] == [step.data["type"] for step in (*first, *last) if isinstance(step, Chunk)]


@pytest.mark.parametrize("path", CALLS)
def test_an_error_that_comes_late_is_told_within_the_stream(backend: ScriptedBackend, url: str, path: str) -> None:
    refused = threading.Event()
    backend.reply_with(Error(429, {"error": {"message": "slow down, please", "code": "rate"}}, before=[Gate(refused)]))
    told = "\n".join(stream(url, path, [refused]))
    assert "slow down, please" in told


def test_the_sdks_do_not_notice(backend: ScriptedBackend, url: str) -> None:
    def script() -> Stream:
        gate = threading.Event()
        threading.Timer(0.5, gate.set).start()
        return Stream([role(), text("Well"), Gate(gate), text(" well"), finish(), usage(5, 3)], before=[Gate(gate)])

    claude = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
    backend.reply_with(script())
    with claude.messages.stream(model="gpt-test", max_tokens=100, messages=[{"role": "user", "content": "Why?"}]) as message:
        assert message.get_final_text() == "Well well"
    gpt = openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0)
    backend.reply_with(script())
    with gpt.responses.stream(model="gpt-test", input="Why?") as response:
        assert response.get_final_response().output_text == "Well well"
    backend.reply_with(script())
    chunks = gpt.chat.completions.create(model="gpt-test", messages=[{"role": "user", "content": "Why?"}], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Well well"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_a_client_that_leaves_during_the_silence_frees_the_back_end(backend: ScriptedBackend, url: str, path: str) -> None:
    never = threading.Event()
    backend.reply_with(Stream([role()], before=[Gate(never)]))
    body = {"model": "gpt-test"} | CALLS[path]
    try:
        with httpx.stream("POST", url + path, json=body, trust_env=False, timeout=PATIENCE) as response:
            next(response.iter_raw())
        assert backend.wait_for_disconnect() is not None
    finally:
        never.set()
