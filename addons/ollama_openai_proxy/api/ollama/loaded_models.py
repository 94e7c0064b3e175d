"""Which models count as loaded.

A back end loads and unloads as it pleases. But clients ask `/api/ps` after a call and expect the model there until its
`keep_alive` is over, so the proxy remembers, for its own process only, what was used last.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...schemas.ollama.json_encoding import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...translate.ollama_descriptions import Model

DEFAULT_KEEP_ALIVE = 300.0
FOREVER = 292 * 365.25 * 86400
"""Seconds that Ollama takes for ever: the longest duration Go can hold."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that counts as loaded, and when it will not any more (seconds of the Unix epoch)."""

    model: Model
    expires: float

    @property
    def expires_at(self) -> str:
        """The same as RFC 3339."""
        return timestamp(int(self.expires * 1_000_000_000))


class Residents:
    """The models used of late."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._residents: dict[str, Resident] = {}

    def used(self, model: Model, keep_alive: float | None) -> None:
        """Note a call to a model; `keep_alive` 0 unloads it."""
        if keep_alive == 0:
            self._residents.pop(model.id, None)
            return
        seconds = DEFAULT_KEEP_ALIVE if keep_alive is None else keep_alive
        self._residents[model.id] = Resident(model, self._clock() + (FOREVER if math.isinf(seconds) else seconds))

    def list(self) -> list[Resident]:
        """Those that are still loaded, the longest-lived first."""
        now = self._clock()
        self._residents = {name: resident for name, resident in self._residents.items() if resident.expires > now}
        return sorted(self._residents.values(), key=lambda resident: -resident.expires)
