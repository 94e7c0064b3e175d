"""Writes the answers of `/v1/chat/completions`: chunks, or the completion as one object.

For servers that do not have this path themselves. What OpenAI does not define is as Ollama writes it: `reasoning`, and
`system_fingerprint`. All JSON is ASCII.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from ...schemas.ollama.json_encoding import encode_json
from ..events import Finish, ReasoningState, Text, Thinking, ToolCallArguments, ToolCallBegin, ToolCallEnd
from .argument_text import ArgumentText, argument_json
from .error_objects import openai_error
from .whole_tool_calls import WholeToolCalls, server_call_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...errors import ApiError
    from ...schemas.usage import Usage
    from ..events import Event, FinishReason, Logprobs
    from .whole_tool_calls import CallId

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_quote = json.encoder.encode_basestring_ascii


class CompletionStreamWriter:
    """Writes the events of one answer as server-sent events with completion chunks; buffers no text.

    Args:
        model: the name that the client used; each chunk repeats it.
        completion_id: the id of the completion, such as `chatcmpl-123`.
        include_usage: whether a last chunk tells how many tokens were used.
        call_id: a function that gives the id of each tool call.
        unix_time: a function that gives the time in seconds since the Unix epoch.
    """

    content_type = "text/event-stream"
    # Some clients ignore an error in the stream and take what came for the whole answer, unless the connection breaks.
    cut_after_failure = True

    def __init__(
        self,
        model: str,
        *,
        completion_id: str,
        include_usage: bool = False,
        call_id: CallId = server_call_id,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        head = _encode(_head(completion_id, "chat.completion.chunk", int(unix_time()), model))
        self._head = f"data: {head[:-1]},"
        self._piece_head = f'{self._head}"choices":[{{"index":0,"delta":{{'
        self._include_usage = include_usage
        self._call_id = call_id
        self._begun = False
        self._state: ReasoningState | None = None
        self._call_count = 0
        self._arguments = ArgumentText()
        self._has_arguments = False
        self._incomplete = False

    def begin(self) -> bytes:
        """A chunk with the role."""
        if self._begun:
            return b""
        self._begun = True
        return self._piece('"role":"assistant","content":""').encode("ascii")

    def write(self, events: Sequence[Event]) -> bytes:
        """The chunks of some pieces of the answer."""
        out: list[str] = []
        for event in events:
            if isinstance(event, Text):
                out.append(self._piece(f'"content":{_quote(event.text)}', event.logprobs))
            elif isinstance(event, ToolCallArguments):
                self._write_arguments(out, self._arguments.feed(event.piece))
            elif isinstance(event, Thinking):
                out.append(self._piece(f'"reasoning":{_quote(event.text)}', event.logprobs))
            elif isinstance(event, ToolCallBegin):
                state, self._state = self._state, None
                call = {"index": self._call_count, "id": self._call_id(event, state), "type": "function"}
                call["function"] = {"name": event.name, "arguments": ""}
                out.append(self._piece(f'"tool_calls":{_encode([call])}'))
                self._has_arguments = False
            elif isinstance(event, ToolCallEnd):
                self._end_call(out, event)
            elif isinstance(event, ReasoningState):
                self._state = event
            elif isinstance(event, Finish):
                reason = _finish_reason(event.reason, called=self._call_count > 0, incomplete=self._incomplete)
                out.append(f'{self._piece_head}}},"finish_reason":"{reason}"}}]}}\n\n')
                if self._include_usage:
                    out.append(f'{self._head}"choices":[],"usage":{_encode(_usage(event.usage))}}}\n\n')
                out.append("data: [DONE]\n\n")
        return "".join(out).encode("ascii")

    def keep_alive(self) -> bytes:
        """A comment, which clients ignore, but for the idle time-outs of the HTTP clients and proxies between."""
        return b": keep-alive\n\n"

    def fail(self, error: ApiError) -> bytes:
        """An error event: the SDKs of OpenAI raise an exception for any event with the key `error`."""
        return b"data: " + encode_json(openai_error(error)) + b"\n\n"

    def _piece(self, delta: str, logprobs: Logprobs = ()) -> str:
        told = f',"logprobs":{_encode(_logprobs(logprobs))}' if logprobs else ""
        return f'{self._piece_head}{delta}}},"finish_reason":null{told}}}]}}\n\n'

    def _write_arguments(self, out: list[str], text: str) -> None:
        if text:
            self._has_arguments = True
            call = f'{{"index":{self._call_count},"function":{{"arguments":{_quote(text)}}}}}'
            out.append(self._piece(f'"tool_calls":[{call}]'))

    def _end_call(self, out: list[str], end: ToolCallEnd) -> None:
        self._write_arguments(out, self._arguments.finish())
        if end.arguments is None:
            self._incomplete = True
        elif not self._has_arguments:
            self._write_arguments(out, argument_json(end.arguments))
        self._call_count += 1


class CompletionAnswerWriter:
    """Writes the completion as one object, when the end has come. Takes the arguments of `CompletionStreamWriter`."""

    content_type = "application/json"
    cut_after_failure = False

    def __init__(
        self,
        model: str,
        *,
        completion_id: str,
        call_id: CallId = server_call_id,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._head = _head(completion_id, "chat.completion", int(unix_time()), model)
        self._calls = WholeToolCalls(call_id)
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._tool_calls: list[dict[str, Any]] = []
        self._logprobs: list[Mapping[str, Any]] = []

    def begin(self) -> bytes:  # noqa: D102
        return b""

    def write(self, events: Sequence[Event]) -> bytes:
        """The completion, once the end has come. Incomplete calls are left out."""
        for event in events:
            if isinstance(event, Text):
                self._texts.append(event.text)
                self._logprobs += event.logprobs
            elif isinstance(event, Thinking):
                self._thoughts.append(event.text)
                self._logprobs += event.logprobs
            elif isinstance(event, ToolCallBegin):
                self._calls.begin(event)
            elif isinstance(event, ToolCallEnd):
                if (call := self._calls.end(event)) is not None:
                    self._tool_calls.append(_tool_call(call))
            elif isinstance(event, ReasoningState):
                self._calls.keep(event)
            elif isinstance(event, Finish):
                return encode_json(self._completion(event)) + b"\n"
        return b""

    def keep_alive(self) -> bytes:  # noqa: D102
        return b""

    def fail(self, error: ApiError) -> bytes:  # noqa: ARG002, D102
        return b""

    def _completion(self, finish: Finish) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._texts)}
        if self._thoughts:
            message["reasoning"] = "".join(self._thoughts)
        if self._tool_calls:
            message["tool_calls"] = self._tool_calls
        reason = _finish_reason(finish.reason, called=bool(self._tool_calls), incomplete=self._calls.incomplete)
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
        if self._logprobs:
            choice["logprobs"] = _logprobs(self._logprobs)
        return self._head | {"choices": [choice], "usage": _usage(finish.usage)}


def _head(completion_id: str, kind: str, created: int, model: str) -> dict[str, Any]:
    return {"id": completion_id, "object": kind, "created": created, "model": model, "system_fingerprint": "fp_ollama"}


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A whole call in OpenAI's form, of one in Ollama's form."""
    function = {"name": call["function"]["name"], "arguments": argument_json(call["function"]["arguments"])}
    return {"index": call["function"]["index"], "id": call["id"], "type": "function", "function": function}


def _finish_reason(reason: FinishReason, *, called: bool, incomplete: bool) -> str:
    if incomplete and reason != "content_filter":
        return "length"
    if reason in ("stop", "tool_calls"):
        # Not every server says that it calls a tool.
        return "tool_calls" if called else "stop"
    return reason


def _logprobs(logprobs: Logprobs) -> dict[str, Any]:
    return {"content": [{"top_logprobs": [], **entry} for entry in logprobs]}


def _usage(usage: Usage) -> dict[str, Any]:
    """The counts, without details that the back end does not tell."""
    counts: dict[str, Any] = {"prompt_tokens": usage.input_tokens}
    if usage.cached_tokens is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    counts["completion_tokens"] = usage.output_tokens
    if usage.reasoning_tokens:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return counts | {"total_tokens": usage.input_tokens + usage.output_tokens}
