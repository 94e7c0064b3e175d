"""Whoever tries keys out is slowed down; others at the same address are not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ollama_openai_proxy.guard import wrong_keys
from ollama_openai_proxy.guard.wrong_keys import MOST_WAITING, WrongKeys

from tests.unit.clock import Clock

if TYPE_CHECKING:
    import pytest

HERE, THERE = "192.0.2.1", "192.0.2.2"


async def waits(keys: WrongKeys, address: str = HERE) -> asyncio.Task[None] | None:
    """Bring a wrong key; gives the task of its refusal, if that takes a while."""
    task = asyncio.create_task(keys.was_wrong(address))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return None if task.done() else task


async def test_within_the_allowance_keys_are_refused_at_once_and_beyond_it_slowly() -> None:
    clock = Clock()
    keys = WrongKeys(60, clock)
    for _ in range(60):
        assert await waits(keys) is None
    slow = await waits(keys)
    assert slow is not None
    assert await waits(keys, THERE) is None
    # One more for each second.
    clock.now += 2
    assert await waits(keys) is None
    assert await waits(keys) is None
    again = await waits(keys)
    assert again is not None
    clock.now += 1000
    for _ in range(60):
        assert await waits(keys) is None
    await asyncio.gather(slow, again)


async def test_an_address_with_many_slow_refusals_is_shut_even_if_its_clients_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_keys, "DELAY", 0.2)
    keys = WrongKeys(1, Clock())
    assert await waits(keys) is None
    for number in range(MOST_WAITING):
        assert not keys.is_shut(HERE), number
        slow = await waits(keys)
        assert slow is not None
        slow.cancel()
    assert keys.is_shut(HERE)
    assert not keys.is_shut(THERE)
    while keys.is_shut(HERE):
        await asyncio.sleep(0.05)


def test_keys_are_proven_for_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_keys, "MOST_PROVEN", 2)
    keys = WrongKeys(1)
    keys.was_right(HERE, "a")
    assert keys.is_proven(HERE, "a")
    assert not keys.is_proven(HERE, "b")
    assert not keys.is_proven(THERE, "a")
    keys.was_right(HERE, "b")
    keys.was_right(HERE, "a")
    keys.was_right(THERE, "a")
    assert [keys.is_proven(*pair) for pair in ((HERE, "a"), (HERE, "b"), (THERE, "a"))] == [True, False, True]


async def test_few_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_keys, "MOST_ADDRESSES", 2)
    keys = WrongKeys(1, Clock())
    for address in (HERE, "a", "b", HERE):
        assert await waits(keys, address) is None


async def test_without_an_allowance_nobody_is_slowed() -> None:
    keys = WrongKeys(0)
    for _ in range(1000):
        assert await waits(keys) is None
    assert not keys.is_shut(HERE)
