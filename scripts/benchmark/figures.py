"""The figures of a run: how much of everything is done, what each figure is, and its unit."""

from __future__ import annotations

from dataclasses import dataclass


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

type Values = dict[str, float]
type Results = dict[str, dict[str, list[float]]]
"""By contestant and measure, a value for each round; not a number where there is none."""
