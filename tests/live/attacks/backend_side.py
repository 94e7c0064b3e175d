"""A server behind the proxy that answers with whatever bytes a test wants, and the proxy before it, by door and mode."""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import termios
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import pytest

from tests.live.proxy import ProxyProcess
from tests.live.raw_http import exchange, get, post
from tests.patience import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from tests.live.attacks.targets import Mode
    from tests.live.proxy import Door
    from tests.live.raw_http import Answer

type Call = tuple[str, dict[str, Any] | None]

OWN_KEY = "sk-own-key-of-the-tests"
CLIENTS_KEY = "key-that-clients-bring"
BEARER = f"Authorization: Bearer {CLIENTS_KEY}"
PROMPT = "the secret prompt"
MODEL = "gpt-test"
HELLO = [{"role": "user", "content": PROMPT}]

in_mode = pytest.mark.in_mode
"""`@in_mode("fix")`: the test is about that mode, and is not made for the setups of the other one."""

one_setup_each = pytest.mark.one_setup_each
"""The test is dear: each of its parameters is tried in one setup, by turns, and in the others nightly."""

CALLS: dict[str, Call] = {
    "a chat": ("/api/chat", {"model": MODEL, "messages": HELLO}),
    "a whole chat": ("/api/chat", {"model": MODEL, "messages": HELLO, "stream": False}),
    "a completion": ("/api/generate", {"model": MODEL, "prompt": PROMPT}),
    "embeddings": ("/api/embed", {"model": MODEL, "input": [PROMPT]}),
    "OpenAI's chat": ("/v1/chat/completions", {"model": MODEL, "messages": HELLO}),
    "OpenAI's streamed chat": ("/v1/chat/completions", {"model": MODEL, "messages": HELLO, "stream": True}),
    "OpenAI's embeddings": ("/v1/embeddings", {"model": MODEL, "input": PROMPT}),
    "responses": ("/v1/responses", {"model": MODEL, "input": PROMPT}),
    "messages": ("/v1/messages", {"model": MODEL, "messages": HELLO, "max_tokens": 9}),
    "what nobody knows": ("/v1/unheard/of", {"model": MODEL, "prompt": PROMPT}),
}
"""Every way in which a call reaches the server: the SDK's answer read whole, its stream, what is passed on, and fix mode."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the server read it.

    Attributes:
        connection: which connection, counted from 0.
        turn: which request on that connection, counted from 0.
    """

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int
    turn: int

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and self.target.endswith(("/models", "/tags"))


class Says(NamedTuple):
    """What the server writes for a request; an empty piece is left out. Afterwards the connection is kept, or closed."""

    pieces: Iterator[bytes] | list[bytes]
    then: Literal["keep", "close", "reset"] = "keep"


def head(status: object = 200, *fields: str, length: int | None = None, kind: str = "application/json") -> bytes:
    """A response's head."""
    framing = [f"Content-Length: {length}"] if length is not None else []
    return "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Type: {kind}", *framing, *fields, "", ""]).encode("latin-1")


def reply(body: object, status: object = 200, *fields: str, kind: str = "application/json") -> bytes:
    """A whole response."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(status, *fields, length=len(content), kind=kind) + content


def listing(*entries: dict[str, Any]) -> dict[str, Any]:
    """A list of models, for both APIs."""
    known = [{"id": MODEL, "name": MODEL, "object": "model", "owned_by": "tests"}, *entries]
    return {"object": "list", "data": known, "models": known}


def said(text: str) -> dict[str, Any]:
    """An answer that every call takes for one."""
    return {
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "text": text, "finish_reason": "stop"}],
        "message": {"role": "assistant", "content": text},
        "response": text,
        "done": True,
        "data": [{"index": 0, "embedding": [1.0, 2.0]}],
        "embeddings": [[1.0, 2.0]],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _well(_: Request) -> Says:
    return Says([reply(said("fine"))])


@dataclass(slots=True)
class HostileServer:
    """A server that answers as `answer` says; a list of models well by itself, unless `lists` is set.

    Attributes:
        answer: makes the bytes for a request.
        lists: likewise, for requests for the list of models.
        after: is called with the connection when an answer was sent.
    """

    answer: Callable[[Request], Says] = _well
    lists: Callable[[Request], Says] | None = None
    after: Callable[[Request, socket.socket], None] | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    _socket: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)
    _answering: set[threading.Thread] = field(default_factory=set)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.drop_connections()

    def forget(self) -> None:
        """Behave well again, and start counting anew. Connections are dropped, so that no test sees those of another."""
        self.answer = _well
        self.lists = self.after = None
        self.drop_connections()
        self.requests.clear()

    def drop_connections(self) -> None:
        """Close all connections."""
        while self._open:
            with suppress(OSError, IndexError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def wait_for_arrival(self) -> None:
        """Return when all requests are answered, and all that was sent has arrived at the proxy's sockets."""
        wait_until(lambda: not self._answering, lambda: "the server still answers")
        wait_until(lambda: not any(map(_unacknowledged, list(self._open))), lambda: "bytes of the server are on their way")

    @property
    def calls(self) -> list[Request]:
        """The requests for something else than the list of models."""
        return [request for request in self.requests if not request.is_list]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                visitor, _ = self._socket.accept()
                number, self.connections = self.connections, self.connections + 1
                self._open.append(visitor)
                threading.Thread(target=self._serve, args=(visitor, number), daemon=True).start()

    def _serve(self, visitor: socket.socket, number: int) -> None:
        with visitor, suppress(OSError, EOFError):
            visitor.settimeout(PATIENCE)
            for turn in range(1000):
                request = _read(visitor, number, turn)
                self._answering.add(threading.current_thread())
                try:
                    say = self._answer(request, visitor)
                finally:
                    self._answering.discard(threading.current_thread())
                if say.then == "reset":
                    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                if say.then != "keep":
                    return

    def _answer(self, request: Request, visitor: socket.socket) -> Says:
        self.requests.append(request)
        say = self._answer_to(request)
        for piece in say.pieces:
            visitor.sendall(piece)
        if self.after is not None and not request.is_list:
            self.after(request, visitor)
        return say

    def _answer_to(self, request: Request) -> Says:
        if not request.is_list:
            return self.answer(request)
        return Says([reply(listing())]) if self.lists is None else self.lists(request)


def _read(visitor: socket.socket, number: int, turn: int) -> Request:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(visitor)
    before, _, body = received.partition(b"\r\n\r\n")
    line, *lines = before.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _some(visitor)
    return Request(line, headers, body, number, turn)


def _unacknowledged(visitor: socket.socket) -> int:
    """How many bytes that were sent have not arrived in the other side's socket."""
    with suppress(OSError, ValueError):  # the connection is closed
        (size,) = struct.unpack("i", fcntl.ioctl(visitor, termios.TIOCOUTQ, b"\0\0\0\0"))
        return int(size)
    return 0


def _some(visitor: socket.socket) -> bytes:
    part = visitor.recv(1 << 16)
    if not part:
        raise EOFError
    return part


@dataclass(frozen=True, slots=True)
class Setup:
    """A proxy before a hostile server."""

    door: Door
    mode: Mode
    proxy: ProxyProcess
    server: HostileServer

    def call(self, call: Call, *headers: str, may_be_cut: bool = True) -> Answer:
        """Make a call as a client with a key."""
        path, body = call
        request = get(path, BEARER, *headers) if body is None else post(path, body, BEARER, *headers)
        return exchange(self.proxy.port, request, "GET" if body is None else "POST", may_be_cut=may_be_cut)

    def works(self) -> bool:
        """Whether a plain call is answered well."""
        self.server.forget()
        return self.call(CALLS["OpenAI's chat"]).status == 200


@contextmanager
def setup(door: Door, mode: Mode, **settings: str) -> Iterator[Setup]:
    """Start a proxy and its server."""
    with ExitStack() as stack:
        server = stack.enter_context(HostileServer())
        own: dict[str, Any] = {
            "PROXY_MODE": mode,
            "OPENAI_API_BASE_URL": f"{server.url}/v1",
            "OLLAMA_UPSTREAM_URL": server.url,
            "OPENAI_API_KEY": OWN_KEY,
            "PROXY_API_KEYS": CLIENTS_KEY,
            "LOG_LEVEL": "debug",
            **settings,
        }
        arguments = ["--set", "flow_detail=0"] if door == "mitmdump" else []
        proxy = stack.enter_context(ProxyProcess(door=door, arguments=arguments, **own))
        yield Setup(door, mode, proxy, server)
