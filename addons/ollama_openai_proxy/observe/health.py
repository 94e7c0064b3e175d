"""Whether the proxy lives, and whether it can answer: `/healthz` and `/readyz`, which Ollama does not have."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ..api.path_table import LIVE, READY
from ..errors import ApiError
from ..net.http_messages import Reply
from ..schemas.ollama.json_encoding import JSON_TYPE, encode_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FRESH = 5.0
"""Seconds for which what was found out about the server behind the proxy counts."""
PATIENCE = 4.0
"""Seconds that it has to say that it is there."""


class Health:
    """Answers both questions.

    Args:
        reach: returns when the server behind the proxy could be reached, and raises an `ApiError` otherwise.

    Attributes:
        draining: whether the proxy takes leave, so that nobody should send it further requests.
    """

    def __init__(self, reach: Callable[[], Awaitable[None]]) -> None:
        self.draining = False
        self._reach = reach
        self._asking = asyncio.Lock()
        self._known_until = 0.0
        self._trouble = ""

    async def answer(self, path: str) -> Reply | None:
        """The reply to a request for one of the two paths; None for any other path."""
        if path == LIVE:
            return _reply(200, "ok")
        if path != READY:
            return None
        if self.draining:
            return _reply(503, "draining")
        async with self._asking:
            if time.monotonic() >= self._known_until:
                self._trouble = await self._find_out()
                self._known_until = time.monotonic() + FRESH
        return _reply(503, "unreachable", self._trouble) if self._trouble else _reply(200, "ok")

    async def _find_out(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._reach()
        except ApiError as error:
            return error.kind
        except TimeoutError:
            return "backend_timeout"
        return ""


def _reply(status: int, word: str, reason: str = "") -> Reply:
    body = encode_json({"status": word} | ({"reason": reason} if reason else {}))
    return Reply(status, {"Content-Type": JSON_TYPE, "Cache-Control": "no-store"}, body)
