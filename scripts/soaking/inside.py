"""Runs the proxy with a clock that can be moved from outside, and lets it count its tasks.

`python -m scripts.soaking.inside BOARD` runs it with a page of memory that tells the clock's offset, and the tasks.
Only `time.time` and `time.time_ns` move, which is what the proxy and its libraries call. What asks the system past Python,
such as `datetime.now` and TLS, still sees the real time. So does the event loop, whose clock no change of the date touches.
"""

from __future__ import annotations

import asyncio
import mmap
import signal
import struct
import sys
import time
from pathlib import Path

NANOSECONDS = 1_000_000_000


def main() -> int:
    """Run the proxy's command."""
    with Path(sys.argv[1]).open("r+b") as file:
        board = mmap.mmap(file.fileno(), mmap.PAGESIZE)
    real_time, real_time_ns = time.time, time.time_ns

    def offset() -> float:
        seconds: float = struct.unpack_from("d", board)[0]
        return seconds

    def count_tasks(*_: object) -> None:
        counted: int = struct.unpack_from("q", board, 16)[0]
        struct.pack_into("qq", board, 8, len(asyncio.all_tasks()), counted + 1)

    time.time = lambda: real_time() + offset()
    time.time_ns = lambda: real_time_ns() + int(offset()) * NANOSECONDS
    signal.signal(signal.SIGUSR1, count_tasks)
    from ollama_openai_proxy.cli import main as run

    return run([])


if __name__ == "__main__":
    sys.exit(main())
