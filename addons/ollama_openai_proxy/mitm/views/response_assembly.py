"""An answer put together from its frames or chunks, whatever API they belong to.

Feed it one JSON object after the other, streamed or whole; it never raises over what they hold. What an object means shows
in its own members, so no one has to say which API it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .formatting import number, short, size, text_of
from .response_counters import Counts

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

MOST_VECTORS = 20
_FIRST_NUMBERS = 6
_RESPONSE_CALLS = ("function_call", "custom_tool_call")
_THINKING = ("thinking", "reasoning_content", "reasoning")


@dataclass(slots=True)
class Call:
    """A tool call; its arguments are an object, or come as pieces of JSON text."""

    name: str = ""
    call_id: str = ""
    arguments: Any = None
    pieces: list[str] = field(default_factory=list)

    @property
    def read_arguments(self) -> Any:
        """The object, or the text of all pieces."""
        return "".join(self.pieces) if self.pieces else self.arguments


@dataclass(slots=True)
class Part:
    """What one choice says."""

    thinking: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: dict[Hashable, Call] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """What is known of an answer so far.

    Attributes:
        parts: what each choice says, by its number.
        reason: why it ended, as the server words it.
        finished: whether the server said that it is complete.
        errors: what went wrong, in the server's words.
        steps: progress of a pull, push or create, each step as it was told last.
        vectors: embeddings, each in a line.
        vector_count: how many they are.
        other: an object that is none of all this.
    """

    model: str = ""
    parts: dict[int, Part] = field(default_factory=dict)
    reason: str = ""
    finished: bool = False
    errors: list[str] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    vectors: list[str] = field(default_factory=list)
    vector_count: int = 0
    other: Any = None
    counts: Counts = field(default_factory=Counts)

    def part(self, index: object = 0) -> Part:
        """What a choice says."""
        return self.parts.setdefault(index if isinstance(index, int) else 0, Part())

    def feed(self, frame: object) -> None:
        """Take one object."""
        if not isinstance(frame, dict):
            self.other = frame
            return
        if not self.model and isinstance(frame.get("model"), str):
            self.model = frame["model"]
        if isinstance(kind := frame.get("type"), str) and _event(self, kind, frame):
            return
        if frame.get("error"):
            self.errors.append(error_text(frame["error"]))
        elif frame.get("object") == "response" and "output" in frame:
            _response(self, frame)
        elif isinstance(choices := frame.get("choices"), list):
            _choices(self, choices)
        elif not _ollama(self, frame) and "usage" not in frame and "timings" not in frame:
            self.other = frame
        self.counts.read_usage(frame.get("usage"))
        self.counts.read_timings(frame.get("timings"))

    def end(self, reason: object) -> None:
        """Note why it ended."""
        if isinstance(reason, str) and reason:
            self.reason = reason
            self.finished = True


def error_text(error: object) -> str:
    """An error of any of the APIs in one line."""
    if not isinstance(error, dict):
        return short(error)
    kinds = [text_of(error[key]) for key in ("type", "code") if error.get(key)]
    message = error.get("message")
    return (short(message) if message else short(error)) + (f" ({', '.join(kinds)})" if kinds and message else "")


def _add(pieces: list[str], value: object) -> None:
    if isinstance(value, str):
        pieces.append(value)
    elif isinstance(value, list):
        for part in value:
            if isinstance(part, dict):
                _add(pieces, part.get("text", ""))


# -- Ollama ------------------------------------------------------------------------------------------------------------


def _ollama(answer: Answer, frame: Mapping[str, Any]) -> bool:
    message = frame.get("message")
    said: Mapping[str, Any] | None = message if isinstance(message, dict) else frame if "response" in frame else None
    if said is not None:
        part = answer.part()
        _add(part.text, said.get("response" if said is frame else "content"))
        _add(part.thinking, said.get("thinking"))
        for call in _list(said.get("tool_calls")):
            _whole_call(part, call)
    elif isinstance(frame.get("status"), str):
        _step(answer, frame)
    elif not _vectors(answer, frame) and "done" not in frame:
        return False
    if frame.get("done") is True:
        answer.finished = True
        answer.end(frame.get("done_reason"))
    if "total_duration" in frame:
        answer.counts.read_ollama(frame)
    return True


def _step(answer: Answer, frame: Mapping[str, Any]) -> None:
    total, completed = number(frame.get("total")), number(frame.get("completed"))
    progress = f"{size(completed or 0)} of {size(total)}" if total is not None else ""
    answer.steps[frame["status"]] = progress
    answer.finished = frame["status"] == "success"


def _vectors(answer: Answer, frame: Mapping[str, Any]) -> bool:
    many = frame.get("embeddings", frame.get("data"))
    vectors = many if isinstance(many, list) else [frame["embedding"]] if "embedding" in frame else None
    if vectors is None:
        return False
    if "data" in frame and not all(isinstance(item, dict) and "embedding" in item for item in vectors):
        return False
    answer.vector_count += len(vectors)
    for item in vectors[:MOST_VECTORS]:
        answer.vectors.append(_vector(item.get("embedding") if isinstance(item, dict) else item))
    answer.finished = True
    return True


def _vector(vector: object) -> str:
    if isinstance(vector, str):
        return f"base64, {size(len(vector) * 3 // 4)}"
    if not isinstance(vector, list) or not all(isinstance(value, int | float) for value in vector):
        return short(vector)
    try:
        length = math.hypot(*vector)
        first = ", ".join(f"{value:.4f}" for value in vector[:_FIRST_NUMBERS])
    except OverflowError:
        return short(vector)
    return f"{len(vector):,} numbers, length {length:.4g}: {first}{', …' if len(vector) > _FIRST_NUMBERS else ''}"


def _whole_call(part: Part, call: object) -> None:
    if not isinstance(call, dict):
        return
    function = call["function"] if isinstance(call.get("function"), dict) else call
    name, call_id = text_of(function.get("name")), text_of(call.get("call_id") or call.get("id"))
    part.calls[len(part.calls), None] = Call(name, call_id, function.get("arguments", function.get("input")))


# -- OpenAI: chat, completions -----------------------------------------------------------------------------------------


def _choices(answer: Answer, choices: list[Any]) -> None:
    for choice in choices:
        if not isinstance(choice, dict):
            continue
        part = answer.part(choice.get("index"))
        _add(part.text, choice.get("text"))
        for name in ("delta", "message"):
            if isinstance(said := choice.get(name), dict):
                _add(part.text, said.get("content"))
                _add(part.refusal, said.get("refusal"))
                _add(part.thinking, next((said[key] for key in _THINKING if said.get(key)), None))
                for place, call in enumerate(_list(said.get("tool_calls"))):
                    _piece_of_call(part, call, place)
        answer.end(choice.get("finish_reason"))


def _piece_of_call(part: Part, piece: object, place: int) -> None:
    if not isinstance(piece, dict):
        return
    index = piece.get("index")
    call = part.calls.setdefault(index if isinstance(index, int) else place, Call())
    function = piece.get("function", piece.get("custom"))
    if isinstance(function, dict):
        call.name = call.name or text_of(function.get("name"))
        arguments = function.get("arguments", function.get("input"))
        if isinstance(arguments, str):
            call.pieces.append(arguments)
        elif arguments is not None:
            call.arguments = arguments
    call.call_id = call.call_id or text_of(piece.get("id"))


# -- OpenAI: Responses; Anthropic --------------------------------------------------------------------------------------


def _event(answer: Answer, kind: str, event: Mapping[str, Any]) -> bool:
    """Take an event that names its type; False for one that is unknown."""
    part, delta = answer.part(), event.get("delta")
    match kind:
        case "response.output_text.delta":
            _add(part.text, delta)
        case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
            _add(part.thinking, delta)
        case "response.refusal.delta":
            _add(part.refusal, delta)
        case "response.output_item.added" | "response.output_item.done":
            _begin_call(part, event.get("output_index"), event.get("item"), _RESPONSE_CALLS)
        case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
            _add(_call_at(part, event.get("output_index")).pieces, delta)
        case "response.completed" | "response.incomplete" | "response.failed" | "response.created":
            if isinstance(response := event.get("response"), dict):
                _response(answer, response, counted_only=kind != "response.completed" or bool(part.text or part.calls))
        case "error":
            answer.errors.append(error_text(event.get("error") or event))
        case "message_start":
            if isinstance(message := event.get("message"), dict):
                _message(answer, message)
        case "message":
            _message(answer, event)
        case "content_block_start":
            _block(part, event.get("index"), event.get("content_block"))
        case "content_block_delta" if isinstance(delta, dict):
            _add(part.text, delta.get("text"))
            _add(part.thinking, delta.get("thinking"))
            if isinstance(delta.get("partial_json"), str):
                _call_at(part, event.get("index")).pieces.append(delta["partial_json"])
        case "message_delta":
            answer.end(delta.get("stop_reason") if isinstance(delta, dict) else None)
            answer.counts.read_usage(event.get("usage"))
        case "message_stop":
            answer.finished = True
        case _:
            return kind.startswith(("response.", "content_block")) or kind == "ping"
    return True


def _call_at(part: Part, index: object) -> Call:
    return part.calls.setdefault(index if isinstance(index, int) else 0, Call())


def _begin_call(part: Part, index: object, item: object, kinds: tuple[str, ...]) -> None:
    if isinstance(item, dict) and item.get("type") in kinds:
        call = _call_at(part, index)
        call.name = text_of(item.get("name"))
        call.call_id = text_of(item.get("call_id") or item.get("id"))
        if not call.pieces:
            call.arguments = item.get("arguments", item.get("input"))


def _block(part: Part, index: object, block: object) -> None:
    if isinstance(block, dict):
        _add(part.text, block.get("text"))
        _add(part.thinking, block.get("thinking"))
        _begin_call(part, index, block, ("tool_use", "server_tool_use"))


def _message(answer: Answer, message: Mapping[str, Any]) -> None:
    if not answer.model:
        answer.model = text_of(message.get("model"))
    part = answer.part()
    for item in _list(message.get("content")):
        if isinstance(item, dict):
            if item.get("type") in ("tool_use", "server_tool_use"):
                _whole_call(part, item)
            else:
                _add(part.text, item.get("text"))
                _add(part.thinking, item.get("thinking"))
    answer.end(message.get("stop_reason"))
    answer.counts.read_usage(message.get("usage"))


def _response(answer: Answer, response: Mapping[str, Any], *, counted_only: bool = False) -> None:
    if not answer.model:
        answer.model = text_of(response.get("model"))
    part = answer.part()
    for item in [] if counted_only else _list(response.get("output")):
        if isinstance(item, dict):
            match item.get("type"):
                case "message":
                    _add(part.text, item.get("content"))
                case "reasoning":
                    _add(part.thinking, item.get("summary"))
                    _add(part.thinking, item.get("content"))
                case _:
                    _whole_call(part, item)
    if response.get("status") not in (None, "in_progress", "queued"):
        details = response.get("incomplete_details")
        answer.end((details.get("reason") if isinstance(details, dict) else None) or response["status"])
    if response.get("error"):
        answer.errors.append(error_text(response["error"]))
    answer.counts.read_usage(response.get("usage"))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
