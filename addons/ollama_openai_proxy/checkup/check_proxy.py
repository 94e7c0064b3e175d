"""The proxy itself: its port, who reaches it, and where it counts."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..guard.admission import Gate
from ..settings import SettingsError, check_address, http_url, is_loopback
from .findings import Finding
from .probe import PATIENCE, is_proxy

if TYPE_CHECKING:
    from ..settings import Settings


async def check_port(settings: Settings) -> Finding:
    """Whether the proxy can listen, or does."""
    url = _own_url(settings)
    try:
        check_address(settings)
    except SettingsError as error:
        cause = error.__context__
        taken = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        if taken and await is_proxy(url):
            return Finding("ok", f"the proxy listens on {url} already")
        return Finding("problem", str(error))
    if settings.proxy_port == 0:
        return Finding("ok", f"the proxy can listen on a free port of {settings.proxy_host or 'this machine'}")
    return Finding("ok", f"the proxy can listen on {url}")


def _own_url(settings: Settings) -> str:
    """Where the proxy would be reached from this machine."""
    host = settings.proxy_host
    if host in ("", "0.0.0.0"):  # noqa: S104  # no binding
        host = "127.0.0.1"
    elif host == "::":
        host = "::1"
    return http_url(host, settings.proxy_port)


async def check_exposure(settings: Settings) -> Finding:
    """Who may call, and whether the settings about that are right."""
    try:
        gate = Gate(settings)
    except SettingsError as error:
        return Finding("problem", str(error))
    await gate.close()
    if gate.needs_key:
        return Finding("ok", "clients must bring a key of the proxy")
    if is_loopback(settings.proxy_host):
        return Finding("ok", f"only this machine reaches {settings.proxy_host}, and clients need no key")
    return Finding(
        "warning",
        f"everyone who can reach {settings.proxy_host or 'this machine'} may use the proxy: "
        "set PROXY_API_KEYS to let in only those with a key",
    )


async def check_storage(url: str) -> Finding:
    """Whether calls can be counted where RATE_LIMIT_STORAGE says."""
    if url == "memory://":
        return Finding("ok", "calls are counted in this process's memory; several proxies need a RATE_LIMIT_STORAGE in Redis")
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import AuthenticationError, RedisError
    except ImportError:
        # That the packages are missing is found out elsewhere.
        return Finding("warning", "RATE_LIMIT_STORAGE was not looked at")
    parts = urlsplit(url)
    where = f"RATE_LIMIT_STORAGE at {parts.hostname}:{parts.port or 6379}"
    try:
        async with asyncio.timeout(PATIENCE.begin), Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as redis:
            await redis.ping()  # type: ignore[misc]  # its types are those of both kinds of client
    except AuthenticationError:
        return Finding("problem", f"{where} refuses the password: correct it in the URL")
    except (OSError, RedisError, ValueError) as error:
        return Finding(
            "problem",
            f"{where} cannot be used ({type(error).__name__}), and calls would pass uncounted: start it, or correct the URL",
        )
    return Finding("ok", f"{where} answers")
