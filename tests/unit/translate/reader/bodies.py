"""Builds the bodies that servers send, reads them, and says in short what came of them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ollama_openai_proxy.translate.events import (
    Failure,
    Finish,
    ReasoningState,
    Text,
    Thinking,
    ToolCallArguments,
    ToolCallBegin,
    ToolCallEnd,
)
from ollama_openai_proxy.translate.reader.stream_reader import StreamReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ollama_openai_proxy.translate.events import Event

type Brief = tuple[Any, ...]
"""What came, in short: `("text", …)`, `("call", name, arguments)`, `("finish", reason)`, `("failure", status, message)`."""


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    """A chunk of a stream."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def said(*texts: str) -> list[dict[str, Any]]:
    """Chunks of content."""
    return [chunk({"content": text}) for text in texts]


def fragment(index: Any = 0, name: Any = None, arguments: Any = None, call_id: Any = None, **more: Any) -> dict[str, Any]:
    """A delta with a piece of a tool call: what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call = {key: value for key, value in (("index", index), ("id", call_id)) if value is not None}
    return {"tool_calls": [call | {"function": function} | more]}


def sse(*events: Any, done: bool = True) -> bytes:
    """A stream of events: objects, or bytes that are written as they are."""
    written = [event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return b"".join(written) + (b"data: [DONE]\n\n" if done else b"")


def called(*deltas: Any, finish: str = "tool_calls") -> bytes:
    """A stream of an answer that calls tools."""
    return sse(*(chunk(delta) for delta in deltas), chunk({}, finish))


def whole(content: Any = "", finish: Any = "stop", **message: Any) -> bytes:
    """A whole answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice]}).encode()


def read(body: bytes, *, framed: bool = True, cuts: Iterable[int] = (), **options: Any) -> list[Event]:
    """The events of a body that comes in the reads between some cuts."""
    reader = StreamReader(**options)
    places = [0, *sorted({at for at in cuts if 0 < at < len(body)}), len(body)]
    events = [event for start, end in pairwise(places) for event in reader.feed(body[start:end])]
    events += reader.finish(framed=framed)
    check_order(events)
    return events


def check_order(events: list[Event]) -> None:
    """Assert what holds for the events of every answer."""
    assert isinstance(events[-1], Finish | Failure)
    assert not any(isinstance(event, Finish | Failure) for event in events[:-1])
    pieces: list[str] | None = None
    begun = [event for event in events if isinstance(event, ToolCallBegin)]
    assert [event.index for event in begun] == list(range(len(begun)))
    assert all(event.id and event.name for event in begun)
    assert len({event.id for event in begun}) == len(begun)
    for event in events:
        match event:
            case ToolCallBegin():
                assert pieces is None
                pieces = []
            case ToolCallArguments(piece):
                assert pieces is not None
                assert piece
                pieces.append(piece)
            case ToolCallEnd(arguments):
                assert pieces is not None
                if arguments is not None:
                    assert json.loads("".join(pieces)) == arguments
                pieces = None
            case Thinking(text):
                assert pieces is None
                assert text
            case _:
                assert pieces is None


def brief(events: list[Event]) -> list[Brief]:
    """What came, with neighbouring pieces joined."""
    found: list[Brief] = []
    name = ""
    for event in events:
        match event:
            case Text(text) | Thinking(text):
                kind = "text" if isinstance(event, Text) else "thinking"
                if found and found[-1][0] == kind:
                    text = found.pop()[1] + text
                if text:
                    found.append((kind, text))
            case ToolCallBegin():
                name = event.name
            case ToolCallEnd(arguments):
                found.append(("call", name, arguments))
            case ReasoningState(details):
                found.append(("state", list(details)))
            case Finish():
                found.append(("finish", event.reason))
            case Failure(error):
                found.append(("failure", error.status, error.message))
    return found
