"""Which models count as loaded.

A back end loads and unloads as it pleases. But clients ask `/api/ps` after a call and expect the model there until its
`keep_alive` is over, so the proxy remembers what was used last, and its workers tell each other.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...schemas.ollama.json_encoding import timestamp
from ...translate.ollama_descriptions import model_from_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...translate.ollama_descriptions import Model
    from ...workers.link import Link

DEFAULT_KEEP_ALIVE = 300.0
MOST = 1000
"""Models that are remembered; the one that was used longest ago makes way."""
TABLE = "loaded"
"""The name under which workers share what is loaded."""
SHARED_EVERY = 1.0
"""Seconds by which the end of a model's time must have changed before the other workers are told."""
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
    """The models used of late.

    Args:
        link: to the other workers; None where there are none.
        clock: seconds of the Unix epoch.
    """

    def __init__(self, link: Link | None = None, clock: Callable[[], float] = time.time) -> None:
        self._link = link
        self._clock = clock
        self._residents: dict[str, Resident] = {}
        self._told: dict[str, float] = {}
        """When the time of a model ends, as the other workers know it."""
        if link is not None:
            link.learn(TABLE, self._learn)

    def used(self, model: Model, keep_alive: float | None) -> None:
        """Note a call to a model; `keep_alive` 0 unloads it."""
        if keep_alive == 0:
            self._told.pop(model.id, None)
            if self._residents.pop(model.id, None) is not None and self._link is not None:
                self._link.tell(TABLE, model.id, None)
            return
        seconds = DEFAULT_KEEP_ALIVE if keep_alive is None else keep_alive
        expires = self._clock() + (FOREVER if math.isinf(seconds) else seconds)
        # Neither a client's prompt nor what the server's list says is of use here, and both may be large.
        model = replace(model, system="", options={}, entry={})
        self._note(model.id, Resident(model, expires))
        if self._link is not None and abs(expires - self._told.get(model.id, 0)) > SHARED_EVERY:
            self._told[model.id] = expires
            self._link.tell(TABLE, model.id, {"model": model.as_json(), "expires": expires})

    def expires_at(self, seconds: float) -> str:
        """The time so many seconds from now, in RFC 3339."""
        return timestamp(int((self._clock() + seconds) * 1_000_000_000))

    def list(self) -> list[Resident]:
        """Those that are still loaded, the longest-lived first."""
        now = self._clock()
        self._residents = {name: resident for name, resident in self._residents.items() if resident.expires > now}
        return sorted(self._residents.values(), key=lambda resident: -resident.expires)

    def _note(self, name: str, resident: Resident) -> None:
        self._residents.pop(name, None)
        self._residents[name] = resident
        if len(self._residents) > MOST:
            oldest = next(iter(self._residents))
            del self._residents[oldest]
            self._told.pop(oldest, None)

    def _learn(self, key: str, value: Any) -> None:
        if value is None:
            self._residents.pop(key, None)
            self._told.pop(key, None)
            return
        with suppress(TypeError, KeyError):  # of a worker with another version of this program
            self._note(key, Resident(model_from_json(value["model"]), value["expires"]))
            self._told[key] = value["expires"]
