"""From the pieces of an answer to the events of a Responses stream, and to the whole Response.

The contract: send on what `begin` gives, then what each piece gives, then what `end` gives, or `failed` where the answer broke
off. An item of text is opened with the first piece that belongs to it and closed when a piece of another kind comes, so at most
one is open. Calls come whole: their items are opened and closed at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .echoed_fields import begun_response
from .output_items import MessageItem, PortableReasoningItem, ReasoningItem, custom_call, function_call
from .tools import custom_input, offered_tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...schemas.ollama.frames import Delta
    from ...schemas.openai_responses import ResponsesRequest
    from ...schemas.usage import Usage
    from .output_items import Event, Status, TextItem

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseWriter:
    """Writes one answer.

    Args:
        asked: the request, which `chat_parameters` has taken; the Response repeats its fields.
        response_id: the id of the Response, from which those of its items are made.
        created_at: when the answer began, in seconds of the Unix epoch.
    """

    def __init__(self, asked: ResponsesRequest, *, response_id: str, created_at: int) -> None:
        self._tools = offered_tools(asked)
        self._wants_logprobs = asked.wants_logprobs
        self._reasoning_kind = PortableReasoningItem if "reasoning.encrypted_content" in asked.include else ReasoningItem
        self._id_stem = response_id.removeprefix("resp_")
        self._response = begun_response(asked, response_id, created_at)
        self._sequence_number = 0
        self._closed: list[dict[str, Any]] = []
        self._open: TextItem | None = None
        # Of tokens whose text is still to come.
        self._logprobs: list[Mapping[str, Any]] = []

    def begin(self) -> list[Event]:
        """The events before the answer."""
        return self._numbered([self._whole("response.created"), self._whole("response.in_progress")])

    def delta(self, delta: Delta) -> list[Event]:
        """What a piece of the answer adds."""
        events: list[Event] = []
        if self._wants_logprobs:
            self._logprobs += delta.logprobs
        if delta.thinking:
            # The tokens of thinking are not told.
            self._logprobs = []
            events += self._grow(self._reasoning_kind, delta.thinking)
        if delta.content or (self._logprobs and isinstance(self._open, MessageItem)):
            events += self._grow(MessageItem, delta.content)
        for call in delta.tool_calls:
            events += self._call(call)
        return self._numbered(events)

    def end(self, *, finish_reason: str, usage: Usage, completed_at: int | None = None) -> list[Event]:
        """The events after the last piece; `completed_at` is the time, for a Response that is complete."""
        events: list[Event] = [] if self._open or self._closed else self._open_item(MessageItem)[1]
        reason = _INCOMPLETE.get(finish_reason)
        status: Status = "incomplete" if reason else "completed"
        events += self._close(status)
        self._response["status"] = status
        self._response["usage"] = _usage(usage)
        if reason:
            self._response["incomplete_details"] = {"reason": reason}
        else:
            self._response["completed_at"] = completed_at
        return self._numbered([*events, self._whole(f"response.{status}")])

    def failed(self, message: str, code: str) -> list[Event]:
        """The events for an answer that broke off; `code` is one of OpenAI's, such as `server_error`."""
        events = self._close("incomplete")
        self._response["status"] = "failed"
        self._response["error"] = {"code": code, "message": message}
        return self._numbered([*events, self._whole("response.failed")])

    def response(self) -> dict[str, Any]:
        """The whole Response, as it stands."""
        begun = [self._open.as_it_is("in_progress")] if self._open else []
        return self._response | {"output": [*self._closed, *begun]}

    def _grow(self, kind: type[TextItem], text: str) -> list[Event]:
        item, events = self._open_item(kind)
        logprobs, self._logprobs = self._logprobs, []
        return events + item.grow(text, logprobs)

    def _open_item(self, kind: type[TextItem]) -> tuple[TextItem, list[Event]]:
        """The open item of this kind, and the events of opening it."""
        if isinstance(self._open, kind):
            return self._open, []
        events = self._close("completed")
        item = self._open = kind(self._item_id(kind.prefix), len(self._closed))
        return item, events + item.opening()

    def _close(self, status: Status) -> list[Event]:
        if self._open is None:
            return []
        events = self._open.closing(status)
        self._closed.append(self._open.as_it_is(status))
        self._open = None
        return events

    def _call(self, call: Mapping[str, Any]) -> list[Event]:
        events = self._close("completed")
        called = call["function"]
        offered = self._tools.get(called["name"])
        names = {"name": called["name"]}
        if offered is not None:
            names = {"name": offered.tool.name} | ({"namespace": offered.namespace} if offered.namespace else {})
        index = len(self._closed)
        if offered is not None and offered.is_custom:
            head = {"id": self._item_id("ctc"), "call_id": call["id"], **names}
            item, written = custom_call(head, custom_input(called["arguments"]), index)
        else:
            head = {"id": self._item_id("fc"), "call_id": call["id"], **names}
            arguments = json.dumps(called["arguments"], ensure_ascii=False, separators=(",", ":"))
            item, written = function_call(head, arguments, index)
        self._closed.append(item)
        return events + written

    def _item_id(self, prefix: str) -> str:
        return f"{prefix}_{self._id_stem}_{len(self._closed)}"

    def _whole(self, event_type: str) -> Event:
        return {"type": event_type, "response": self.response()}

    def _numbered(self, events: Iterable[Event]) -> list[Event]:
        numbered: list[Event] = []
        for event in events:
            numbered.append({"type": event["type"], "sequence_number": self._sequence_number, **event})
            self._sequence_number += 1
        return numbered


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
