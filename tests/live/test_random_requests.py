"""Thousands of requests that nobody meant: every one is answered, none breaks anything."""

from __future__ import annotations

import json
import logging
import os
import random
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiohttp import web

from tests.live.proxy import ProxyProcess
from tests.live.raw_http import Answer, Listener, Raw, exchange, post
from tests.patience import PATIENCE
from tests.standins import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = int(os.environ.get("RANDOM_REQUESTS_SEED", "1"))
OWN_FAULTS = ("cannot connect", "broke", "in time", "fell silent", "cannot be understood", "busy", "shutting down")
"""Words of the proxy's own errors about what is behind it, which is well all the time."""

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
OPTIONS = {"temperature": 0.5, "num_predict": 5, "stop": ["x"], "num_ctx": 512, "seed": 1, "top_k": 3, "min_p": 0.1}
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/", None),
    ("HEAD", "/", None),
    ("GET", "/api/version", None),
    ("GET", "/api/tags", None),
    ("GET", "/api/ps", None),
    ("GET", "/healthz", None),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/gpt-test", None),
    ("POST", "/api/show", {"model": "MODEL", "verbose": True}),
    ("POST", "/api/chat", {"model": "MODEL", "messages": HELLO, "options": OPTIONS, "keep_alive": "5m"}),
    ("POST", "/api/chat", {"model": "MODEL", "messages": HELLO, "tools": [TOOL], "stream": False, "format": "json"}),
    (
        "POST",
        "/api/chat",
        {"model": "MODEL", "messages": [{"role": "user", "content": "hm", "images": [PNG]}], "think": True, "stream": False},
    ),
    (
        "POST",
        "/api/chat",
        {
            "model": "MODEL",
            "stream": False,
            "messages": [
                *HELLO,
                {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
                {"role": "tool", "tool_name": "f", "content": "x"},
            ],
        },
    ),
    ("POST", "/api/generate", {"model": "MODEL", "prompt": "hello", "system": "s", "options": OPTIONS, "context": [1, 2]}),
    ("POST", "/api/generate", {"model": "MODEL", "prompt": "a", "suffix": "b", "raw": True, "stream": False}),
    ("POST", "/api/embed", {"model": "MODEL", "input": ["a", "b"], "truncate": True, "dimensions": 4}),
    ("POST", "/api/embeddings", {"model": "MODEL", "prompt": "a"}),
    ("POST", "/api/pull", {"model": "nope", "insecure": False, "stream": True}),
    ("POST", "/api/push", {"model": "nope"}),
    ("POST", "/api/create", {"model": "made", "from": "MODEL", "system": "s", "parameters": {"temperature": 1}}),
    ("POST", "/api/copy", {"source": "MODEL", "destination": "copied"}),
    ("DELETE", "/api/delete", {"model": "copied"}),
    ("HEAD", "/api/blobs/sha256:" + "0" * 64, None),
    ("POST", "/api/blobs/sha256:" + "0" * 64, {"any": "thing"}),
    ("POST", "/api/me", {}),
    ("POST", "/v1/chat/completions", {"model": "MODEL", "messages": HELLO, "stream": True, "max_tokens": 5}),
    ("POST", "/v1/chat/completions", {"model": "MODEL", "messages": HELLO, "tools": [TOOL], "tool_choice": "auto"}),
    ("POST", "/v1/completions", {"model": "MODEL", "prompt": "hello"}),
    ("POST", "/v1/embeddings", {"model": "MODEL", "input": ["a"], "encoding_format": "float"}),
    ("POST", "/v1/responses", {"model": "MODEL", "input": [{"role": "user", "content": "hi"}], "stream": True, "tools": []}),
    ("POST", "/v1/messages", {"model": "MODEL", "max_tokens": 5, "messages": HELLO, "stream": True, "system": "s"}),
    (
        "POST",
        "/v1/messages",
        {
            "model": "MODEL",
            "max_tokens": 5,
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "1"}]}
            ],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        },
    ),
    ("POST", "/v1/messages/count_tokens", {"model": "MODEL", "messages": HELLO}),
]
HEADERS = [
    *("Content-Type: application/json", "Content-Type: text/plain", "Content-Type: multipart/form-data; boundary=x"),
    *("Content-Type: multipart/form-data", "Content-Type: application/json; charset=utf-16", "Content-Encoding: gzip"),
    *("Content-Encoding: zstd", "Content-Encoding: br, gzip", "Content-Encoding: identity", "Accept-Encoding: gzip, br"),
    *("Authorization: Bearer ", "Authorization: Basic !", "Authorization: Bearer a,b", "X-Api-Key: x", "Cookie: a=b"),
    *("Origin: http://localhost:3000", "Origin: https://evil.example", "Origin: null", "Access-Control-Request-Method: POST"),
    *("X-HTTP-Method-Override: DELETE", "X-HTTP-Method-Override: HEAD", "X-HTTP-Method-Override: x", "Expect: 100-continue"),
    *("Upgrade: h2c", "Upgrade: websocket", "Connection: Upgrade", "Connection: close", "Connection: keep-alive, x, host"),
    *("TE: trailers", "Trailer: x", "Range: bytes=0-1", "If-None-Match: *", "X-Forwarded-For: 1.2.3.4, x", "Forwarded: for=x"),
    *("X-Request-Id: \u00e4", "X-Request-Id: a b", "X-Request-Id: " + "x" * 300, "Host: evil.example", "Host: [::1]:1"),
    *("User-Agent: ollama/0.24.0", "Accept: text/event-stream", "anthropic-version: 2023-06-01", "Content-Length: 0"),
    *("Content-Length: 1", "Transfer-Encoding: chunked", "Transfer-Encoding: x", "X: \x00", "X:", "X: " + "y" * 5000),
]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "head", "gEt", "X", "CONNECT"]
PATHS = [
    *("*", "/api", "/api/", "//", "/api//chat/", "/api/unheard", "/v1", "/v1/", "/v1/unheard", "/v1/models/", "/v1/models/%00"),
    *("/api/blobs/", "/api/blobs/x", "/api/user/keys/x", "/api/ls", "/api/stop", "/%2e%2e/%2e%2e", "/api/chat%0d%0aX:%20y"),
    *("/api/%c3%28", "/?a=b&a=c", "/api/generate?model=MODEL&prompt=hi", "/api/chat?" + "a=b&" * 2000, "/api/tags?x=%zz"),
    *("http://evil.example/", "http://127.0.0.1:1/api/tags", "/readyz", "/metrics", "/api/show?name=MODEL", "/v1/files/x"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, 1e308, -(2**63), 2**64, 10**400, "", "x", "MODEL", "\x00", "\ud800", "\u2028", "5m"),
    *("-1", "9" * 400, "<think>", "data:image/png;base64,x", [], {}, [[]], [None], {"": None}, [{}] * 3, {"a": {"b": [1]}}),
    *(["x"] * 50, {"type": "object"}, {"role": "user"}, {"type": "text", "text": 1}, {"url": "http://127.0.0.1:1/"}, PNG),
]


class Attempt(NamedTuple):
    """A request, and whether what follows it on the connection could still be read."""

    method: str
    data: bytes
    framed: bool


class Generator:
    """Makes the same requests for the same seed."""

    def __init__(self, seed: int, model: str) -> None:
        self._random = random.Random(seed)
        self._model = model

    def attempt(self) -> Attempt:
        rng = self._random
        method, path, body = rng.choice(CALLS)
        if rng.random() < 0.15:
            method = rng.choice(METHODS)
        if rng.random() < 0.15:
            path = rng.choice(PATHS)
        content = b"" if body is None else self._content(body)
        headers = [rng.choice(HEADERS) for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 5]))]
        # The servers of the tests do not even look at a request with two of these.
        kinds = [header for header in headers if header.startswith("Content-Type")]
        headers = [header for header in headers if header not in kinds[1:]]
        framed = not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers)
        if content or rng.random() < 0.3:
            chunked = rng.random() < 0.2
            headers.insert(
                rng.randint(0, len(headers)), "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(content)}"
            )
            content = self._chunks(content) if chunked else content
        head = "\r\n".join([f"{method} {path} HTTP/1.1".replace("MODEL", self._model), "Host: 127.0.0.1", *headers, "", ""])
        data = head.encode("utf-8", "surrogatepass") + content
        if rng.random() < 0.2:
            return Attempt(method, self._broken(data), framed=False)
        return Attempt(method, data, framed)

    def _content(self, body: Any) -> bytes:
        rng = self._random
        # The very same for every request would be altered.
        body = json.loads(json.dumps(body))
        for _ in range(rng.choice([0, 1, 1, 2, 4])):
            body = self._changed(body)
        if rng.random() < 0.01:
            depth = rng.choice([100, 1000, 20_000])
            return b'{"model":' + b"[" * depth + b"]" * depth + b"}"
        content = json.dumps(body).replace("MODEL", self._model).encode()
        match rng.randrange(12):
            case 0:
                return self._broken(content)
            case 1:
                return content + rng.choice([b"x", b"{}", b"\n", b"\x00", b","])
            case 2:
                return rng.choice([b"\xef\xbb\xbf", b" ", b"[", b'"']) + content
            case 3:
                return content.replace(b"}", b',"model":"x"}', 1).replace(b"1", b"NaN", 1)
        return content

    def _changed(self, value: Any) -> Any:
        """The value with one place of it changed."""
        rng = self._random
        match value:
            case dict() if value and rng.random() < 0.85:
                key = rng.choice(list(value))
                match rng.randrange(8):
                    case 0:
                        del value[key]
                    case 1:
                        value[rng.choice([key.upper(), key + "x", "", "stream", "input"])] = value[key]
                    case _:
                        value[key] = self._changed(value[key])
                return value
            case list() if value and rng.random() < 0.85:
                index = rng.randrange(len(value))
                value[index] = self._changed(value[index])
                return value * rng.choice([1, 1, 1, 2, 30])
        return deepcopy(rng.choice(VALUES))

    def _broken(self, data: bytes) -> bytes:
        rng = self._random
        changed = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 10])):
            if not changed:
                break
            place = rng.randrange(len(changed))
            match rng.randrange(5):
                case 0:
                    del changed[place:]
                case 1:
                    del changed[place]
                case 2:
                    changed.insert(place, rng.choice(b'\r\n\0 :;,"{}[]%\xff'))
                case _:
                    changed[place] = rng.randrange(256)
        return bytes(changed)

    def _chunks(self, content: bytes) -> bytes:
        rng = self._random
        parts = []
        while content:
            size = rng.randint(1, len(content))
            parts.append(b"%x%s\r\n%s\r\n" % (size, rng.choice([b"", b";a=b"]), content[:size]))
            content = content[size:]
        return b"".join(parts) + b"0\r\n" + rng.choice([b"", b"", b"X: y\r\n"]) + b"\r\n"


class Attacker:
    """Sends what a generator makes, on one connection as long as it lasts."""

    def __init__(self, proxy: ProxyProcess, seed: int, model: str) -> None:
        self._proxy = proxy
        self._generator = Generator(seed, model)
        self._kept: Raw | None = None
        self._last = b""
        self.seen: Counter[int] = Counter()
        self.faults: list[str] = []

    def attack(self, count: int) -> None:
        for _ in range(count):
            attempt = self._generator.attempt()
            try:
                answer = self._whole(attempt) if attempt.framed else self._broken(attempt)
            except (TimeoutError, EOFError, ConnectionError, AssertionError, ValueError) as error:
                self._fault(attempt, repr(error))
                self._drop()
                continue
            self._last = attempt.data
            self.seen[answer.status if answer else 0] += 1
            if answer and answer.status >= 500:
                text = answer.body.decode("utf-8", "replace")
                # Ollama has such errors, too; what stands behind the proxy is well all the time.
                if answer.status in (502, 504) or not text or any(words in text for words in OWN_FAULTS):
                    self._fault(attempt, f"{answer.status} {text[:300]}")
        self._drop()

    def _whole(self, attempt: Attempt) -> Answer:
        connection = self._kept = self._kept or Raw(self._proxy.port, timeout=PATIENCE)
        connection.send(attempt.data)
        while (answer := connection.answer(attempt.method.upper())).status < 200:
            pass
        if "close" in answer.headers.get("connection", "") or b"\r\nConnection: close" in attempt.data:
            self._drop()
        return answer

    def _broken(self, attempt: Attempt) -> Answer | None:
        """What a client gets that sends nothing more; nothing, where it ended in the middle."""
        with Raw(self._proxy.port, timeout=PATIENCE) as connection:
            connection.send(attempt.data)
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_WR)
            told = connection.rest()
        if not told:
            return None
        status = int(told.split(b" ", 2)[1])
        return Answer(status, {}, told.partition(b"\r\n\r\n")[2])

    def _drop(self) -> None:
        if self._kept:
            self._kept.socket.close()
            self._kept = None

    def _fault(self, attempt: Attempt, what: str) -> None:
        self.faults.append(f"{what}\n   to {attempt.data[:1000]!r}\n   after {self._last[:1000]!r}")


class UnbreakableBackend(ScriptedBackend):
    """Takes everything."""

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        if b"\\ud" in (await request.read()).lower():
            return web.json_response({"error": {"message": "half a character"}}, status=400)
        try:
            return await super()._serve_any(request)
        except (TypeError, ValueError, AttributeError, KeyError, ArithmeticError, RecursionError):
            return web.json_response({"error": {"message": "nonsense", "type": "invalid_request_error"}}, status=400)


class UnbreakableServer(Listener):
    """Stands for Ollama: reads requests by their length, and answers each with a list of models and a message in one."""

    ANSWER = b'{"models":[],"message":{"role":"assistant","content":"x"},"done":true}\n'

    def _serve(self, visitor: socket.socket) -> None:
        with visitor, suppress(ConnectionError), visitor.makefile("rb") as reader:
            while line := reader.readline():
                headers = {}
                while field := reader.readline().strip():
                    name, _, value = field.partition(b":")
                    headers[name.lower()] = value.strip()
                if b"transfer-encoding" in headers:
                    while size := int(reader.readline(), 16):
                        reader.read(size + 2)
                    reader.readline()
                else:
                    reader.read(int(headers.get(b"content-length", b"0")))
                kind = b"application/x-ndjson" if b"/api/chat" in line else b"application/json"
                head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(self.ANSWER))
                visitor.sendall(head + (b"" if line.startswith(b"HEAD ") else self.ANSWER))


@pytest.fixture(autouse=True)
def quiet_servers(caplog: pytest.LogCaptureFixture) -> None:
    """The servers of the tests tell at length what they think of such requests."""
    caplog.set_level(logging.CRITICAL, "aiohttp.server")
    caplog.set_level(logging.CRITICAL, "asyncio")


@pytest.fixture(scope="module")
def proxies() -> Iterator[dict[str, ProxyProcess]]:
    """One in each mode, by the name of a model that it has."""
    with UnbreakableBackend(strict=False) as backend, UnbreakableServer() as upstream:
        common: dict[str, Any] = {"LOG_LEVEL": "debug", "MAX_CONCURRENT_REQUESTS": "100"}
        with (
            ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, **common) as translating,
            ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=f"http://127.0.0.1:{upstream.port}", **common) as fixing,
        ):
            yield {"gpt-test": translating, "tiny": fixing}
        backend.violations.clear()


@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.nightly)])
def test_random_requests_break_nothing(proxies: dict[str, ProxyProcess], count: int) -> None:
    attackers = [Attacker(proxy, SEED + number, model) for model, proxy in proxies.items() for number in range(2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda attacker: attacker.attack(count // len(attackers)), attackers))
    seen = sum((attacker.seen for attacker in attackers), Counter[int]())
    print(f"{seen.total()} requests: {dict(sorted(seen.items()))}")
    faults = [fault for attacker in attackers for fault in attacker.faults]
    assert not faults, f"{len(faults)} faults, among them:\n" + "\n".join(faults[:10])
    assert seen.total() == count
    # Most of them are understood, or it would be no test.
    assert seen[200] > count / 4
    for model, proxy in proxies.items():
        for word in ("Traceback", " failed: ", "has crashed", "error=crash"):
            assert word not in proxy.log, lines_with(word, proxy.log)
        answer = exchange(proxy.port, post("/api/chat", {"model": model, "messages": HELLO, "stream": False}))
        assert answer.status == 200
        assert exchange(proxy.port, b"GET /api/tags HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").status == 200


def lines_with(word: str, log: str) -> str:
    return "\n".join(line for line in log.splitlines() if word in line)[:5000]
