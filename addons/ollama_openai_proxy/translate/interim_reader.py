"""Interim: the first reader as a `Reader`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..backend.sse import SseReader
from ..errors import ApiError, BackendError
from .events import Failure, Finish, Text, Thinking, ToolCallArguments, ToolCallBegin, ToolCallEnd

if TYPE_CHECKING:
    from .answer_reader import AnswerReader
    from .events import Event


class InterimReader:
    def __init__(self, reader: AnswerReader, estimate: int, unwrap=None) -> None:
        self._sse = SseReader()
        self._reader = reader
        self._estimate = estimate
        self._unwrap = unwrap
        self._calls = 0
        self._begun = False
        self._raw = b""

    def feed(self, data: bytes) -> list[Event]:
        if not self._begun and (self._raw or data.lstrip()[:1] == b"{"):
            self._raw += data
            return []
        return self._chunks(self._sse.feed(data))

    def _chunks(self, chunks) -> list[Event]:
        events: list[Event] = []
        self._begun = self._begun or bool(chunks)
        try:
            for chunk in self._unwrap(chunks) if self._unwrap else chunks:
                if delta := self._reader.feed(chunk):
                    events += self._events(delta)
        except ApiError as error:
            return [*events, Failure(error)]
        if self._sse.broken:
            return [*events, Failure(BackendError(502, "the back end sent an answer that cannot be understood"))]
        return events + self._end() if self._sse.done else events

    def _events(self, delta) -> list[Event]:
        events: list[Event] = []
        if delta.thinking:
            events.append(Thinking(delta.thinking, delta.logprobs))
        if delta.content or (delta.logprobs and not delta.thinking):
            events.append(Text(delta.content, () if delta.thinking else delta.logprobs))
        for call in delta.tool_calls:
            function = call["function"]
            events.append(ToolCallBegin(self._calls, call.get("id") or f"call_{self._calls}", function["name"]))
            events.append(ToolCallArguments(json.dumps(function["arguments"])))
            events.append(ToolCallEnd(function["arguments"]))
            self._calls += 1
        return events

    def _end(self) -> list[Event]:
        try:
            delta = self._reader.finish()
        except ApiError as error:
            return [Failure(error)]
        events = self._events(delta) if delta else []
        reason = self._reader.finish_reason
        if reason not in ("length", "tool_calls", "content_filter"):
            reason = "stop"
        return [*events, Finish(reason, self._reader.usage(self._estimate))]

    def finish(self, *, framed: bool) -> list[Event]:
        if self._raw:
            events = self._chunks([json.loads(self._raw)])
            return events + ([] if events and isinstance(events[-1], Failure) else self._end())
        events = self._chunks(self._sse.finish())
        if events and isinstance(events[-1], Failure | Finish):
            return events
        if not self._begun:
            return [*events, Failure(BackendError(502, "the back end sent an answer that cannot be understood"))]
        if not (framed or self._reader.ended):
            return [*events, Failure(BackendError(502, "the back end broke off its answer"))]
        return events + self._end()
