"""How often a caller may call, and what happens where calls cannot be counted."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.guard import rate_limits as rates
from ollama_openai_proxy.guard.rate_limits import Rates

from tests.live.proxy import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEMORY = "memory://"
LIMITS_WRONG = "RATE_LIMIT is wrong: it must be limits like 60/minute or 60/minute;1000/day."
LIMIT_UNFIT = "RATE_LIMIT is wrong: each limit must allow at least one call, and its time be ten years at most."
STORAGE_WRONG = "RATE_LIMIT_STORAGE is wrong: it must be memory:// or a URL like redis://127.0.0.1:6379."
OPTIONS_WRONG = "RATE_LIMIT_STORAGE is wrong: one of the options in its URL is none of Redis."
PACKAGE_MISSING = "RATE_LIMIT_STORAGE needs packages that are missing: install them with pip install '.[redis]' in a checkout."


@dataclass
class Clock:
    now: float = 1_800_000_000.0  # the beginning of a minute and of an hour, but not of a day


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", lambda: clock.now)
    # Of its own, since the event loop needs the real one.
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


async def passing(rates: Rates, calls: int, caller: str = "caller") -> int:
    """How many calls of so many may pass."""
    return [await rates.refused_for(caller) for _ in range(calls)].count(None)


async def refusal(rates: Rates) -> float:
    wait = await rates.refused_for("caller")
    assert wait is not None
    return wait


# ── one limit


async def test_so_many_calls_may_pass_as_the_limit_says(clock: Clock) -> None:
    assert await passing(Rates("3/minute", MEMORY), 10) == 3


async def test_who_is_refused_is_told_when_the_next_call_may_pass(clock: Clock) -> None:
    rates = Rates("3/minute", MEMORY)
    clock.now += 15
    assert await passing(rates, 3) == 3
    wait = await refusal(rates)
    assert wait == pytest.approx(45, abs=0.1)
    clock.now += wait - 0.5
    assert await refusal(rates) == pytest.approx(0.5, abs=0.1)
    clock.now += 0.5
    # The calls of the last minute go one after the other, not all at once.
    assert await passing(rates, 3) == 1
    wait = await refusal(rates)
    assert wait == pytest.approx(20, abs=0.1)
    clock.now += wait
    assert await passing(rates, 3) == 1
    clock.now += 120
    assert await passing(rates, 9) == 3


async def test_refused_calls_do_not_count(clock: Clock) -> None:
    rates = Rates("2/minute", MEMORY)
    assert await passing(rates, 1000) == 2
    clock.now += 61
    assert await passing(rates, 1000) == 1


# ── callers


async def test_each_caller_has_a_budget_of_its_own(clock: Clock) -> None:
    rates = Rates("2/minute", MEMORY)
    callers = ("0a1b2c3d", "12345678", "203.0.113.1", "203.0.113.2", "2001:db8:0:1::1", "2001:db8:0:2::1", "::1", "")
    assert [await passing(rates, 5, caller) for caller in callers] == [2] * len(callers)


async def test_the_addresses_of_one_home_are_one_caller(clock: Clock) -> None:
    rates = Rates("2/minute", MEMORY)
    home = [f"2001:db8:0:1:{number:x}::{number}" for number in range(1, 9)]
    assert [await passing(rates, 1, address) for address in home] == [1, 1, 0, 0, 0, 0, 0, 0]


# ── several limits


@pytest.mark.parametrize("limits", ["2/second;5/minute", "5/minute;2/second", "2 per second, 5 per minute | 99/day;5/minute"])
async def test_all_limits_hold(limits: str, clock: Clock) -> None:
    rates = Rates(limits, MEMORY)
    passed = []
    for _ in range(4):
        passed.append(await passing(rates, 10))
        clock.now += 2
    assert passed == [2, 2, 1, 0]


async def test_a_call_that_one_limit_refuses_costs_nothing_of_the_others(clock: Clock) -> None:
    rates = Rates("2/minute;3/second;100/day", MEMORY)
    assert await passing(rates, 50) == 2
    clock.now += 300
    assert await passing(rates, 50) == 2
    limits = sys.modules["limits"]
    stats = await rates._limiter.get_window_stats(limits.parse("100/day"), "caller")
    assert stats.remaining == 96


async def test_who_is_refused_by_several_is_told_the_longest_wait(clock: Clock) -> None:
    rates = Rates("2/second;2/minute", MEMORY)
    assert await passing(rates, 2) == 2
    assert await rates.refused_for("caller") == pytest.approx(60, abs=0.1)


async def test_a_limit_named_twice_counts_once(clock: Clock) -> None:
    assert await passing(Rates("4/minute; 4 per minute, 4/1 minutes", MEMORY), 9) == 4


async def test_calls_at_the_same_moment_do_not_pass_together(clock: Clock) -> None:
    rates = Rates("10/minute;20/hour", MEMORY)
    answers = await asyncio.gather(*(rates.refused_for("caller") for _ in range(100)))
    assert answers.count(None) == 10
    assert all(answer is None or answer > 0 for answer in answers)


async def test_a_call_that_another_one_overtook_is_refused(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = Rates("2/minute;5/hour", MEMORY)

    async def still_free(*_: object) -> bool:
        return True

    monkeypatch.setattr(rates._limiter, "test", still_free)
    assert await passing(rates, 3) == 2
    assert await rates.refused_for("caller") == pytest.approx(60, abs=0.1)


@given(
    limits=st.lists(
        st.tuples(st.integers(1, 6), st.integers(1, 3), st.sampled_from(["second", "minute", "hour"])), min_size=1, max_size=3
    ),
    pauses=st.lists(st.floats(0, 100) | st.just(0.0), max_size=30),
)
def test_after_the_time_that_was_told_a_call_passes(limits: list[tuple[int, int, str]], pauses: list[float]) -> None:
    clock = Clock()

    async def run() -> None:
        allowed = Rates(";".join(f"{amount}/{many} {unit}" for amount, many, unit in limits), MEMORY)
        for pause in pauses:
            clock.now += pause
            wait = await allowed.refused_for("caller")
            assert wait is None or 0 < wait <= 3 * 3600 + 1
            if wait is not None:
                clock.now += wait
                assert await allowed.refused_for("caller") is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: clock.now)
        asyncio.run(run())


# ── settings


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        *[(text, LIMITS_WRONG) for text in ("", " ", "60", "/minute", "60/", "60/fortnight", "-1/minute", "1.5/minute")],
        *[(text, LIMITS_WRONG) for text in ("sixty/minute", "60/minute;", "60/minute;x", "60\\minute", "9" * 5000 + "/minute")],
        *[(text, LIMIT_UNFIT) for text in ("0/minute", "5/minute;0/day", "1/11 years", "1/99999999999999999999 days")],
    ],
)  # fmt: skip
def test_wrong_limits_are_told(limits: str, why: str) -> None:
    with pytest.raises(ValueError, match="RATE_LIMIT is wrong") as caught:
        Rates(limits, MEMORY)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    "limits", ["60/minute", "60/minute;1000/day", "1 per second", "10 per 5 minutes", " 5/HOUR , 9/month|9/year "]
)
def test_limits_can_be_written_in_many_ways(limits: str) -> None:
    Rates(limits, MEMORY)


@pytest.mark.parametrize(
    ("storage", "why"),
    [
        *[(text, STORAGE_WRONG) for text in ("", "memory", "memory://x", "redis", "redis://", "redis:///0", "redis:s3cret")],
        *[(text, STORAGE_WRONG) for text in ("http://s3cret@h", "redis+unix://s3cret", "redis+cluster://:s3cret@h:1", "h:1")],
        *[(f"redis://:s3cret@{host}", STORAGE_WRONG) for host in ("", "h:x", "h:99999", "h:0", "[::1", "a b", "h%00", "ä")],
        *[(f"redis://:s3cret@{host}", STORAGE_WRONG) for host in ("x" * 99, "a..b", "s3cret@x y")],
        *[(f"redis://:s3cret@h?{query}", OPTIONS_WRONG) for query in ("s3cret=s3cret", "db=s3cret", "retry=s3cret")],
    ],
)  # fmt: skip
def test_a_wrong_storage_is_told_without_its_password(storage: str, why: str) -> None:
    with pytest.raises(ValueError, match="RATE_LIMIT_STORAGE is wrong") as caught:
        Rates("1/minute", storage)
    assert str(caught.value) == why
    assert "s3cret" not in repr(caught.value.__context__)


@pytest.mark.parametrize(
    "url", ["{}://h", "{}://:p%40ss@redis_1:6380/2", "{}://u:p@[::1]:1", "{}://10.0.0.1?socket_timeout=2&db=1"]
)
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_redis_can_be_anywhere(url: str, scheme: str) -> None:
    await Rates("1/minute", url.format(scheme)).close()


@pytest.mark.parametrize("module", ["redis", "redis.asyncio"])
def test_missing_packages_are_told_with_how_to_get_them(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("redis.asyncio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match="RATE_LIMIT_STORAGE needs") as caught:
        Rates("1/minute", "redis://127.0.0.1")
    assert str(caught.value) == PACKAGE_MISSING
    Rates("1/minute", MEMORY)


numbers = st.text("0123456789 ;,/|") | st.text()


@given(
    st.text() | st.tuples(numbers, st.sampled_from(["/", " per "]), numbers, st.sampled_from(["minute", "days"])).map("".join)
)
def test_wrong_limits_are_a_sentence(limits: str) -> None:
    assert told(limits, MEMORY).startswith("ValueError: RATE_LIMIT is wrong: ") or told(limits, MEMORY) == ""


@given(st.text() | st.tuples(st.sampled_from(["redis://", "rediss://", "redis://h?"]), st.text()).map("".join))
def test_a_wrong_storage_is_a_sentence(storage: str) -> None:
    assert told("1/minute", storage).startswith("ValueError: RATE_LIMIT_STORAGE is wrong: ") or told("1/minute", storage) == ""


def told(limits: str, storage: str) -> str:
    try:
        Rates(limits, storage)
    except ValueError as error:
        return f"{type(error).__name__}: {error}"
    return ""


# ── a storage that fails


@pytest.fixture
async def failing(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of a server that fails like the parameter says."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            if request.param == "hangs up":
                break
            if request.param != "is silent":
                writer.write(f"-{request.param} s3cret\r\n".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()


FAILURES = {
    "hangs up": "ConnectionError",
    "is silent": "TimeoutError",
    "ERR": "ResponseError",
    "LOADING": "BusyLoadingError",
    "WRONGPASS": "AuthenticationError",
}


@pytest.mark.parametrize(("failing", "name"), FAILURES.items(), indirect=["failing"])
async def test_where_calls_cannot_be_counted_they_pass(
    failing: str, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "_SECONDS_TO_ANSWER", 0.2)
    allowed = Rates("1/minute;2/day", f"redis://:s3cret@{failing}")
    with caplog.at_level(logging.DEBUG):
        assert await asyncio.wait_for(passing(allowed, 100, "0a1b2c3d"), 5) == 100
    await allowed.close()
    assert [(record.levelname, record.getMessage()) for record in caplog.records if record.name.startswith("ollama")] == [
        ("WARNING", f"RATE_LIMIT_STORAGE cannot be used ({name}): calls pass uncounted.")
    ]
    assert "s3cret" not in caplog.text
    assert "0a1b2c3d" not in caplog.text


async def test_the_log_says_so_once_a_minute_and_the_storage_is_tried_again(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = Rates("1/minute", f"redis://127.0.0.1:{free_port()}")
    attempts = 0
    attempt = allowed._limiter.test

    async def counting(*arguments: object) -> bool:
        nonlocal attempts
        attempts += 1
        return await attempt(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(allowed._limiter, "test", counting)
    for seconds, tries, lines in [(0, 1, 1), (0.9, 1, 1), (0.2, 2, 1), (58, 3, 1), (2, 4, 2), (1.1, 5, 2), (60, 6, 3)]:
        clock.now += seconds
        assert await passing(allowed, 3) == 3
        assert (attempts, len(caplog.records)) == (tries, lines)


async def test_what_is_no_failure_of_the_storage_is_no_reason_to_let_a_call_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = Rates("1/minute", MEMORY)
    monkeypatch.delattr(allowed._limiter, "storage")
    with pytest.raises(AttributeError):
        await allowed.refused_for("caller")


async def test_a_storage_in_memory_needs_no_closing() -> None:
    await Rates("1/minute", MEMORY).close()
