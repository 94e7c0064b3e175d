"""Sends whatever a client without a key can send to the console command, and watches what that costs others."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import Pipe, Process
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.ports import free_port
from scripts.processes import open_many_files, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

DESCRIPTION = """\
Starts the proxy with keys, lets clients without a key send it random requests and things that are
none, and watches the memory of the process and how much CPU time it spends while a client with a
key waits for an answer. Needs Linux.
"""
EPILOG = "Exit status: 0 if both stayed within their limits, 1 otherwise, 2 if the proxy could not be started."
KEY = "key-of-the-fuzzer"
ATTACKERS = 24
MOST_IDLE = 1500
"""Connections that are left open in the middle of something."""
MIB = 1 << 20
MEMORY = 64
"""MiB that the process may grow by."""
WAIT = 0.2
"""CPU seconds that a client with a key may wait."""
PROBE = f"GET /api/version HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
READY = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATHS = [
    "/",
    "/api/chat",
    "/api/generate",
    "/api/tags",
    "/api/blobs/sha256:00",
    "/api/create",
    "/v1/chat/completions",
    "/metrics",
]
PATHS += ["/v1/messages", "/v1/responses", "/readyz", "/healthz", "//api//chat/", "/%00", "*", "http://localhost/api/tags"]


@dataclass
class Findings:
    """What the fuzzer saw.

    Attributes:
        rest: bytes of memory before the attack.
        peak: the most bytes during it.
        wait: the most CPU seconds that the proxy spent while the client with a key waited.
        requests: how often something was sent.
        probes: how often the client with a key was answered.
        statuses: how often each status was answered to the attackers.
    """

    rest: int = 0
    peak: int = 0
    wait: float = 0.0
    requests: int = 0
    probes: int = 0
    statuses: dict[str, int] = field(default_factory=dict)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600, help="how long to attack (default: 600)")
    parser.add_argument("--requests", type=int, default=0, help="end after so many attacks; 0 (the default) is any number")
    parser.add_argument("--seed", type=int, default=None, help="of the random numbers (default: another one each time)")
    parser.add_argument("--memory", type=float, default=MEMORY, help=f"MiB that the process may grow by (default: {MEMORY})")
    parser.add_argument("--wait", type=float, default=WAIT, help=f"CPU seconds that a client may wait (default: {WAIT})")
    options = parser.parse_args()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    open_many_files()
    port = free_port()
    settings = {"PROXY_API_KEYS": KEY, "PROXY_PORT": str(port), "OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ollama_openai_proxy"], env=os.environ | settings, stderr=subprocess.DEVNULL
    )
    try:
        _until_up(port)
        found = _fuzz(_worker(process.pid), port, options, seed)
    except OSError as error:
        print(f"scripts/fuzz: the proxy does not answer: {error}", file=sys.stderr)
        return 2
    finally:
        process.terminate()
        process.wait()
    grown = (found.peak - found.rest) / MIB
    statuses = ", ".join(f"{status}: {number}" for status, number in sorted(found.statuses.items()))
    print(
        f"seed {seed}: {found.requests} attacks ({statuses}); {found.probes} answers to the client with a key\n"
        f"memory: {found.rest / MIB:.1f} MiB at rest, at most {grown:.1f} MiB more\n"
        f"CPU time of the longest wait of the client with a key: {found.wait:.3f} s"
    )
    return int(grown > options.memory or found.wait > options.wait)


def _fuzz(pid: int, port: int, options: argparse.Namespace, seed: int) -> Findings:
    found = Findings()
    _ask(port, READY)  # what is made for the first call to a back end belongs to the rest
    for _ in range(50):
        _probe(pid, port, found)
    found.rest, found.wait, found.probes = resident_bytes(pid), 0.0, 0
    # In a process of their own, so that the client with a key notices at once when it is answered.
    receiving, sending = Pipe(duplex=False)
    attackers = Process(target=_attack_all, args=(port, options.seconds, options.requests, seed, sending))
    attackers.start()
    while not receiving.poll(0.02):
        if not attackers.is_alive():
            raise OSError("the attackers have ended")
        _probe(pid, port, found)
        found.peak = max(found.peak, resident_bytes(pid))
    found.requests, found.statuses = receiving.recv()
    attackers.join()
    return found


def _attack_all(port: int, seconds: float, requests: int, seed: int, sending: Connection) -> None:
    """Attack for some seconds, or so many times, and send how often what was answered."""
    statuses: Counter[str] = Counter()
    chance = random.Random(seed)
    idle: list[asyncio.StreamWriter] = []

    async def attack(own: random.Random) -> None:
        while not requests or statuses.total() < requests:
            status = "none"
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                status = await _attack(port, own, idle)
            statuses[status] += 1

    async def run() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(attack(random.Random(chance.random())) for _ in range(ATTACKERS)))

    asyncio.run(run())
    sending.send((statuses.total(), dict(statuses)))


def _until_up(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise OSError("it did not open its port")


def _probe(pid: int, port: int, found: Findings) -> None:
    """Ask as a client with a key does, and note the CPU time that passes meanwhile."""
    before = _cpu(pid)
    answer = _ask(port, PROBE)
    wait = _cpu(pid) - before
    if b"200 OK" not in answer:
        raise OSError(f"the client with a key got {answer[:20]!r}")
    found.wait = max(found.wait, wait)
    found.probes += 1


def _ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        return connection.recv(1 << 16)


# -- What is sent


async def _attack(port: int, chance: random.Random, idle: list[asyncio.StreamWriter]) -> str:
    """Send something; gives the status of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = chance.choice(ATTACKS)(chance)
    if chance.random() < 0.2:
        data = _spoilt(data, chance)
    if chance.random() < 0.2:
        data = data[: chance.randrange(len(data) + 1)]
    stays = chance.random() < 0.3
    try:
        async with asyncio.timeout(3):
            for start in range(0, len(data), 1 << 16):
                writer.write(data[start : start + (1 << 16)])
                await writer.drain()
            if not stays:
                if chance.random() < 0.5:
                    writer.write_eof()
                head = await reader.read(1 << 12)
                return head[9:12].decode("latin-1") if head.startswith(b"HTTP/1.") else "none"
            return "not read"
    finally:
        idle.append(writer) if stays else writer.close()
        while len(idle) > MOST_IDLE:
            idle.pop(chance.randrange(len(idle))).close()


def _spoilt(data: bytes, chance: random.Random) -> bytes:
    """Data with a few bytes changed, doubled or left out."""
    octets = bytearray(data[: 1 << 17])
    for _ in range(chance.randrange(1, 20)):
        at = chance.randrange(len(octets) + 1)
        octets[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
    return bytes(octets)


def _head(chance: random.Random, *fields: str) -> bytes:
    method = chance.choice(["GET", "POST", "HEAD", "OPTIONS", "DELETE", "CONNECT", "PUT", "get", "X" * 50])
    keys = ["", f"Authorization: Bearer wrong-{chance.random()}", "X-Api-Key: x", "Authorization: Basic OjoK", "Cookie: a=b"]
    more = ["Origin: https://evil.example", "Expect: 100-continue", "Upgrade: websocket", "Connection: close", "Accept: */*"]
    lines = [f"{method} {chance.choice(PATHS)} HTTP/1.1", "Host: localhost", chance.choice(keys), *fields]
    lines += chance.sample(more, chance.randrange(3))
    return "\r\n".join([*filter(None, lines), "", ""]).encode()


def _body(chance: random.Random) -> bytes:
    size = chance.choice([0, 10, 1000, MIB // 4, 2 * MIB])
    kinds = [bytes(size), b"[" * size, b"{}," * (size // 3), b'{"model":"' + b"\\ud800" * (size // 6), chance.randbytes(size)]
    return chance.choice(kinds)


def _with_length(chance: random.Random) -> bytes:
    body = _body(chance)
    length = chance.choice([len(body), len(body) + 1, 1 << 40, -1])
    coding = chance.choice(["X: y", "Content-Encoding: zstd", "Content-Encoding: gzip"])
    return _head(chance, f"Content-Length: {length}", coding) + body


def _in_chunks(chance: random.Random) -> bytes:
    extension = b";a=" + b"x" * chance.choice([0, 10, 1000, 100_000])
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in [_body(chance)] * chance.randrange(1, 4))
    trailers = b"X: y\r\n" * chance.choice([0, 1, 10_000])
    return _head(chance, "Transfer-Encoding: chunked") + chunks + b"0\r\n" + trailers + b"\r\n"


def _packed(chance: random.Random) -> bytes:
    body = zlib.compress(bytes(20 * MIB))
    return _head(chance, f"Content-Length: {len(body)}", "Content-Encoding: deflate") + body


def _many_headers(chance: random.Random) -> bytes:
    return _head(chance, *["a: b"] * chance.choice([150, 1000, 20_000]))


def _long_head(chance: random.Random) -> bytes:
    return _head(chance, "X: " + "y" * chance.choice([1000, 60_000, 1_000_000]))[: chance.choice([-2, 1 << 30])]


def _query(chance: random.Random) -> bytes:
    query = "&".join(f"a{number}=[[1,2]]" for number in range(chance.choice([1, 100, 4000])))
    return f"GET /api/chat?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def _pipeline(chance: random.Random) -> bytes:
    return _head(chance) * chance.choice([2, 100, 5000])


def _nonsense(chance: random.Random) -> bytes:
    return chance.choice([chance.randbytes(chance.randrange(100_000)), b"\r\n" * 50_000, b"\x16\x03\x01" * 1000, b"G", b""])


ATTACKS: list[Callable[[random.Random], bytes]] = [
    *(_head, _with_length, _in_chunks, _packed, _many_headers, _long_head, _query, _pipeline, _nonsense),
]


# -- What a process uses


def _worker(pid: int) -> int:
    """The process that serves, of a supervisor with one worker."""
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(worker)


def _cpu(pid: int) -> float:
    """The CPU seconds of a process and its threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has ended
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


if __name__ == "__main__":
    raise SystemExit(main())
