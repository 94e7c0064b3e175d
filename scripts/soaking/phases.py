"""What happens to the proxy in the course of a run: a mixed crowd again and again, and in between what is rarer."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from .cases import Case
from .clients import Clients
from .judging import Verdict, judge
from .planner import Planner
from .processes import Board, ProxyProcess
from .tally import BAD, Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from .cases import Mode
    from .clients import Seen
    from .judging import Judgement
    from .processes import Backend
    from .tally import Tally

type RarePhase = tuple[str, Callable[[], Awaitable[None]]]

QUICK_LANES, WAITING_LANES, PIPELINES = 24, 8, 2
BURST = 500
SETTLE_SECONDS = 60.0
"""How long the proxy may take to have cleaned up behind its clients."""
_EXCERPT = 300
_LOG = 3000


class Options(NamedTuple):
    """Of a run.

    Attributes:
        minutes: of each mode.
        patience: seconds after which an answer hangs.
        requests: of the crowds of each mode, instead of the minutes; 0 lets the minutes count.
    """

    seed: int
    minutes: float
    patience: float
    requests: int = 0

    @property
    def silence(self) -> float:
        """Seconds after which the proxy gives up who says nothing, which is long before a client's patience ends."""
        return 0.15 * self.patience


class Stretch(NamedTuple):
    """How long a crowd stays.

    Attributes:
        done: which part of it is over, as a number that is 1 in the end.
        last_wait: the part after which no client begins to wait for what will not come.
    """

    done: Callable[[], float]
    last_wait: float = 0.5


class Soak:
    """One mode's run.

    Args:
        mode: of the proxy.
        options: of the run.
        backend: the server behind it.
        folder: for files.
        tally: where all is counted.
    """

    def __init__(self, mode: Mode, options: Options, backend: Backend, folder: Path, tally: Tally) -> None:
        self._mode = mode
        self._options = options
        self._backend = backend
        self._folder = folder
        self._tally = tally
        self._planner = Planner(mode, options.seed)
        self._phase = "start"
        self._heavy = self._planner.heavy()
        # A client without company, whose connection nothing ends.
        self._kept = Clients(0, options.patience)

    async def run(self) -> None:
        """Soak, for the time or the requests that there are."""
        tally = self._tally
        begun = time.monotonic()
        rare: list[RarePhase] = [
            ("stops", self._stops),
            ("burst", self._burst),
            ("absence", self._absence),
            ("clock", self._clock),
            ("files", self._files),
        ]
        # A short run has no time for all of them; another seed tries others.
        first = self._options.seed % len(rare)
        rare = rare[first:] + rare[:first]
        async with self._checked_proxy() as (proxy, clients):
            self._kept.port = proxy.port
            await (self._by_requests if self._options.requests else self._by_time)(proxy, clients, rare)
            self._phase = "end"
            await self._kept.close()
        if not tally.verdicts[Verdict.RIGHT]:
            self._fail("process", "not one answer was right: nothing was tried")
        tally.skipped = [name for name, _ in rare if not tally.phases[name]]
        tally.positions, tally.walked = len(self._planner.cuts), self._planner.walked
        tally.most_uses = max(clients.most_uses, self._kept.most_uses)
        tally.seconds = time.monotonic() - begun

    async def alone(self, case: Case) -> tuple[list[Seen], list[Judgement]]:
        """Try one case on a proxy of its own."""
        async with self._checked_proxy() as (_, clients):
            return await self._try(clients, case)

    async def _by_time(self, proxy: ProxyProcess, clients: Clients, rare: Sequence[RarePhase]) -> None:
        """Crowds, and after each a rare phase that there is time for."""
        seconds = self._options.minutes * 60
        deadline = time.monotonic() + seconds
        slice_seconds = min(max(seconds / 12, 3.0), 30.0)
        longest, turn = 0.0, 0
        while (left := deadline - time.monotonic()) > slice_seconds / 2:
            stretch = self._seconds(min(slice_seconds, left))
            await self._go_through("crowd", self._crowd(proxy, clients, stretch, heavy=turn % 4 == 0))
            if deadline - time.monotonic() > longest:
                name, phase = rare[turn % len(rare)]
                started = time.monotonic()
                await self._go_through(name, phase())
                longest = max(longest, time.monotonic() - started)
            turn += 1

    async def _by_requests(self, proxy: ProxyProcess, clients: Clients, rare: Sequence[RarePhase]) -> None:
        """Two crowds with half of the requests each, one of them with large calls, and a rare phase after each."""
        for heavy, (name, phase) in zip((True, False), rare, strict=False):
            stretch = self._requests(self._options.requests // 2)
            await self._go_through("crowd", self._crowd(proxy, clients, stretch, heavy=heavy))
            await self._go_through(name, phase())

    def _seconds(self, seconds: float) -> Stretch:
        begun = time.monotonic()
        return Stretch(lambda: (time.monotonic() - begun) / seconds, 1 - min(0.5, self._options.silence / seconds))

    def _requests(self, number: int) -> Stretch:
        before = self._tally.requests
        return Stretch(lambda: (self._tally.requests - before) / number)

    # -- The phases ----------------------------------------------------------------------------------------------------

    async def _crowd(self, proxy: ProxyProcess, clients: Clients, stretch: Stretch, *, heavy: bool) -> None:
        """Everyone at once."""

        async def lane(next_case: Callable[[], Case], until: float = 1, clients: Clients = clients) -> None:
            while stretch.done() < until:
                await self._try(clients, next_case())

        samples: list[tuple[int, int]] = []

        async def watch() -> None:
            while stretch.done() < 1:
                samples.append((self._tally.requests, proxy.memory()))
                await asyncio.sleep(1)

        planner = self._planner
        lanes = [lane(planner.quick) for _ in range(QUICK_LANES)]
        lanes += [lane(planner.waiting, stretch.last_wait) for _ in range(WAITING_LANES)]
        lanes += [lane(planner.pipelined) for _ in range(PIPELINES)]
        lanes.append(lane(planner.kept, clients=self._kept))
        # What is large for a moment says nothing about what stays.
        lanes.append(lane(lambda: next(self._heavy), 0.5) if heavy else watch())
        await asyncio.gather(*lanes)
        self._tally.samples += [samples] if samples else []

    async def _burst(self) -> None:
        """Many streams at once, all of which must come to their end."""
        # How long a proxy takes to begin so many answers is for the benchmark to say.
        async with self._checked_proxy(REQUEST_TIMEOUT="60", STREAM_IDLE_TIMEOUT="60") as (_, clients):
            await self._all(clients, [self._planner.paced(10) for _ in range(BURST)], only_right=True)

    async def _stops(self) -> None:
        """SIGTERM, a new start, SIGKILL, and a new start, each in the middle of streams and on the same port."""
        async with self._proxy() as (proxy, clients):
            port = proxy.port
            await self._warm_up(clients)
            brief = self._start(clients, [self._planner.paced(5) for _ in range(10)], only_right=True)
            long = self._start(clients, [self._planner.paced(50) for _ in range(10)], only_error=True)
            await asyncio.sleep(0.5)
            await asyncio.gather(self._end(proxy), *brief, *long)
        async with self._proxy(port) as (proxy, clients):
            await self._warm_up(clients)
            killed = self._start(clients, [self._planner.paced(30) for _ in range(10)], may_break=True, only_error=True)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(proxy.end, signal.SIGKILL)
            await asyncio.gather(*killed)
        async with self._checked_proxy(port) as (_, clients):
            await self._all(clients, [self._planner.plain() for _ in range(10)], only_right=True)

    async def _absence(self) -> None:
        """A server behind the proxy that is away for a while, and one that does not speak TLS."""
        async with self._checked_proxy() as (_, clients):
            await asyncio.to_thread(self._backend.ask, "away?1.5")
            await asyncio.sleep(0.2)
            await self._all(clients, [self._planner.plain() for _ in range(20)], only_error=True)
            await asyncio.sleep(2)
            await self._all(clients, [self._planner.plain() for _ in range(20)], only_right=True)
        if self._mode == "fix":
            for port in (self._backend.port, self._backend.encrypted_port):
                async with self._proxy(OLLAMA_UPSTREAM_URL=f"https://127.0.0.1:{port}") as (proxy, clients):
                    await self._all(clients, [self._planner.plain() for _ in range(5)], only_error=True)
                    await self._end(proxy)

    async def _clock(self) -> None:
        """A clock that jumps while a crowd is there."""
        board = Board(self._folder)
        async with self._checked_proxy(board=board) as (_, clients):

            async def jump() -> None:
                while True:
                    for seconds in (3600.0, -86_400.0, 0.5, 315_360_000.0, -315_360_000.0, 0.0):
                        board.move_clock(seconds)
                        await asyncio.sleep(0.3)

            until = time.monotonic() + 3

            async def lane() -> None:
                while time.monotonic() < until:
                    await self._try(clients, self._planner.quick())

            jumping = asyncio.create_task(jump())
            paced = self._start(clients, [self._planner.paced(10) for _ in range(10)], only_right=True)
            await asyncio.gather(*(lane() for _ in range(QUICK_LANES)), *paced)
            jumping.cancel()
            board.move_clock(0.0)

    async def _files(self) -> None:
        """No room for another open file; all must be well again when there is."""
        async with self._checked_proxy() as (proxy, clients):
            idle = proxy.sockets()
            proxy.limit_files(proxy.files() + 20)
            await self._all(clients, [self._planner.paced(5) for _ in range(60)], may_break=True)
            await clients.close()
            await self._settled(proxy, idle)
            await self._all(clients, [self._planner.plain() for _ in range(5)], only_right=True)

    # -- Their parts ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _proxy(
        self, port: int = 0, board: Board | None = None, **settings: str
    ) -> AsyncIterator[tuple[ProxyProcess, Clients]]:
        silence = self._options.silence
        proxy = ProxyProcess(self._mode, self._backend, self._folder, silence=silence, port=port, board=board, **settings)
        await asyncio.to_thread(proxy.__enter__)
        clients = Clients(proxy.port, self._options.patience)
        try:
            yield proxy, clients
        finally:
            await clients.close()
            proxy.__exit__()

    @asynccontextmanager
    async def _checked_proxy(
        self, port: int = 0, board: Board | None = None, **settings: str
    ) -> AsyncIterator[tuple[ProxyProcess, Clients]]:
        """A warm proxy, of which it is seen that nothing is left of its clients, and that it ends well."""
        async with self._proxy(port, board, **settings) as (proxy, clients):
            await self._warm_up(clients)
            idle = await self._settled(proxy)
            tasks = proxy.tasks() if board else None
            yield proxy, clients
            await clients.close()
            await self._check_left(proxy, idle, tasks)
            await self._end(proxy)

    async def _warm_up(self, clients: Clients) -> None:
        for call in ("chat", "v1"):
            await self._try(clients, Case(self._mode, call), only_right=True)
        await clients.close()

    async def _go_through(self, name: str, phase: Awaitable[None]) -> None:
        self._phase = name
        await phase
        self._tally.phases[name] += 1

    async def _end(self, proxy: ProxyProcess) -> None:
        if (status := await asyncio.to_thread(proxy.end)) != 0:
            self._fail("process", f"SIGTERM ended the proxy with status {status}: {proxy.log[-_LOG:]}")
        self._tally.complain(proxy.complaints, self._phase)

    def _start(
        self, clients: Clients, cases: Iterable[Case], **expected: bool
    ) -> list[asyncio.Task[tuple[list[Seen], list[Judgement]]]]:
        return [asyncio.create_task(self._try(clients, case, **expected)) for case in cases]

    async def _all(self, clients: Clients, cases: Iterable[Case], **expected: bool) -> None:
        await asyncio.gather(*self._start(clients, cases, **expected))

    async def _try(
        self, clients: Clients, case: Case, *, may_break: bool = False, only_right: bool = False, only_error: bool = False
    ) -> tuple[list[Seen], list[Judgement]]:
        """Do what a case says, and count what became of it."""
        seen = await clients.perform(case)
        judgements = [judge(case, each, may_break=may_break, only_right=only_right, only_error=only_error) for each in seen]
        for each, judgement in zip(seen, judgements, strict=True):
            self._tally.verdicts[judgement.verdict] += 1
            self._tally.faults[case.fault if case.manner in ("stay", "new") else case.manner] += 1
            if judgement.verdict in BAD:
                excerpt = f"{each.status} {each.body[-_EXCERPT:]!r}"
                self._tally.fail(Failure(judgement.verdict, self._phase, str(case), judgement.why, excerpt))
        return seen, judgements

    def _fail(self, kind: str, why: str) -> None:
        self._tally.fail(Failure(kind, self._phase, "", why))

    async def _settled(self, proxy: ProxyProcess, wanted: int | None = None) -> int:
        """How many sockets the proxy has when nobody calls: when it has `wanted`, or when that does not change any more."""
        deadline = time.monotonic() + SETTLE_SECONDS
        before = -1
        while True:
            # A connection that the back end has closed is noticed by the next call.
            await asyncio.to_thread(self._backend.ask, "rest")
            clients = Clients(proxy.port, self._options.patience)
            for call in ("chat", "v1"):
                await clients.perform(Case(self._mode, call, manner="new"))
            await asyncio.to_thread(self._backend.ask, "rest")
            await asyncio.sleep(0.2)
            now = proxy.sockets()
            enough = now <= wanted if wanted is not None else now == before
            if enough or time.monotonic() > deadline:
                return now
            before = now

    async def _check_left(self, proxy: ProxyProcess, idle: int, tasks: int | None = None) -> None:
        """See that nothing is left of the clients that have gone."""
        tally = self._tally
        sockets = await self._settled(proxy, idle)
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            requests = await asyncio.to_thread(proxy.in_flight)
            calls = (await asyncio.to_thread(self._backend.ask, "state"))["answering"]
            more = proxy.tasks() - tasks if tasks is not None else 0
            if not (requests or calls or more > 0) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        tally.leave("sockets", sockets - idle, self._phase)
        tally.leave("requests", requests, self._phase)
        tally.leave("back-end calls", calls, self._phase)
        tally.leave("tasks", more, self._phase)
