"""All models of all back ends: what they list, corrected and extended by the models file."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from ..backend.client import Backend
from ..errors import BackendError
from ..net.request_context import current_record
from ..translate.ollama_descriptions import CAPABILITIES, Model, ModelIndex, read_model
from .models_file import DEFAULT_BACKEND, load_models_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..settings import Settings
    from .models_file import ModelEntry

LIFETIME = 10.0
"""Seconds for which the back ends are not asked again for their models."""
PATIENCE = 3.0
"""Seconds that one of several back ends has to list its models; some clients wait no longer than five for all of them."""

MOST_LISTINGS = 100
"""For how many keys of clients the models are remembered."""

logger = logging.getLogger(__name__)


class Catalogue:
    """The models that clients can use, and the back end of each.

    Raises:
        SettingsError: the models file is wrong.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = load_models_file(settings.models_file)
        self._passthrough = settings.openai_api_key_passthrough
        self._backends = {
            DEFAULT_BACKEND: Backend(
                DEFAULT_BACKEND,
                settings.openai_api_base_url,
                settings.openai_api_key,
                settings.backend_profile,
                settings.timeouts,
                passthrough=self._passthrough,
                adapt=settings.adapt,
                limit=settings.answer_limit,
            )
        }
        for name, entry in self._file.backends.items():
            self._backends[name] = Backend(
                *(name, entry.url, entry.key(), entry.profile, settings.timeouts),
                adapt=settings.adapt,
                limit=settings.answer_limit,
            )
        # Clients with keys of their own may see different models.
        self._listings: OrderedDict[str | None, _Listing] = OrderedDict()

    async def close(self) -> None:
        """Close the connections to all back ends."""
        for listing in self._listings.values():
            listing.close()
        await asyncio.gather(*(backend.close() for backend in self._backends.values()))

    @property
    def default(self) -> Backend:
        """The back end of the settings."""
        return self._backends[DEFAULT_BACKEND]

    def backend_of(self, model: Model) -> Backend:
        """The back end that has a model."""
        return self._backends[model.backend]

    async def list(self) -> list[Model]:
        """What `/api/tags` shows, the newest first.

        Raises:
            BackendError: no back end could be asked.
        """
        index = await self._listing().current()
        return sorted((model for model in index.models if not model.hidden), key=lambda model: -model.created)

    async def find(self, name: str) -> Model | None:
        """The model that a client means, or None where there is none of that name.

        Raises:
            BackendError: no back end could be asked.
        """
        if (model := await self._listing().find(name)) or self.default.lists_models:
            return model
        # Without a list, the back end will say itself whether it knows the name.
        return read_model({"id": name.strip()}, time.time(), DEFAULT_BACKEND)

    def _listing(self) -> _Listing:
        whose = current_record().client_key if self._passthrough else None
        if (listing := self._listings.get(whose)) is None:
            listing = self._listings[whose] = _Listing(self._file.models, list(self._backends.values()))
            if len(self._listings) > MOST_LISTINGS:
                self._listings.popitem(last=False)[1].close()
        else:
            self._listings.move_to_end(whose)
        return listing


class _Listing:
    """What the back ends list for one key."""

    def __init__(self, named: Mapping[str, ModelEntry], backends: Sequence[Backend]) -> None:
        self._named = named
        self._backends = backends
        self._index: ModelIndex | None = None
        self._fresh_until = 0.0
        self._asking = asyncio.Lock()
        self._last: dict[str, Sequence[Model]] = {}
        self._refreshing: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Stop what still runs."""
        if self._refreshing is not None:
            self._refreshing.cancel()

    async def find(self, name: str) -> Model | None:
        """The model of a name.

        Raises:
            BackendError: no back end could be asked.
        """
        if self._index and (model := self._index.find(name)):
            # A model that was there a moment ago is asked for at once; whether it still is, is found out beside it.
            if self._is_stale() and not self._asking.locked():
                self._refreshing = asyncio.create_task(self._refresh())
            return model
        return (await self.current()).find(name)

    async def current(self) -> ModelIndex:
        """All models.

        Raises:
            BackendError: no back end could be asked.
        """
        # Of many requests that come together, one asks and the others wait for it.
        async with self._asking:
            if self._index is None or self._is_stale():
                listed = await self._listed()
                named = [_named(name, entry, listed) for name, entry in self._named.items()]
                self._index = ModelIndex([*named, *listed])
                self._fresh_until = time.monotonic() + LIFETIME
            return self._index

    def _is_stale(self) -> bool:
        return time.monotonic() >= self._fresh_until

    async def _refresh(self) -> None:
        try:
            await self.current()
        except BackendError as error:
            logger.warning("the models could not be listed again: %s", error.message)
            self._fresh_until = time.monotonic() + LIFETIME

    async def _listed(self) -> Sequence[Model]:
        listings = await asyncio.gather(*(self._ask(backend) for backend in self._backends), return_exceptions=True)
        failures = [listing for listing in listings if isinstance(listing, BaseException)]
        for failure in failures:
            if len(failures) == len(self._backends) or not isinstance(failure, BackendError):
                raise failure
        models: list[Model] = []
        for backend, listing in zip(self._backends, listings, strict=True):
            if isinstance(listing, BackendError):
                # One server that is away takes neither the others' models with it, nor those that it is known to have.
                logger.warning("back end %s does not list its models: %s", backend.name, listing.message)
            elif not isinstance(listing, BaseException):
                self._last[backend.name] = listing
            models += self._last.get(backend.name, [])
        return models

    async def _ask(self, backend: Backend) -> Sequence[Model]:
        try:
            async with asyncio.timeout(PATIENCE if len(self._backends) > 1 else None):
                return await backend.models()
        except TimeoutError:
            raise BackendError(504, f"the back end {backend.name} did not answer in {PATIENCE:g} seconds") from None


def _named(name: str, entry: ModelEntry, listed: Sequence[Model]) -> Model:
    """The model of an entry of the models file: as its back end lists it, if it does, with what the entry says instead."""
    target = entry.model or name
    found = next((model for model in listed if (model.backend, model.target) == (entry.backend, target)), None)
    model = found or read_model({"id": target}, time.time(), entry.backend)
    told = {
        "context_length": entry.context_length,
        "known_context_length": entry.context_length,
        "embedding_length": entry.embedding_length,
        "family": entry.family,
        "parameter_size": entry.parameter_size,
        "quantization": entry.quantization_level,
    }
    if entry.capabilities is not None:
        model = replace(
            model,
            capabilities=tuple(capability for capability in CAPABILITIES if capability in entry.capabilities),
            lacks=frozenset(CAPABILITIES) - frozenset(entry.capabilities),
        )
    model = replace(model, **{field: value for field, value in told.items() if value is not None})  # type: ignore[arg-type]
    return replace(model, id=name, options=entry.options, system=entry.system, hidden=entry.hidden)
