"""Ollama's answers as bytes: JSON, time stamps, and the frames of a stream (docs/wire.md#json-encoding, docs/wire.md#chat).

Everything leaves as ASCII: clients that split a stream on Unicode line separators, or decode each network read by itself,
then find nothing to trip over. Frames are built by hand because a token each makes them the hot path; the keys stand in
Ollama's order.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

JSON_TYPE = "application/json; charset=utf-8"
NDJSON_TYPE = "application/x-ndjson"
TEXT_TYPE = "text/plain"

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_quote = json.encoder.encode_basestring_ascii


def encode_json(value: Any) -> bytes:
    """Compact JSON in ASCII, without a line end."""
    return _encode(value).encode("ascii")


def error_body(message: str) -> bytes:
    """An error as every native endpoint words it."""
    return encode_json({"error": message})


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC, with up to nine digits of fraction and no trailing zeros, as Go writes it."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    # The many frames of one second share it.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer: what one chunk added.

    Attributes:
        tool_calls: whole calls in Ollama's form, with object arguments.
        logprobs: entries in Ollama's form, of the tokens in `content` or `thinking`.
    """

    content: str = ""
    thinking: str = ""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    logprobs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Counters:
    """What the last frame tells of an answer; durations in nanoseconds, all greater than zero."""

    done_reason: str
    total_duration: int
    load_duration: int
    prompt_eval_count: int
    prompt_eval_duration: int
    eval_count: int
    eval_duration: int

    def metrics(self) -> dict[str, int]:
        """The six numbers in Ollama's order."""
        return {
            "total_duration": self.total_duration,
            "load_duration": self.load_duration,
            "prompt_eval_count": self.prompt_eval_count,
            "prompt_eval_duration": self.prompt_eval_duration,
            "eval_count": self.eval_count,
            "eval_duration": self.eval_duration,
        }


class Frames(Protocol):
    """Writes the answers of one endpoint; `model` is echoed as the client wrote it."""

    def delta(self, delta: Delta) -> bytes:
        """A frame in the course of a stream, with its line end."""

    def final(self, counters: Counters) -> bytes:
        """The last frame of a stream, with its line end."""

    def whole(self, delta: Delta, counters: Counters) -> bytes:
        """The one object of an answer that is not streamed, without a line end."""

    def idle(self, done_reason: str) -> bytes:
        """The answer to a call that only loads or unloads the model, without a line end."""


class ChatFrames:
    """The answers of `/api/chat`."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._head = f'{{"model":{_quote(model)},"created_at":"'

    def delta(self, delta: Delta) -> bytes:  # noqa: D102
        head = f'{self._head}{_now()}","message":{{"role":"assistant","content":{_quote(delta.content)}'
        thinking = f',"thinking":{_quote(delta.thinking)}' if delta.thinking else ""
        calls = f',"tool_calls":{_encode(delta.tool_calls)}' if delta.tool_calls else ""
        logprobs = f',"logprobs":{_encode(delta.logprobs)}' if delta.logprobs else ""
        return f'{head}{thinking}{calls}}},"done":false{logprobs}}}\n'.encode("ascii")

    def final(self, counters: Counters) -> bytes:  # noqa: D102
        return self.whole(Delta(), counters) + b"\n"

    def whole(self, delta: Delta, counters: Counters) -> bytes:  # noqa: D102
        message: dict[str, Any] = {"role": "assistant", "content": delta.content}
        if delta.thinking:
            message["thinking"] = delta.thinking
        if delta.tool_calls:
            message["tool_calls"] = delta.tool_calls
        frame = {"model": self._model, "created_at": _now(), "message": message, "done": True}
        frame["done_reason"] = counters.done_reason
        if delta.logprobs:
            frame["logprobs"] = delta.logprobs
        return encode_json(frame | counters.metrics())

    def idle(self, done_reason: str) -> bytes:  # noqa: D102
        message = {"role": "assistant", "content": ""}
        head = {"model": self._model, "created_at": _now(), "message": message}
        return encode_json(head | {"done": True, "done_reason": done_reason})


class GenerateFrames:
    """The answers of `/api/generate`.

    `context` is what the last frame carries for the next call to continue from; it is asked for when the answer is
    complete, with its text, and None leaves it out.
    """

    def __init__(self, model: str, context: Callable[[str], Sequence[int]] | None) -> None:
        self._model = model
        self._head = f'{{"model":{_quote(model)},"created_at":"'
        self._context = context
        self._text: list[str] = []

    def delta(self, delta: Delta) -> bytes:  # noqa: D102
        self._text.append(delta.content)
        head = f'{self._head}{_now()}","response":{_quote(delta.content)}'
        thinking = f',"thinking":{_quote(delta.thinking)}' if delta.thinking else ""
        calls = f',"tool_calls":{_encode(delta.tool_calls)}' if delta.tool_calls else ""
        logprobs = f',"logprobs":{_encode(delta.logprobs)}' if delta.logprobs else ""
        return f'{head}{thinking},"done":false{calls}{logprobs}}}\n'.encode("ascii")

    def final(self, counters: Counters) -> bytes:  # noqa: D102
        return self._last(Delta(), counters, "".join(self._text)) + b"\n"

    def whole(self, delta: Delta, counters: Counters) -> bytes:  # noqa: D102
        return self._last(delta, counters, delta.content)

    def idle(self, done_reason: str) -> bytes:  # noqa: D102
        head = {"model": self._model, "created_at": _now(), "response": ""}
        return encode_json(head | {"done": True, "done_reason": done_reason})

    def _last(self, delta: Delta, counters: Counters, answer: str) -> bytes:
        frame: dict[str, Any] = {"model": self._model, "created_at": _now(), "response": delta.content}
        if delta.thinking:
            frame["thinking"] = delta.thinking
        frame |= {"done": True, "done_reason": counters.done_reason}
        if self._context is not None:
            frame["context"] = self._context(answer)
        frame |= counters.metrics()
        if delta.tool_calls:
            frame["tool_calls"] = delta.tool_calls
        if delta.logprobs:
            frame["logprobs"] = delta.logprobs
        return encode_json(frame)


def _now() -> str:
    return timestamp(time.time_ns())
