"""The proxy as an addon: what a change of the settings leaves behind ends before the proxy does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ollama_openai_proxy.mitm import addon as module
from ollama_openai_proxy.mitm.addon import ProxyAddon
from ollama_openai_proxy.net.http_messages import Request
from ollama_openai_proxy.settings import Settings

if TYPE_CHECKING:
    import pytest
    from ollama_openai_proxy.app import Front
    from ollama_openai_proxy.net.http_messages import Reply

PATIENCE = 30.0


class Answers:
    """Takes the place of a mode's server: its answers end when they are told to."""

    def __init__(self) -> None:
        self.begun, self.finish = asyncio.Event(), asyncio.Event()
        self.closed = False

    def allowed_methods(self, request: Request) -> str | None:
        return None

    async def respond(self, request: Request) -> Reply:
        self.begun.set()
        await self.finish.wait()
        raise AssertionError

    async def close(self) -> None:
        self.closed = True


def settings(drain_seconds: float) -> Settings:
    return Settings(openai_api_base_url="http://127.0.0.1:9/v1", drain_seconds=drain_seconds)


def answering(front: Front) -> Answers:
    front._server = answers = Answers()  # type: ignore[assignment]
    return answers


async def test_answers_of_each_former_setting_are_ended_and_all_connections_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing() -> None:
        """Without mitmproxy there are no ports."""

    monkeypatch.setattr(module, "stop_listening", nothing)
    proxy = ProxyAddon(settings(0))
    servers, replies = [], []
    for _ in range(3):
        servers.append(answering(proxy._front))
        replies.append(asyncio.create_task(proxy._front.respond(Request("GET", "/api/tags"))))
        await asyncio.wait_for(servers[-1].begun.wait(), PATIENCE)
        if len(servers) < 3:
            proxy.change(settings(0))
    await asyncio.wait_for(proxy.done(), PATIENCE)
    assert [reply.status for reply in await asyncio.wait_for(asyncio.gather(*replies), PATIENCE)] == [503] * 3
    assert [server.closed for server in servers] == [True] * 3


async def test_a_former_setting_whose_answers_have_ended_is_forgotten() -> None:
    proxy = ProxyAddon(settings(0))
    server = answering(proxy._front)
    proxy.change(settings(0))
    (retiring,) = proxy._retiring.values()
    await asyncio.wait_for(asyncio.shield(retiring), PATIENCE)
    assert (server.closed, proxy._retiring) == (True, {})
