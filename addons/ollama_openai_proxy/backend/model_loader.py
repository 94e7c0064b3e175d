"""Loads and unloads the models of one server, and asks which are loaded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..errors import BackendError
from ..translate.error_text import error_text
from ..translate.loading_calls import (
    UNLOAD_ALL,
    LoadedModel,
    list_call,
    load_call,
    read_loaded,
    read_state,
    unload_call,
)
from ..translate.not_found import MISSING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..net.http_messages import Timeouts
    from ..translate.loading_calls import LoaderKind
    from .root_calls import RootCalls

FIRST_POLL, LONGEST_POLL = 0.1, 1.0
"""Seconds between two looks at a model that loads."""
PATIENCE = 3.0
"""Seconds that a server has to say what is loaded."""


class ModelLoader:
    """The models of a server.

    Args:
        name: what the models file calls the server.
        timeouts: how long the server may take.
        calls: makes the calls.
    """

    def __init__(self, name: str, timeouts: Timeouts, calls: RootCalls) -> None:
        self._name = name
        self._timeouts = timeouts
        self._calls = calls

    async def load(self, kind: LoaderKind, model: str, keep_alive: float | None) -> None:
        """Load a model; returns when the model is loaded.

        Args:
            kind: of the server.
            model: the server's name for the model.
            keep_alive: seconds for which the model stays loaded; None is the server's default.

        Raises:
            BackendError: the server cannot be reached, or cannot load the model.
        """
        async with asyncio.timeout(self._timeouts.begin):
            if kind == "llamacpp":
                await self._load_by_router(model)
                return
            status, answer = await self._calls.make(load_call(kind, model, keep_alive))
        # What llama-swap answers with is the model's own server, which may know no such path.
        if status >= 500 or (kind == "ollama" and status >= 400):
            raise _refusal(status, answer)

    async def unload(self, kind: LoaderKind, model: str) -> None:
        """Unload a model. One that is not loaded stays so.

        Args:
            kind: of the server.
            model: the server's name for the model.

        Raises:
            BackendError: the server cannot be reached, or refuses.
        """
        async with asyncio.timeout(self._timeouts.begin):
            status, answer = await self._calls.make(unload_call(kind, model))
            if kind == "llama-swap" and status in MISSING:
                # That ends all models, so only where no other is loaded.
                if [loaded.target for loaded in await self.loaded(kind)] == [model]:
                    status, answer = await self._calls.make(UNLOAD_ALL)
                else:
                    status = 200
        # llama.cpp's router refuses with 400 to unload what is not loaded.
        if status >= 400 and not (kind == "llamacpp" and status == 400):
            raise _refusal(status, answer)

    async def loaded(self, kind: LoaderKind) -> Sequence[LoadedModel]:
        """The models that are loaded.

        Raises:
            BackendError: the server cannot be reached in time, or does not tell.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                status, answer = await self._calls.make(list_call(kind))
        except TimeoutError:
            raise BackendError(504, f"the back end {self._name} did not answer in {PATIENCE:g} seconds") from None
        if status >= 400:
            raise _refusal(status, answer)
        try:
            return read_loaded(kind, answer)
        except ValueError as error:
            raise BackendError(502, "the back end sent a list of loaded models that cannot be understood") from error

    async def _load_by_router(self, model: str) -> None:
        delay = FIRST_POLL
        if read_state((await self._calls.make(list_call("llamacpp")))[1], model) == "unloaded":
            status, answer = await self._calls.make(load_call("llamacpp", model, None))
            # It refuses with 400 to load what is loaded, or loads already.
            if status >= 400 and status != 400:
                raise _refusal(status, answer)
        while True:
            state = read_state((await self._calls.make(list_call("llamacpp")))[1], model)
            if state == "loaded":
                return
            if state in ("failed", "unloaded"):
                raise BackendError(500, f"the back end could not load the model {model}")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_POLL)


def _refusal(status: int, answer: Any) -> BackendError:
    return BackendError(status, error_text(answer) or f"the back end answered with status {status}", kind="backend_refused")
