"""Decides how long a call waits for a server that starts or loads its model, and when the call is made again."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ApiError, Unreachable
from ..translate.server_loading import says_loading

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_DELAY = 0.25
LONGEST_DELAY = 2.0


class WaitLimits(NamedTuple):
    """How long a call may wait.

    Attributes:
        seconds: for a server that says that it is loading; 0 is not at all.
        refused: whether a server that cannot be reached is waited for as well.
    """

    seconds: float = 0
    refused: bool = False


class ServerWait:
    """The waiting of one call.

    Args:
        limits: how long to wait.
        clock: the time in seconds.
        now: the time of day, in seconds of the Unix epoch.
    """

    def __init__(
        self, limits: WaitLimits, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._now = now
        self._until = clock() + limits.seconds
        self._delay = FIRST_DELAY

    def delay(self, *errors: ApiError) -> float | None:
        """Seconds after which the servers are to be asked again; None if none of them is to be asked.

        Args:
            errors: those of all servers that were asked.
        """
        asked_for = [self._asked_for(error) for error in errors if self._is_worth_it(error)]
        if not asked_for:
            return None
        # A server that asks for no wait at all would be asked without a pause.
        delay = min(self._delay if seconds is None else max(seconds, FIRST_DELAY) for seconds in asked_for)
        self._delay = min(self._delay * 2, LONGEST_DELAY)
        return delay if self._clock() + delay <= self._until else None

    def _is_worth_it(self, error: ApiError) -> bool:
        if isinstance(error, Unreachable):
            return self._limits.refused
        return says_loading(error.status, error.message)

    def _asked_for(self, error: ApiError) -> float | None:
        """The seconds that the server asks for with `Retry-After`."""
        return retry_after(error.headers.get("Retry-After", ""), self._now())


def retry_after(value: str, now: float) -> float | None:
    """The seconds of a header `Retry-After` (RFC 9110 §10.2.3), which has seconds or a date; None where it has neither.

    Args:
        value: of the header.
        now: the time of day, in seconds of the Unix epoch.
    """
    value = value.strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None
