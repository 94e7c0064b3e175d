"""Writes the answers of `/api/chat` and `/api/generate`: the NDJSON of a stream, or one JSON object.

The two endpoints differ in the form of a frame only, see `FrameForm`. Frames of a stream are built by hand, because each token
makes one. All JSON is ASCII, for clients that split a stream at Unicode line separators or decode each network read by itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ...schemas.ollama.json_encoding import encode_json, error_body
from ..events import Finish, ReasoningState, Text, Thinking, ToolCallBegin, ToolCallEnd
from .answer_timing import AnswerTiming
from .whole_tool_calls import WholeToolCalls, server_call_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...errors import ApiError
    from ..events import Event, FinishReason
    from .whole_tool_calls import CallId

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_quote = json.encoder.encode_basestring_ascii


@dataclass(slots=True)
class Content:
    """What one object says: a whole answer, or nothing in the last frame of a stream.

    Attributes:
        tool_calls: whole calls in Ollama's form.
        logprobs: of the tokens in `text` and `thinking`.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[Mapping[str, Any]] = field(default_factory=list)


class FrameForm(Protocol):
    """The form of one endpoint's objects.

    A frame of a stream is `head`, the time stamp, one of `text` and `thinking` with a JSON string behind it, `not_done`,
    `logprobs` if there are any, and a closing brace.

    Attributes:
        head: all before the time stamp.
        text: between the time stamp and a piece of text.
        thinking: between the time stamp and a piece of thinking.
        not_done: behind the piece.
        keeps_text: whether `last` needs the whole text of the answer.
    """

    head: str
    text: str
    thinking: str
    not_done: str
    keeps_text: bool

    def tool_calls(self, calls: str) -> str:
        """All between the time stamp and the closing brace of a frame with tool calls, given as JSON."""

    def last(self, created_at: str, content: Content, text: str, done_reason: str, metrics: dict[str, int]) -> dict[str, Any]:
        """The last frame of a stream, which says nothing itself, or a whole answer.

        Args:
            created_at: the time stamp.
            content: what the object says.
            text: the text of the whole answer, if `keeps_text`.
            done_reason: Ollama's reason for the end.
            metrics: the counters.
        """

    def idle(self, created_at: str, done_reason: str) -> dict[str, Any]:
        """The answer to a call that only loads or unloads the model."""


class OllamaStreamWriter:
    """Writes a stream of frames.

    Args:
        form: of the endpoint's frames.
        timing: of the answer.
        call_id: makes the ids of tool calls.
    """

    __slots__ = ("_calls", "_form", "_texts", "_timing")
    content_type = "application/x-ndjson"
    cut_after_failure = False

    def __init__(self, form: FrameForm, timing: AnswerTiming | None, call_id: CallId = server_call_id) -> None:
        self._form = form
        self._timing = timing or AnswerTiming()
        self._calls = WholeToolCalls(call_id)
        self._texts: list[str] = []

    def begin(self) -> bytes:
        """Nothing: a stream begins with its first frame."""
        self._timing.note_opened()
        return b""

    def write(self, events: Sequence[Event]) -> bytes:
        """The frames of some events, with one time stamp."""
        if not events:
            return b""
        form = self._form
        self._timing.note_event()
        created_at = self._timing.timestamp()
        head = form.head + created_at
        frames: list[str] = []
        for event in events:
            if isinstance(event, Text):
                if form.keeps_text:
                    self._texts.append(event.text)
                logprobs = f',"logprobs":{_encode(event.logprobs)}' if event.logprobs else ""
                frames.append(f"{head}{form.text}{_quote(event.text)}{form.not_done}{logprobs}}}\n")
            elif isinstance(event, Thinking):
                logprobs = f',"logprobs":{_encode(event.logprobs)}' if event.logprobs else ""
                frames.append(f"{head}{form.thinking}{_quote(event.text)}{form.not_done}{logprobs}}}\n")
            elif isinstance(event, ToolCallBegin):
                self._calls.begin(event)
            elif isinstance(event, ToolCallEnd):
                if (call := self._calls.end(event)) is not None:
                    frames.append(f"{head}{form.tool_calls(_encode([call]))}}}\n")
            elif isinstance(event, ReasoningState):
                self._calls.keep(event)
            elif isinstance(event, Finish):
                reason = done_reason(event.reason, self._calls)
                metrics = self._timing.metrics(event.usage)
                frames.append(_encode(form.last(created_at, Content(), "".join(self._texts), reason, metrics)) + "\n")
        return "".join(frames).encode("ascii")

    def keep_alive(self) -> bytes:
        """An empty frame."""
        return f'{self._form.head}{self._timing.timestamp()}{self._form.text}""{self._form.not_done}}}\n'.encode("ascii")

    def fail(self, error: ApiError) -> bytes:
        """An error as the last frame."""
        return error_body(error.message) + b"\n"


class OllamaAnswerWriter:
    """Writes an answer as one object; `begin`, `write` before the end, `keep_alive` and `fail` give nothing.

    Args:
        form: of the endpoint's objects.
        timing: of the answer.
        call_id: makes the ids of tool calls.
    """

    __slots__ = ("_calls", "_content", "_form", "_texts", "_thoughts", "_timing")
    content_type = "application/json; charset=utf-8"
    cut_after_failure = False

    def __init__(self, form: FrameForm, timing: AnswerTiming | None, call_id: CallId = server_call_id) -> None:
        self._form = form
        self._timing = timing or AnswerTiming()
        self._calls = WholeToolCalls(call_id)
        self._content = Content()
        self._texts: list[str] = []
        self._thoughts: list[str] = []

    def begin(self) -> bytes:  # noqa: D102
        self._timing.note_opened()
        return b""

    def write(self, events: Sequence[Event]) -> bytes:
        """The whole answer, once its end has come."""
        if events:
            self._timing.note_event()
        content = self._content
        for event in events:
            if isinstance(event, Text):
                self._texts.append(event.text)
                content.logprobs += event.logprobs
            elif isinstance(event, Thinking):
                self._thoughts.append(event.text)
                content.logprobs += event.logprobs
            elif isinstance(event, ToolCallBegin):
                self._calls.begin(event)
            elif isinstance(event, ToolCallEnd):
                if (call := self._calls.end(event)) is not None:
                    content.tool_calls.append(call)
            elif isinstance(event, ReasoningState):
                self._calls.keep(event)
            elif isinstance(event, Finish):
                content.text, content.thinking = "".join(self._texts), "".join(self._thoughts)
                reason = done_reason(event.reason, self._calls)
                metrics = self._timing.metrics(event.usage)
                return encode_json(self._form.last(self._timing.timestamp(), content, content.text, reason, metrics))
        return b""

    def keep_alive(self) -> bytes:  # noqa: D102
        return b""

    def fail(self, error: ApiError) -> bytes:  # noqa: ARG002, D102
        return b""


def idle_answer(form: FrameForm, reason: str, timing: AnswerTiming | None = None) -> bytes:
    """The answer to a call that only loads or unloads the model; `reason` is `load` or `unload`."""
    return encode_json(form.idle((timing or AnswerTiming()).timestamp(), reason))


def done_reason(reason: FinishReason, calls: WholeToolCalls) -> str:
    """Ollama's reason for the end; an answer whose tool call is incomplete was cut, whatever the server says."""
    return "length" if reason == "length" or calls.incomplete else "stop"
