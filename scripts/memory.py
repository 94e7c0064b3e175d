"""Measures how much the proxy's memory grows while it hands on more than it should ever hold.

Three processes take part, so that only the proxy's memory is counted: this one is the client, another (the same program
with --upstream) plays Ollama, and between them the proxy runs in fix mode. In each direction the receiver stands still for
a while in the beginning: what the sender has to say meanwhile must wait at the sender.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DESCRIPTION = """\
Uploads a large blob through the proxy (fix mode) and reads an equally large stream of pull
frames through it, and says how much the resident memory of the proxy's process grew.
Needs Linux. Exit status: 1 if it grew by more than the limit, 2 if nothing could be measured.
"""

MIB = 1 << 20
KIB = 1 << 10
BLOCK = bytes(range(256)) * 4 * KIB
"""A mebibyte of the blob."""
PAUSE_SECONDS = 1.0
"""For how long a receiver stands still, having received `PAUSE_AFTER` bytes."""
PAUSE_AFTER = 4 * MIB
FRAME = b'{"status":"pulling 8e80329beb36","digest":"sha256:%s","total":%d,"completed":%d}\n'
LAST_FRAME = b'{"status":"success"}\n'
START_SECONDS = 30.0
STOP_SECONDS = 10.0
CALL_SECONDS = 600.0


class Failed(Exception):
    """Nothing could be measured. The message is for the user."""


class Memory(NamedTuple):
    """Of a process, in KiB."""

    now: int
    peak: int


class Growth(NamedTuple):
    """What a transfer did to the proxy."""

    name: str
    before: int
    peak: int
    after: int
    seconds: float


def main() -> int:
    """The command line."""
    options = _options()
    if options.upstream:
        asyncio.run(_serve_upstream(options.size * MIB))
        return 0
    try:
        growths = measure(options.size)
    except (Failed, OSError, http.client.HTTPException) as error:
        print(f"scripts/memory: {error or type(error).__name__}", file=sys.stderr)
        return 2
    _print_table(options.size, growths)
    worst = max(growth.peak for growth in growths)
    if worst > options.limit * KIB:
        print(f"The proxy grew by {worst / KIB:.1f} MiB; the limit is {options.limit} MiB.", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/memory", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=_positive, default=1024, metavar="MIB", help="of each transfer (default: 1024)")
    parser.add_argument("--limit", type=_positive, default=32, metavar="MIB", help="of the growth (default: 32)")
    parser.add_argument("--upstream", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _print_table(size: int, growths: list[Growth]) -> None:
    print(f"Resident memory of the proxy, in MiB; {size} MiB in each transfer:\n")
    print(f"{'':<14}{'before':>8}{'peak':>9}{'after':>9}{'seconds':>10}")
    for growth in growths:
        peak, after = (f"{number / KIB:+.1f}" for number in (growth.peak, growth.after))
        print(f"{growth.name:<14}{growth.before / KIB:>8.1f}{peak:>9}{after:>9}{growth.seconds:>10.1f}")


# -- Measuring ---------------------------------------------------------------------------------------------------------


def measure(size: int) -> list[Growth]:
    """Transfer `size` MiB each way.

    Raises:
        Failed: a process does not start, a transfer is not complete, or this is not Linux.
    """
    if not Path("/proc/self/status").exists():
        raise Failed("it reads /proc, which only Linux has.")
    with ExitStack() as stack:
        upstream = stack.enter_context(_upstream(size))
        pid, port = stack.enter_context(_proxy(upstream))
        # What a first call loads and connects is no part of the growth.
        _read_version(port)
        return [
            _grown("blob upload", pid, lambda: _upload(port, size)),
            _grown("pull stream", pid, lambda: _pull(port, size * MIB)),
        ]


def _grown(name: str, pid: int, transfer: Callable[[], None]) -> Growth:
    before = _memory(pid, restart_peak=True)
    started = time.monotonic()
    transfer()
    seconds = time.monotonic() - started
    after = _memory(pid)
    return Growth(name, before.now, after.peak - before.peak, after.now - before.now, seconds)


def _memory(pid: int, *, restart_peak: bool = False) -> Memory:
    process = Path("/proc") / str(pid)
    if restart_peak:
        # Where that is forbidden, the peak goes back to the process's start.
        with suppress(OSError):
            (process / "clear_refs").write_text("5")
    fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Memory(*(int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")))


def _read_version(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    connection.request("GET", "/api/version")
    _expect(connection.getresponse(), 200)
    connection.close()


def _upload(port: int, size: int) -> None:
    digest = hashlib.sha256()
    for _ in range(size):
        digest.update(BLOCK)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_SECONDS)
    path = f"/api/blobs/sha256:{digest.hexdigest()}"
    connection.request("POST", path, body=(BLOCK for _ in range(size)), headers={"Content-Length": str(size * MIB)})
    _expect(connection.getresponse(), 201)
    connection.close()


def _pull(port: int, size: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_SECONDS)
    connection.request("POST", "/api/pull", body=json.dumps({"model": "large"}))
    response = connection.getresponse()
    received, ending, paused = 0, b"", False
    while part := response.read1(MIB):
        received += len(part)
        ending = (ending + part)[-len(LAST_FRAME) :]
        if received > PAUSE_AFTER and not paused:
            time.sleep(PAUSE_SECONDS)
            paused = True
    if response.status != 200 or received < size or ending != LAST_FRAME:
        raise Failed(f"the pull stream ended with status {response.status} after {received} bytes: {ending!r}.")
    connection.close()


def _expect(response: http.client.HTTPResponse, status: int) -> None:
    body = response.read()
    if response.status != status:
        raise Failed(f"the proxy answered {response.status} instead of {status}: {body[:500].decode(errors='replace')}")


# -- The processes -----------------------------------------------------------------------------------------------------


@contextmanager
def _upstream(size: int) -> Iterator[str]:
    """The stand-in as a process of its own; gives its URL."""
    command = [sys.executable, __file__, "--upstream", "--size", str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port.isdigit():
                raise Failed("the server behind the proxy did not start.")
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)


@contextmanager
def _proxy(upstream: str) -> Iterator[tuple[int, int]]:
    """The proxy in front of it; gives its process id and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = {"PROXY_MODE": "fix", "PROXY_PORT": str(port), "OLLAMA_UPSTREAM_URL": upstream, "LOG_LEVEL": "warning"}
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("COVERAGE", "LANG", "LC_", "PYTHON", "TMP"))}
    command = Path(sys.executable).with_name("ollama-openai-proxy")
    with (
        # A directory without a .env.
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile() as log,
        subprocess.Popen([command], env=kept | settings, cwd=folder, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait_until_it_listens(process, port)
            yield process.pid, port
        except (Failed, OSError, http.client.HTTPException) as error:
            said = os.pread(log.fileno(), 1 << 16, 0).decode(errors="replace").strip()
            reason = f"{error}" or type(error).__name__
            raise Failed(f"{reason}\nThe proxy said:\n{said}" if said else reason) from error
        finally:
            _end(process)


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Failed("the proxy did not start.")


# -- What plays Ollama -------------------------------------------------------------------------------------------------


async def _serve_upstream(size: int) -> None:
    """Serve on a free port, which is printed, until SIGTERM."""
    app = web.Application(client_max_size=0)
    app.router.add_get("/api/version", _version)
    app.router.add_post("/api/blobs/{digest}", _take_blob)
    app.router.add_post("/api/pull", lambda request: _send_frames(request, size))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(runner.addresses[0][1], flush=True)
    await stopped.wait()
    await runner.cleanup()


async def _version(_: web.Request) -> web.Response:
    return web.json_response({"version": "0.24.0"})


async def _take_blob(request: web.Request) -> web.Response:
    digest, received, paused = hashlib.sha256(), 0, False
    async for part in request.content.iter_any():
        digest.update(part)
        received += len(part)
        if received > PAUSE_AFTER and not paused:
            await asyncio.sleep(PAUSE_SECONDS)
            paused = True
    if request.match_info["digest"] != f"sha256:{digest.hexdigest()}":
        return web.json_response({"error": f"digest mismatch after {received} bytes"}, status=400)
    return web.Response(status=201)


async def _send_frames(request: web.Request, size: int) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    frame = FRAME % (b"0" * 64, size, size // 2)
    # As many frames at once as fit into a write of a usual size; one by one, Python would be busy for minutes.
    frames = frame * (64 * KIB // len(frame))
    for _ in range(-(-size // len(frames))):
        await response.write(frames)
    await response.write(LAST_FRAME)
    await response.write_eof()
    return response


if __name__ == "__main__":
    sys.exit(main())
