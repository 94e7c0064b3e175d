"""Models that clients made by copy or create: another name for one that is there, perhaps with settings of its own.

They live in this process only. The proxy keeps nothing on disk and replicas do not share them: a name that is to stay belongs
into the models file.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..schemas.ollama.model_names import parse_name
from ..translate.ollama_descriptions import plain_name

if TYPE_CHECKING:
    from ..translate.ollama_descriptions import Model

MOST = 1000
"""How many names are kept; the oldest makes way."""


class Derived:
    """The names made so far."""

    def __init__(self) -> None:
        self._models: dict[str, Model] = {}

    def add(self, name: str, source: Model, *, system: str = "", options: dict[str, Any] | None = None) -> None:
        """Make `name` another name for `source`, with the given settings in place of its own where there are any.

        The name is listed with its tag. A name that is there already in another case stays as it was written first, as it does
        in Ollama.
        """
        earlier = self._models.pop(plain_name(name), None)
        self._models[plain_name(name)] = replace(
            source,
            id=earlier.id if earlier else parse_name(name.strip()).shortest,
            created=int(time.time()),
            system=system or source.system,
            options={**source.options, **(options or {})},
        )
        if len(self._models) > MOST:
            del self._models[next(iter(self._models))]

    def remove(self, name: str) -> bool:
        """Forget a name; False where it was not made here."""
        return self._models.pop(plain_name(name), None) is not None

    def find(self, name: str) -> Model | None:
        """The model made under a name."""
        return self._models.get(plain_name(name))

    def list(self) -> list[Model]:
        """All of them, the newest first."""
        return list(reversed(self._models.values()))
