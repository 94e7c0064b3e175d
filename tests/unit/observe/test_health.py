"""`/healthz` and `/readyz`: alive, able to answer, and asked so often that the back end is not."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.errors import ApiError, BackendError
from ollama_openai_proxy.observe import health as module
from ollama_openai_proxy.observe.health import Health

if TYPE_CHECKING:
    from ollama_openai_proxy.net.http_messages import Reply


class BackEnd:
    """What is behind the proxy."""

    def __init__(self, trouble: Exception | None = None, *, silent: bool = False) -> None:
        self.trouble = trouble
        self.asked = 0
        self._silent = silent

    async def reach(self) -> None:
        self.asked += 1
        await asyncio.sleep(3600 if self._silent else 0)
        if self.trouble:
            raise self.trouble


def told(reply: Reply | None) -> tuple[int, object]:
    assert reply is not None
    assert isinstance(reply.body, bytes)
    assert reply.headers["Content-Type"].startswith("application/json")
    assert reply.headers["Cache-Control"] == "no-store"
    return reply.status, json.loads(reply.body)


async def test_a_proxy_lives_whatever_is_behind_it() -> None:
    backend = BackEnd(BackendError(502, "gone"))
    health = Health(backend.reach)
    assert told(await health.answer("/healthz")) == (200, {"status": "ok"})
    assert backend.asked == 0


async def test_a_proxy_is_ready_when_its_back_end_answers() -> None:
    assert told(await Health(BackEnd().reach).answer("/readyz")) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (BackendError(502, "cannot connect to http://10.0.0.1"), "backend_failed"),
        (BackendError(504, "silence"), "backend_timeout"),
        (ApiError(401, "wrong key"), "unauthorized"),
    ],
)
async def test_why_it_is_not_ready_is_told_in_a_word(trouble: Exception, reason: str) -> None:
    reply = await Health(BackEnd(trouble).reach).answer("/readyz")
    assert told(reply) == (503, {"status": "unreachable", "reason": reason})


async def test_a_back_end_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    reply = await Health(BackEnd(silent=True).reach).answer("/readyz")
    assert told(reply) == (503, {"status": "unreachable", "reason": "backend_timeout"})


async def test_the_back_end_is_not_asked_again_while_it_is_known() -> None:
    backend = BackEnd()
    health = Health(backend.reach)
    replies = await asyncio.gather(*(health.answer("/readyz") for _ in range(50)))
    assert {told(reply)[0] for reply in replies} == {200}
    assert backend.asked == 1


async def test_a_change_is_noticed_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = BackEnd(BackendError(502, "gone"))
    health = Health(backend.reach)
    assert told(await health.answer("/readyz"))[0] == 503
    backend.trouble = None
    assert told(await health.answer("/readyz"))[0] == 503
    later = time.monotonic() + module.FRESH + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert told(await health.answer("/readyz"))[0] == 200


async def test_a_proxy_that_takes_its_leave_is_not_ready_but_lives() -> None:
    backend = BackEnd()
    health = Health(backend.reach)
    health.draining = True
    assert told(await health.answer("/readyz")) == (503, {"status": "draining"})
    assert told(await health.answer("/healthz"))[0] == 200
    assert backend.asked == 0


@pytest.mark.parametrize("path", ["/", "/api/tags", "/healthz/", "/readyz/x", "/HEALTHZ", "/metrics", ""])
async def test_other_paths_are_none_of_its_business(path: str) -> None:
    backend = BackEnd()
    assert await Health(backend.reach).answer(path) is None
    assert backend.asked == 0
