"""How long a call waits for a server, and when it is made again."""

from __future__ import annotations

import pytest
from ollama_openai_proxy.errors import ApiError, BackendError, Unreachable
from ollama_openai_proxy.net.server_wait import ServerWait, WaitLimits, retry_after

from tests.unit.clock import Clock

NOW = 1_700_000_000.0
LOADING = BackendError(503, "Loading model")
AWAY = Unreachable(502, "cannot connect")


def wait(seconds: float = 10, *, refused: bool = False, clock: Clock | None = None) -> ServerWait:
    return ServerWait(WaitLimits(seconds, refused), clock=clock or Clock(), now=lambda: NOW)


def loading(told: str) -> ApiError:
    return BackendError(503, "Loading model", {"Retry-After": told})


def test_the_time_between_two_calls_grows() -> None:
    waiting = wait(1000)
    assert [waiting.delay(LOADING) for _ in range(5)] == [0.25, 0.5, 1.0, 2.0, 2.0]


def test_the_waiting_ends() -> None:
    clock = Clock()
    waiting = wait(10, clock=clock)
    assert waiting.delay(LOADING) == 0.25
    clock.now = 9.5
    assert waiting.delay(LOADING) == 0.5
    assert waiting.delay(LOADING) is None


def test_no_time_is_no_waiting() -> None:
    assert wait(0, refused=True).delay(LOADING) is None


@pytest.mark.parametrize(
    ("told", "delay"),
    [
        ("3", 3.0),
        ("10", 10.0),
        ("11", None),
        ("Tue, 14 Nov 2023 22:13:25 GMT", 5.0),
        ("soon", 0.25),
        ("0", 0.25),
        ("0.001", 0.25),
    ],
)
def test_the_server_says_when(told: str, delay: float | None) -> None:
    assert wait(10).delay(loading(told)) == delay


def test_of_several_servers_the_earliest_counts() -> None:
    assert wait().delay(loading("7"), loading("3"), BackendError(500, "boom")) == 3.0
    assert wait().delay(loading("7"), LOADING) == 0.25


def test_a_server_that_is_away_is_waited_for_where_that_was_wished() -> None:
    assert wait().delay(AWAY) is None
    assert wait(refused=True).delay(AWAY) == 0.25


def test_other_errors_are_not_waited_for() -> None:
    assert wait(refused=True).delay(BackendError(500, "boom"), BackendError(429, "slow down", {"Retry-After": "1"})) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 1.5 ", 1.5),
        ("-1", None),
        ("", None),
        ("\u0661", None),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2000 22:13:30 GMT", 0.0),
        ("tomorrow", None),
    ],
)
def test_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds
