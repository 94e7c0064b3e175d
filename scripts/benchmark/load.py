"""The load generator: a process that gets jobs, and answers each with what came of it.

It parses as little as will do, since what it costs is measured with every contestant: of a streamed answer it counts the line
feeds that are not part of HTTP's own lines, and reads the times in it. All times are of CLOCK_MONOTONIC, in nanoseconds.
"""

from __future__ import annotations

import asyncio
import gc
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CONNECT_SECONDS = 30.0
LAST_CHUNK = b"0\r\n\r\n"

_STAMP = re.compile(rb"@(\d{19})")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


@dataclass
class Job:
    """What to ask of a contestant.

    Attributes:
        port: where it listens, on loopback.
        method: of each request.
        path: of each request.
        body: of each request; ``TOKENS`` in it stands for the number of tokens.
        tokens: how many tokens each answer has; with `until`, those of the first stream.
        feeds: line feeds in one frame or event.
        streams: how many at the same time, each on a connection of its own.
        requests: how many one after another on each.
        reuse: how many of them use the same connection.
        opening: seconds over which the streams begin.
        pace: tokens in a second, where later streams get as many fewer as they began later, so that all end together.
        window: seconds after the beginning between which times in tokens count.
        timeout: seconds after which it is given up.
    """

    port: int
    body: str
    tokens: int
    method: str = "POST"
    path: str = "/api/chat"
    feeds: int = 1
    streams: int = 1
    requests: int = 1
    reuse: int = 1 << 30
    opening: float = 0.0
    pace: float = 0.0
    window: tuple[float, float] | None = None
    timeout: float = 120.0


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        seconds: from the first request to the end of the last answer.
        asked: how many requests there were to be.
        complete: how many answers came with all of their tokens and their end.
        tokens: in those.
        first_byte: seconds until it, the median over the requests.
        first_frame: seconds until it was complete, the median over the requests.
        whole: seconds until the end of the answer, the median over the requests.
        lag: seconds from the time in a token until it was read: the quantiles 0.5 and 0.99, and the largest.
        lags: how many were counted.
        error: of the first answer that was not complete.
    """

    seconds: float = 0.0
    asked: int = 0
    complete: int = 0
    tokens: int = 0
    first_byte: float = 0.0
    first_frame: float = 0.0
    whole: float = 0.0
    lag: list[float] = field(default_factory=list)
    lags: int = 0
    error: str = ""


class Caller(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, lags: list[int]) -> None:
        self._transport: asyncio.Transport
        self._lags = lags
        self._lost: str | None = None
        self._ended: asyncio.Future[str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        """End what has not ended."""
        self._lost = f"the connection was lost ({error or 'closed'})"
        framed = self._ended is not None and (self._chunked or self._length >= 0 or not self._in_body)
        self._end(self._lost if framed else "")

    def close(self) -> None:
        """Close it."""
        self._transport.close()

    async def ask(self, request: bytes, feeds: int, window: tuple[int, int] | None) -> str:
        """Send a request and wait for the end of its answer; returns what went wrong, or nothing.

        Afterwards `first_byte`, `first_frame`, `at_end` and `frames` are those of the answer.
        """
        if self._lost is not None:
            return self._lost
        self._in_body, self._chunked, self._length = False, False, -1
        self._head, self._tail, self._line_feeds = b"", b"", 0
        self._feeds, self._window = feeds, window
        self.first_byte = self.first_frame = self.at_end = 0
        self._ended = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._ended

    @property
    def frames(self) -> int:
        """How many frames, or events, have come."""
        return self._line_feeds // self._feeds

    def data_received(self, data: bytes) -> None:
        """Count."""
        now = time.monotonic_ns()
        if not self._in_body:
            if not self.first_byte:
                self.first_byte = now
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            data, self._head = self._head[end + 4 :], self._head[:end]
            self._read_head()
        if not self._chunked:
            self._length -= len(data)
            self._tail = data[-300:]
            if self._length == 0:
                self.first_frame = self.at_end = now
                self._end("")
            return
        self._line_feeds += data.count(b"\n") - data.count(b"\r\n") - (self._tail[-1:] == b"\r" and data[:1] == b"\n")
        if not self.first_frame and self._line_feeds >= self._feeds:
            self.first_frame = now
        if self._window is not None and self._window[0] <= now < self._window[1]:
            self._lags.extend(now - int(stamp) for stamp in _STAMP.findall(data))
        self._tail = (self._tail + data[-5:])[-5:]
        if self._tail == LAST_CHUNK:
            self.at_end = now
            self._end("")

    def _read_head(self) -> None:
        self._in_body = True
        self._chunked = b"transfer-encoding: chunked" in self._head.lower()
        length = _LENGTH.search(self._head)
        self._length = int(length[1]) if length else -1

    def _end(self, error: str) -> None:
        if self._ended is not None and not self._ended.done():
            status = self._head.split(b" ", 2)[1:2]
            if not error and status != [b"200"]:
                error = f"status {b''.join(status).decode()}: {self._tail.decode(errors='replace')}"
            self._ended.set_result(error)


class Run:
    """One job being done."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._lags: list[int] = []
        self._times: dict[str, list[int]] = {"first_byte": [], "first_frame": [], "at_end": []}
        self._outcome = Outcome(asked=job.streams * job.requests)
        self._last = 0

    async def outcome(self) -> Outcome:
        """Do it."""
        job, outcome = self._job, self._outcome
        begun = time.monotonic_ns()
        window = None if job.window is None else (begun + int(job.window[0] * 1e9), begun + int(job.window[1] * 1e9))
        try:
            async with asyncio.timeout(job.timeout), asyncio.TaskGroup() as group:
                for number in range(job.streams):
                    group.create_task(self._stream(number, window))
        except TimeoutError:
            outcome.error = outcome.error or f"not complete after {job.timeout:.0f} s"
        outcome.seconds = (self._last - begun) / 1e9
        for name, times in self._times.items():
            setattr(outcome, "whole" if name == "at_end" else name, _quantile(sorted(times), 0.5))
        lags = sorted(self._lags)
        outcome.lag, outcome.lags = [_quantile(lags, share) for share in (0.5, 0.99, 1.0)], len(lags)
        return outcome

    async def _stream(self, number: int, window: tuple[int, int] | None) -> None:
        job = self._job
        later = job.opening * number / job.streams
        await asyncio.sleep(later)
        tokens = job.tokens - int(later * job.pace)
        request = _request(job, tokens)
        caller: Caller | None = None
        for count in range(job.requests):
            begun = time.monotonic_ns()
            if caller is None or count % job.reuse == 0:
                if caller is not None:
                    caller.close()
                caller = await self._connect()
                if caller is None:
                    return
            error = await caller.ask(request, job.feeds, window)
            if error or (caller.frames < tokens and '"stream":false' not in job.body):
                self._outcome.error = self._outcome.error or error or f"only {caller.frames} frames of {tokens}"
                caller.close()
                caller = None
                continue
            self._outcome.complete += 1
            self._outcome.tokens += tokens
            self._last = max(self._last, caller.at_end)
            for name, times in self._times.items():
                times.append(getattr(caller, name) - begun)
        if caller is not None:
            caller.close()

    async def _connect(self) -> Caller | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, caller = await loop.create_connection(lambda: Caller(self._lags), "127.0.0.1", self._job.port)
        except OSError as error:
            self._outcome.error = self._outcome.error or f"cannot connect: {error}"
            return None
        return caller


def _request(job: Job, tokens: int) -> bytes:
    body = job.body.replace("TOKENS", str(tokens)).encode()
    head = f"{job.method} {job.path} HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _quantile(ordered: list[int], share: float) -> float:
    """In seconds; 0 where there is nothing."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] / 1e9 if ordered else 0.0


def serve(jobs: Connection) -> None:
    """Do the jobs that come, and send back what came of each."""
    # Its pauses would be taken for the contestants'.
    gc.disable()
    while True:
        jobs.send(asyncio.run(Run(jobs.recv()).outcome()))
        gc.collect()
