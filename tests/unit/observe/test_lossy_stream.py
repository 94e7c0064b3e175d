"""A log that nobody reads loses lines and stops nobody."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from ollama_openai_proxy.observe.lossy_stream import LossyStream, lossy

if TYPE_CHECKING:
    from pathlib import Path


def read_all(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    data = b""
    try:
        while part := os.read(descriptor, 1 << 16):
            data += part
    except BlockingIOError:
        pass
    return data


def test_lines_are_dropped_while_a_pipe_is_full_and_counted_afterwards() -> None:
    reading, writing = os.pipe()
    stream = LossyStream(writing)
    assert stream.fileno() == writing
    assert not stream.isatty()
    assert stream.write("half") == 4
    stream.write(" a line\n")
    for number in range(5000):
        stream.write(f"{number} {'x' * 100}\n")
    stream.flush()
    assert stream.dropped
    lost = stream.dropped
    lines = read_all(reading).decode().splitlines()
    assert lines[0] == "half a line"
    assert lines[-1].split()[0] == str(4999 - lost)
    stream.write("again\n")
    assert read_all(reading).decode().splitlines() == [
        f"{lost} lines of the log were dropped, since they were not read in time",
        "again",
    ]
    assert stream.dropped == 0
    os.close(reading)
    stream.write("nobody reads this\n")
    os.close(writing)


def test_what_comes_behind_a_line_that_was_cut_begins_a_line() -> None:
    reading, writing = os.pipe()
    stream = LossyStream(writing)
    stream.write("x" * 1_000_000 + "\n")
    assert stream.dropped == 1
    assert set(read_all(reading)) == {ord("x")}
    stream.write("next\n")
    assert read_all(reading).decode().splitlines() == [
        "",
        "1 lines of the log were dropped, since they were not read in time",
        "next",
    ]
    os.close(reading)
    os.close(writing)


def test_a_stream_that_never_waits_stays_as_it_is(tmp_path: Path) -> None:
    memory = io.StringIO()
    assert lossy(memory) is memory
    with (tmp_path / "log").open("w") as file:
        assert lossy(file) is file
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        assert isinstance(lossy(pipe), LossyStream)
    os.close(reading)
