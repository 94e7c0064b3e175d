"""How tests wait: for a condition, with a limit that a busy machine does not reach. No test asserts how long something took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 120.0
"""Seconds after which a test gives up on what must happen."""


def wait_until(condition: Callable[[], object], what: Callable[[], str] = lambda: "it did not happen") -> None:
    """Return when the condition is true.

    Args:
        condition: asked again and again.
        what: describes the failure when the limit is reached.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.005)


def give_up(call: Callable[[float], object], error: type[Exception], reached: Callable[[], object]) -> None:
    """Have a client give up a call, but not before the call has got to where its end is to be noticed.

    Args:
        call: makes the call with a time-out in seconds.
        error: what the client raises when the time is over.
        reached: says whether the call has got there.
    """
    patience = 0.3
    while not reached():
        with pytest.raises(error):
            call(patience)
        patience *= 4
