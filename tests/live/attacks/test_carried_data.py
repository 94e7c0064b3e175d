"""What clients carry for the proxy, packed, does not unpack to a great many times its size when it comes back."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.attacks.targets import BEARER, DOORS, MIB, Target, on_linux, resident, target
from tests.live.raw_http import exchange, post

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = on_linux
ITEMS = 100


@pytest.fixture(scope="module", params=DOORS)
def translating(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A proxy that makes chat completions of all calls."""
    with target(request.param, "translate", BACKEND_APIS="chat") as running:
        yield running


def packed(mark: str, data: bytes) -> str:
    return mark + base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")


SUMMARY = packed("summary1_", b"x" * (4 * MIB - 1))
TEXT_STATE = packed("state1_", b'{"reasoning_details":"' + b"x" * (MIB - 30) + b'"}')
DENSE_STATE = packed("state1_", b'{"reasoning_details":[' + b"[]," * 300_000 + b"0]}")
HELLO = {"role": "user", "content": "hello"}
CALL = {"type": "function", "function": {"name": "f", "arguments": "{}"}}


def calls(state: str) -> list[dict[str, Any]]:
    return [CALL | {"id": f"call_{number}__{state}"} for number in range(ITEMS)]


def thoughts(state: str) -> list[dict[str, Any]]:
    said = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": state}]}
    return [message for _ in range(ITEMS) for message in (HELLO, said)]


def reasoning(state: str) -> list[dict[str, Any]]:
    item = {"type": "reasoning", "summary": [], "encrypted_content": state}
    return [each for number in range(ITEMS) for each in (HELLO, item, {"role": "assistant", "content": str(number)})]


CARRIED: dict[str, tuple[str, dict[str, Any]]] = {
    "summaries": (
        "/v1/responses",
        {"input": [HELLO, *[{"type": "compaction", "encrypted_content": SUMMARY}] * ITEMS]},
    ),
    "summaries to be compacted": (
        "/v1/responses/compact",
        {"input": [HELLO, *[{"type": "compaction", "encrypted_content": SUMMARY}] * ITEMS]},
    ),
    "ids with long states": (
        "/api/chat",
        {"messages": [HELLO, {"role": "assistant", "content": "", "tool_calls": calls(TEXT_STATE)}, HELLO]},
    ),
    "ids with dense states": (
        "/api/chat",
        {"messages": [HELLO, {"role": "assistant", "content": "", "tool_calls": calls(DENSE_STATE)}, HELLO]},
    ),
    "signatures": ("/v1/messages", {"messages": [*thoughts(DENSE_STATE), HELLO], "max_tokens": 9}),
    "reasoning": ("/v1/responses", {"input": [*reasoning(DENSE_STATE), HELLO]}),
}


@pytest.mark.parametrize("kind", CARRIED)
def test_what_is_carried_takes_memory_by_its_size(translating: Target, kind: str) -> None:
    path, call = CARRIED[kind]
    body = json.dumps({"model": "gpt-test", "stream": False} | call).encode()
    assert len(body) < MIB
    held = resident(translating.proxy.worker)
    # Whatever the answer is, the proxy must not have unpacked a hundred megabytes for it.
    assert exchange(translating.port, post(path, body, BEARER)).status in (200, 400)
    assert resident(translating.proxy.worker, peak=True) - held < 48 * MIB
    assert translating.works()
