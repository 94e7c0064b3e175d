"""HTTP as bytes: what no well-behaved client would send, and what exactly comes back."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType

HOST = b"Host: 127.0.0.1\r\n"
JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply; of repeated headers the last one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Raw:
    """A connection to the proxy."""

    def __init__(self, port: int, timeout: float = PATIENCE, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send it all; that the other side has closed already is no failure."""
        with suppress(ConnectionError):
            self.socket.sendall(data)

    def answer(self, method: str = "POST", *, may_be_cut: bool = False) -> Answer:
        """The next reply; those with a status of 1xx are replies, too. A stream that may be cut is read as far as it goes."""
        head, _, self._received = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ")
        assert version in ("HTTP/1.0", "HTTP/1.1")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if status.startswith("1") or status in ("204", "304") or method == "HEAD":
            return Answer(int(status), headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(int(status), headers, self._chunks(may_be_cut=may_be_cut))
        if "content-length" in headers:
            return Answer(int(status), headers, self._exactly(int(headers["content-length"])))
        body, self._received = self._received + self.rest(), b""
        return Answer(int(status), headers, body)

    def rest(self) -> bytes:
        """All that comes until the other side closes."""
        with suppress(ConnectionError):
            while part := self.socket.recv(1 << 16):
                self._received += part
        rest, self._received = self._received, b""
        return rest

    def is_closed(self, within: float) -> bool:
        """Whether the other side closes without another word."""
        self.socket.settimeout(within)
        try:
            return not self._received and self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def _chunks(self, *, may_be_cut: bool) -> bytes:
        body = b""
        while True:
            try:
                size, _, self._received = self._until(b"\r\n").partition(b"\r\n")
            except EOFError:
                if may_be_cut:
                    return body
                raise
            part = self._exactly(int(size, 16) + 2)
            if size == b"0":
                return body
            body += part[:-2]

    def _until(self, wanted: bytes) -> bytes:
        while wanted not in self._received:
            self._more()
        return self._received

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        part, self._received = self._received[:size], self._received[size:]
        return part

    def _more(self) -> None:
        part = self.socket.recv(1 << 16)
        if not part:
            raise EOFError(f"the connection ended after {self._received!r}")
        self._received += part


def exchange(port: int, request: bytes, method: str = "POST", *, may_be_cut: bool = False) -> Answer:
    """The reply to a request on a connection of its own."""
    with Raw(port) as connection:
        connection.send(request)
        return connection.answer(method, may_be_cut=may_be_cut)


def post(path: str, body: bytes | dict[str, Any] = b"", *headers: str, method: str = "POST") -> bytes:
    """A request with a body of known length."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


class Listener:
    """A server that only notes who connects, and what they send."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.visits = 0
        self._welcomes: list[threading.Thread] = []
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                visitor, _ = self._socket.accept()
                self.visits += 1
                welcome = threading.Thread(target=self._serve, args=(visitor,), daemon=True)
                self._welcomes.append(welcome)
                welcome.start()

    def is_empty(self) -> bool:
        """Whether all visitors have left."""
        return not any(welcome.is_alive() for welcome in self._welcomes)

    def _serve(self, visitor: socket.socket) -> None:
        """What is done with a visitor."""
        with visitor, suppress(OSError):
            visitor.settimeout(10)
            while part := visitor.recv(1 << 16):
                self.received.append(part)
