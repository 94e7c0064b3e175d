"""The state that all workers share. The supervisor keeps it, and each worker asks for it and changes it with messages.

| operation | fields | answer |
| --- | --- | --- |
| `limits` | `most`, `most_waiting`: MAX_CONCURRENT_REQUESTS and MAX_QUEUED_REQUESTS | none |
| `enter` | none | whether the worker has a place, once there is one; false if too many wait |
| `withdraw` | `entering`: the id of an `enter` that nobody waits for any more | none |
| `leave` | none | none |
| `acquire` | `key`, `limit`, `seconds`, `amount` | whether the calls are allowed |
| `counts` | `key`, `seconds` | the four numbers of `Counts` |
| `know` | `table`, `key`, `value`; null removes the key | none |
| `told` | none | null, after everything that the worker let know was sent to all workers |
| `gather` | none | the report of each other worker, and the report of the workers that have ended |
| `report` | `report`; `to`: the id that the worker was asked with, if it was | none |

A worker is asked for its report with the operation `report`, and told what all know with `known`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from ..guard.turns import TooManyWaiting, Turns
from .metric_sums import add_up, lasting
from .rate_windows import RateWindows

if TYPE_CHECKING:
    from collections.abc import Callable

    from .messages import Message
    from .metric_sums import Report

REPORT_SECONDS = 2.0
"""How long a worker may take to report; after that its latest report counts."""
MOST_KNOWN = 1000
"""Keys of a table; the oldest makes way."""


class Peer(Protocol):
    """A worker."""

    def send(self, message: Message) -> None:
        """Send a message, without waiting."""


class _Member:
    """What belongs to one worker: places, and its latest report."""

    def __init__(self) -> None:
        self.places = 0
        self.latest: Report = []


class _Gathering:
    """Reports on their way to the worker that asked for them."""

    def __init__(self, asker: Peer, number: int, missing: set[Peer], until: float) -> None:
        self.asker = asker
        self.number = number
        self.missing = missing
        self.until = until
        self.reports: list[Report] = []


class SharedState:
    """Answers the messages of workers.

    Args:
        clock: seconds of the Unix epoch.
        monotonic: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._members: dict[Peer, _Member] = {}
        self._turns: Turns[tuple[Peer, int]] = Turns(0, 0)
        self._windows = RateWindows()
        self._known: dict[str, dict[str, Any]] = {}
        self._ended: Report = []
        self._gatherings: dict[int, _Gathering] = {}
        self._next_gathering = 0

    def join(self, worker: Peer) -> None:
        """Take a new worker in, and tell the worker what all know."""
        self._members[worker] = _Member()
        for table, values in self._known.items():
            for key, value in values.items():
                worker.send({"op": "known", "table": table, "key": key, "value": value})

    def leave(self, worker: Peer) -> None:
        """Give back what a worker had that has ended; what the worker counted stays."""
        member = self._members.pop(worker)
        self._turns.withdraw_all(lambda waiter: waiter[0] is worker)
        for _ in range(member.places):
            self._give_back()
        self._ended = add_up([self._ended, lasting(member.latest)])
        for number, gathering in list(self._gatherings.items()):
            if gathering.asker is worker:
                del self._gatherings[number]
            elif worker in gathering.missing:
                gathering.missing.discard(worker)
                self._finish(number)

    def take(self, worker: Peer, message: Message) -> bool:
        """Take a message; returns False if the message is about something else."""
        member = self._members[worker]
        match message:
            case {"op": "limits", "most": most, "most_waiting": most_waiting}:
                for waiter in self._turns.resize(most, most_waiting):
                    self._admit(waiter)
            case {"op": "enter", "id": number}:
                try:
                    if self._turns.enter((worker, number)):
                        self._admit((worker, number))
                except TooManyWaiting:
                    _answer(worker, number, value=False)
            case {"op": "withdraw", "entering": number}:
                # Otherwise the answer is on its way.
                if self._turns.withdraw((worker, number)):
                    _answer(worker, number, value=False)
            case {"op": "leave"}:
                member.places -= 1
                self._give_back()
            case {"op": "acquire", "id": number, "key": key, "limit": limit, "seconds": seconds, "amount": amount}:
                _answer(worker, number, self._windows.acquire(key, limit, seconds, amount, self._clock()))
            case {"op": "counts", "id": number, "key": key, "seconds": seconds}:
                _answer(worker, number, self._windows.counts(key, seconds, self._clock()))
            case {"op": "know", "table": table, "key": key, "value": value}:
                self._learn(table, key, value)
            case {"op": "told", "id": number}:
                _answer(worker, number, None)
            case {"op": "gather", "id": number}:
                self._gather(worker, number)
            case {"op": "report", "report": report}:
                member.latest = report
                if (gathering := self._gatherings.get(message.get("to", -1))) and worker in gathering.missing:
                    gathering.missing.discard(worker)
                    gathering.reports.append(report)
                    self._finish(message["to"])
            case _:
                return False
        return True

    # -- Time

    def next_deadline(self) -> float | None:
        """Return until when `look` is to be called, in seconds of the monotonic clock."""
        return min((gathering.until for gathering in self._gatherings.values()), default=None)

    def look(self) -> None:
        """Wait no longer for what has taken too long."""
        now = self._monotonic()
        for number, gathering in list(self._gatherings.items()):
            if gathering.until <= now:
                gathering.reports += [self._members[worker].latest for worker in gathering.missing]
                gathering.missing.clear()
                self._finish(number)

    # -- The parts

    def _admit(self, waiter: tuple[Peer, int]) -> None:
        worker, number = waiter
        self._members[worker].places += 1
        _answer(worker, number, value=True)

    def _give_back(self) -> None:
        if (waiter := self._turns.leave()) is not None:
            self._admit(waiter)

    def _learn(self, table: str, key: str, value: Any) -> None:
        values = self._known.setdefault(table, {})
        values.pop(key, None)
        if value is not None:
            values[key] = value
            if len(values) > MOST_KNOWN:
                del values[next(iter(values))]
        for worker in self._members:
            worker.send({"op": "known", "table": table, "key": key, "value": value})

    def _gather(self, worker: Peer, number: int) -> None:
        others = set(self._members) - {worker}
        self._next_gathering += 1
        gathering = _Gathering(worker, number, set(others), self._monotonic() + REPORT_SECONDS)
        self._gatherings[self._next_gathering] = gathering
        for other in others:
            other.send({"op": "report", "to": self._next_gathering})
        self._finish(self._next_gathering)

    def _finish(self, number: int) -> None:
        gathering = self._gatherings[number]
        if not gathering.missing:
            del self._gatherings[number]
            _answer(gathering.asker, gathering.number, [*gathering.reports, self._ended])


def _answer(worker: Peer, number: int, value: Any) -> None:
    worker.send({"id": number, "value": value})
