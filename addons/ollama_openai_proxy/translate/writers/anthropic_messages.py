"""Writes the answers of `/v1/messages`: Anthropic's events, or the message as one object.

A content block is opened by the first piece of its kind and closed by the first piece of another kind, so at most one is open.
All JSON is ASCII.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...schemas.ollama.json_encoding import encode_json
from ..events import Finish, ReasoningState, Text, Thinking, ToolCallArguments, ToolCallBegin, ToolCallEnd
from .argument_text import ArgumentText, argument_json
from .error_objects import anthropic_error
from .whole_tool_calls import server_call_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...errors import ApiError
    from ...schemas.usage import Usage
    from ..events import Event
    from .whole_tool_calls import CallId

type Signature = Callable[[ReasoningState], str]
"""Makes the signature of a thinking block, which clients send back, of the state of the reasoning."""

UNSIGNED = "unsigned"
"""The `signature` of thinking without a state. The word imitates no signature of Anthropic, and is not empty: Claude Code is
reported to drop an answer whose thinking has an empty signature."""

_quote = json.encoder.encode_basestring_ascii
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal"}


class _Message:
    """What the stream and the whole message have in common.

    Args:
        model: repeated as the client wrote it.
        message_id: the id of the message.
        input_tokens: an estimate of the tokens of the prompt, for the first event.
        call_id: makes the ids of tool calls.
        signature: makes signatures; None where the client gets no thinking, and the ids of calls carry the state.
    """

    content_type = ""
    cut_after_failure = False

    def __init__(
        self,
        model: str,
        *,
        message_id: str,
        input_tokens: int,
        call_id: CallId = server_call_id,
        signature: Signature | None = None,
    ) -> None:
        self._model = model
        self._id = message_id
        self._input_tokens = input_tokens
        self._call_id = call_id
        self._signature = signature
        self._state: ReasoningState | None = None
        # Whether a tool was called, and whether the arguments of a call are incomplete.
        self._called = False
        self._incomplete = False

    def _id_of(self, call: ToolCallBegin) -> str:
        """The id of a call; without signatures the id carries the state of the reasoning."""
        state, self._state = self._state, None
        return self._call_id(call, state)

    def _take_signature(self) -> str:
        """The signature of the thinking block that ends."""
        if self._state is None or self._signature is None:
            return UNSIGNED
        state, self._state = self._state, None
        return self._signature(state) or UNSIGNED

    def _message(self, content: list[dict[str, Any]], end: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
        head = {"id": self._id, "type": "message", "role": "assistant", "model": self._model, "content": content}
        return head | end | {"usage": usage}

    def _end(self, finish: Finish) -> dict[str, Any]:
        """Why the message ended.

        An answer that was cut, perhaps within a call, is not to be acted on. Not every server says that it calls a tool.
        """
        if finish.reason != "content_filter" and self._incomplete:
            return _end("max_tokens")
        if reason := _STOP_REASONS.get(finish.reason):
            return _end(reason)
        if self._called:
            return _end("tool_use")
        return _end("end_turn") if finish.stop_sequence is None else _end("stop_sequence", finish.stop_sequence)


class MessageStreamWriter(_Message):
    """Writes the events of a stream; keeps nothing of the answer."""

    content_type = "text/event-stream"

    def __init__(
        self,
        model: str,
        *,
        message_id: str,
        input_tokens: int,
        call_id: CallId = server_call_id,
        signature: Signature | None = None,
    ) -> None:
        super().__init__(model, message_id=message_id, input_tokens=input_tokens, call_id=call_id, signature=signature)
        self._begun = False
        # The open block: its index, its type, and what stands before each of its pieces.
        self._index = -1
        self._open: str | None = None
        self._delta_head = ""
        self._arguments = ArgumentText()
        self._has_arguments = False

    def begin(self) -> bytes:
        """The message without content, and a ping, as Anthropic sends them; nothing if `keep_alive` has begun the stream."""
        if self._begun:
            return b""
        self._begun = True
        message = self._message([], _end(None), _usage(self._input_tokens, 0, 0))
        return _event("message_start", {"message": message}).encode("ascii") + _PING

    def write(self, events: Sequence[Event]) -> bytes:
        """The events of some pieces of the answer."""
        out: list[str] = []
        for event in events:
            if isinstance(event, Text):
                if event.text:
                    if self._open != "text":
                        self._open_block(out, "text", "text_delta", "text", {"type": "text", "text": ""})
                    out.append(f"{self._delta_head}{_quote(event.text)}}}}}\n\n")
            elif isinstance(event, ToolCallArguments):
                self._write_arguments(out, self._arguments.feed(event.piece))
            elif isinstance(event, Thinking):
                if self._open != "thinking":
                    self._open_thinking(out)
                out.append(f"{self._delta_head}{_quote(event.text)}}}}}\n\n")
            elif isinstance(event, ToolCallBegin):
                self._begin_call(out, event)
            elif isinstance(event, ToolCallEnd):
                self._end_call(out, event)
            elif isinstance(event, ReasoningState):
                self._state = event
            elif isinstance(event, Finish):
                self._close(out)
                usage = _final_usage(event.usage)
                out += (_event("message_delta", {"delta": self._end(event), "usage": usage}), _event("message_stop", {}))
        return "".join(out).encode("ascii")

    def keep_alive(self) -> bytes:
        """A ping, which clients take for a sign of life; before the answer, with the beginning of the message."""
        return self.begin() or _PING

    def fail(self, error: ApiError) -> bytes:
        """An error as the last event."""
        return b"event: error\ndata: " + encode_json(anthropic_error(error)) + b"\n\n"

    def _begin_call(self, out: list[str], call: ToolCallBegin) -> None:
        if self._state is not None and self._signature is not None and self._open != "thinking":
            # Behind text, or without any thinking: a block of its own carries the state.
            self._open_thinking(out)
        self._close(out)
        block = {"type": "tool_use", "id": self._id_of(call), "name": call.name, "input": {}}
        self._open_block(out, "tool_use", "input_json_delta", "partial_json", block)
        self._called, self._has_arguments = True, False

    def _write_arguments(self, out: list[str], text: str) -> None:
        if text:
            self._has_arguments = True
            out.append(f"{self._delta_head}{_quote(text)}}}}}\n\n")

    def _end_call(self, out: list[str], end: ToolCallEnd) -> None:
        self._write_arguments(out, self._arguments.finish())
        if end.arguments is None:
            self._incomplete = True
        elif not self._has_arguments:
            self._write_arguments(out, argument_json(end.arguments))
        self._close(out)

    def _open_thinking(self, out: list[str]) -> None:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        self._open_block(out, "thinking", "thinking_delta", "thinking", block)

    def _open_block(self, out: list[str], kind: str, delta_type: str, key: str, block: dict[str, Any]) -> None:
        self._close(out)
        self._open = kind
        self._index += 1
        out.append(_event("content_block_start", {"index": self._index, "content_block": block}))
        self._delta_head = (
            f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{self._index},'
            f'"delta":{{"type":"{delta_type}","{key}":'
        )

    def _close(self, out: list[str]) -> None:
        if self._open is None:
            return
        if self._open == "thinking":
            delta = {"type": "signature_delta", "signature": self._take_signature()}
            out.append(_event("content_block_delta", {"index": self._index, "delta": delta}))
        out.append(_event("content_block_stop", {"index": self._index}))
        self._open = None


class MessageAnswerWriter(_Message):
    """Writes the message as one object, when the end has come."""

    content_type = "application/json"

    def __init__(
        self,
        model: str,
        *,
        message_id: str,
        input_tokens: int = 0,
        call_id: CallId = server_call_id,
        signature: Signature | None = None,
    ) -> None:
        super().__init__(model, message_id=message_id, input_tokens=input_tokens, call_id=call_id, signature=signature)
        self._blocks: list[dict[str, Any]] = []
        # The text of the block that is being received: its type, and its pieces.
        self._kind = ""
        self._pieces: list[str] = []
        self._begun_call: ToolCallBegin | None = None

    def begin(self) -> bytes:  # noqa: D102
        return b""

    def write(self, events: Sequence[Event]) -> bytes:
        """The message, once the end has come. Incomplete calls are left out."""
        for event in events:
            if isinstance(event, Text):
                self._add("text", event.text)
            elif isinstance(event, Thinking):
                self._add("thinking", event.text)
            elif isinstance(event, ToolCallBegin):
                self._begun_call = event
            elif isinstance(event, ToolCallEnd):
                self._end_call(event)
            elif isinstance(event, ReasoningState):
                self._state = event
            elif isinstance(event, Finish):
                self._close()
                return encode_json(self._message(self._blocks, self._end(event), _final_usage(event.usage))) + b"\n"
        return b""

    def keep_alive(self) -> bytes:  # noqa: D102
        return b""

    def fail(self, error: ApiError) -> bytes:  # noqa: ARG002, D102
        return b""

    def _add(self, kind: str, text: str) -> None:
        if text:
            if self._kind != kind:
                self._close()
                self._kind = kind
            self._pieces.append(text)

    def _end_call(self, end: ToolCallEnd) -> None:
        begun = self._begun_call
        if begun is None or end.arguments is None:
            self._incomplete = True
            return
        if self._state is not None and self._signature is not None and self._kind != "thinking":
            self._close()
            self._kind = "thinking"
        self._close()
        # What JSON cannot carry is mended in the text.
        arguments = json.loads(argument_json(end.arguments))
        self._blocks.append({"type": "tool_use", "id": self._id_of(begun), "name": begun.name, "input": arguments})
        self._called = True

    def _close(self) -> None:
        kind, self._kind = self._kind, ""
        text = "".join(self._pieces)
        self._pieces.clear()
        if kind == "thinking":
            self._blocks.append({"type": "thinking", "thinking": text, "signature": self._take_signature()})
        elif kind:
            self._blocks.append({"type": "text", "text": text})


def _event(kind: str, fields: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {encode_json({'type': kind, **fields}).decode()}\n\n"


def _end(reason: str | None, stop_sequence: str | None = None) -> dict[str, Any]:
    return {"stop_reason": reason, "stop_sequence": stop_sequence}


def _final_usage(usage: Usage) -> dict[str, Any]:
    counts = _usage(usage.input_tokens, usage.output_tokens, usage.cached_tokens or 0)
    if usage.reasoning_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts


def _usage(input_tokens: int, output_tokens: int, cached_tokens: int) -> dict[str, Any]:
    """The counts; Anthropic keeps the tokens from its cache apart from the others of the prompt."""
    return {
        "input_tokens": max(input_tokens - cached_tokens, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached_tokens,
        "output_tokens": output_tokens,
    }
