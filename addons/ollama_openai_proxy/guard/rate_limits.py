"""How often each caller may call: RATE_LIMIT and RATE_LIMIT_STORAGE.

A limit of 60/minute is about the sixty seconds before a call, whenever that is. Only two numbers are kept for each caller
and limit: the calls of the current minute, and those of the minute before, which count in the proportion in which it still
lies within the sixty seconds.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from functools import lru_cache
from ipaddress import IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.storage import MemoryStorage, RedisStorage
    from redis.asyncio import ConnectionPool

    from ..workers.link import SharedRates

LONGEST_WINDOW = 10 * 365 * 86400
"""Seconds; Redis cannot count down from just any number."""
_SCHEMES = ("redis", "rediss")
_HOST = re.compile(r"[\w.:-]+", re.ASCII)
_PREFIX = "ollama-openai-proxy"
_SECONDS_TO_ANSWER = 2.0
"""How long a call waits for the storage."""
_SECONDS_OF_REST = 1.0
"""How long the storage is left alone when it failed: calls would only wait."""
_SECONDS_BETWEEN_WARNINGS = 60.0
_MARGIN = 0.01
"""Seconds: at the very moment that a limit frees a call, it may still refuse it."""
_HOME_BITS = 64

logger = logging.getLogger(__name__)


class Rates:
    """How often each caller may call.

    All limits are looked at before a call is counted in any, so that a call refused by one costs nothing of the others.
    Only of calls that arrive at the same moment one may be counted in a short limit and then refused by a longer one.

    Args:
        limits: the limits, all of which hold, such as "60/minute;1000/day".
        storage: where calls are counted: "memory://", or the URL of a Redis that several proxies share.
        shared: where calls are counted if the storage is "memory://"; None is in this process.

    Raises:
        ValueError: one of them is wrong, or the packages for Redis are missing.
    """

    def __init__(self, limits: str, storage: str, shared: SharedRates | None = None) -> None:
        # Here, because it takes a tenth of a second, and most proxies have no limit.
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        from .shared_rate_storage import SharedRateStorage

        self._limits = _read_limits(limits)
        self._pool = None if storage == "memory://" else _redis_pool(storage)
        self._storage: MemoryStorage | RedisStorage
        if self._pool is not None:
            self._storage = _redis_storage(self._pool, storage)
        else:
            self._storage = SharedRateStorage(shared) if shared else MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._rests_until = self._silent_until = float("-inf")

    async def refused_for(self, caller: str) -> float | None:
        """Count a call, if it is allowed; returns None then, and else the seconds until the next one may be.

        If the storage fails, calls are allowed; a line in the log says so, once a minute.

        Args:
            caller: the name of a key, or an address. The IPv6 addresses of one /64 are one caller: each home has as many.
        """
        from limits.errors import StorageError

        if time.monotonic() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(_SECONDS_TO_ANSWER):
                return await self._refused_for(home_of(caller))
        except StorageError as error:
            self._failed(error.storage_error)
        except OSError as error:
            self._failed(error)
        return None

    async def close(self) -> None:
        """Close the connections to the storage."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def _refused_for(self, caller: str) -> float | None:
        full = [limit for limit in self._limits if not await self._limiter.test(limit, caller)]
        if not full:
            for limit in self._limits:
                if not await self._limiter.hit(limit, caller):
                    full = [limit]
                    break
        return max([await self._wait(limit, caller) for limit in full], default=None)

    async def _wait(self, limit: RateLimitItem, caller: str) -> float:
        window = limit.get_expiry()
        previous, previous_left, current, current_left = await self._storage.get_sliding_window(limit.key_for(caller), window)
        if current >= limit.amount:
            # Only when its window has ended, which is half of the time for which it is kept, does the count go down.
            return current_left - window + _MARGIN
        return (previous_left % (window / previous) if previous else 0) + _MARGIN

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        self._rests_until = now + _SECONDS_OF_REST
        if now >= self._silent_until:
            self._silent_until = now + _SECONDS_BETWEEN_WARNINGS
            # Not the error's text, which may quote what was sent.
            logger.warning("RATE_LIMIT_STORAGE cannot be used (%s): calls pass uncounted.", type(error).__name__)


def _read_limits(text: str) -> list[RateLimitItem]:
    """The limits, each once and the shortest first: what it counts too much is forgotten soonest."""
    from limits import parse_many

    try:
        limits = sorted(dict.fromkeys(parse_many(text)), key=lambda limit: limit.get_expiry())
    except ValueError:
        raise ValueError("RATE_LIMIT is wrong: it must be limits like 60/minute or 60/minute;1000/day.") from None
    if any(limit.amount < 1 or limit.get_expiry() > LONGEST_WINDOW for limit in limits):
        raise ValueError("RATE_LIMIT is wrong: each limit must allow at least one call, and its time be ten years at most.")
    return limits


def _redis_pool(url: str) -> ConnectionPool:
    if not _is_redis_url(url):
        raise ValueError("RATE_LIMIT_STORAGE is wrong: it must be memory:// or a URL like redis://127.0.0.1:6379.")
    try:
        from redis.asyncio import ConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise ValueError(
            "RATE_LIMIT_STORAGE needs packages that are missing: install them with pip install '.[redis]' in a checkout."
        ) from None
    try:
        # A kept connection may be one that Redis has closed: therefore a second attempt, at once.
        pool = ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 1))
        # An option in the URL that is no option is noticed only here.
        pool.connection_class(**pool.connection_kwargs)
    except Exception:  # of many kinds, and their texts may quote the URL, which can hold a password
        pool = None
    if pool is None:
        raise ValueError("RATE_LIMIT_STORAGE is wrong: one of the options in its URL is none of Redis.")
    return pool


def _is_redis_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # A part of a name that is too long to be looked up raises a UnicodeError, and a port that is none a ValueError.
        return parts.scheme in _SCHEMES and bool(_HOST.fullmatch(host) and host.encode("idna")) and parts.port != 0
    except ValueError:
        return False


def _redis_storage(pool: ConnectionPool, url: str) -> RedisStorage:
    from limits.aio.storage import RedisStorage

    return RedisStorage(
        # The pool knows the rest.
        f"async+{urlsplit(url).scheme}://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=_PREFIX,
        connection_pool=pool,  # type: ignore[arg-type]  # as its documentation says
    )


@lru_cache(maxsize=1024)
def home_of(caller: str) -> str:
    """The network of a caller: the /64 of an IPv6 address, of which each home has as many addresses; anything else itself."""
    try:
        address = ip_address(caller)
    except ValueError:
        return caller
    return str(IPv6Network((int(address), _HOME_BITS), strict=False)) if address.version == 6 else caller
