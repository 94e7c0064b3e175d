"""The supervisor of the console command: starts workers, replaces them, and stops them.

Each worker is a process that serves the port. The supervisor serves nothing, reads no settings and imports next to nothing: the
workers do, so that a worker that is started later reads everything anew. The first worker opens the port and hands its sockets
over to the supervisor, whose later workers inherit them; so no connection is lost between two workers.

| signal | what the supervisor does |
| --- | --- |
| SIGTERM, SIGINT | stops the workers; a second signal ends running responses |
| SIGHUP | starts a new worker for each one, and lets the old one finish its responses; stops if its terminal was closed |

Beside the operations of `shared_state`, workers send these:

| operation | fields | meaning |
| --- | --- | --- |
| `sockets` | `addresses`: of each its host, port, and how many sockets come along | what the worker serves |
| `ready` | `workers`, `log_level`, `log_format`: the settings | the worker serves |
| `refused` | `reason`: a sentence | the worker cannot start |
| `replace` | none | the worker was sent SIGTERM, and wants to be replaced |

The supervisor sends `stop`, `hurry` (end running responses) and `retire` (end when no client is left).
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from .link_messages import MessageReader, encode
from .shared_state import SharedState
from .supervisor_log import SupervisorLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .link_messages import Message

type Address = tuple[str, int]
type Sockets = dict[Address, list[socket.socket]]

START_SECONDS = 60.0
"""How long a worker may take until it is ready."""
LONGEST_PAUSE = 30.0
"""Seconds before another attempt, where workers end as soon as they are started."""
AT_ONCE = 2.0
"""Seconds; a worker that ends earlier has not worked."""
MOST_READ = 1 << 18
MOST_SOCKETS = 64


class WorkerStart:
    """What a worker is given.

    Attributes:
        channel: its end of the connection to the supervisor.
        sockets: that are open already, by host and port.
        is_first: whether it is the very first worker.
    """

    def __init__(self, channel: socket.socket, sockets: Sockets, *, is_first: bool) -> None:
        self.channel = channel
        self.sockets = sockets
        self.is_first = is_first

    def hand_over(self, sockets: Sockets) -> None:
        """Tell the supervisor what addresses this worker serves, and hand over the sockets that the supervisor lacks."""
        new = {address: [] if address in self.sockets else group for address, group in sockets.items()}
        files = [each.fileno() for group in new.values() for each in group]
        addresses = [[host, port, len(group)] for (host, port), group in new.items()]
        socket.send_fds(self.channel, [encode({"op": "sockets", "addresses": addresses})], files)

    def refuse(self, reason: str) -> None:
        """Tell the supervisor in a sentence why this worker cannot start."""
        self.channel.sendall(encode({"op": "refused", "reason": reason}))


class Worker:
    """A worker, as the supervisor sees it."""

    def __init__(self, number: int, pid: int, channel: socket.socket) -> None:
        self.number = number
        self.pid = pid
        self.channel = channel
        self.reader = MessageReader()
        self.files: list[int] = []
        self.unsent = bytearray()
        self.started = time.monotonic()
        self.is_ready = self.is_leaving = False
        self.addresses: set[Address] = set()
        self.refusal = ""

    def __str__(self) -> str:
        return f"worker {self.number} (process {self.pid})"

    def send(self, message: Message) -> None:
        """Send a message, without waiting."""
        self.unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Write what can be written at present."""
        try:
            while self.unsent:
                del self.unsent[: self.channel.send(self.unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it has ended
            self.unsent.clear()

    def read(self) -> list[Message]:
        """Read what has arrived; raises `EOFError` where nothing more will."""
        try:
            data, files, _, _ = socket.recv_fds(self.channel, MOST_READ, MOST_SOCKETS)
        except BlockingIOError:
            return []
        except OSError:
            raise EOFError from None
        self.files += files
        if not data:
            raise EOFError
        return self.reader.feed(data)


class Supervisor:
    """Runs workers until it is told to stop.

    Args:
        program: its name, for the one sentence about a wrong setting.
        work: runs in each worker; returns the worker's exit status.
    """

    def __init__(self, program: str, work: Callable[[WorkerStart], int]) -> None:
        self._program = program
        self._work = work
        self._log = SupervisorLog()
        self._selector = selectors.DefaultSelector()
        self._shared = SharedState()
        self._sockets: Sockets = {}
        self._workers: dict[int, Worker] = {}
        """All that run, by their pid."""
        self._serving: dict[int, Worker] = {}
        """Those that are ready and stay, by their number."""
        self._starting: dict[int, Worker] = {}
        """Those that are not ready yet, by their number."""
        self._wanted = 1
        self._to_replace: list[int] = []
        """Numbers of the workers that SIGHUP still has to replace."""
        self._reload_again = False
        self._start_at: dict[int, float] = {}
        """When a worker that has ended is replaced, by its number."""
        self._failures = 0
        self._signals: list[int] = []
        self._is_stopping = False
        self._status = 0
        self._is_up = False

    def run(self) -> int:
        """Run until all workers have ended; returns the exit status."""
        self._catch_signals()
        self._start(1)
        while self._workers or (self._start_at and not self._is_stopping):
            for key, _ in self._selector.select(self._seconds_to_wait()):
                key.data()
            for number in self._take_signals():
                self._take_signal(number)
            self._reap()
            self._look_at_the_clock()
        return self._status

    # -- Signals

    def _catch_signals(self) -> None:
        here, there = socket.socketpair()
        for each in (here, there):
            each.setblocking(False)
        self._wake_up = (here, there)
        signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        self._selector.register(here, selectors.EVENT_READ, lambda: here.recv(4096))
        self._has_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda number, _: self._signals.append(number))

    def _take_signals(self) -> list[int]:
        taken, self._signals = self._signals, []
        return taken

    def _take_signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            return
        if number == signal.SIGHUP and not (self._has_terminal and not _has_terminal()):
            self._reload()
        else:
            self._stop()

    def _stop(self) -> None:
        order, self._is_stopping = ("hurry" if self._is_stopping else "stop"), True
        self._start_at.clear()
        # Or clients would still be let in, and wait.
        self._close_sockets(self._sockets.keys())
        for worker in self._workers.values():
            if worker.is_ready:
                worker.send({"op": order})
            else:
                os.kill(worker.pid, signal.SIGTERM)

    def _reload(self) -> None:
        if self._is_stopping or not self._is_up:
            return
        if self._to_replace or self._starting:
            self._reload_again = True
            return
        self._log.info("reading the settings anew")
        self._to_replace = [*range(1, self._wanted + 1)]
        self._go_on()

    def _go_on(self) -> None:
        """Start the next worker that a reload needs, unless another one is starting."""
        if self._starting or self._is_stopping:
            return
        if self._to_replace:
            self._start(self._to_replace[0])
        elif self._reload_again:
            self._reload_again = False
            self._reload()

    # -- Start

    def _start(self, number: int) -> None:
        self._start_at.pop(number, None)
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become_worker(ours, theirs)
        theirs.close()
        ours.setblocking(False)
        worker = Worker(number, pid, ours)
        self._workers[pid] = self._starting[number] = worker
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(worker))
        self._shared.join(worker)

    def _become_worker(self, ours: socket.socket, theirs: socket.socket) -> None:
        """Run a worker in this process, which has just been forked, and end the process."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            # A terminal sends these to all processes; the supervisor tells the workers what to do.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            self._selector.close()
            for each in (ours, *self._wake_up, *(worker.channel for worker in self._workers.values())):
                each.close()
            status = self._work(WorkerStart(theirs, self._sockets, is_first=not self._is_up))
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    # -- Messages

    def _hear(self, worker: Worker) -> None:
        try:
            messages = worker.read()
        except EOFError:
            self._selector.unregister(worker.channel)
            worker.channel.close()
            return
        for message in messages:
            if not self._shared.take(worker, message):
                self._take(worker, message)

    def _take(self, worker: Worker, message: Message) -> None:
        match message:
            case {"op": "sockets", "addresses": addresses}:
                for host, port, number in addresses:
                    files, worker.files = worker.files[:number], worker.files[number:]
                    worker.addresses.add((host, port))
                    if files:
                        self._sockets[host, port] = [socket.socket(fileno=file) for file in files]
            case {"op": "replace"}:
                if not (worker.is_leaving or self._is_stopping or worker.number in self._starting):
                    self._log.info(f"{worker} is replaced")
                    self._start(worker.number)
            case {"op": "refused", "reason": reason}:
                worker.refusal = reason
            case {"op": "ready", "workers": wanted, "log_level": level, "log_format": form}:
                self._log.level, self._log.form = level, form
                self._ready(worker, wanted)

    def _ready(self, worker: Worker, wanted: int) -> None:
        worker.is_ready = True
        self._failures = 0
        del self._starting[worker.number]
        old = self._serving.get(worker.number)
        self._serving[worker.number] = worker
        self._wanted = wanted
        if self._is_stopping:
            worker.send({"op": "stop"})
            return
        if old is not None:
            self._retire(old)
        self._is_up = True
        if self._to_replace and self._to_replace[0] == worker.number:
            self._to_replace = [number for number in self._to_replace[1:] if number <= wanted]
            if not self._to_replace:
                self._log.info("all workers were replaced")
        if not self._to_replace:
            self._adjust_number()
        self._go_on()

    def _adjust_number(self) -> None:
        """Start the workers that are missing, retire those that are too many, and close the sockets that nobody serves."""
        for number in range(1, self._wanted + 1):
            if not ({number} & (self._serving.keys() | self._starting.keys() | self._start_at.keys())):
                self._start(number)
        for number in [number for number in self._serving if number > self._wanted]:
            self._retire(self._serving.pop(number))
        if not self._starting:
            served = set().union(*(worker.addresses for worker in self._serving.values()))
            self._close_sockets(self._sockets.keys() - served)

    def _close_sockets(self, addresses: Iterable[Address]) -> None:
        for address in list(addresses):
            for each in self._sockets.pop(address):
                each.close()

    def _retire(self, worker: Worker) -> None:
        worker.is_leaving = True
        worker.send({"op": "retire"})

    # -- End

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (worker := self._workers.pop(pid, None)) is not None:  # the first process of a container inherits others
                self._has_ended(worker, os.waitstatus_to_exitcode(status))

    def _has_ended(self, worker: Worker, status: int) -> None:
        while worker.channel.fileno() >= 0:  # its last messages
            self._hear(worker)
        self._shared.leave(worker)
        was_starting = self._starting.get(worker.number) is worker
        if was_starting:
            del self._starting[worker.number]
        if self._serving.get(worker.number) is worker:
            del self._serving[worker.number]
        if self._is_stopping:
            return
        if not self._is_up:
            if worker.refusal:
                print(f"{self._program}: {worker.refusal}", file=sys.stderr)  # noqa: T201
            self._status = status if status > 0 else 1
            return
        if was_starting and worker.number in self._serving:
            self._log.error(f"the workers go on with the settings that they have: {worker.refusal or _how_ended(status)}")
            self._to_replace = []
        elif not worker.is_leaving:
            self._replace_dead(worker, worker.refusal or _how_ended(status))
        self._go_on()

    def _replace_dead(self, worker: Worker, reason: str) -> None:
        if worker.number in self._starting:
            self._log.error(f"{worker} has ended: {reason}")
            return
        pause = 0.0
        if time.monotonic() - worker.started < AT_ONCE or not worker.is_ready:
            self._failures += 1
            pause = min(2.0 ** (self._failures - 1), LONGEST_PAUSE)
        then = f"in {pause:.0f} s" if pause else "now"
        self._log.error(f"{worker} has ended: {reason}; another one is started {then}")
        if pause:
            self._start_at[worker.number] = time.monotonic() + pause
        else:
            self._start(worker.number)

    # -- Time

    def _seconds_to_wait(self) -> float | None:
        deadlines = [worker.started + START_SECONDS for worker in self._starting.values()] + [*self._start_at.values()]
        if (deadline := self._shared.next_deadline()) is not None:
            deadlines.append(deadline)
        if any(worker.unsent for worker in self._workers.values()):
            deadlines.append(time.monotonic() + 0.05)
        return max(min(deadlines) - time.monotonic(), 0) if deadlines else None

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        self._shared.look()
        for worker in self._workers.values():
            worker.flush()
        for worker in self._starting.values():
            if now >= worker.started + START_SECONDS:
                worker.refusal = f"it was not ready within {START_SECONDS:.0f} s"
                os.kill(worker.pid, signal.SIGKILL)
        for number, when in [*self._start_at.items()]:
            if now >= when:
                self._start(number)


def _how_ended(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _has_terminal() -> bool:
    """Return whether this process belongs to a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError as error:
        return error.errno not in (errno.ENXIO, errno.ENOENT, errno.EIO)
    return True
