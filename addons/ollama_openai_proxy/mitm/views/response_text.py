"""The body of an answer as a reader wants it: thinking, text and tool calls put together, then the counters, then the frames.

Takes what Ollama, OpenAI and Anthropic send, streamed or whole, and whatever has become of it on the way: of a stream that
was cut, or of bytes that are no answer at all, it shows what can be shown. It takes time in proportion to the body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .conversation_text import call_line
from .formatting import clipped, number, pretty, printable, read_json, section, span, table
from .response_assembly import Answer, Part

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_FRAMES = 200
"""Raw frames that are shown, and the last one."""
MOST_OF_A_FRAME = 2_000
MOST_RAW = 20_000
"""Characters of a body that is one object, or none."""
MOST_READ = 400_000
"""Frames that are read; more than any answer has."""
MOST_BROKEN = 10_000
"""Frames that are no JSON, after which no more are read: the body is something else."""
_LAST_EVENT = "[DONE]"


@dataclass(slots=True)
class Body:
    """A body that was read.

    Attributes:
        answer: what its frames say.
        frames: as they came: lines, events, or one object.
        broken: how many of them are no JSON.
        unread: how many of them were not looked at.
        cut: whether the last one is incomplete.
        streamed: whether it is a stream of frames or events.
        closed: whether a stream of events was ended by `[DONE]`.
    """

    answer: Answer = field(default_factory=Answer)
    frames: list[str] = field(default_factory=list)
    broken: int = 0
    unread: int = 0
    cut: bool = False
    streamed: bool = True
    closed: bool = False


def read_answer(data: bytes) -> Body:
    """Put an answer together."""
    text = data.decode(errors="replace").removeprefix("\ufeff")
    body = Body()
    begin = text[:MOST_OF_A_FRAME].lstrip()
    if begin.startswith(("data:", "event:", "id:", ":")):
        _read_events(body, text)
        return body
    if begin.startswith(("{", "[")):
        try:
            whole = read_json(text)
        except ValueError:
            pass
        else:
            body.streamed = False
            body.frames.append(text.strip())
            _feed(body, whole)
            return body
    _read_lines(body, text)
    return body


def answer_text(data: bytes, info: Mapping[str, Any] | None = None) -> str:
    """The text of an answer.

    Args:
        data: the body as received, without content coding; perhaps only its beginning.
        info: what the proxy measured: `first_part` and `duration` in seconds.
    """
    body = read_answer(data)
    answer = body.answer
    blocks = [heading] if (heading := _heading(body) if data else "(no answer)") else []
    blocks.extend(section("error", error) for error in dict.fromkeys(answer.errors))
    for index, part in sorted(answer.parts.items()):
        blocks.extend(_said(part, f" {index + 1}" if len(answer.parts) > 1 else ""))
    if answer.steps:
        blocks.append(section("progress", table([(step, progress) for step, progress in answer.steps.items()])))
    if answer.vectors:
        lines = [f"{place}: {vector}" for place, vector in enumerate(answer.vectors)]
        if answer.vector_count > len(lines):
            lines.append(f"… {answer.vector_count - len(lines):,} more")
        blocks.append(section(f"embeddings ({answer.vector_count:,})", "\n".join(lines)))
    if rows := [*answer.counts.lines(), *_measured(info or {})]:
        blocks.append(section("counters", table(rows)))
    if data:
        blocks.append(_raw(body))
    return printable("\n\n".join(blocks) + "\n")


def tool_calls(part: Part) -> list[str]:
    """The tool calls of an answer, one in a line."""
    return [call_line(call.name, call.read_arguments, call.call_id) for call in part.calls.values()]


def _read_lines(body: Body, text: str) -> None:
    lines = text.split("\n")
    for line in lines:
        if frame := line.strip():
            body.frames.append(frame)
            _read_frame(body, frame)
    body.cut = bool(lines[-1].strip()) and not _is_json(lines[-1])


def _read_events(body: Body, text: str) -> None:
    payload: list[str] = []
    event: list[str] = []
    for line in [*text.replace("\r\n", "\n").split("\n"), ""]:
        if line:
            event.append(line)
            if line.startswith("data:"):
                payload.append(line[5:].strip())
        elif event:
            body.frames.append("\n".join(event))
            joined = "\n".join(payload)
            if joined == _LAST_EVENT:
                body.closed = True
            elif joined:
                _read_frame(body, joined)
            payload, event = [], []
    body.cut = not text.rstrip("\r").endswith("\n") and not body.closed


def _read_frame(body: Body, frame: str) -> None:
    if len(body.frames) > MOST_READ or body.broken > MOST_BROKEN:
        body.unread += 1
        return
    try:
        _feed(body, read_json(frame))
    except ValueError:
        body.broken += 1


def _feed(body: Body, frame: object) -> None:
    try:
        body.answer.feed(frame)
    except RecursionError:
        body.broken += 1


def _is_json(text: str) -> bool:
    try:
        read_json(text)
    except ValueError:
        return False
    return True


def _heading(body: Body) -> str:
    answer = body.answer
    said = [answer.model] if answer.model else []
    if answer.errors:
        said.append("error")
    elif answer.reason:
        said.append(answer.reason)
    elif not answer.finished and (answer.parts or answer.steps):
        said.append("unfinished")
    if answer.counts.completion_tokens is not None:
        said.append(f"{answer.counts.completion_tokens:,.0f} tokens")
    if answer.counts.speed is not None:
        said.append(f"{answer.counts.speed:,.1f} tokens/s")
    if body.cut:
        said.append("the last frame is incomplete")
    if (broken := body.broken - body.cut) > 0:
        said.append(f"{broken:,} of {len(body.frames):,} frames are no JSON" if body.streamed else "not readable")
    if body.unread:
        said.append(f"{body.unread:,} frames were not read")
    return " · ".join(said)


def _said(part: Part, number_of_choice: str) -> list[str]:
    texts = {
        "thinking": "".join(part.thinking),
        "text": "".join(part.text),
        "refusal": "".join(part.refusal),
        "tool calls": "\n".join(tool_calls(part)),
    }
    return [section(f"{title}{number_of_choice}", text) for title, text in texts.items() if text]


def _measured(info: Mapping[str, Any]) -> list[tuple[str, ...]]:
    names = {"first_part": "first part sent after", "duration": "whole answer sent after"}
    return [(title, span(value)) for key, title in names.items() if (value := number(info.get(key))) is not None]


def _raw(body: Body) -> str:
    if not body.streamed:
        [text] = body.frames
        short_enough = len(text) <= MOST_RAW
        return section("as it came", pretty(read_json(text)) if short_enough else clipped(text, MOST_RAW))
    frames = body.frames
    shown = [clipped(frame, MOST_OF_A_FRAME) for frame in frames[:MOST_FRAMES]]
    if len(frames) > MOST_FRAMES + 1:
        shown.append(f"… {len(frames) - MOST_FRAMES - 1:,} more frames")
    if len(frames) > MOST_FRAMES:
        shown.append(clipped(frames[-1], MOST_OF_A_FRAME))
    return section(f"frames ({len(frames):,})", "\n".join(shown))
