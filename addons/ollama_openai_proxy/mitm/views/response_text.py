"""The body of an answer for a reader: thinking, text and tool calls put together, then the counters, then the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...translate.events import Text, Thinking, ToolCallArguments, ToolCallBegin, ToolCallEnd
from ...translate.reader.sse import parse_json
from .conversation_text import call_line
from .formatting import clipped, compact, number, printable, section, short, size, span, table
from .response_reader import read_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...translate.events import Event
    from .response_reader import Answer

MOST_FRAMES = 200
"""Raw frames that are shown, and the last one."""
MOST_OF_A_FRAME = 2_000
MOST_RAW = 20_000
"""Characters of a body that is one object."""
MOST_VECTORS = 20
_FIRST_NUMBERS = 6


def answer_text(data: bytes, info: Mapping[str, Any] | None = None) -> str:
    """The text of an answer.

    Args:
        data: the body as received, without content coding; perhaps only its beginning.
        info: what the proxy measured: `first_part` and `duration` in seconds.
    """
    answer = read_answer(data)
    blocks = [heading] if (heading := _heading(answer) if data else "(no answer)") else []
    blocks.extend(section(title, text) for title, text in said(answer))
    if rows := [*answer.counters.rows(), *measured(info or {})]:
        blocks.append(section("counters", table(rows)))
    if data:
        blocks.append(_raw(data))
    return printable("\n\n".join(blocks) + "\n")


def said(answer: Answer) -> list[tuple[str, str]]:
    """What an answer says: titles and texts, in the order of reading."""
    texts = [("error", error) for error in dict.fromkeys(answer.errors)]
    for index, events in answer.choices.items():
        behind = f" {index + 1}" if len(answer.choices) > 1 else ""
        texts += [(f"{title}{behind}", text) for title, text in events_text(events).items() if text]
    if answer.steps:
        texts.append(("progress", table(list(answer.steps.items()))))
    if answer.vectors:
        lines = [f"{place}: {_vector(vector)}" for place, vector in enumerate(answer.vectors[:MOST_VECTORS])]
        lines += [f"… {len(answer.vectors) - len(lines):,} more"] * (len(answer.vectors) > len(lines))
        texts.append((f"embeddings ({len(answer.vectors):,})", "\n".join(lines)))
    return texts


def events_text(events: Iterable[Event]) -> dict[str, str]:
    """The texts of an answer's events. The ids of tool calls are left out: they differ between answers that say the same."""
    name = ""
    thinking: list[str] = []
    text: list[str] = []
    calls: list[str] = []
    arguments: list[str] = []
    for event in events:
        match event:
            case Thinking(text=piece):
                thinking.append(piece)
            case Text(text=piece):
                text.append(piece)
            case ToolCallBegin():
                name = event.name
            case ToolCallArguments(piece=piece):
                arguments.append(piece)
            case ToolCallEnd():
                calls.append(call_line(name, "".join(arguments)))
                arguments.clear()
    return {"thinking": "".join(thinking), "text": "".join(text), "tool calls": "\n".join(calls)}


def measured(info: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows of what the proxy measured."""
    names = {"first_part": "first part sent after", "duration": "whole answer sent after"}
    return [(title, span(value)) for key, title in names.items() if (value := number(info.get(key))) is not None]


def _heading(answer: Answer) -> str:
    unfinished = not answer.finished and (any(answer.choices.values()) or answer.steps)
    words = [answer.model, "error" if answer.errors else answer.reason or ("unfinished" if unfinished else "")]
    if tokens := answer.counters.tokens.told[1]:
        words.append(f"{tokens:,} tokens")
    if (speed := answer.counters.speed) is not None:
        words.append(f"{speed:,.1f} tokens/s")
    words.append("a part is not readable" if answer.unreadable else "")
    return " · ".join(filter(None, words))


def _vector(vector: object) -> str:
    if isinstance(vector, list):
        return f"{len(vector):,} numbers: {short(vector[:_FIRST_NUMBERS])}"
    return f"base64, {size(len(vector) * 3 // 4)}" if isinstance(vector, str) else short(vector)


def _raw(data: bytes) -> str:
    """The body as it came: an object over several lines, of anything else the first frames and the last one."""
    text = data.decode(errors="replace").removeprefix("\ufeff").replace("\r\n", "\n").strip()
    if isinstance(whole := parse_json(data), dict | list):
        return section("as it came", compact(whole, 2) if len(text) <= MOST_RAW else clipped(text, MOST_RAW))
    end = "\n\n" if text.startswith(("data:", "event:", "id:", ":")) else "\n"
    frames = text.split(end, MOST_FRAMES)
    shown = [clipped(frame, MOST_OF_A_FRAME) for frame in frames[:MOST_FRAMES]]
    count = len(frames)
    if count > MOST_FRAMES:
        more = frames[-1].count(end)
        count += more
        shown += [f"… {more:,} more frames"] * (more > 0) + [clipped(frames[-1].rpartition(end)[2], MOST_OF_A_FRAME)]
    return section(f"frames ({count:,})", "\n".join(shown))
