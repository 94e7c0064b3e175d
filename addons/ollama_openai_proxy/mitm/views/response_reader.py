"""An answer of any API, streamed or whole, as neutral events, whatever has become of the answer on the way.

The readers are those of translated calls: `SseReader` finds the frames, also of lines of JSON, and `StreamReader` makes events
of the frames. Reading never raises, and takes time in proportion to the body.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...translate.events import Failure, Finish
from ...translate.reader.finish_reasons import read_finish_reason
from ...translate.reader.sse import SseReader, parse_json
from ...translate.reader.stream_reader import StreamReader
from .formatting import number, size
from .response_chunks import chat_chunk
from .response_counters import Counters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...translate.events import Event
    from .response_chunks import Frame

_READ_AT_ONCE = 1 << 16
_MOST_UNREADABLE = 2000
"""Characters that are no frames, after which no more are read: the body is something else."""


@dataclass(slots=True)
class Answer:
    """What is known of an answer.

    Attributes:
        model: as the first frame names it.
        choices: what each choice says, by its number, without `Finish` and `Failure`.
        reason: why it ended, as the server words it.
        finished: whether the server said that it is complete.
        unreadable: whether a part of it is no frame, or half of one.
        errors: what went wrong, in the server's words.
        steps: progress of a pull, push or create, each step as it was told last.
        vectors: embeddings.
        counters: tokens and times.
    """

    model: str = ""
    choices: dict[int, list[Event]] = field(default_factory=dict)
    reason: str = ""
    finished: bool = False
    unreadable: bool = False
    errors: list[str] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    vectors: list[Any] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)


def read_answer(data: bytes) -> Answer:
    """Read a body: as received, without content coding; perhaps only its beginning."""
    answer = Answer()
    chunks: dict[int, list[bytes]] = {}
    for place, frame in enumerate(_frames(data, answer)):
        try:
            for index, chunk in _read_frame(frame, place, answer):
                chunks.setdefault(index, []).append(b"data: %b\n\n" % json.dumps(chunk).encode())
        except (RecursionError, ValueError):  # too deep, or a number of too many digits
            answer.unreadable = True
    for index, texts in sorted(chunks.items()):
        try:
            answer.choices[index] = _events(b"".join(texts), answer)
        except RecursionError:
            answer.unreadable = True
    return answer


def _frames(data: bytes, answer: Answer) -> Iterable[Frame]:
    """The JSON objects of a body that is one of them, a list, lines of JSON, or server-sent events."""
    whole = parse_json(data)
    if isinstance(whole, dict | list):
        return [frame for frame in (whole if isinstance(whole, list) else [whole]) if isinstance(frame, dict)]
    reader = SseReader()
    frames: list[Frame] = []
    body = io.BytesIO(data.removeprefix(b"\xef\xbb\xbf"))
    while len(reader.text) < _MOST_UNREADABLE and (lines := body.readlines(_READ_AT_ONCE)):
        frames += reader.feed(b"".join(lines))
    frames += reader.finish()
    answer.unreadable = reader.broken or bool(reader.text)
    answer.finished = reader.done
    return frames


def _read_frame(frame: Frame, place: int, answer: Answer) -> Iterable[tuple[int, Frame]]:
    """Note what is no event, and give the rest as chunks, each with one choice, beside the number of the choice."""
    chunk = chat_chunk(frame, place)
    for named in (frame, chunk):
        if not answer.model and isinstance(model := named.get("model"), str):
            answer.model = model
    answer.counters.read(frame, chunk)
    _read_results(frame, answer)
    choices = chunk.get("choices")
    if not isinstance(choices, list) or not choices:
        yield 0, chunk
        return
    for choice in choices:
        if isinstance(choice, dict):
            index = choice.get("index")
            answer.reason = read_finish_reason(choice.get("finish_reason")) or answer.reason
            answer.finished = answer.finished or bool(answer.reason)
            yield index if isinstance(index, int) else 0, {**chunk, "choices": [{**choice, "index": 0}]}


def _events(chunks: bytes, answer: Answer) -> list[Event]:
    reader = StreamReader(split_thinking=False)
    events = reader.feed(chunks)
    if events and isinstance(failure := events[-1], Failure):
        error = failure.error
        kinds = [str(kind) for kind in (error.error_type, error.code) if kind]
        answer.errors.append(error.message + (f" ({', '.join(kinds)})" if kinds else ""))
    # A failure that shows at the end is only that there was no end.
    events += reader.finish(framed=True)
    return [event for event in events if not isinstance(event, Finish | Failure)]


def _read_results(frame: Frame, answer: Answer) -> None:
    """Note embeddings, and how far a pull, push or create has come."""
    match frame:
        case {"embeddings": list(vectors)}:
            answer.vectors += vectors
        case {"embedding": vector}:
            answer.vectors.append(vector)
        case {"data": list(items)}:
            answer.vectors += [item["embedding"] for item in items if isinstance(item, dict) and "embedding" in item]
        case {"object": _} | {"type": _} | {"error": _}:
            pass
        case {"status": str(status)}:
            total, completed = number(frame.get("total")), number(frame.get("completed"))
            answer.steps[status] = f"{size(completed or 0)} of {size(total)}" if total is not None else ""
            answer.finished = status == "success"
