"""A worker's connection to its supervisor: takes orders, and asks for the state that all workers share."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from .link_messages import MessageReader, encode
from .rate_windows import Counts

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ..net.request_context import Record
    from .link_messages import Message
    from .metric_sums import Report

REPORT_EVERY = 2.0
"""Seconds between two reports that a worker makes without being asked, so that little is lost when the worker is killed."""


class Link(asyncio.Protocol):
    """The connection of one worker.

    Args:
        channel: the worker's end of a pair of sockets.

    Attributes:
        orders: what is done at each of the supervisor's orders.
        report: makes the report of this worker's metrics.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._reader = MessageReader()
        self._transport: asyncio.Transport | None = None
        self._ids = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._learners: dict[str, Callable[[str, Any], None]] = {}
        self._early: list[Message] = []
        self._reporting: asyncio.Task[None] | None = None
        self._news = False
        self.orders: dict[str, Callable[[], None]] = {}
        self.report: Callable[[], Report] = list

    async def open(self) -> None:
        """Begin to take messages."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=self._channel)
        self._reporting = asyncio.get_running_loop().create_task(self._report_regularly())

    async def close(self) -> None:
        """Make the last report, and close the connection."""
        if self._reporting is not None:
            self._reporting.cancel()
        self.send("report", report=self.report())
        if self._transport is not None:
            self._transport.close()  # after what is still to be written
            self._transport = None
            await asyncio.sleep(0)

    def send(self, operation: str, **fields: Any) -> None:
        """Send a message that is not answered."""
        if self._transport is not None:
            self._transport.write(encode({"op": operation} | fields))

    async def ask(self, operation: str, **fields: Any) -> Any:
        """Send a message, and return the answer.

        Raises:
            ConnectionError: the supervisor has ended.
        """
        return await self.begin(operation, **fields)[1]

    def begin(self, operation: str, **fields: Any) -> tuple[int, asyncio.Future[Any]]:
        """Send a message; returns its id, and the answer to come."""
        number = next(self._ids)
        answer = asyncio.get_running_loop().create_future()
        if self._transport is None:
            answer.set_exception(ConnectionResetError("the supervisor has ended"))
            return number, answer
        self._asked[number] = answer
        answer.add_done_callback(lambda _: self._asked.pop(number, None))
        self.send(operation, id=number, **fields)
        return number, answer

    # -- What all workers know

    def learn(self, table: str, learner: Callable[[str, Any], None]) -> None:
        """Have a function called with each key and value that any worker tells, this one included.

        All workers hear everything in one order. The value None stands for a key that is removed. What was told before is
        heard at once.
        """
        self._learners[table] = learner
        early, self._early = self._early, []
        for message in early:
            self._take(message)

    def tell(self, table: str, key: str, value: Any) -> None:
        """Tell all workers, this one included, without waiting until they know."""
        self.send("know", table=table, key=key, value=value)

    async def told(self) -> None:
        """Wait until all workers have been sent what this one told: whichever of them gets the next request knows."""
        with suppress(ConnectionError):  # there are no others
            await self.ask("told")

    # -- What is told of each request, as to any observer

    def began(self, _: Record) -> None:
        """Do nothing: only requests that have ended are counted for good."""

    def ended(self, _: Record) -> None:
        """Have the next report made."""
        self._news = True

    # -- What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take messages."""
        for message in self._reader.feed(data):
            self._take(message)

    def connection_lost(self, _: Exception | None) -> None:
        """Stop serving: nobody would replace this worker, or tell it to stop."""
        orderly, self._transport = self._transport is None, None
        for answer in list(self._asked.values()):
            if not answer.done():
                answer.set_exception(ConnectionResetError("the supervisor has ended"))
        if not orderly and "stop" in self.orders:
            self.orders["stop"]()

    def _take(self, message: Message) -> None:
        match message:
            case {"id": number, "value": value}:
                answer = self._asked.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(value)
            case {"op": "known", "table": table, "key": key, "value": value}:
                if table in self._learners:
                    self._learners[table](key, value)
                else:
                    self._early.append(message)
            case {"op": "report", "to": number}:
                self.send("report", report=self.report(), to=number)
            case {"op": order} if order in self.orders:
                self.orders[order]()

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY)
            if self._news:
                self._news = False
                self.send("report", report=self.report())


class SharedPlaces:
    """How many calls are answered at a time, over all workers.

    Args:
        link: to the supervisor.
        most: how many are answered at a time; 0 is any number.
        most_waiting: how many may wait beside them.
        several: whether it is known that there is more than one caller.
        busy: makes the error for a caller who may not wait.
    """

    def __init__(
        self, link: Link, most: int, most_waiting: int, busy: Callable[[], Exception], *, several: bool = False
    ) -> None:
        self._link = link
        self._busy = busy
        self.limited = most > 0
        link.send("limits", most=most, most_waiting=most_waiting, several=several)

    async def enter(self, caller: str = "") -> None:
        """Take a place, or wait for one; raises the error of `busy`."""
        number, answer = self._link.begin("enter", caller=caller)
        try:
            allowed = await asyncio.shield(answer)
        except ConnectionError:  # the worker ends, too
            return
        except BaseException:
            self._link.send("withdraw", entering=number, caller=caller)
            answer.add_done_callback(lambda answer: self._came_too_late(answer, caller))
            raise
        if not allowed:
            raise self._busy()

    def _came_too_late(self, answer: asyncio.Future[Any], caller: str) -> None:
        if answer.exception() is None and answer.result():
            self.leave(caller)

    def leave(self, caller: str = "") -> None:
        """Give a place back."""
        self._link.send("leave", caller=caller)


class SharedRates:
    """How often each caller has called, over all workers."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def acquire(self, key: str, limit: int, seconds: int, amount: int) -> bool:
        """Count calls, if the limit allows the calls; returns whether it does."""
        return bool(await self._link.ask("acquire", key=key, limit=limit, seconds=seconds, amount=amount))

    async def counts(self, key: str, seconds: int) -> Counts:
        """Return the calls of a key; see `Counts`."""
        return Counts(*await self._link.ask("counts", key=key, seconds=seconds))
