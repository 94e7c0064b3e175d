"""The state that all workers share. The supervisor keeps it, and each worker asks for it and changes it with messages.

| operation | fields | answer |
| --- | --- | --- |
| `limits` | `most`, `most_waiting`, `several`: see `Turns` | none |
| `enter` | `caller` | whether the call has a place, as soon as this is known |
| `withdraw` | `entering`, `caller`: id and caller of an `enter` that nobody waits for any more | none |
| `leave` | `caller` | none |
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
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from ..guard.turns import Turns
from .link_messages import encode
from .metric_sums import add_up, lasting
from .rate_windows import RateWindows

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link_messages import Message
    from .metric_sums import Report

REPORT_SECONDS = 2.0
"""How long a worker may take to report; after that its latest report counts."""
MOST_KNOWN = 10_000
"""Keys of a table; the oldest makes way."""
MOST_KNOWN_BYTES = 16 << 20
"""Bytes of a table's values as JSON; the oldest makes way."""


class Peer(Protocol):
    """A worker."""

    def send(self, message: Message) -> None:
        """Send a message, without waiting."""


type _Call = tuple[Peer, int, str]
"""The worker, the id of `enter`, and the caller."""


class _Member:
    """What belongs to one worker: the callers that have places, and its latest report."""

    def __init__(self) -> None:
        self.places: list[str] = []
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
        self._turns: Turns[_Call] = Turns(self._has_turn, monotonic)
        self._windows = RateWindows()
        self._known: dict[str, dict[str, Any]] = {}
        self._sizes: dict[str, dict[str, int]] = {}
        self._totals: Counter[str] = Counter()  # the sums of the sizes of each table
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
        self._turns.withdraw_all(lambda call: call[0] is worker)
        for caller in member.places:
            self._turns.leave(caller)
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
            case {"op": "limits", "most": most, "most_waiting": most_waiting, "several": several}:
                self._turns.set_limits(most, most_waiting, several=several)
            case {"op": "enter", "id": number, "caller": caller}:
                self._turns.enter((worker, number, caller), caller)
            case {"op": "withdraw", "entering": number, "caller": caller}:
                # Otherwise the answer is on its way.
                if self._turns.withdraw((worker, number, caller), caller):
                    _answer(worker, number, value=False)
            case {"op": "leave", "caller": caller}:
                member.places.remove(caller)
                self._turns.leave(caller)
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

    def _has_turn(self, call: _Call, has_place: bool) -> None:  # as `Turns` tells
        worker, number, caller = call
        if has_place:
            self._members[worker].places.append(caller)
        _answer(worker, number, has_place)

    def _learn(self, table: str, key: str, value: Any) -> None:
        values = self._known.setdefault(table, {})
        sizes = self._sizes.setdefault(table, {})
        values.pop(key, None)
        self._totals[table] -= sizes.pop(key, 0)
        if value is not None:
            values[key], sizes[key] = value, len(encode(value))
            self._totals[table] += sizes[key]
            while len(values) > MOST_KNOWN or self._totals[table] > MOST_KNOWN_BYTES:
                oldest = next(iter(values))
                del values[oldest]
                self._totals[table] -= sizes.pop(oldest)
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
