"""The items of a Response's output: how each grows, its events in OpenAI's order, and the item as one object.

Events have no sequence number here; the writer counts.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..events import Logprobs

type Event = dict[str, Any]
type Status = Literal["in_progress", "completed", "incomplete"]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class OutputItem(ABC):
    """An item whose text comes in pieces.

    The text of a piece's event is `delta_head`, the sequence number, `delta_place`, the piece as a JSON string, and the rest.

    Args:
        item_id: the id of the item.
        output_index: the place of the item in the output.
        place: what else tells in the events of the item where the text belongs.
    """

    delta_type = ""
    """The type of the event of a piece; "" for an item whose pieces clients are not told."""

    def __init__(self, item_id: str, output_index: int, **place: int) -> None:
        self._id = item_id
        self._output_index = output_index
        self._place = {"item_id": item_id, "output_index": output_index, **place}
        self._text = StringIO()
        self.delta_head = f'event: {self.delta_type}\ndata: {{"type":"{self.delta_type}","sequence_number":'
        self.delta_place = f',{_encode(self._place)[1:-1]},"delta":'

    @property
    def text(self) -> str:
        """The text that has come."""
        return self._text.getvalue()

    def add(self, text: str) -> None:
        """Takes a piece of the text."""
        self._text.write(text)

    def opening(self) -> list[Event]:
        """The events before the first piece."""
        return [{"type": "response.output_item.added", "output_index": self._output_index, "item": self._empty()}]

    def closing(self, status: Status) -> list[Event]:
        """The events after the last piece."""
        item = self.snapshot(status)
        return [{"type": "response.output_item.done", "output_index": self._output_index, "item": item}]

    @abstractmethod
    def snapshot(self, status: Status) -> dict[str, Any]:
        """The item with the text that has come."""

    @abstractmethod
    def _empty(self) -> dict[str, Any]:
        """The item before its first piece."""


class MessageItem(OutputItem):
    """A message of the model, with one part of text."""

    delta_type = "response.output_text.delta"

    def __init__(self, item_id: str, output_index: int) -> None:
        super().__init__(item_id, output_index, content_index=0)
        self._logprobs: list[dict[str, Any]] = []

    def add_logprobs(self, logprobs: Logprobs) -> str:
        """Takes the logprobs of a piece, and returns them as JSON for the piece's event."""
        self._logprobs += [{"top_logprobs": [], **entry} for entry in logprobs]
        return _encode([_without_bytes(entry) for entry in logprobs])

    def opening(self) -> list[Event]:  # noqa: D102
        return [*super().opening(), {"type": "response.content_part.added", **self._place, "part": self._part()}]

    def closing(self, status: Status) -> list[Event]:  # noqa: D102
        part = self._part()
        short = [_without_bytes(entry) for entry in self._logprobs]
        return [
            {"type": "response.output_text.done", **self._place, "text": part["text"], "logprobs": short},
            {"type": "response.content_part.done", **self._place, "part": part},
            *super().closing(status),
        ]

    def snapshot(self, status: Status) -> dict[str, Any]:  # noqa: D102
        return self._empty() | {"status": status, "content": [self._part()]}

    def _empty(self) -> dict[str, Any]:
        return {"id": self._id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}

    def _part(self) -> dict[str, Any]:
        return {"type": "output_text", "annotations": [], "logprobs": list(self._logprobs), "text": self.text}


class ReasoningItem(OutputItem):
    """The model's thinking as a summary with one part, which is what clients show of reasoning.

    Attributes:
        encrypted_content: what the client is to send back, once the item is closed; None where the client asked for nothing.
    """

    delta_type = "response.reasoning_summary_text.delta"

    def __init__(self, item_id: str, output_index: int) -> None:
        super().__init__(item_id, output_index, summary_index=0)
        self.encrypted_content: str | None = None

    def opening(self) -> list[Event]:  # noqa: D102
        return [*super().opening(), {"type": "response.reasoning_summary_part.added", **self._place, "part": self._part()}]

    def closing(self, status: Status) -> list[Event]:  # noqa: D102
        part = self._part()
        cut = {"status": "incomplete"} if status == "incomplete" else {}
        return [
            {"type": "response.reasoning_summary_text.done", **self._place, "text": part["text"]},
            {"type": "response.reasoning_summary_part.done", **self._place, "part": part} | cut,
            *super().closing(status),
        ]

    def snapshot(self, status: Status) -> dict[str, Any]:  # noqa: D102
        item = self._empty() | {"status": status, "summary": [self._part()]}
        return item if self.encrypted_content is None else item | {"encrypted_content": self.encrypted_content}

    def _empty(self) -> dict[str, Any]:
        return {"id": self._id, "type": "reasoning", "status": "in_progress", "summary": []}

    def _part(self) -> dict[str, Any]:
        return {"type": "summary_text", "text": self.text}


class StateItem(OutputItem):
    """Reasoning without a summary, which carries nothing but `encrypted_content`."""

    def __init__(self, item_id: str, output_index: int, encrypted_content: str) -> None:
        super().__init__(item_id, output_index)
        self._encrypted_content = encrypted_content

    def snapshot(self, status: Status) -> dict[str, Any]:  # noqa: D102
        return self._empty() | {"status": status, "encrypted_content": self._encrypted_content}

    def _empty(self) -> dict[str, Any]:
        return {"id": self._id, "type": "reasoning", "status": "in_progress", "summary": []}


class FunctionCallItem(OutputItem):
    """A call of a function; the text is the JSON of the arguments.

    Args:
        item_id: the id of the item.
        output_index: the place of the item in the output.
        names: `name` and perhaps `namespace` of the function, as the client called it.
        call_id: the id of the call.
    """

    delta_type = "response.function_call_arguments.delta"

    def __init__(self, item_id: str, output_index: int, names: Mapping[str, str], call_id: str) -> None:
        super().__init__(item_id, output_index)
        self._head = {"id": item_id, "call_id": call_id, **names, "type": "function_call"}

    def closing(self, status: Status) -> list[Event]:  # noqa: D102
        done = {"type": "response.function_call_arguments.done", **self._place, "arguments": self.text}
        return [done, *super().closing(status)]

    def snapshot(self, status: Status) -> dict[str, Any]:  # noqa: D102
        return {**self._head, "status": status, "arguments": self.text}

    def _empty(self) -> dict[str, Any]:
        return {**self._head, "status": "in_progress", "arguments": ""}


class CustomCallItem(OutputItem):
    """A call of a custom tool; the text is the tool's input. Takes the arguments that `FunctionCallItem` takes."""

    delta_type = "response.custom_tool_call_input.delta"

    def __init__(self, item_id: str, output_index: int, names: Mapping[str, str], call_id: str) -> None:
        super().__init__(item_id, output_index)
        self._head = {"id": item_id, "call_id": call_id, **names, "type": "custom_tool_call"}

    def closing(self, status: Status) -> list[Event]:  # noqa: D102
        return [{"type": "response.custom_tool_call_input.done", **self._place, "input": self.text}, *super().closing(status)]

    def snapshot(self, status: Status) -> dict[str, Any]:  # noqa: D102
        # OpenAI's items of this type have no status, but a client must see that an input was cut.
        cut = {"status": "incomplete"} if status == "incomplete" else {}
        return {**self._head, "input": self.text, **cut}

    def _empty(self) -> dict[str, Any]:
        return {**self._head, "input": ""}


class ToolSearchCallItem(OutputItem):
    """A call of the client's search for tools; the text is the JSON of the arguments, which the item has as an object.

    OpenAI has no events for pieces of an object, so the item is told when it is whole: the SDKs keep what the first event says.
    """

    def __init__(self, item_id: str, output_index: int, call_id: str) -> None:
        super().__init__(item_id, output_index)
        self._head = {"id": item_id, "type": "tool_search_call", "call_id": call_id, "execution": "client"}

    def opening(self) -> list[Event]:  # noqa: D102
        return []

    def closing(self, status: Status) -> list[Event]:  # noqa: D102
        return [*super().opening(), *super().closing(status)]

    def snapshot(self, status: Status) -> dict[str, Any]:  # noqa: D102
        return {**self._head, "status": status, "arguments": _object(self.text)}

    def _empty(self) -> dict[str, Any]:
        return self.snapshot("in_progress")


class CompactionItem(OutputItem):
    """The summary of a conversation, which comes in one piece."""

    def __init__(self, item_id: str, output_index: int, encrypted_content: str) -> None:
        super().__init__(item_id, output_index)
        self._item = {"id": item_id, "type": "compaction", "encrypted_content": encrypted_content}

    def snapshot(self, status: Status) -> dict[str, Any]:  # noqa: ARG002, D102
        return self._item

    def _empty(self) -> dict[str, Any]:
        return self._item


def _object(text: str) -> dict[str, Any]:
    """The object of some JSON; empty while the JSON is not complete."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _without_bytes(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as the events have it; the item has the bytes."""
    tops = [{"token": top["token"], "logprob": top["logprob"]} for top in entry.get("top_logprobs", ())]
    return {"token": entry["token"], "logprob": entry["logprob"], "top_logprobs": tops}
