"""Writes the answers of `/v1/responses`: the events of a stream, or the Response as one object.

An output item is opened by the first piece of its kind and closed by the first piece of another kind, so at most one is open.
The last event repeats the whole Response, so the text of the answer is kept. All JSON is ASCII.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...schemas.ollama.json_encoding import encode_json
from ..events import Finish, ReasoningState, Text, Thinking, ToolCallArguments, ToolCallBegin, ToolCallEnd
from ..openai_responses.echoed_fields import begun_response
from ..openai_responses.tools import custom_input, offered_tools
from ..surrogate_pairs import mended
from .argument_text import ArgumentText, argument_json
from .custom_tool_input import InputDecoder
from .error_objects import openai_error
from .responses_items import CustomCallItem, FunctionCallItem, MessageItem, ReasoningItem, StateItem, ToolSearchCallItem
from .whole_tool_calls import server_call_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...errors import ApiError
    from ...schemas.openai_responses import ResponsesRequest
    from ...schemas.usage import Usage
    from ..events import Event, Logprobs
    from .responses_items import OutputItem, Status
    from .whole_tool_calls import CallId

type SealState = Callable[[ReasoningState], str]
"""Makes the `encrypted_content` of a reasoning item, which clients send back, of the state of the reasoning."""

_quote = json.encoder.encode_basestring_ascii
_ENCRYPTED = "reasoning.encrypted_content"
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_TOO_MANY_REQUESTS = 429


class _Response:
    """Builds the Response of the events of an answer, and tells subclasses of each step.

    Args:
        request: the request, which the Response repeats in part.
        response_id: the id of the Response, from which the ids of its items are made.
        call_id: makes the ids of tool calls, which carry the state of the reasoning where the client asks for no encrypted
            content or `seal` is None.
        seal: makes encrypted content of the state.
        unix_time: tells the time in seconds since the Unix epoch.
    """

    content_type = ""
    cut_after_failure = False

    def __init__(
        self,
        request: ResponsesRequest,
        *,
        response_id: str,
        call_id: CallId = server_call_id,
        seal: SealState | None = None,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._tools = offered_tools(request)
        self._wants_logprobs = request.wants_logprobs
        self._wants_encrypted = _ENCRYPTED in request.include
        self._call_id = call_id
        self._seal = seal if self._wants_encrypted else None
        self._unix_time = unix_time
        self._id_stem = response_id.removeprefix("resp_")
        self._response = begun_response(request, response_id, int(unix_time()))
        self._closed: list[dict[str, Any]] = []
        self._open: OutputItem | None = None
        # Of tokens whose text is still to come.
        self._logprobs: list[Mapping[str, Any]] = []
        self._state: ReasoningState | None = None
        # Of the open call.
        self._arguments = ArgumentText()
        self._decoder: InputDecoder | None = None
        self._incomplete = False

    def _emit(self, event_type: str, fields: dict[str, Any]) -> None:
        """Is told of an event other than a piece."""

    def _emit_piece(self, item: OutputItem, text: str, logprobs: str) -> None:
        """Is told of a piece of the item; `logprobs` is JSON, or empty where the item's events have none."""

    def _take(self, event: Event) -> None:
        if isinstance(event, Text):
            self._take_text(event.text, event.logprobs)
        elif isinstance(event, ToolCallArguments):
            self._take_arguments(self._arguments.feed(event.piece))
        elif isinstance(event, Thinking):
            # The tokens of thinking are not told.
            self._logprobs = []
            item = self._open if isinstance(self._open, ReasoningItem) else self._open_item(ReasoningItem(*self._next("rs")))
            self._grow(item, event.text)
        elif isinstance(event, ToolCallBegin):
            self._begin_call(event)
        elif isinstance(event, ToolCallEnd):
            self._end_call(event.arguments)
        elif isinstance(event, ReasoningState):
            self._state = event
        elif isinstance(event, Finish):
            self._end(event)

    def _take_text(self, text: str, logprobs: Logprobs) -> None:
        if self._wants_logprobs and logprobs:
            self._logprobs += logprobs
        item = self._open
        if not isinstance(item, MessageItem):
            if not text:
                return
            item = self._open_message()
        elif not (text or self._logprobs):
            return
        if self._logprobs:
            short = item.add_logprobs(self._logprobs)
            self._logprobs = []
        else:
            short = "[]"
        self._grow(item, text, short)

    def _begin_call(self, call: ToolCallBegin) -> None:
        self._close("completed")
        state, self._state = self._state, None
        if state is not None and self._seal is not None:
            # Behind text, or without any thinking: an item of its own carries the state.
            if sealed := self._seal(state):
                self._open_item(StateItem(*self._next("rs"), sealed))
                self._close("completed")
            state = None
        call_id = self._call_id(call, state)
        offered = self._tools.get(call.name)
        names = {"name": call.name}
        if offered is not None:
            names = {"name": offered.name} | ({"namespace": offered.namespace} if offered.namespace else {})
        if offered is not None and offered.is_search:
            self._decoder = None
            self._open_item(ToolSearchCallItem(*self._next("tsc"), call_id))
        elif offered is not None and offered.is_custom:
            self._decoder = InputDecoder()
            self._open_item(CustomCallItem(*self._next("ctc"), names, call_id))
        else:
            self._decoder = None
            self._open_item(FunctionCallItem(*self._next("fc"), names, call_id))

    def _take_arguments(self, text: str) -> None:
        if self._decoder is not None:
            text = self._decoder.feed(text)
        if text and self._open is not None:
            self._grow(self._open, text)

    def _end_call(self, arguments: dict[str, Any] | None) -> None:
        self._take_arguments(self._arguments.finish())
        if arguments is None:
            self._incomplete = True
            self._close_incomplete_call()
            return
        if (item := self._open) is not None:
            whole = argument_json(arguments) if self._decoder is None else mended(custom_input(arguments))
            said = item.text
            rest = whole[len(said) :] if not said or (self._decoder is not None and whole.startswith(said)) else ""
            if rest:
                self._grow(item, rest)
        self._close("completed")

    def _close_incomplete_call(self) -> None:
        self._close("incomplete")

    def _end(self, finish: Finish) -> None:
        if self._open is None and not self._closed:
            self._open_message()
        reason = _INCOMPLETE.get(finish.reason) or ("max_output_tokens" if self._incomplete else None)
        status: Status = "incomplete" if reason else "completed"
        self._close(status)
        self._response |= {"status": status, "usage": response_usage(finish.usage)}
        if reason:
            self._response["incomplete_details"] = {"reason": reason}
        else:
            self._response["completed_at"] = int(self._unix_time())
        self._emit(f"response.{status}", {"response": self._snapshot()})

    def _snapshot(self) -> dict[str, Any]:
        """The whole Response as it stands."""
        begun = [self._open.snapshot("in_progress")] if self._open else []
        return self._response | {"output": [*self._closed, *begun]}

    def _next(self, prefix: str) -> tuple[str, int]:
        """The id and the place of the next item."""
        self._close("completed")
        index = len(self._closed)
        return f"{prefix}_{self._id_stem}_{index}", index

    def _open_message(self) -> MessageItem:
        item = MessageItem(*self._next("msg"))
        self._open_item(item)
        return item

    def _open_item[Item: OutputItem](self, item: Item) -> Item:
        self._open = item
        self._emit_all(item.opening())
        return item

    def _grow(self, item: OutputItem, text: str, logprobs: str = "") -> None:
        item.add(text)
        if item.delta_type:
            self._emit_piece(item, text, logprobs)

    def _close(self, status: Status) -> None:
        item = self._open
        if item is None:
            return
        if isinstance(item, ReasoningItem) and self._wants_encrypted:
            item.encrypted_content = self._encrypted_content(item.text)
        self._emit_all(item.closing(status))
        self._closed.append(item.snapshot(status))
        self._open = None

    def _encrypted_content(self, thinking: str) -> str:
        """The state; without one the thinking once more, as some clients send back only items with such content."""
        if self._state is None or self._seal is None:
            return thinking
        state, self._state = self._state, None
        return self._seal(state) or thinking

    def _emit_all(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self._emit(event["type"], event)


class ResponseStreamWriter(_Response):
    """Writes the events of a stream."""

    content_type = "text/event-stream"

    def __init__(
        self,
        request: ResponsesRequest,
        *,
        response_id: str,
        call_id: CallId = server_call_id,
        seal: SealState | None = None,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(request, response_id=response_id, call_id=call_id, seal=seal, unix_time=unix_time)
        self._sequence_number = 0
        self._out: list[str] = []

    def begin(self) -> bytes:
        """The events before the answer; nothing if `keep_alive` has begun the stream."""
        if not self._sequence_number:
            for event_type in ("response.created", "response.in_progress"):
                self._emit(event_type, {"response": self._snapshot()})
        return self._written()

    def write(self, events: Sequence[Event]) -> bytes:
        """The events of some pieces of the answer."""
        for event in events:
            self._take(event)
        return self._written()

    def keep_alive(self) -> bytes:
        """`response.in_progress` once more with the Response as it stands.

        Codex counts every event as a sign of life, but no comment. OpenAI's SDK for JavaScript takes the Response of this event
        for its own snapshot, so the Response must be complete; older releases of it refuse the event `keepalive`.
        """
        if not self._sequence_number:
            return self.begin()
        self._emit("response.in_progress", {"response": self._snapshot()})
        return self._written()

    def fail(self, error: ApiError) -> bytes:
        """`response.failed`, and an error event.

        The SDKs hand on `response.failed` like any other event, and raise only the error behind it.
        """
        self._close("incomplete")
        own_code = "rate_limit_exceeded" if error.status == _TOO_MANY_REQUESTS else "server_error"
        code = error.code if isinstance(error.code, str) and error.code else own_code
        self._response |= {"status": "failed", "error": {"code": code, "message": error.message}}
        self._emit("response.failed", {"response": self._snapshot()})
        return self._written() + b"data: " + encode_json(openai_error(error)) + b"\n\n"

    def _written(self) -> bytes:
        data = "".join(self._out).encode("ascii")
        self._out.clear()
        return data

    def _emit(self, event_type: str, fields: dict[str, Any]) -> None:
        event = {"type": event_type, "sequence_number": self._sequence_number, **fields}
        self._sequence_number += 1
        self._out.append(f"event: {event_type}\ndata: {encode_json(event).decode()}\n\n")

    def _emit_piece(self, item: OutputItem, text: str, logprobs: str) -> None:
        rest = f',"logprobs":{logprobs}}}\n\n' if logprobs else "}\n\n"
        self._out.append(f"{item.delta_head}{self._sequence_number}{item.delta_place}{_quote(text)}{rest}")
        self._sequence_number += 1


class ResponseAnswerWriter(_Response):
    """Writes the Response as one object, when the end has come."""

    content_type = "application/json"

    def begin(self) -> bytes:  # noqa: D102
        return b""

    def write(self, events: Sequence[Event]) -> bytes:
        """The Response, once the end has come. Incomplete calls are left out."""
        for event in events:
            self._take(event)
            if isinstance(event, Finish):
                return encode_json(self._snapshot()) + b"\n"
        return b""

    def keep_alive(self) -> bytes:  # noqa: D102
        return b""

    def fail(self, error: ApiError) -> bytes:  # noqa: ARG002, D102
        return b""

    def _close_incomplete_call(self) -> None:
        self._open = None


def response_usage(usage: Usage) -> dict[str, Any]:
    """The tokens of an answer, as a Response tells them."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
