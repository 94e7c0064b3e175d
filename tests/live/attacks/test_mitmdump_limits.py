"""Bounds that mitmproxy does not allow: its tools behave as `SECURITY.md` says, and the console command does not."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.attacks.targets import BEARER, DOORS, HELLO, MIB, MODELS, on_linux, resident, target
from tests.live.proxy import DOORS as COMMANDS
from tests.live.proxy import free_port
from tests.live.raw_http import HOST, Raw, exchange, get, post
from tests.patience import PATIENCE, wait_until

if TYPE_CHECKING:
    from tests.live.proxy import Door

pytestmark = on_linux


@pytest.mark.parametrize("door", DOORS)
def test_a_body_of_known_size_counts_whole_at_once(door: Door) -> None:
    with target(door, "translate", MAX_BUFFERED="10MiB", MAX_BODY_SIZE="6MiB") as attacked, Raw(attacked.port) as first:
        first.send(
            b"POST /api/chat HTTP/1.1\r\n" + HOST + BEARER.encode() + b"\r\nContent-Length: %d\r\n\r\n" % (6 * MIB) + b"{"
        )
        # Until the head has been read.
        exchange(attacked.port, get("/api/version", BEARER))
        large = post("/api/chat", attacked.chat(options={"stop": ["x" * 5 * MIB]}), BEARER)
        assert (exchange(attacked.port, large).status == 503) == (door == "mitmdump")


@pytest.mark.parametrize("door", DOORS)
def test_a_head_behind_another_request_is_bounded(door: Door) -> None:
    """The console command knows each head's size; mitmproxy takes up to 1 MiB while it still answers."""
    with target(door, "translate") as attacked, ExitStack() as opened:
        before = resident(attacked.proxy.worker)
        head = get("/api/version", BEARER) + b"GET /api/version HTTP/1.1\r\n" + HOST + b"X: "
        for _ in range(10):
            opened.enter_context(Raw(attacked.port)).send(head + b"y" * 800_000)
        wait_until(lambda: attacked.works())
        assert resident(attacked.proxy.worker, peak=True) - before < 80 * MIB
        with Raw(attacked.port) as connection:
            connection.send(head + b"y" * 3 * MIB)
            # Whoever sends more is shown the door: this returns when the connection is closed.
            connection.rest()


def test_a_connection_to_mitmdump_takes_ten_times_the_memory() -> None:
    cost: dict[str, float] = {}
    for door in DOORS:
        with target(door, "translate") as attacked, ExitStack() as opened:
            call = {"model": MODELS[attacked.mode], "messages": HELLO}
            exchange(attacked.port, post("/api/chat", call, BEARER))  # so that nothing is imported any more
            held = [resident(attacked.proxy.worker)]
            for _ in range(4):
                for _ in range(100):
                    connection = opened.enter_context(Raw(attacked.port))
                    connection.send(get("/api/version", BEARER))
                    connection.answer()  # before the next one, so that the memory is that of connections, not of waiting calls
                held.append(resident(attacked.proxy.worker))
            # Now and then a process takes megabytes at once, whatever it is asked.
            cost[door] = statistics.median(after - before for before, after in pairwise(held)) / 100
    assert cost["console"] < 24 << 10
    assert cost["mitmdump"] < 200 << 10


@pytest.mark.nightly  # tried at several moments of a start
def test_an_interrupt_while_mitmproxy_is_imported_shows_a_traceback() -> None:
    for number in range(40):
        environment = os.environ | {"PROXY_PORT": str(free_port()), "OPENAI_API_KEY": "sk-x"}
        process = subprocess.Popen(COMMANDS["mitmdump"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        maps = Path(f"/proc/{process.pid}/maps")
        wait_until(lambda maps=maps: "_ssl" in maps.read_text("utf-8", "replace"))  # type: ignore[misc]
        time.sleep(number * 0.02)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)
        if b"Traceback" in output:
            return
    pytest.fail("no traceback any more: take the sentence out of SECURITY.md")
