"""The server behind every contestant: an OpenAI-compatible API and an Ollama, both with nothing to compute.

All it says is encoded beforehand, as servers send it: an event, or a frame, is an HTTP chunk of its own. What a call gets is
written in its prompt:

* ``bench:blast:N`` is N tokens as fast as they are taken, many in one write;
* ``bench:paced:N`` is N tokens, 20 in a second, each with the time at which it was sent (``@`` and nanoseconds, 19 digits).
  The streams are spread over those 50 ms at random, as those of independent calls are.
* ``bench:tools:N`` is the same with the tokens as pieces of one tool call's arguments.

Prints its port once it listens; ends on SIGTERM, or when its standard input ends.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
import sys
import time
from typing import Any

MODEL = "bench"
PACE_SECONDS = 0.05
STEP_SECONDS = 0.001
SLOTS = round(PACE_SECONDS / STEP_SECONDS)
BATCH = 32
"""Tokens in one write of a blast."""
STAMP = b"@0000000000000000000"
WORDS = (" the", " proxy", " hands", " on", " every", " token", " it", " gets", ",", " quickly")

_PROMPT = re.compile(rb"bench:(blast|paced|tools):(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream":\s*(true|false)')


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


class Script:
    """What one API says, ready to be sent.

    Attributes:
        head: what comes before the first token.
        tail: what comes after the last one.
        batch: `BATCH` tokens.
    """

    def __init__(self, content_type: bytes, tokens: list[bytes], before: bytes, stamped: bytes, after: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % content_type
        self.head = head + before
        self.tail = after + b"0\r\n\r\n"
        self._tokens = [_chunk(tokens[index % len(tokens)]) for index in range(BATCH)]
        self.batch = b"".join(self._tokens)
        self._before_stamp, self._after_stamp = _chunk(stamped).split(STAMP)

    def tokens(self, number: int) -> bytes:
        """Fewer tokens than a batch."""
        return b"".join(self._tokens[:number])

    def stamped(self) -> bytes:
        """A token with the time."""
        return b"%b@%019d%b" % (self._before_stamp, time.monotonic_ns(), self._after_stamp)


_HEAD: dict[str, Any] = {"id": "chatcmpl-CkX2vQbJ9wqHn5vYtT3mZr0LbYw1e", "created": 1760000000, "model": MODEL}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 100, "total_tokens": 109}


def _openai(*, tools: bool = False) -> Script:
    def event(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
        told = {"object": "chat.completion.chunk", "system_fingerprint": "fp_560af6e559", "choices": choices, "usage": usage}
        return b"data: " + _json(_HEAD | told) + b"\n\n"

    def choice(delta: dict[str, Any], finish_reason: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]

    def arguments(piece: str, **call: Any) -> bytes:
        function = {"name": "write", "arguments": piece} if call else {"arguments": piece}
        return event(choice({"tool_calls": [{"index": 0, **call, "function": function}]}))

    tokens = [event(choice({"content": word})) for word in WORDS]
    first = _chunk(event(choice({"role": "assistant", "content": ""})))
    ended = _chunk(event(choice({}, "tool_calls" if tools else "stop")))
    last = ended + _chunk(event([], _USAGE)) + _chunk(b"data: [DONE]\n\n")
    if tools:
        first += _chunk(arguments('{"content":"', id="call_1", type="function"))
        last = _chunk(arguments('"}')) + last
        return Script(b"text/event-stream; charset=utf-8", tokens, first, arguments(STAMP.decode()), last)
    return Script(b"text/event-stream; charset=utf-8", tokens, first, event(choice({"content": STAMP.decode()})), last)


def _openai_whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _json(_HEAD | {"object": "chat.completion", "choices": [choice], "usage": _USAGE})


_COUNTERS = {
    "done_reason": "stop",
    "total_duration": 1883619125,
    "load_duration": 49312042,
    "prompt_eval_count": 9,
    "prompt_eval_duration": 88710334,
    "eval_count": 100,
    "eval_duration": 1744812625,
}


def _ollama_frame(text: str, **further: Any) -> bytes:
    head = {"model": MODEL, "created_at": "2025-10-09T08:53:20.123456789Z"}
    return _json({**head, "message": {"role": "assistant", "content": text}, "done": bool(further), **further}) + b"\n"


def _ollama() -> Script:
    tokens = [_ollama_frame(word) for word in WORDS]
    last = _chunk(_ollama_frame("", **_COUNTERS))
    return Script(b"application/x-ndjson", tokens, b"", _ollama_frame(STAMP.decode()), last)


OPENAI, OPENAI_TOOLS, OLLAMA = _openai(), _openai(tools=True), _ollama()
MODELS = _reply(_json({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, "owned_by": "bench"}]}))
VERSION = _reply(b'{"version":"0.24.0"}')
NOT_ALLOWED = _reply(b'{"error":"405 method not allowed"}', b"405 Method Not Allowed")
NOT_FOUND = _reply(b'{"error":"404 page not found"}', b"404 Not Found")


class Pace:
    """Wakes each millisecond and sends the tokens that are due."""

    def __init__(self) -> None:
        self._slots: list[set[Connection]] = [set() for _ in range(SLOTS)]
        self._random = random.Random(7)

    def add(self, connection: Connection) -> set[Connection]:
        """Begin with a stream; returns what to remove it from."""
        slot = self._random.choice(self._slots)
        slot.add(connection)
        return slot

    async def run(self) -> None:
        """Keep the pace for ever."""
        loop = asyncio.get_running_loop()
        begun, step = loop.time(), 0
        while True:
            now = loop.time()
            while begun + step * STEP_SECONDS <= now:
                for connection in tuple(self._slots[step % SLOTS]):
                    connection.send_paced()
                step += 1
            await asyncio.sleep(begun + step * STEP_SECONDS - now)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._data = b""
        self._left = 0
        self._script = OPENAI
        self._slot: set[Connection] = set()
        self._may_write = True
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the stream."""
        self._slot.discard(self)
        self._left = 0

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            length = _LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._data) < size:
                return
            body, self._data = self._data[end + 4 : size], self._data[size:]
            method, target, _ = head.split(b" ", 2)
            self._answer(method, target, body)

    def _answer(self, method: bytes, target: bytes, body: bytes) -> None:
        match method, target:
            case b"POST", b"/v1/chat/completions":
                self._play(OPENAI, body, stream=False)
            case b"POST", b"/api/chat":
                self._play(OLLAMA, body, stream=True)
            case b"GET", b"/v1/models":
                self._transport.write(MODELS)
            case b"GET", b"/api/version":
                self._transport.write(VERSION)
            case _, b"/api/chat":
                self._transport.write(NOT_ALLOWED)
            case _:
                self._transport.write(NOT_FOUND)

    def _play(self, script: Script, body: bytes, *, stream: bool) -> None:
        prompt = _PROMPT.search(body)
        kind, number = (prompt[1], int(prompt[2])) if prompt else (b"blast", 8)
        if asked := _STREAM.search(body):
            stream = asked[1] == b"true"
        if not stream:
            text = "".join(WORDS[index % len(WORDS)] for index in range(number))
            whole = _openai_whole(text) if script is OPENAI else _ollama_frame(text, **_COUNTERS)
            self._transport.write(_reply(whole))
            return
        self._script, self._left = OPENAI_TOOLS if kind == b"tools" else script, number
        script = self._script
        if kind in (b"paced", b"tools"):
            self._transport.write(script.head)
            self._slot = self._pace.add(self)
        elif number <= BATCH:
            self._transport.write(script.head + script.tokens(number) + script.tail)
        else:
            self._transport.write(script.head)
            self._blast()

    def send_paced(self) -> None:
        """Send the next token of a paced stream, and the end after the last one."""
        self._transport.write(self._script.stamped())
        self._left -= 1
        if self._left <= 0:
            self._transport.write(self._script.tail)
            self._slot.discard(self)

    def _blast(self) -> None:
        if not self._may_write or self._transport.is_closing():
            return
        if self._left >= BATCH:
            self._transport.write(self._script.batch)
            self._left -= BATCH
            self._loop.call_soon(self._blast)  # each stream in its turn
        else:
            self._transport.write(self._script.tokens(self._left) + self._script.tail)
            self._left = 0

    def pause_writing(self) -> None:
        """Wait for the client."""
        self._may_write = False

    def resume_writing(self) -> None:
        """Go on."""
        self._may_write = True
        if self._left:
            self._blast()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    pace = Pace()
    server = await loop.create_server(lambda: Connection(pace), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    keeping = loop.create_task(pace.run())
    # With whoever started it gone, there is nobody to serve.
    await asyncio.to_thread(sys.stdin.read)
    keeping.cancel()


if __name__ == "__main__":
    # Its pauses would be taken for the contestants'.
    gc.disable()
    asyncio.run(_serve())
