"""Puts the tool calls of a stream of Responses in order: of calls whose events are mixed, one is told after the other."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from ..events import ToolCallArguments, ToolCallBegin, ToolCallEnd
from ..reader.sse import parse_json
from ..unique_ids import UniqueIds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from ..events import Event


class _Call:
    """One call: the pieces of its arguments, and how many of them were told."""

    __slots__ = ("begun", "call_id", "custom", "done", "name", "pieces", "told")

    def __init__(self, call_id: str, name: str, *, custom: bool) -> None:
        self.call_id = call_id
        self.name = name
        self.custom = custom
        self.pieces: list[str] = []
        self.told = 0
        self.begun = self.done = False

    @property
    def arguments(self) -> str:
        """What has come."""
        return "".join(self.pieces)


class CallQueue:
    """Collects the tool calls of one answer, and releases their events one call after the other.

    The arguments of the oldest open call are passed on as they come; those of later calls wait until it has ended.

    Args:
        original_tool_name: a function that gives the client's name of a tool for the name that was sent to the server.

    Attributes:
        any: whether a tool call has begun so far.
    """

    __slots__ = ("_calls", "_ids", "_original", "_queue", "any")

    def __init__(self, original_tool_name: Callable[[str], str]) -> None:
        self.any = False
        self._original = original_tool_name
        self._calls: dict[Hashable, _Call] = {}
        self._queue: deque[_Call] = deque()
        self._ids = UniqueIds()

    @property
    def open(self) -> bool:
        """Whether a call has begun that has not ended."""
        return bool(self._queue)

    def add(self, key: Hashable, item: Mapping[str, Any], events: list[Event]) -> None:
        """Take a call that begins, or one that is already known.

        Args:
            key: of the item in the stream.
            item: of type `function_call` or `custom_tool_call`.
            events: to add to.
        """
        if key in self._calls:
            return
        call = _Call(self._unique(item), self._original(str(item.get("name") or "")), custom=item["type"] == "custom_tool_call")
        self._calls[key] = call
        self._queue.append(call)
        self.any = True
        self._tell(events)

    def extend(self, key: Hashable, piece: object, events: list[Event]) -> None:
        """Take a piece of a call's arguments."""
        call = self._calls.get(key)
        if call is not None and not call.done and isinstance(piece, str):
            call.pieces.append(piece)
            self._tell(events)

    def end(self, key: Hashable, arguments: object, events: list[Event]) -> None:
        """Take the end of a call, with all of its arguments where the server repeats them."""
        call = self._calls.get(key)
        if call is None or call.done:
            return
        if isinstance(arguments, str) and arguments.startswith(known := call.arguments):
            call.pieces.append(arguments[len(known) :])
        call.done = True
        self._tell(events)

    def finish(self, events: list[Event]) -> None:
        """End the calls that have not ended: they are incomplete."""
        while self._queue:
            self._begin(self._queue[0], events)
            events.append(ToolCallEnd(None))
            self._queue.popleft()

    def _tell(self, events: list[Event]) -> None:
        """Add what can be told: the first call of the queue, and those behind it that are complete."""
        while self._queue:
            call = self._queue[0]
            self._begin(call, events)
            if not call.custom and (text := "".join(call.pieces[call.told :])):
                events.append(ToolCallArguments(text))
            call.told = len(call.pieces)
            if not call.done:
                return
            arguments = call.arguments
            if call.custom:
                # A custom tool takes text.
                events.append(ToolCallArguments(json.dumps({"input": arguments})))
                events.append(ToolCallEnd({"input": arguments}))
            else:
                if not arguments.strip():
                    arguments = "{}"
                    events.append(ToolCallArguments(arguments))
                value = parse_json(arguments.encode("utf-8", "surrogatepass"))
                events.append(ToolCallEnd(value if isinstance(value, dict) else None))
            self._queue.popleft()

    def _begin(self, call: _Call, events: list[Event]) -> None:
        if not call.begun:
            call.begun = True
            events.append(ToolCallBegin(len(self._ids) - len(self._queue), call.call_id, call.name))

    def _unique(self, item: Mapping[str, Any]) -> str:
        return self._ids.take(str(item.get("call_id") or item.get("id") or f"call_{len(self._ids)}"))
