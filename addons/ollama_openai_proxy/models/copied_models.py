"""Models that clients made by copy or create: another name for one that is there, perhaps with settings of its own.

They live in memory only, and all workers of a console command share them. The proxy keeps nothing on disk and replicas do not
share them: a name that is to stay belongs into the models file.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..schemas.ollama.model_names import parse_name
from ..translate.ollama_descriptions import model_from_json, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..translate.ollama_descriptions import Model
    from ..workers.link import Link

TABLE = "copies"
"""The name under which workers share them."""
MOST = 1000
"""How many names are kept; the oldest makes way."""


class Derived:
    """The names made so far.

    Args:
        link: to the other workers; None where there are none.
        has_backend: whether there is a back end of a name: what another worker tells may be of other settings.
    """

    def __init__(self, link: Link | None = None, has_backend: Callable[[str], bool] = bool) -> None:
        self._models: dict[str, Model] = {}
        self._link = link
        self._has_backend = has_backend
        if link is not None:
            link.learn(TABLE, self._learn)

    def add(self, name: str, source: Model, *, system: str = "", options: dict[str, Any] | None = None) -> None:
        """Make `name` another name for `source`, with the given settings in place of its own where there are any.

        The name is listed with its tag. A name that is there already in another case stays as it was written first, as it does
        in Ollama.
        """
        earlier = self.find(name)
        model = replace(
            source,
            id=earlier.id if earlier else parse_name(name.strip()).shortest,
            created=int(time.time()),
            system=system or source.system,
            options={**source.options, **(options or {})},
        )
        self._set(plain_name(name), model)
        if self._link is not None:
            self._link.tell(TABLE, plain_name(name), model.as_json())

    def remove(self, name: str) -> bool:
        """Forget a name; False where it was not made here."""
        if self._models.pop(plain_name(name), None) is None:
            return False
        if self._link is not None:
            self._link.tell(TABLE, plain_name(name), None)
        return True

    async def known_to_all(self) -> None:
        """Wait until all workers know of the names that were made and removed."""
        if self._link is not None:
            await self._link.told()

    def find(self, name: str) -> Model | None:
        """The model made under a name."""
        return self._models.get(plain_name(name))

    def list(self) -> list[Model]:
        """All of them, the newest first."""
        return list(reversed(self._models.values()))

    def _set(self, key: str, model: Model) -> None:
        self._models.pop(key, None)
        self._models[key] = model
        if len(self._models) > MOST:
            del self._models[next(iter(self._models))]

    def _learn(self, key: str, value: Any) -> None:
        if value is None:
            self._models.pop(key, None)
            return
        with suppress(TypeError, KeyError):  # of a worker with another version of this program
            model = model_from_json(value)
            if self._has_backend(model.backend):
                self._set(key, model)
