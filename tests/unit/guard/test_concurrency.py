"""How many calls are answered at a time, and in which order the others come in."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.guard import turns
from ollama_openai_proxy.guard.concurrency import Crowd

from tests.unit.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

TEXT = "server busy, please try again.  maximum pending requests exceeded"


async def turn_of_the_loop() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def enters(crowd: Crowd) -> asyncio.Task[None]:
    return asyncio.create_task(crowd.enter())


@asynccontextmanager
async def place(crowd: Crowd, caller: str = "") -> AsyncGenerator[None]:
    await crowd.enter(caller)
    try:
        yield
    finally:
        crowd.leave(caller)


async def assert_full(crowd: Crowd) -> None:
    with pytest.raises(ApiError) as refused:
        await asyncio.wait_for(crowd.enter(), 5)
    assert (refused.value.status, refused.value.message) == (503, TEXT)


async def assert_empty(crowd: Crowd, most: int) -> None:
    """All places are free, and no more than these."""
    for _ in range(most):
        await asyncio.wait_for(crowd.enter(), 5)
    waiting = enters(crowd)
    await turn_of_the_loop()
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    for _ in range(most):
        crowd.leave()


async def test_without_a_limit_all_come_in_at_once() -> None:
    crowd = Crowd(0, 0)
    assert not crowd.limited
    for _ in range(1000):
        await crowd.enter()
    for _ in range(1000):
        crowd.leave()
    async with place(crowd):
        pass
    assert not crowd.limited


@pytest.mark.parametrize("most", [1, 3])
async def test_who_finds_no_place_waits_and_comes_in_by_turns(most: int) -> None:
    crowd = Crowd(most, 10)
    assert crowd.limited
    for _ in range(most):
        await crowd.enter()
    assert crowd.limited
    came: list[int] = []

    async def come(number: int) -> None:
        await crowd.enter()
        came.append(number)

    waiting = [asyncio.create_task(come(number)) for number in range(5)]
    await turn_of_the_loop()
    assert came == []
    for number in range(5):
        crowd.leave()
        await turn_of_the_loop()
        assert came == list(range(number + 1))
    await asyncio.gather(*waiting)
    for _ in range(most):
        crowd.leave()
    await assert_empty(crowd, most)


@pytest.mark.parametrize("most_waiting", [0, 2])
async def test_where_too_many_wait_the_next_is_refused_at_once(most_waiting: int) -> None:
    crowd = Crowd(1, most_waiting)
    await crowd.enter()
    waiting = [enters(crowd) for _ in range(most_waiting)]
    await turn_of_the_loop()
    await assert_full(crowd)
    for _ in range(most_waiting + 1):
        crowd.leave()
    await asyncio.gather(*waiting)
    await assert_empty(Crowd(1, 1), 1)


async def test_a_place_given_back_is_that_of_who_waits_not_of_who_comes() -> None:
    crowd = Crowd(1, 1)
    await crowd.enter()
    first = enters(crowd)
    await turn_of_the_loop()
    crowd.leave()
    # The first has its place, but did not run yet; the queue is free again.
    second = enters(crowd)
    await first
    await turn_of_the_loop()
    assert not second.done()
    crowd.leave()
    await second
    crowd.leave()
    await assert_empty(crowd, 1)


async def test_a_place_is_given_back_after_an_error_too() -> None:
    crowd = Crowd(1, 1)
    with pytest.raises(RuntimeError):
        async with place(crowd):
            raise RuntimeError
    async with place(crowd):
        waiting = asyncio.create_task(asyncio.wait_for(crowd.enter(), 5))
        await turn_of_the_loop()
        with pytest.raises(ApiError):
            async with place(crowd):
                raise AssertionError
    await waiting
    crowd.leave()
    await assert_empty(crowd, 1)


# ── several callers


async def entered(crowd: Crowd, caller: str) -> bool:
    """Whether a call comes in at once."""
    task = asyncio.create_task(crowd.enter(caller))
    await turn_of_the_loop()
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
        return False
    return True


async def test_callers_take_turns_however_many_calls_one_of_them_has_waiting() -> None:
    crowd = Crowd(1, 100)
    await crowd.enter("greedy")
    came: list[str] = []

    async def come(caller: str) -> None:
        await crowd.enter(caller)
        came.append(caller)

    calls = ["greedy"] * 5 + ["a", "b", "a"]
    waiting = []
    for caller in calls:
        waiting.append(asyncio.create_task(come(caller)))
        await turn_of_the_loop()
    last = "greedy"
    for _ in calls:
        crowd.leave(last)
        await turn_of_the_loop()
        last = came[-1]
    assert came == ["greedy", "a", "b", "greedy", "a", "greedy", "greedy", "greedy"]
    await asyncio.gather(*waiting)
    crowd.leave(last)
    await assert_empty(Crowd(1, 1), 1)


async def test_one_caller_takes_all_places_only_while_nobody_else_calls() -> None:
    clock = Clock()
    crowd = Crowd(3, 10, clock=clock)
    for _ in range(3):
        assert await entered(crowd, "a")
    assert not await entered(crowd, "b")
    crowd.leave("a")
    assert not await entered(crowd, "a")
    assert await entered(crowd, "b")
    crowd.leave("b")
    assert not await entered(crowd, "a")
    clock.now += 601
    assert await entered(crowd, "a")


async def test_where_several_callers_are_known_one_place_is_kept_from_the_beginning() -> None:
    crowd = Crowd(3, 10, several=True)
    assert [await entered(crowd, "a") for _ in range(3)] == [True, True, False]
    assert await entered(crowd, "b")
    assert not await entered(crowd, "b")
    only = Crowd(1, 0, several=True)
    assert await entered(only, "a")


async def test_in_a_full_queue_the_caller_with_the_most_calls_makes_room_for_others() -> None:
    crowd = Crowd(1, 3)
    await crowd.enter("greedy")
    greedy = []
    for _ in range(3):
        greedy.append(asyncio.create_task(crowd.enter("greedy")))
        await turn_of_the_loop()
    with pytest.raises(ApiError):
        await crowd.enter("greedy")
    modest = asyncio.create_task(crowd.enter("modest"))
    await turn_of_the_loop()
    assert [task.done() for task in (*greedy, modest)] == [False, False, True, False]
    error = greedy[2].exception()
    assert isinstance(error, ApiError)
    assert error.status == 503
    # Who would have as many as the other is refused as well.
    with pytest.raises(ApiError):
        await crowd.enter("modest")
    for task in (greedy[0], modest, greedy[1]):
        crowd.leave("modest" if task is greedy[1] else "greedy")
        await turn_of_the_loop()
        assert task.done()


async def test_few_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST_REMEMBERED", 3)
    crowd = Crowd(100, 0)
    for number in range(10):
        await crowd.enter(str(number))
    assert list(crowd._turns._seen) == ["7", "8", "9"]


# ── cancellation


async def test_who_is_cancelled_while_waiting_leaves_no_trace() -> None:
    crowd = Crowd(1, 1)
    await crowd.enter()
    for _ in range(3):
        waiting = enters(crowd)
        await turn_of_the_loop()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    crowd.leave()
    await assert_empty(crowd, 1)


async def test_a_place_for_who_was_just_cancelled_goes_to_the_next() -> None:
    crowd = Crowd(1, 2)
    await crowd.enter()
    cancelled, next_one = enters(crowd), enters(crowd)
    await turn_of_the_loop()
    cancelled.cancel()
    crowd.leave()
    await asyncio.wait_for(next_one, 5)
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    crowd.leave()
    await assert_empty(crowd, 1)


async def test_who_is_cancelled_with_the_place_already_given_hands_it_on() -> None:
    crowd = Crowd(1, 2)
    await crowd.enter()
    cancelled, next_one = enters(crowd), enters(crowd)
    await turn_of_the_loop()
    crowd.leave()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await asyncio.wait_for(next_one, 5)
    crowd.leave()
    await assert_empty(crowd, 1)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_no_place_is_lost_or_made(seed: int) -> None:
    chance = random.Random(seed)
    crowd, inside, most_inside = Crowd(3, 4), 0, 0

    async def call() -> None:
        nonlocal inside, most_inside
        async with place(crowd, chance.choice("ab")):
            inside += 1
            most_inside = max(most_inside, inside)
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                inside -= 1

    calls: list[asyncio.Task[None]] = []
    for _ in range(300):
        calls.append(asyncio.create_task(call()))
        if chance.random() < 0.4:
            chance.choice(calls).cancel()
        if chance.random() < 0.6:
            await asyncio.sleep(0)
    ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert most_inside == 3
    assert all(end is None or isinstance(end, (ApiError, asyncio.CancelledError)) for end in ended)
    assert (crowd._turns._taken, crowd._turns._inside, crowd._turns._queues) == (0, {}, {})
