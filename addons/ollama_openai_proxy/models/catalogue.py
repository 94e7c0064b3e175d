"""All models of all back ends: what they list, corrected and extended by the models file.

A list is no condition. A list that is refused, broken, slow or hanging keeps neither the names of the models file from working,
nor a name that nothing is known of, which then goes through to the back end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from ..backend.lazy_sdk import load as load_sdk
from ..backend.sdk_errors import Refusal
from ..errors import BackendError
from ..net.masking import Masker
from ..net.request_context import current_record
from .model_table import ModelTable, own_name_at
from .models_file import load_models_file
from .servers import configured_servers, names_beside_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..backend.client import Backend
    from ..settings import Settings
    from ..translate.ollama_descriptions import Model
    from .models_file import ModelEntry
    from .servers import Server

LIFETIME = 10.0
"""Seconds for which the back ends are not asked again for their models."""
PATIENCE = 3.0
"""Seconds that a call waits for a list, and that one of several back ends has to send its list.

Some clients wait no longer than five seconds for all lists."""
UNREACHED = frozenset({502, 503, 504})
"""Statuses by which a gateway says that the server behind it cannot be reached."""

MOST_LISTINGS = 100
"""For how many keys of clients the models are remembered."""

logger = logging.getLogger(__name__)


class Catalogue:
    """The models that clients can use, and the back end of each.

    Raises:
        SettingsError: the models file is wrong.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = load_models_file(settings.models_file, names_beside_file(settings))
        self._passthrough = settings.openai_api_key_passthrough
        self._servers = configured_servers(settings, self._file)
        self._backends = {
            server.name: server.opened(adapt=settings.adapt, limit=settings.answer_limit) for server in self._servers
        }
        self.wait_limits = settings.wait_limits
        # Clients with keys of their own may see different models.
        self._listings: OrderedDict[str | None, _Listing] = OrderedDict()

    async def close(self) -> None:
        """Close the connections to all back ends."""
        for listing in self._listings.values():
            listing.close()
        await asyncio.gather(*(backend.close() for backend in self._backends.values()))

    @property
    def default(self) -> Backend:
        """The back end for models that are not known: that of the settings, or the first of `BACKENDS`."""
        return self._backends[self._servers[0].name]

    @property
    def backends(self) -> Sequence[Backend]:
        """All back ends, the default one first."""
        return list(self._backends.values())

    def has_backend(self, name: str) -> bool:
        """Whether there is a back end of this name."""
        return name in self._backends

    def backend_of(self, model: Model) -> Backend:
        """The back end that has a model."""
        return self._backends[model.backend]

    async def reach(self) -> None:
        """Return when the default back end answers, be it that it refuses its list.

        Raises:
            BackendError: it does not.
        """
        if self.default.may_not_be_disturbed:
            return
        try:
            await self.default.models()
        except Refusal as refusal:
            if refusal.status in UNREACHED:
                raise

    async def list(self) -> list[Model]:
        """What `/api/tags` shows, the newest first.

        Raises:
            BackendError: no back end could be asked, and no model is known.
        """
        models = await self._listing().models()
        return sorted((model for model in models if not model.hidden), key=lambda model: -model.created)

    async def find(self, name: str) -> Model | None:
        """The model that a client means, or None where there is none of that name."""
        return await self._listing().find(name)

    def _listing(self) -> _Listing:
        whose = current_record().client_key if self._passthrough else None
        if (listing := self._listings.get(whose)) is None:
            listing = self._listings[whose] = _Listing(self._file.models, self._servers, self._backends)
            if len(self._listings) > MOST_LISTINGS:
                self._listings.popitem(last=False)[1].close()
        else:
            self._listings.move_to_end(whose)
        return listing


class _Listing:
    """What the back ends list for one key."""

    def __init__(self, entries: Mapping[str, ModelEntry], servers: Sequence[Server], backends: Mapping[str, Backend]) -> None:
        self._entries = entries
        self._servers = servers
        self._backends = backends
        self._lists: dict[str, Sequence[Model]] = {}
        self._failures: dict[str, BackendError] = {}
        self._table = ModelTable(entries, servers, {})
        self._fresh_until = 0.0
        self._asked_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Stop what still runs."""
        if self._asking is not None:
            self._asking.cancel()

    async def find(self, name: str) -> Model | None:
        """The model of a name; where nothing is known, a model that goes through to a back end."""
        if self._is_stale():
            first = self._asking is None
            asking = await self._ask_all()
            # A model that was there a moment ago is asked for at once; whether it still is, is found out beside it.
            if first or self._table.find(name) is None:
                await _wait(asking, self._asked_at + PATIENCE - time.monotonic())
        return self._table.find(name) or self._passed_through(name.strip())

    async def models(self) -> list[Model]:
        """All models.

        Raises:
            BackendError: no back end could be asked, and no model is known.
        """
        if self._is_stale() or (self._failures and not self._table.models):
            # Of several servers, each is waited for only so long.
            patient = len(self._servers) > 1 or not self._table.models
            await _wait(await self._ask_all(), None if patient else PATIENCE)
        if not self._table.models and len(self._failures) == len(self._servers):
            raise self._failures[self._servers[0].name]
        return self._table.models

    def _is_stale(self) -> bool:
        return time.monotonic() >= self._fresh_until

    def _passed_through(self, name: str) -> Model | None:
        """The model of a name that is in no list, at the first server of which no list is known that could have it."""
        for server in self._servers:
            if self._takes_any_name(server) and (own_name := own_name_at(server, name)) and server.lets_pass(own_name):
                return self._table.unlisted(name, server, own_name)
        for server in self._servers:
            if self._takes_any_name(server) and server.lets_pass(name):
                return self._table.unlisted(name, server)
        return None

    def _takes_any_name(self, server: Server) -> bool:
        """Whether a server may have models that it does not list."""
        if not self._backends[server.name].lists_models:
            return True
        if server is self._servers[0]:
            return server.name in self._failures or server.name not in self._lists
        return server.name not in self._lists and _has_answered(self._failures.get(server.name))

    async def _ask_all(self) -> asyncio.Task[None]:
        """Ask the servers for their models, unless that is going on: of many requests that come together, one asks."""
        if self._asking is None:
            # The import of the SDK may take seconds, in which no server is slow.
            await asyncio.get_running_loop().run_in_executor(None, load_sdk)
        if self._asking is None or self._asking.done():
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._refresh())
        return self._asking

    async def _refresh(self) -> None:
        await asyncio.gather(*(self._ask(server) for server in self._servers))
        self._fresh_until = time.monotonic() + LIFETIME

    async def _ask(self, server: Server) -> None:
        """Ask one server; one that is away takes neither the others' models with it, nor those that it is known to have."""
        backend = self._backends[server.name]
        if backend.may_not_be_disturbed:
            return
        patience = PATIENCE if len(self._servers) > 1 else None
        try:
            async with asyncio.timeout(patience):
                self._lists[server.name] = await backend.models()
            self._failures.pop(server.name, None)
        except TimeoutError:
            self._note_failure(server, BackendError(504, f"the back end {server.name} did not answer in {PATIENCE:g} seconds"))
        except BackendError as error:
            self._note_failure(server, error)
        else:
            self._table = ModelTable(self._entries, self._servers, self._lists)

    def _note_failure(self, server: Server, error: BackendError) -> None:
        key = current_record().client_key
        # Some servers quote the key that they refuse.
        told = Masker([key]).masked_text(error.message) if key else error.message
        logger.warning("back end %s does not list its models: %s", server.name, told)
        self._failures[server.name] = error


async def _wait(asking: asyncio.Task[None], seconds: float | None) -> None:
    """Wait for the lists, which are asked for further if they take longer, or if the client leaves."""
    if seconds is not None and seconds <= 0:
        return
    done, _ = await asyncio.wait({asking}, timeout=seconds)
    for task in done:
        task.result()


def _has_answered(error: BackendError | None) -> bool:
    """Whether a server that did not list its models has answered nevertheless, so that it is there."""
    return isinstance(error, Refusal) or (error is not None and isinstance(error.__cause__, ValueError))
