"""Several proxies that count their calls in one real Redis."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.guard.rate_limits import Rates

from tests.live.redis_server import PASSWORD, RedisServer, running_redis
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

WARNING = "RATE_LIMIT_STORAGE cannot be used (ConnectionError): calls pass uncounted."


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


type Opened = Callable[[str], Rates]


@pytest.fixture
async def opened(redis: RedisServer) -> AsyncIterator[Opened]:
    """Makes what one proxy counts with."""
    everyone: list[Rates] = []

    def open_one(limits: str) -> Rates:
        everyone.append(Rates(limits, redis.url))
        return everyone[-1]

    yield open_one
    for rates in everyone:
        await rates.close()


async def refusals(rates: Rates, calls: int, caller: str = "0a1b2c3d") -> list[float]:
    answers = [await rates.refused_for(caller) for _ in range(calls)]
    return [answer for answer in answers if answer is not None]


async def until_counted(rates: Rates) -> None:
    """Wait until calls are counted: some are, since one is refused."""
    deadline = time.monotonic() + PATIENCE
    while await rates.refused_for("other") is None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_proxies_share_one_budget(opened: Opened) -> None:
    one, two = opened("10/minute"), opened("10/minute")
    assert await refusals(one, 6) == []
    refused = await refusals(two, 6)
    assert len(refused) == 2
    assert all(0 < seconds <= 60.1 for seconds in refused)
    assert len(await refusals(one, 3)) == 3
    assert await refusals(one, 2, "203.0.113.1") == []


async def test_calls_that_arrive_at_once_share_it_too(opened: Opened) -> None:
    proxies = [opened("10/minute;15/hour") for _ in range(4)]
    answers = await asyncio.gather(*(proxy.refused_for("0a1b2c3d") for _ in range(20) for proxy in proxies))
    assert answers.count(None) == 10


async def test_all_limits_hold_and_a_budget_comes_back(opened: Opened) -> None:
    rates = opened("2/second;3/hour")
    (*_, wait) = await refusals(rates, 4)
    assert 0 < wait <= 1.1
    await asyncio.sleep(wait + 1)
    refused = await refusals(rates, 2)
    assert len(refused) == 1
    assert 3000 < refused[0] <= 3600.1


async def test_what_is_kept_ends_by_itself_and_is_recognised(opened: Opened, redis: RedisServer) -> None:
    await refusals(opened("2/minute;3/hour"), 3)
    from redis.asyncio import Redis

    async with Redis.from_url(redis.url) as connection:
        keys = [key.decode() for key in await connection.keys()]
        assert len(keys) == 2
        assert all(key.startswith("ollama-openai-proxy:") for key in keys)
        assert all([0 < await connection.ttl(key) <= 7200 for key in keys])


async def test_without_redis_calls_pass_and_one_line_says_so(
    opened: Opened, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    rates = opened("1/minute")
    await until_counted(rates)
    redis.stop()
    with caplog.at_level(logging.DEBUG):
        assert await refusals(rates, 200, "other") == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [WARNING]
    assert PASSWORD not in caplog.text
    # And they are counted again as soon as it is back.
    redis.start()
    await until_counted(rates)
    assert len(await refusals(rates, 3, "other")) == 3


async def test_a_restart_of_redis_costs_no_call_its_count(
    opened: Opened, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    rates = opened("2/minute")
    assert await refusals(rates, 1) == []
    redis.stop()
    redis.start()
    assert len(await refusals(rates, 5)) == 3
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
