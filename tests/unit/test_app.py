"""The order in which a request is checked: nothing of a refused request is read, parsed or repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from ollama_openai_proxy.app import Front
from ollama_openai_proxy.fix import request_repair
from ollama_openai_proxy.net.http_messages import Reply, Request
from ollama_openai_proxy.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "key-of-the-tests"
LOCAL = {"host": "127.0.0.1"}
REFUSED: dict[str, tuple[dict[str, str], int]] = {
    "by the key": ({}, 401),
    "by the origin": ({"x-api-key": KEY, "origin": "https://evil.example"}, 403),
    "by the host": ({"x-api-key": KEY, "host": "evil.example"}, 403),
    "by the size": ({"x-api-key": KEY, "content-length": str(1 << 40)}, 413),
    "by the rate": ({"x-api-key": KEY}, 429),
}
# In fix mode the host is the one of the pod's edge.
REFUSED_IN = [(mode, name) for mode in ("translate", "fix") for name in REFUSED if (mode, name) != ("fix", "by the host")]


class Unread:
    """A body that nobody may read."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""


@pytest.fixture(params=["translate", "fix"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def front(mode: str) -> Front:
    return Front(
        load_settings(
            {
                "proxy_mode": mode,
                "proxy_api_keys": KEY,
                "rate_limit": "1/hour",
                "openai_api_base_url": "http://127.0.0.1:9/v1",
                "ollama_upstream_url": "http://127.0.0.1:9",
                # In fix mode the host is another proxy's.
                "ollama_origins": "",
            }
        )
    )


async def answer(front: Front, request: Request) -> Reply:
    try:
        return await front.respond(request)
    finally:
        await front.close()


@pytest.mark.anyio
@pytest.mark.parametrize("begun", ["body", "query"])
@pytest.mark.parametrize(
    ("mode", "headers", "status"), [(mode, *REFUSED[name]) for mode, name in REFUSED_IN], ids=map(", ".join, REFUSED_IN)
)
async def test_nothing_of_a_refused_request_is_read_or_parsed(
    front: Front, monkeypatch: pytest.MonkeyPatch, begun: str, headers: dict[str, str], status: int
) -> None:
    def parse(*_: object, **__: object) -> dict[str, list[str]]:
        raise AssertionError("the query was parsed")

    monkeypatch.setattr(request_repair, "parse_qs", parse)
    if status == 429:
        await front.respond(Request("GET", "/api/version", LOCAL | headers))
    asked = Request("GET", "/api/generate?prompt=hello&model=x", LOCAL | headers)
    if begun == "body":
        asked = Request("POST", "/api/generate", LOCAL | headers, parts=Unread())
    reply = await answer(front, asked)
    assert reply.status == status


@pytest.mark.anyio
async def test_what_is_let_in_is_read_and_parsed(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def parse(query: str, **options: Any) -> dict[str, list[str]]:
        parsed.append(query)
        return parse_qs(query, **options)

    monkeypatch.setattr(request_repair, "parse_qs", parse)
    asked = Request("GET", "/api/generate?prompt=hello&model=x", LOCAL | {"x-api-key": KEY})
    assert (await answer(front, asked)).status == 502
    assert parsed == ["prompt=hello&model=x"]
