"""A storage of `limits` that counts over all workers. Only RATE_LIMIT needs this module: the import of `limits` takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limits.aio.storage import MemoryStorage

if TYPE_CHECKING:
    from ..workers.link import SharedRates


class SharedRateStorage(MemoryStorage):
    """Counts in sliding windows, where the supervisor has the numbers.

    Args:
        shared: asks the supervisor.
    """

    STORAGE_SCHEME = None  # type: ignore[assignment]  # no URL means this storage

    def __init__(self, shared: SharedRates) -> None:
        super().__init__()
        self._shared = shared

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count calls, if the limit allows the calls; returns whether it does."""
        return await self._shared.acquire(key, limit, expiry, amount)

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return the calls of a key; see `Counts`."""
        return await self._shared.counts(key, expiry)
