"""How fresh the list of models is: what a client asks for is not held up by finding out what else there is."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.models import catalogue as module
from ollama_openai_proxy.models.catalogue import Catalogue
from ollama_openai_proxy.settings import load_settings

from tests.standins import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def opened(base_url: str) -> AsyncIterator[Catalogue]:
    catalogue = Catalogue(load_settings({"openai_api_base_url": base_url}))
    try:
        yield catalogue
    finally:
        await catalogue.close()


@pytest.fixture
def _always_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIFETIME", 0.0)


async def test_a_list_is_not_asked_for_again_while_it_is_fresh() -> None:
    with ScriptedBackend() as backend:
        async with opened(backend.base_url) as catalogue:
            assert await catalogue.find("gpt-test")
            assert await catalogue.find("nope") is None
            await catalogue.list()
        assert len(backend.requests) == 1


async def test_requests_that_come_together_ask_once() -> None:
    with ScriptedBackend() as backend:
        async with opened(backend.base_url) as catalogue:
            await asyncio.gather(*(catalogue.find("gpt-test") for _ in range(20)))
        assert len(backend.requests) == 1


@pytest.mark.usefixtures("_always_stale")
async def test_a_new_model_is_found_at_once() -> None:
    with ScriptedBackend() as backend:
        async with opened(backend.base_url) as catalogue:
            assert await catalogue.find("new") is None
            backend.models.append({"id": "new", "object": "model", "created": 1, "owned_by": "tests"})
            assert await catalogue.find("new")


@pytest.mark.usefixtures("_always_stale")
async def test_a_model_that_is_gone_is_noticed_beside_its_use() -> None:
    with ScriptedBackend() as backend:
        async with opened(backend.base_url) as catalogue:
            await catalogue.list()
            backend.models.pop(0)
            assert await catalogue.find("gpt-test")
            async with asyncio.timeout(5):
                while await catalogue.find("gpt-test"):
                    await asyncio.sleep(0.01)


@pytest.mark.usefixtures("_always_stale")
async def test_known_models_stay_when_their_back_end_goes_away(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedBackend() as backend:
        url = backend.base_url
        catalogue = Catalogue(load_settings({"openai_api_base_url": url}))
        await catalogue.list()
    assert await catalogue.find("gpt-test")
    async with asyncio.timeout(5):
        while "does not list its models" not in caplog.text:
            await asyncio.sleep(0.01)
    assert await catalogue.find("gpt-test")
    assert [model.id for model in await catalogue.list()] == ["gpt-test", "text-embedding-test"]
    await catalogue.close()
