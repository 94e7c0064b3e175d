"""Loads and unloads models where a server can be told to; elsewhere the proxy only remembers what was used."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from ...errors import BackendError
from ...translate.not_found import MISSING
from ...translate.ollama_descriptions import plain_name, ps_entry
from .loaded_models import FOREVER

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from ...backend.client import Backend
    from ...models.catalogue import Catalogue
    from ...models.lookup import Models
    from ...translate.loading_calls import LoadedModel
    from ...translate.ollama_descriptions import Model
    from .loaded_models import Residents

logger = logging.getLogger(__name__)


class ModelLoading:
    """What `keep_alive` and `/api/ps` are about."""

    def __init__(self, catalogue: Catalogue, models: Models, residents: Residents) -> None:
        self._catalogue = catalogue
        self._models = models
        self._residents = residents
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        """What is being told to servers, by server and model: one thing at a time, since a server may not answer for long."""

    async def set(self, model: Model, keep_alive: float | None) -> None:
        """Load a model, or unload it if `keep_alive` is 0.

        Raises:
            BackendError: the server cannot be reached, or cannot load the model.
        """
        backend = self._catalogue.backend_of(model)
        if (kind := backend.loader_kind) is not None:
            try:
                if keep_alive == 0:
                    await backend.loader.unload(kind, model.target)
                else:
                    await backend.loader.load(kind, model.target, keep_alive)
            except BackendError as error:
                if error.status not in MISSING:
                    raise
                # It only looks like a server that loads models: its list may say no more than that of one.
                backend.loader_kind = None
        self._residents.used(model, keep_alive)

    def keep(self, model: Model, keep_alive: float | None) -> None:
        """Do after an answer what its call has said of the time after it, without letting anybody wait."""
        backend = self._catalogue.backend_of(model)
        kind = backend.loader_kind
        if kind is None or keep_alive is None:
            return
        if keep_alive == 0:
            self._begin(backend.loader.unload(kind, model.target), backend, model.target)
        elif kind == "ollama":
            # Its OpenAI API has no such parameter.
            self._begin(backend.loader.load(kind, model.target, keep_alive), backend, model.target)

    async def list(self) -> list[dict[str, Any]]:
        """The entries of `/api/ps`."""
        # The lists also tell what kind of servers they come from.
        models = await self._by_target()
        told = [backend for backend in self._catalogue.backends if backend.loader_kind is not None]
        answers = await asyncio.gather(*(self._loaded(backend) for backend in told))
        known = {backend.name: loaded for backend, loaded in zip(told, answers, strict=True) if loaded is not None}
        residents = self._residents.list()
        entries = [ps_entry(each.model, each.expires_at) for each in residents if each.model.backend not in known]
        expiry = {(each.model.backend, each.model.target): each.expires_at for each in residents}
        for name, loaded in known.items():
            for each in loaded:
                if (model := models.get((name, plain_name(each.target)))) is not None:
                    until = each.expires_at or expiry.get((name, model.target)) or self._residents.expires_at(FOREVER)
                    entries.append(ps_entry(model, until) | dict(each.facts or {}))
        return entries

    async def _by_target(self) -> dict[tuple[str, str], Model]:
        models: dict[tuple[str, str], Model] = {}
        try:
            listed = await self._models.list()
        except BackendError:
            return models
        for model in listed:
            models.setdefault((model.backend, plain_name(model.target)), model)
        return models

    async def _loaded(self, backend: Backend) -> Sequence[LoadedModel] | None:
        if (kind := backend.loader_kind) is None:
            return None
        try:
            return await backend.loader.loaded(kind)
        except BackendError as error:
            if error.status in MISSING:
                backend.loader_kind = None
                return None
            logger.warning("back end %s does not tell which models are loaded: status %d", backend.name, error.status)
            return None

    def _begin(self, work: Coroutine[Any, Any, None], backend: Backend, target: str) -> None:
        """Tell a server something, in place of what it has been told of the model and has not answered."""
        place = (backend.name, target)
        if (earlier := self._tasks.get(place)) is not None:
            earlier.cancel()
        self._tasks[place] = task = asyncio.get_running_loop().create_task(self._done(work, backend))
        task.add_done_callback(lambda ended: self._tasks.pop(place) if self._tasks.get(place) is ended else None)

    async def _done(self, work: Coroutine[Any, Any, None], backend: Backend) -> None:
        try:
            await work
        except (BackendError, TimeoutError) as error:
            logger.warning("back end %s does not heed keep_alive: %s", backend.name, type(error).__name__)
