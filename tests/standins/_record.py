"""What a stand-in remembers of the calls it served, in a form that the test's thread may ask for while they run."""

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy

from tests.patience import PATIENCE


@dataclass(slots=True)
class RecordedRequest:
    """A request as it came in."""

    method: str
    path: str
    """The target as it stood on the request line, with its query."""
    headers: CIMultiDictProxy[str]
    """For looking up by name; case does not matter."""
    raw_headers: tuple[tuple[str, str], ...]
    """Names and values in the order and the case of the wire."""
    body: bytes | None = None
    """None for a body that is not kept, or has not fully arrived."""

    @property
    def json(self) -> Any:
        if self.body is None:
            raise ValueError(f"the body of {self.method} {self.path} was not kept")
        return json.loads(self.body)


class Journal:
    """Requests, writes and departures of one server.

    `requests` and `sent` are only ever appended to by the server, so a test may read or clear them at any time.
    Times are `time.monotonic()`, which is one clock for all processes of a machine.
    """

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.sent: list[tuple[float, bytes]] = []
        """Each piece of a streamed reply, stamped just before it was handed to the socket."""
        self._active = 0
        self._departures: deque[float] = deque()
        self._changed = threading.Condition()

    @property
    def active(self) -> int:
        """How many requests are being answered now."""
        return self._active

    def wait_for_requests(self, count: int = 1, timeout: float = PATIENCE) -> bool:
        """Wait until `requests` holds at least `count` of them; False when the time is up."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout)

    def wait_idle(self, timeout: float = PATIENCE) -> bool:
        """Wait until no request is in progress; False when the time is up."""
        with self._changed:
            return self._changed.wait_for(lambda: self._active == 0, timeout)

    def wait_for_disconnect(self, timeout: float = PATIENCE) -> float | None:
        """Return when the server noticed a client that left before its answer ended.

        Each call reports the oldest departure that has not been reported yet; None when the time is up.
        """
        with self._changed:
            if self._changed.wait_for(lambda: bool(self._departures), timeout):
                return self._departures.popleft()
        return None

    def _note_request(self, request: web.Request, body: bytes | None = None) -> RecordedRequest:
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers)
        recorded = RecordedRequest(request.method, request.raw_path, request.headers, headers, body)
        with self._changed:
            self.requests.append(recorded)
            self._changed.notify_all()
        return recorded

    def _note_begin(self) -> None:
        with self._changed:
            self._active += 1

    def _note_end(self, *, client_left: bool) -> None:
        with self._changed:
            self._active -= 1
            if client_left:
                self._departures.append(time.monotonic())
            self._changed.notify_all()

    def _note_write(self, data: bytes) -> None:
        self.sent.append((time.monotonic(), data))
