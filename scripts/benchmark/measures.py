"""What is measured, and how: each group of measures is one function, applied to one contestant at a time."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .contestants import Failed, Process, cpu_seconds
from .load import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from .contestants import Contestant, Load
    from .load import Outcome

SETTLE_SECONDS = 0.2
WARM_UP_REQUESTS = 20
FEW_TOKENS = 8
PACE = 20.0
LEAD_SECONDS = 0.5
"""Between the opening of the last stream and the first token whose lag counts."""
TRAIL_SECONDS = 0.25
"""Between the last token whose lag counts and the end of the streams."""
GROWTH_STREAMS = 16
REQUESTS_IN_A_CONNECTION = 20
SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "of the file"},
        "content": {"type": "string"},
        "lines": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["path"],
}
SLOWEST = 50.0
"""Requests in a second that every contestant can be expected to answer."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        rounds: how often all is repeated.
        requests: one after another, for the times of a call.
        whole_tokens: in an answer that is not streamed.
        tokens: in a streamed answer, for the rate.
        rate_seconds: for which the rate is taken.
        lag_streams: paced streams, of which the lag is taken.
        crowd_streams: the same, more of them.
        opening: new paced streams in a second.
        lag_seconds: for which the lag is taken.
        early: requests after which the memory is read.
        late: requests after which it is read again.
        scale_streams: numbers of paced streams.
        scale_messages: numbers of messages in a conversation.
        scale_tools: numbers of tools in a call.
        scale_requests: one after another, for each of the last two.
        afresh: whether each program is started once before all, since the first start compiles modules, and once more for the
            growth of its memory.
    """

    rounds: int = 5
    requests: int = 1_000
    whole_tokens: int = 64
    tokens: int = 500
    rate_seconds: float = 2.0
    lag_streams: int = 200
    crowd_streams: int = 500
    opening: float = 100.0
    lag_seconds: float = 5.0
    early: int = 1_000
    late: int = 20_000
    scale_streams: tuple[int, ...] = (50, 200, 500, 1_000)
    scale_messages: tuple[int, ...] = (10, 100, 1_000)
    scale_tools: tuple[int, ...] = (1, 10, 100)
    scale_requests: int = 50
    afresh: bool = True


QUICK = Sizes(
    rounds=1,
    requests=30,
    tokens=50,
    rate_seconds=0.3,
    lag_streams=30,
    crowd_streams=60,
    lag_seconds=0.5,
    early=48,
    late=144,
    scale_streams=(10, 20),
    scale_messages=(2, 20),
    scale_tools=(1, 3),
    scale_requests=3,
    afresh=False,
)


@dataclass(frozen=True)
class Measure:
    """One figure.

    Attributes:
        label: what it is; `{…}` stands for a size.
        unit: after `scale` was applied to what was measured, in seconds, bytes or frames.
    """

    label: str
    unit: str
    scale: float = 1.0
    digits: int = 2


MEASURES: dict[str, Measure] = {
    "first_byte": Measure("first byte, 1 stream", "ms", 1e3),
    "first_frame": Measure("first frame, 1 stream", "ms", 1e3),
    "first_frame_new": Measure("first frame, on a new connection", "ms", 1e3),
    "unstreamed": Measure("unstreamed call, {whole_tokens} tokens", "ms", 1e3),
    "rate_1": Measure("frames/s, 1 stream", "1/s", 1, 0),
    "rate_16": Measure("frames/s, 16 streams", "1/s", 1, 0),
    "rate_64": Measure("frames/s, 64 streams", "1/s", 1, 0),
    "cpu": Measure("CPU time per frame, 16 streams", "µs", 1e6, 1),
    "cpu_paced": Measure("CPU time per frame, {lag_streams} paced streams", "µs", 1e6, 1),
    "lag_median": Measure("lag, {lag_streams} paced streams: median", "ms", 1e3),
    "lag_p99": Measure("lag, {lag_streams} paced streams: 99th percentile", "ms", 1e3),
    "lag_lost": Measure("streams lost of {lag_streams}", "", 1, 0),
    "cpu_load": Measure("CPU time per frame of the load generator itself", "µs", 1e6, 1),
    "cpu_passed": Measure("CPU time per frame that passes, {lag_streams} paced streams", "µs", 1e6, 1),
    "passed_p99": Measure("lag of frames that pass: 99th percentile", "ms", 1e3),
    "cpu_arguments": Measure("CPU time per piece of arguments, {lag_streams} paced calls", "µs", 1e6, 1),
    "arguments_p99": Measure("lag of arguments: 99th percentile", "ms", 1e3),
    "crowd_median": Measure("lag, {crowd_streams} paced streams: median", "ms", 1e3),
    "crowd_p99": Measure("lag, {crowd_streams} paced streams: 99th percentile", "ms", 1e3),
    "crowd_lost": Measure("streams lost of {crowd_streams}", "", 1, 0),
    "memory_stream": Measure("memory per open stream, {lag_streams} streams", "kB", 1e-3, 0),
    "memory_early": Measure("memory after {early:,} requests", "MB", 1e-6, 1),
    "memory_late": Measure("memory after {late:,} requests", "MB", 1e-6, 1),
    "start_up": Measure("start to first answer", "s", 1, 2),
}
TIMES_OF_A_CALL = ("first_byte", "first_frame", "first_frame_new", "unstreamed")
"""Of these, what a contestant adds to the floor counts; that is a measure of its own, named `added_…`."""
MEASURES |= {
    f"added_{key}": Measure(f"added: {MEASURES[key].label}", MEASURES[key].unit, MEASURES[key].scale) for key in TIMES_OF_A_CALL
}
for _sizes in (Sizes(), QUICK):
    for _number in _sizes.scale_streams:
        MEASURES[f"scale_cpu_{_number}"] = Measure(
            f"CPU time per frame, {_number:,} paced streams of a growing number", "µs", 1e6, 1
        )
        MEASURES[f"scale_median_{_number}"] = Measure(f"lag, {_number:,} paced streams of a growing number: median", "ms", 1e3)
        MEASURES[f"scale_p99_{_number}"] = Measure(
            f"lag, {_number:,} paced streams of a growing number: 99th percentile", "ms", 1e3
        )
    for _number in _sizes.scale_messages:
        MEASURES[f"messages_{_number}"] = Measure(f"unstreamed call, {_number:,} messages", "ms", 1e3)
    for _number in _sizes.scale_tools:
        MEASURES[f"tools_{_number}"] = Measure(f"unstreamed call, tools: {_number:,}", "ms", 1e3)
FLOORS = {"translate": "direct", "fix": "fix-direct"}

type Values = dict[str, float]
type Results = dict[str, dict[str, list[float]]]
"""By contestant and measure, a value for each round; not a number where there is none."""


class Course:
    """One contestant under measurement, in one round."""

    def __init__(self, process: Process, load: Load, sizes: Sizes, repeats: dict[tuple[str, int], int]) -> None:
        self._process = process
        self._load = load
        self._sizes = sizes
        self._repeats = repeats
        self.contestant = process.contestant
        self.errors: list[str] = []

    def warm_up(self) -> None:
        """Let it load and connect what its first calls need."""
        for stream in (True, False):
            self._do(self._job("blast", FEW_TOKENS, stream=stream, requests=WARM_UP_REQUESTS))

    def times(self) -> Values:
        """The times of one call after another."""
        requests = self._sizes.requests
        kept = self._do(self._job("blast", FEW_TOKENS, requests=requests))
        if self.contestant.mode == "fix":
            return {"first_byte": kept.first_byte}
        new = self._do(self._job("blast", FEW_TOKENS, requests=requests, reuse=1))
        whole = self._do(self._job("blast", self._sizes.whole_tokens, stream=False, requests=requests))
        return {"first_frame": kept.first_frame, "first_frame_new": new.first_frame, "unstreamed": whole.whole}

    def rates(self) -> Values:
        """Frames in a second, as many as it can."""
        values: Values = {}
        for streams in (16,) if self.contestant.mode == "fix" else (1, 16, 64):
            requests = self._requests(streams)
            before = self._process.cpu_seconds()
            outcome = self._do(self._job("blast", self._sizes.tokens, streams=streams, requests=requests))
            values[f"rate_{streams}"] = outcome.tokens / outcome.seconds
            if streams == 16:
                values["cpu"] = (self._process.cpu_seconds() - before) / max(outcome.tokens, 1)
        return values

    def _requests(self, streams: int) -> int:
        """How many answers each stream needs for the time that is wanted; every contestant's answers are equally long."""
        key = self.contestant.name, streams
        if key not in self._repeats:
            tried = self._do(self._job("blast", self._sizes.tokens, streams=streams))
            self._repeats[key] = max(round(self._sizes.rate_seconds / tried.seconds), 1)
        return self._repeats[key]

    def lag(self) -> Values:
        """From a token's departure to its arrival, and what an open stream takes."""
        before = self._process.memory()
        load_before = cpu_seconds(self._load.pid)
        outcome, cpu, most = self._paced(self._sizes.lag_streams)
        return {
            # Of the whole stream, whose beginning and end cost little beside its frames.
            "cpu_load": (cpu_seconds(self._load.pid) - load_before) / max(outcome.tokens, 1),
            "cpu_paced": cpu / max(outcome.lags, 1),
            "memory_stream": (most - before) / self._sizes.lag_streams,
            "lag_median": outcome.lag[0],
            "lag_p99": outcome.lag[1],
            "lag_lost": outcome.asked - outcome.complete,
        }

    def crowd(self) -> Values:
        """The same with more streams."""
        outcome, *_ = self._paced(self._sizes.crowd_streams)
        return {
            "crowd_median": outcome.lag[0],
            "crowd_p99": outcome.lag[1],
            "crowd_lost": outcome.asked - outcome.complete,
        }

    def paths(self) -> Values:
        """Paced streams on paths other than Ollama's own."""
        if not self.contestant.has_all_paths:
            return {}
        values: Values = {}
        for name, path, kind in (("passed", "/v1/chat/completions", "paced"), ("arguments", "/v1/messages", "tools")):
            outcome, cpu, _ = self._paced(self._sizes.lag_streams, path, kind)
            if outcome.lags:
                values |= {f"{name}_p99": outcome.lag[1], f"cpu_{name}": cpu / outcome.lags}
        return values

    def scale(self) -> Values:
        """How the cost grows with the number of streams, of messages, and of tools."""
        values: Values = {}
        for streams in self._sizes.scale_streams:
            outcome, cpu, _ = self._paced(streams)
            values[f"scale_median_{streams}"], values[f"scale_p99_{streams}"] = outcome.lag[:2]
            values[f"scale_cpu_{streams}"] = cpu / max(outcome.lags, 1)
        for number in self._sizes.scale_messages:
            values[f"messages_{number}"] = self._whole_call(messages=number)
        for number in self._sizes.scale_tools:
            values[f"tools_{number}"] = self._whole_call(tools=number)
        return values

    def _whole_call(self, *, messages: int = 1, tools: int = 0) -> float:
        job = self._job("blast", FEW_TOKENS, stream=False, requests=self._sizes.scale_requests)
        body = json.loads(job.body)
        roles = ("user", "assistant")
        text = "What a client of a chat sends again with each further question. " * 3
        body["messages"] = [
            *({"role": roles[number % 2], "content": text} for number in range(messages - messages % 2)),
            *body["messages"],
        ][-messages:]
        if tools:
            body["tools"] = [_tool(number) for number in range(tools)]
        return self._do(replace(job, body=json.dumps(body, separators=(",", ":")))).whole

    def _paced(self, streams: int, path: str | None = None, kind: str = "paced") -> tuple[Outcome, float, float]:
        """Also returns the CPU time of the seconds in which the lag was taken, and the memory of that time."""
        opening = streams / self._sizes.opening
        begin = opening + LEAD_SECONDS
        seconds = begin + self._sizes.lag_seconds
        job = self._job(kind, round((seconds + TRAIL_SECONDS) * PACE), path=path, streams=streams, opening=opening)
        self._load.jobs.send(replace(job, pace=PACE, window=(begin, seconds), timeout=2 * seconds + 20))
        time.sleep(begin)
        before = self._process.cpu_seconds()
        time.sleep(self._sizes.lag_seconds)
        cpu, memory = self._process.cpu_seconds() - before, self._process.memory()
        return self._checked(self._load.jobs.recv()), cpu, memory

    def growth(self) -> Values:
        """Memory after some requests, and after many more."""
        if self.contestant.is_floor:
            return {}
        values: Values = {}
        done = 0
        for key, wanted in (("memory_early", self._sizes.early), ("memory_late", self._sizes.late)):
            requests = (wanted - done) // GROWTH_STREAMS
            job = self._job("blast", FEW_TOKENS, streams=GROWTH_STREAMS, requests=requests, reuse=REQUESTS_IN_A_CONNECTION)
            self._do(replace(job, timeout=60 + wanted / SLOWEST))
            values[key] = self._process.memory()
            done = wanted
        return values

    def _job(self, kind: str, tokens: int, *, stream: bool = True, path: str | None = None, **further: float) -> Job:
        path = path or self.contestant.path
        openai, anthropic = path.startswith("/v1/chat"), path.startswith("/v1/messages")
        body: dict[str, object] = {"model": "bench", "messages": [{"role": "user", "content": f"bench:{kind}:TOKENS"}]}
        body["stream"] = stream
        if openai and stream:
            body["stream_options"] = {"include_usage": True}
        if anthropic:
            body |= {"max_tokens": 4096, "tools": [{"name": "write", "input_schema": SCHEMA}]}
        return Job(
            port=self._process.port,
            body=json.dumps(body, separators=(",", ":")),
            tokens=tokens,
            method="GET" if self.contestant.mode == "fix" and not self.contestant.is_floor else "POST",
            path=path,
            feeds=3 if anthropic else 2 if openai else 1,
            **further,  # type: ignore[arg-type]
        )

    def _do(self, job: Job) -> Outcome:
        outcome = self._checked(self._load.do(job))
        if not outcome.complete:
            raise Failed(f"{self.contestant.name} gave no complete answer: {outcome.error}")
        return outcome

    def _checked(self, outcome: Outcome) -> Outcome:
        if outcome.complete < outcome.asked:
            lost = f"{outcome.asked - outcome.complete} of {outcome.asked} answers"
            self.errors.append(f"{self.contestant.name}: {lost} not complete ({outcome.error})")
        time.sleep(SETTLE_SECONDS)
        return outcome


def _tool(number: int) -> dict[str, object]:
    function = {"name": f"tool_{number}", "description": "Reads or writes a file of the project.", "parameters": SCHEMA}
    return {"type": "function", "function": function}


GROUPS: dict[str, Callable[[Course], Values]] = {
    "lag": Course.lag,
    "crowd": Course.crowd,
    "times": Course.times,
    "rates": Course.rates,
    "paths": Course.paths,
    "scale": Course.scale,
    "growth": Course.growth,
}
"""In this order: memory per stream is taken of a process that has not yet had more streams."""
ONCE = frozenset({"scale", "growth"})
"""What takes a fresh process, and is not repeated."""
FIX_GROUPS = frozenset({"lag", "times", "rates"})


class Benchmark:
    """One run.

    Args:
        contestants: all of one mode are compared with each other.
        groups: names of `GROUPS`.
        sizes: how much of everything.
        backend_port: of the server behind the contestants.
        load: the load generator.
        folder: for files.
    """

    def __init__(
        self,
        contestants: Sequence[Contestant],
        groups: Sequence[str],
        sizes: Sizes,
        backend_port: int,
        load: Load,
        folder: Path,
    ) -> None:
        self._contestants = contestants
        self._groups = groups
        self._sizes = sizes
        self._backend_port = backend_port
        self._load = load
        self._folder = folder
        self._repeats: dict[tuple[str, int], int] = {}
        self._begun = time.monotonic()
        self.results: Results = {contestant.name: {} for contestant in contestants}
        self.notes: list[str] = []

    def run(self) -> None:
        """Measure everything."""
        rounds, afresh = self._sizes.rounds, self._sizes.afresh
        repeated = [group for group in self._groups if not (afresh and group in ONCE)]
        for contestant in self._contestants if afresh else ():
            with self._process(contestant):
                pass
        for number in range(rounds):
            self._say(f"round {number + 1} of {rounds}")
            with ExitStack() as stack:
                courses = [self._started(contestant, number, stack) for contestant in _turned(self._contestants, number)]
                for group in repeated:
                    self._measure(group, courses, number)
            self._add_differences(number)
        for group in self._groups:
            for contestant in self._contestants if group not in repeated else ():
                with ExitStack() as stack:
                    self._measure(group, [self._started(contestant, None, stack)], 0)

    def _process(self, contestant: Contestant) -> Process:
        return Process(contestant, self._backend_port, self._folder)

    def _started(self, contestant: Contestant, number: int | None, stack: ExitStack) -> Course:
        process = stack.enter_context(self._process(contestant))
        if number is not None:
            self._note(contestant.name, number, {"start_up": process.start_up})
        course = Course(process, self._load, self._sizes, self._repeats)
        course.warm_up()
        return course

    def _measure(self, group: str, courses: Iterable[Course], number: int) -> None:
        for course in courses:
            contestant = course.contestant
            if contestant.mode == "translate" or group in FIX_GROUPS:
                self._say(f"  {group}: {contestant.name}")
                self._note(contestant.name, number, GROUPS[group](course))
                self.notes += course.errors
                course.errors.clear()

    def _note(self, name: str, number: int, values: Values) -> None:
        for key, value in values.items():
            if not math.isnan(value):
                self.results[name].setdefault(key, [math.nan] * self._sizes.rounds)[number] = value

    def _add_differences(self, number: int) -> None:
        for contestant in self._contestants:
            floor = self.results.get(FLOORS[contestant.mode], {})
            own = self.results[contestant.name]
            shared = [key for key in TIMES_OF_A_CALL if key in own and key in floor and not contestant.is_floor]
            self._note(contestant.name, number, {f"added_{key}": own[key][number] - floor[key][number] for key in shared})

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:5.0f} s  {text}", file=sys.stderr, flush=True)


def _turned[T](items: Sequence[T], number: int) -> Iterator[T]:
    """Another one first in each round."""
    turn = number % len(items)
    yield from items[turn:]
    yield from items[:turn]


def by_mode(contestants: Iterable[Contestant]) -> dict[str, list[Contestant]]:
    """The contestants of each mode that has any."""
    found: dict[str, list[Contestant]] = defaultdict(list)
    for contestant in contestants:
        found[contestant.mode].append(contestant)
    return found
