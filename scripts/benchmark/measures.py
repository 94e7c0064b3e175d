"""What is measured, and how: each group of measures is one function, applied to one contestant at a time."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .contestants import Failed, Process, cpu_seconds
from .figures import TIMES_OF_A_CALL
from .load import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from .contestants import Contestant, Load
    from .figures import Results, Sizes, Values
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
FLOORS = {"translate": "direct", "fix": "fix-direct"}


@dataclass
class Course:
    """One contestant under measurement, in one round.

    Attributes:
        repeats: how many answers a contestant's stream needs for the time that is wanted, by its name and the streams.
        errors: what did not work.
    """

    process: Process
    load: Load
    sizes: Sizes
    repeats: dict[tuple[str, int], int]
    errors: list[str] = field(default_factory=list)

    @property
    def contestant(self) -> Contestant:
        """Of the process."""
        return self.process.contestant

    def warm_up(self) -> None:
        """Let it load and connect what its first calls need."""
        for stream in (True, False):
            self._do(self._job("blast", FEW_TOKENS, stream=stream, requests=WARM_UP_REQUESTS))

    def times(self) -> Values:
        """The times of one call after another."""
        requests = self.sizes.requests
        kept = self._do(self._job("blast", FEW_TOKENS, requests=requests))
        if self.contestant.mode == "fix":
            return {"first_byte": kept.first_byte}
        new = self._do(self._job("blast", FEW_TOKENS, requests=requests, reuse=1))
        whole = self._do(self._job("blast", self.sizes.whole_tokens, stream=False, requests=requests))
        return {"first_frame": kept.first_frame, "first_frame_new": new.first_frame, "unstreamed": whole.whole}

    def rates(self) -> Values:
        """Frames in a second, as many as it can."""
        values: Values = {}
        for streams in (16,) if self.contestant.mode == "fix" else (1, 16, 64):
            requests = self._requests(streams)
            before = self.process.cpu_seconds()
            outcome = self._do(self._job("blast", self.sizes.tokens, streams=streams, requests=requests))
            values[f"rate_{streams}"] = outcome.tokens / outcome.seconds
            if streams == 16:
                values["cpu"] = (self.process.cpu_seconds() - before) / max(outcome.tokens, 1)
        return values

    def _requests(self, streams: int) -> int:
        """How many answers each stream needs for the time that is wanted; every contestant's answers are equally long."""
        key = self.contestant.name, streams
        if key not in self.repeats:
            tried = self._do(self._job("blast", self.sizes.tokens, streams=streams))
            self.repeats[key] = max(round(self.sizes.rate_seconds / tried.seconds), 1)
        return self.repeats[key]

    def lag(self) -> Values:
        """From a token's departure to its arrival, and what an open stream takes."""
        before = self.process.memory()
        load_before = cpu_seconds(self.load.pid)
        outcome, cpu, most = self._paced(self.sizes.lag_streams)
        return _lags("lag", outcome) | {
            # Of the whole stream, whose beginning and end cost little beside its frames.
            "cpu_load": (cpu_seconds(self.load.pid) - load_before) / max(outcome.tokens, 1),
            "cpu_paced": cpu / max(outcome.lags, 1),
            "memory_stream": (most - before) / self.sizes.lag_streams,
        }

    def crowd(self) -> Values:
        """The same with more streams."""
        outcome, *_ = self._paced(self.sizes.crowd_streams)
        return _lags("crowd", outcome)

    def paths(self) -> Values:
        """Paced streams on paths other than Ollama's own."""
        if not self.contestant.has_all_paths:
            return {}
        values: Values = {}
        for name, path, kind in (("passed", "/v1/chat/completions", "paced"), ("arguments", "/v1/messages", "tools")):
            outcome, cpu, _ = self._paced(self.sizes.lag_streams, path, kind)
            if outcome.lags:
                values |= {f"{name}_p99": outcome.lag[1], f"cpu_{name}": cpu / outcome.lags}
        return values

    def scale(self) -> Values:
        """How the cost grows with the number of streams, of messages, and of tools."""
        values: Values = {}
        for streams in self.sizes.scale_streams:
            outcome, cpu, _ = self._paced(streams)
            values[f"scale_median_{streams}"], values[f"scale_p99_{streams}"] = outcome.lag[:2]
            values[f"scale_cpu_{streams}"] = cpu / max(outcome.lags, 1)
        for number in self.sizes.scale_messages:
            values[f"messages_{number}"] = self._whole_call(messages=number)
        for number in self.sizes.scale_tools:
            values[f"tools_{number}"] = self._whole_call(tools=number)
        return values

    def _whole_call(self, *, messages: int = 1, tools: int = 0) -> float:
        job = self._job("blast", FEW_TOKENS, stream=False, requests=self.sizes.scale_requests)
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
        opening = streams / self.sizes.opening
        begin = opening + LEAD_SECONDS
        seconds = begin + self.sizes.lag_seconds
        job = self._job(kind, round((seconds + TRAIL_SECONDS) * PACE), path=path, streams=streams, opening=opening)
        self.load.jobs.send(replace(job, pace=PACE, window=(begin, seconds), timeout=2 * seconds + 20))
        time.sleep(begin)
        before = self.process.cpu_seconds()
        time.sleep(self.sizes.lag_seconds)
        cpu, memory = self.process.cpu_seconds() - before, self.process.memory()
        return self._checked(self.load.jobs.recv()), cpu, memory

    def growth(self) -> Values:
        """Memory after some requests, and after many more."""
        if self.contestant.is_floor:
            return {}
        values: Values = {}
        done = 0
        for key, wanted in (("memory_early", self.sizes.early), ("memory_late", self.sizes.late)):
            requests = (wanted - done) // GROWTH_STREAMS
            job = self._job("blast", FEW_TOKENS, streams=GROWTH_STREAMS, requests=requests, reuse=REQUESTS_IN_A_CONNECTION)
            self._do(replace(job, timeout=60 + wanted / SLOWEST))
            values[key] = self.process.memory()
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
            port=self.process.port,
            body=json.dumps(body, separators=(",", ":")),
            tokens=tokens,
            method="GET" if self.contestant.mode == "fix" and not self.contestant.is_floor else "POST",
            path=path,
            feeds=3 if anthropic else 2 if openai else 1,
            **further,  # type: ignore[arg-type]
        )

    def _do(self, job: Job) -> Outcome:
        outcome = self._checked(self.load.do(job))
        if not outcome.complete:
            raise Failed(f"{self.contestant.name} gave no complete answer: {outcome.error}")
        return outcome

    def _checked(self, outcome: Outcome) -> Outcome:
        if outcome.complete < outcome.asked:
            lost = f"{outcome.asked - outcome.complete} of {outcome.asked} answers"
            self.errors.append(f"{self.contestant.name}: {lost} not complete ({outcome.error})")
        time.sleep(SETTLE_SECONDS)
        return outcome


def _lags(name: str, outcome: Outcome) -> Values:
    return {
        f"{name}_median": outcome.lag[0],
        f"{name}_p99": outcome.lag[1],
        f"{name}_lost": outcome.asked - outcome.complete,
    }


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


@dataclass
class Benchmark:
    """One run.

    Attributes:
        contestants: all of one mode are compared with each other.
        groups: names of `GROUPS`.
        sizes: how much of everything.
        backend_port: of the server behind the contestants.
        load: the load generator.
        folder: for files.
        results: what was measured.
        notes: what did not work.
    """

    contestants: Sequence[Contestant]
    groups: Sequence[str]
    sizes: Sizes
    backend_port: int
    load: Load
    folder: Path
    results: Results = field(default_factory=lambda: defaultdict(dict))
    notes: list[str] = field(default_factory=list)
    _repeats: dict[tuple[str, int], int] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Measure everything."""
        rounds, afresh = self.sizes.rounds, self.sizes.afresh
        repeated = [group for group in self.groups if not (afresh and group in ONCE)]
        for contestant in self.contestants if afresh else ():
            with self._process(contestant):
                pass
        for number in range(rounds):
            self._say(f"round {number + 1} of {rounds}")
            with ExitStack() as stack:
                # Another one is first in each round.
                first = number % len(self.contestants)
                turned = [*self.contestants[first:], *self.contestants[:first]]
                courses = [self._started(contestant, number, stack) for contestant in turned]
                for group in repeated:
                    self._measure(group, courses, number)
            self._add_differences(number)
        for group in self.groups:
            for contestant in self.contestants if group not in repeated else ():
                with ExitStack() as stack:
                    self._measure(group, [self._started(contestant, None, stack)], 0)

    def _process(self, contestant: Contestant) -> Process:
        return Process(contestant, self.backend_port, self.folder)

    def _started(self, contestant: Contestant, number: int | None, stack: ExitStack) -> Course:
        process = stack.enter_context(self._process(contestant))
        if number is not None:
            self._note(contestant.name, number, {"start_up": process.start_up})
        course = Course(process, self.load, self.sizes, self._repeats)
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
                self.results[name].setdefault(key, [math.nan] * self.sizes.rounds)[number] = value

    def _add_differences(self, number: int) -> None:
        for contestant in self.contestants:
            floor = self.results.get(FLOORS[contestant.mode], {})
            own = self.results[contestant.name]
            shared = [key for key in TIMES_OF_A_CALL if key in own and key in floor and not contestant.is_floor]
            self._note(contestant.name, number, {f"added_{key}": own[key][number] - floor[key][number] for key in shared})

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:5.0f} s  {text}", file=sys.stderr, flush=True)
