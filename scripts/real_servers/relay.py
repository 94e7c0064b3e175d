"""A relay between the proxy and a server, which can hold an answer in its middle."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_BOUNDARY = re.compile(rb"\r?\n\r?\n")
EVENTS = 4
"""How much of a held answer passes: its head and the first events."""


class Relay:
    """Passes on whatever comes, at a port of its own."""

    def __init__(self, base_url: str) -> None:
        self._target = int(base_url.rpartition(":")[2].partition("/")[0])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.is_holding = threading.Event()
        self.has_held = threading.Event()
        self.is_abandoned = threading.Event()
        self.connections: set[_Connection] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.close()
        self.drop()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Within this context, answers stop after their first events, until their connection is closed."""
        self.has_held.clear()
        self.is_abandoned.clear()
        self.is_holding.set()
        try:
            yield
        finally:
            self.is_holding.clear()
            self.drop()

    def wait_until_held(self) -> None:
        """Wait for an answer that has stopped."""
        assert self.has_held.wait(PATIENCE), "no streamed answer came from the server"

    def wait_until_abandoned(self) -> None:
        """Wait until the proxy has closed the connection of an answer that has stopped."""
        assert self.is_abandoned.wait(PATIENCE), "the proxy keeps the connection of an answer that nobody reads"

    def drop(self) -> None:
        """Close all connections in their middle, as a server that dies does."""
        for connection in tuple(self.connections):
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                front, _ = self._listener.accept()
                connection = _Connection(self, front)
                self.connections.add(connection)
                threading.Thread(target=connection.open, args=(self._target,), daemon=True).start()


def cut_answer(part: bytes, passed: int) -> tuple[bytes, int]:
    """What of a part of an answer passes, and how many events have passed then."""
    for boundary in _BOUNDARY.finditer(part):
        passed += 1
        if passed == EVENTS:
            return part[: boundary.end()], passed
    return part, passed


class _Connection:
    def __init__(self, relay: Relay, front: socket.socket) -> None:
        self._relay = relay
        self._front = front
        self._back: socket.socket | None = None
        self._passed = 0
        self._stopped = threading.Event()

    def open(self, target: int) -> None:
        """Connect to the server, and pass on until one side has closed."""
        try:
            self._back = socket.create_connection(("127.0.0.1", target))
        except OSError:
            self.close()
            return
        threading.Thread(target=self._pass_answers, args=(self._back,), daemon=True).start()
        with contextlib.suppress(OSError):
            while part := self._front.recv(65536):
                self._passed = 0
                self._back.sendall(part)
        if self._stopped.is_set():
            self._relay.is_abandoned.set()
        self.close()

    def _pass_answers(self, back: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := back.recv(65536):
                if self._relay.is_holding.is_set():
                    part, self._passed = cut_answer(part, self._passed)
                    self._front.sendall(part)
                    if self._passed >= EVENTS:
                        self._stopped.set()
                        self._relay.has_held.set()
                        return
                else:
                    self._front.sendall(part)
        self.close()

    def close(self) -> None:
        """Close both sides."""
        for side in (self._front, self._back):
            if side is not None:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
                side.close()
        self._relay.connections.discard(self)
