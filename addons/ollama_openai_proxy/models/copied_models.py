"""Models that clients made by copy or create: another name for one that is there, perhaps with settings of its own.

They live in memory only, and all workers of a console command share them. The proxy keeps nothing on disk and replicas do not
share them: a name that is to stay belongs into the models file. Where clients bring keys, of the proxy or of the server behind
it, each key has its own names: they neither hide nor show anything to other keys.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InvalidRequest
from ..schemas.ollama.model_names import parse_name
from ..translate.ollama_descriptions import plain_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..translate.ollama_descriptions import Model

MOST = 1000
"""How many names are kept; the oldest makes way."""
OVERHEAD = 1024
"""Bytes that a name counts for beside its texts."""


class Derived:
    """The names that one owner has made so far: a key, also one that is passed through, or all clients without keys.

    Args:
        most_bytes: MAX_COPIES_SIZE: how many bytes the names may take, with their prompts and options; older names make way.
        tell: is called with each name that is made and its model, and with each name that is removed and None.

    Attributes:
        size: how many bytes the names take.
    """

    def __init__(self, most_bytes: int = 4 << 20, tell: Callable[[str, Model | None], None] | None = None) -> None:
        self._most_bytes = most_bytes
        self._made: dict[str, _Made] = {}
        self._tell = tell
        self.size = 0

    def add(self, name: str, source: Model, *, system: str = "", options: dict[str, Any] | None = None) -> None:
        """Make `name` another name for `source`, with the given settings in place of its own where there are any.

        The name is listed with its tag. A name that is there already in another case stays as it was written first, as it does
        in Ollama.

        Raises:
            InvalidRequest: with status 413; the name would take more bytes than all names may.
        """
        earlier = self._made.get(plain_name(name))
        model = replace(
            source,
            id=earlier.model.id if earlier else parse_name(name.strip()).shortest,
            created=int(time.time()),
            system=system or source.system,
            options={**source.options, **(options or {})},
        )
        size = _size(name, model)
        if size > self._most_bytes:
            raise InvalidRequest(
                f"the model takes more than {self._most_bytes} bytes, which MAX_COPIES_SIZE allows", status=413
            )
        self._set(plain_name(name), _Made(model, size))
        if self._tell is not None:
            self._tell(plain_name(name), model)

    def remove(self, name: str) -> bool:
        """Forget a name; False where it was not made here."""
        if not self._drop(plain_name(name)):
            return False
        if self._tell is not None:
            self._tell(plain_name(name), None)
        return True

    def learn(self, name: str, model: Model | None) -> None:
        """Take what another worker was told; None removes the name."""
        if model is None:
            self._drop(name)
        else:
            self._set(name, _Made(model, _size(name, model)))

    def find(self, name: str) -> Model | None:
        """The model made under a name."""
        found = self._made.get(plain_name(name))
        return found.model if found else None

    def list(self) -> list[Model]:
        """All of them, the newest first."""
        return [each.model for each in reversed(self._made.values())]

    @property
    def newest_size(self) -> int:
        """How many bytes the newest name takes; 0 where there is none."""
        return next((each.size for each in reversed(self._made.values())), 0)

    def forget_oldest(self) -> None:
        """Make room."""
        self._drop(next(iter(self._made)))

    def _drop(self, name: str) -> bool:
        dropped = self._made.pop(name, None)
        self.size -= dropped.size if dropped else 0
        return dropped is not None

    def _set(self, name: str, made: _Made) -> None:
        self._drop(name)
        self._made[name] = made
        self.size += made.size
        while len(self._made) > MOST or self.size > self._most_bytes:
            self.forget_oldest()


class _Made(NamedTuple):
    model: Model
    size: int


def _size(name: str, model: Model) -> int:
    return OVERHEAD + len(name) + len(model.system.encode("utf-8", "replace")) + len(json.dumps(model.options, default=str))
