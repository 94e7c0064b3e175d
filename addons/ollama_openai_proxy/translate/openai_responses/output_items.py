"""The items of a Response's output: what they look like, and the events of their growth, in OpenAI's order.

Events have no sequence number here; the writer of the whole stream counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

type Event = dict[str, Any]
type Status = Literal["in_progress", "completed", "incomplete"]
type Logprobs = Sequence[Mapping[str, Any]]


class TextItem(Protocol):
    """An item whose text comes in pieces."""

    prefix: str

    def __init__(self, item_id: str, output_index: int) -> None: ...

    def opening(self) -> list[Event]:
        """The events before the first piece."""

    def grow(self, text: str, logprobs: Logprobs) -> list[Event]:
        """The events of a piece, which may be empty."""

    def closing(self, status: Status) -> list[Event]:
        """The events after the last piece."""

    def as_it_is(self, status: Status) -> dict[str, Any]:
        """The item with the text it has."""


class MessageItem:
    """A message of the model, with one part of text."""

    prefix = "msg"

    def __init__(self, item_id: str, output_index: int) -> None:
        self._id = item_id
        self._output_index = output_index
        self._place = {"item_id": item_id, "output_index": output_index, "content_index": 0}
        self._text: list[str] = []
        self._logprobs: list[dict[str, Any]] = []

    def opening(self) -> list[Event]:  # noqa: D102
        empty = {"id": self._id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        return [
            {"type": "response.output_item.added", "output_index": self._output_index, "item": empty},
            {"type": "response.content_part.added", **self._place, "part": self._part()},
        ]

    def grow(self, text: str, logprobs: Logprobs) -> list[Event]:  # noqa: D102
        self._text.append(text)
        self._logprobs += map(_logprob, logprobs)
        short = [_without_bytes(entry) for entry in logprobs]
        return [{"type": "response.output_text.delta", **self._place, "delta": text, "logprobs": short}]

    def closing(self, status: Status) -> list[Event]:  # noqa: D102
        part = self._part()
        short = [_without_bytes(entry) for entry in self._logprobs]
        return [
            {"type": "response.output_text.done", **self._place, "text": part["text"], "logprobs": short},
            {"type": "response.content_part.done", **self._place, "part": part},
            _item_done(self._output_index, self.as_it_is(status)),
        ]

    def as_it_is(self, status: Status) -> dict[str, Any]:  # noqa: D102
        return {"id": self._id, "type": "message", "status": status, "role": "assistant", "content": [self._part()]}

    def _part(self) -> dict[str, Any]:
        return {"type": "output_text", "annotations": [], "logprobs": list(self._logprobs), "text": "".join(self._text)}


class ReasoningItem:
    """The model's thinking, as a summary with one part: that is what clients show of it."""

    prefix = "rs"

    def __init__(self, item_id: str, output_index: int) -> None:
        self._id = item_id
        self._output_index = output_index
        self._place = {"item_id": item_id, "output_index": output_index, "summary_index": 0}
        self._text: list[str] = []

    def opening(self) -> list[Event]:  # noqa: D102
        empty = {"id": self._id, "type": "reasoning", "status": "in_progress", "summary": []}
        return [
            {"type": "response.output_item.added", "output_index": self._output_index, "item": empty},
            {"type": "response.reasoning_summary_part.added", **self._place, "part": self._part()},
        ]

    def grow(self, text: str, logprobs: Logprobs) -> list[Event]:  # noqa: ARG002, D102
        self._text.append(text)
        return [{"type": "response.reasoning_summary_text.delta", **self._place, "delta": text}]

    def closing(self, status: Status) -> list[Event]:  # noqa: D102
        part = self._part()
        broken_off = {"status": "incomplete"} if status == "incomplete" else {}
        return [
            {"type": "response.reasoning_summary_text.done", **self._place, "text": part["text"]},
            {"type": "response.reasoning_summary_part.done", **self._place, "part": part} | broken_off,
            _item_done(self._output_index, self.as_it_is(status)),
        ]

    def as_it_is(self, status: Status) -> dict[str, Any]:  # noqa: D102
        return {"id": self._id, "type": "reasoning", "status": status, "summary": [self._part()]}

    def _part(self) -> dict[str, Any]:
        return {"type": "summary_text", "text": "".join(self._text)}


class PortableReasoningItem(ReasoningItem):
    """The same for a client that asks for `encrypted_content`: some send back only an item which has it.

    It is the text once more, as there is nothing to hide.
    """

    def as_it_is(self, status: Status) -> dict[str, Any]:  # noqa: D102
        return super().as_it_is(status) | {"encrypted_content": self._part()["text"]}


def function_call(head: Mapping[str, Any], arguments: str, output_index: int) -> tuple[dict[str, Any], list[Event]]:
    """The item of a function's call, and its events; `head` has its id, the call's id and the names."""
    item = {**head, "type": "function_call", "status": "completed", "arguments": arguments}
    place = {"item_id": head["id"], "output_index": output_index}
    started = item | {"status": "in_progress", "arguments": ""}
    return item, [
        {"type": "response.output_item.added", "output_index": output_index, "item": started},
        {"type": "response.function_call_arguments.delta", **place, "delta": arguments},
        {"type": "response.function_call_arguments.done", **place, "arguments": arguments},
        _item_done(output_index, item),
    ]


def custom_call(head: Mapping[str, Any], text: str, output_index: int) -> tuple[dict[str, Any], list[Event]]:
    """The same for a custom tool, which takes free text."""
    item = {**head, "type": "custom_tool_call", "input": text}
    place = {"item_id": head["id"], "output_index": output_index}
    return item, [
        {"type": "response.output_item.added", "output_index": output_index, "item": item | {"input": ""}},
        {"type": "response.custom_tool_call_input.delta", **place, "delta": text},
        {"type": "response.custom_tool_call_input.done", **place, "input": text},
        _item_done(output_index, item),
    ]


def _item_done(output_index: int, item: dict[str, Any]) -> Event:
    return {"type": "response.output_item.done", "output_index": output_index, "item": item}


def _logprob(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"top_logprobs": [], **entry}


def _without_bytes(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as the events have it; the item has the bytes."""
    tops = [{"token": top["token"], "logprob": top["logprob"]} for top in entry.get("top_logprobs", ())]
    return {"token": entry["token"], "logprob": entry["logprob"], "top_logprobs": tops}
