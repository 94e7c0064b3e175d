"""What a back end means to say as the body of its answer: in OpenAI's events, in Ollama's frames, or in one object.

How it says that, within what clients of such servers have to take, follows from the case's number.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from .cases import NUMBERS
from .intents import intent_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cases import Case
    from .intents import Answer

NOTHING: dict[str, Any] = {"tool_calls": None, "function_call": None, "refusal": None, "audio": None}
UNKNOWN: dict[str, Any] = {"x_soak": {"deep": [1, "é"]}, "service_tier": None, "system_fingerprint": "fp_soak"}
ODD: Sequence[str] = (
    'null',
    '[]',
    '5',
    '"text"',
    '{}',
    '{"choices":[null]}',
    '{"choices":{}}',
    '{"choices":"text"}',
    '{"choices":5}',
    '{"choices":[[]]}',
    '{"choices":[{"index":0,"delta":[]}]}',
    '{"choices":[{"index":0,"delta":"text"}]}',
    '{"choices":[{"index":0,"delta":5}]}',
    '{"choices":[{"index":0,"delta":{"content":5}}]}',
    '{"choices":[{"index":0,"delta":{"content":[null]}}]}',
    '{"choices":[{"index":0,"delta":{"content":{"text":1}}}]}',
    '{"choices":[{"index":0,"delta":{"content":[{"text":5}]}}]}',
    '{"choices":[{"index":0,"delta":{"reasoning_details":[null]}}]}',
    '{"choices":[{"index":0,"delta":{"reasoning_details":5}}]}',
    '{"choices":[{"index":0,"delta":{"refusal":5}}]}',
    '{"choices":[{"index":0,"delta":{"tool_calls":[null]}}]}',
    '{"choices":[{"index":0,"delta":{"tool_calls":5}}]}',
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":null,"function":null}]}}]}',
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":"0","id":5,"function":"text"}]}}]}',
    '{"choices":[{"index":0,"delta":{"tool_calls":[{"index":[],"function":{"name":5}}]}}]}',
    '{"choices":[{"index":0,"delta":{},"logprobs":[]}]}',
    '{"choices":[{"index":0,"delta":{},"logprobs":{"content":[null]}}]}',
    '{"choices":[{"index":0,"delta":{},"logprobs":{"content":[{"token":5,"logprob":"x"}]}}]}',
    '{"choices":[{"index":0,"delta":{},"logprobs":{"tokens":5}}]}',
    '{"choices":[{"index":"0","delta":null}]}',
    '{"choices":[{"index":0,"text":5}]}',
    '{"choices":[],"usage":[]}',
    '{"choices":[],"usage":"text"}',
    '{"choices":[],"usage":5}',
    '{"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":"7"}}',
    '{"choices":[],"usage":{"prompt_tokens":-5,"completion_tokens":1e308}}',
    '{"choices":[],"usage":{"prompt_tokens":NaN,"completion_tokens":Infinity}}',
    '{"choices":[],"usage":{"prompt_tokens_details":[],"completion_tokens_details":5}}',
    '{"error":null}',
    '{"error":"text"}',
    '{"error":[null]}',
    '{"error":{"message":null,"code":"x"}}',
    '{"error":{"message":{"deep":1},"code":999}}',
    '{"error":5}',
)  # fmt: skip
"""Events with another type where an object, a list or a text belongs. Ignoring them is right, and so is an error."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body of an answer.

    Attributes:
        data: its bytes.
        events: where each event, or frame, begins.
        finish: after so many bytes the answer is said to be finished, for whoever looks closely.
    """

    data: bytes
    events: list[int]
    finish: int


@dataclass(frozen=True, slots=True)
class Style:
    """How the events of an answer are written."""

    newline: str
    comments: bool
    marked_done: bool
    marked_finish: bool
    usage: str
    unknown: bool
    nulls: bool
    ascii: bool
    bare: bool


def style_of(case: Case) -> Style:
    """The style of a case's number. Some leave out what others rely on, but never both signs of the end."""
    number = case.number
    if number < NUMBERS:
        return Style("\r\n" if number == 1 else "\n", number == 1, number != 3, True, "last", False, False, number == 0, False)
    chance = random.Random(f"style {number}")
    done = chance.random() < 0.8
    return Style(
        newline=chance.choice(("\n", "\n", "\r\n")),
        comments=chance.random() < 0.3,
        marked_done=done,
        marked_finish=not done or chance.random() < 0.95,
        usage=chance.choice(("last", "last", "every", "none", "finish")),
        unknown=chance.random() < 0.3,
        nulls=chance.random() < 0.3,
        ascii=chance.random() < 0.3,
        bare=chance.random() < 0.2,
    )


def body_of(case: Case) -> Body:
    """The body of the answer to a case without faults of the connection."""
    if case.asks_ollama:
        return _frames(case)
    if case.fault == "unstreamed" or case.call == "v1-whole":
        return _object(case)
    return _events(case)


def _events(case: Case) -> Body:
    style, intent = style_of(case), intent_of(case)
    chunks = _chunks(case, style, intent)
    data, events, finish = bytearray(), [], 0
    line = style.newline
    opening = "data:" if style.bare else "data: "
    for number, chunk in enumerate(chunks):
        events.append(len(data))
        if style.comments and number % 2 == 0:
            data += f": keep-alive{line}{line}id: {number}{line}retry: 5{line}".encode()
        if style.comments and number % 3 == 0:
            data += f"data:{line}{line}".encode() if number % 2 else line.encode()
        text = chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=style.ascii, separators=(",", ":"))
        data += (opening + text).encode()
        if not isinstance(chunk, str) and any(choice.get("finish_reason") for choice in chunk["choices"] or ()):
            finish = len(data)
        data += (line * 2).encode()
    if style.marked_done:
        events.append(len(data))
        data += f"{opening}[DONE]{line}".encode()
        finish = finish or len(data)
        data += line.encode()
    return Body(bytes(data), events, finish)


def _is_broken(case: Case) -> bool:
    return case.fault in ("error", "garbage", "odd")


def _chunks(case: Case, style: Style, intent: Answer) -> list[dict[str, Any] | str]:
    raw = case.call == "raw"
    head: dict[str, Any] = {"id": f"soak-{case.number}", "created": 1, "model": "soak"}
    head |= {"object": "text_completion"} if raw else {"object": "chat.completion.chunk"}
    if style.unknown:
        head |= UNKNOWN
    if case.number < NUMBERS:
        # What says nothing would make the walk through all bytes longer.
        head = {"model": "soak"}
    usage = _usage(intent)
    chunks: list[dict[str, Any] | str] = []

    def add(delta: dict[str, Any] | None, finish: str | None = None) -> None:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        if case.number >= NUMBERS:
            choice["logprobs"] = None
        if raw:
            choice["text"] = (delta or {}).get("content", "")
        else:
            choice["delta"] = delta if delta is None or not style.nulls else NOTHING | delta
        counts = {"usage": usage if style.usage == "every" or (finish and style.usage == "finish") else None}
        chunks.append(head | {"choices": [choice]} | (counts if style.usage != "none" and case.number >= NUMBERS else {}))

    if not raw:
        add({"role": "assistant", "content": None if style.nulls else ""})
    for thought in intent.thoughts:
        add({"reasoning_content": thought} | ({"content": None} if style.nulls else {}))
    for piece in intent.pieces:
        add({"content": piece})
    for number, call in enumerate(intent.calls):
        text = call.json
        half = len(text) // 2
        function = {"name": call.name, "arguments": text[:half]}
        add({"tool_calls": [{"index": number, "id": f"call_{number}", "type": "function", "function": function}]})
        add({"tool_calls": [{"index": number, "function": {"arguments": text[half:]}}]})
    if _is_broken(case):
        chunks.insert(len(chunks) // 2, _broken(case))
    if style.marked_finish:
        add(None if style.nulls else {}, intent.finish)
    if style.usage == "last":
        chunks.append(head | {"choices": None if style.nulls else [], "usage": usage})
    return chunks


def _broken(case: Case) -> str:
    match case.fault:
        case "error":
            text = f"soak error {case.number}"
            error = text if case.asks_ollama else {"message": text, "type": "server_error", "code": 500}
            return json.dumps({"error": error})
        case "garbage":
            return '{"choices":[{"index":0,"delta":{"content":'
    return ODD[case.size % len(ODD)]


def _usage(intent: Answer) -> dict[str, int]:
    prompt, completion = intent.counts or (0, 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _object(case: Case) -> Body:
    intent = intent_of(case)
    message: dict[str, Any] = {"role": "assistant", "content": intent.text}
    if intent.thoughts:
        message["reasoning_content"] = intent.thinking
    if intent.calls:
        message["tool_calls"] = [
            {"id": f"call_{n}", "type": "function", "function": {"name": call.name, "arguments": call.json}}
            for n, call in enumerate(intent.calls)
        ]
    choice: dict[str, Any] = {"index": 0, "finish_reason": intent.finish}
    choice |= {"text": intent.text} if case.call == "raw" else {"message": message}
    answer = {"id": f"soak-{case.number}", "created": 1, "model": "soak", "choices": [choice], "usage": _usage(intent)}
    data = json.dumps(answer, ensure_ascii=style_of(case).ascii).encode()
    return Body(data, [0], len(data))


def _frames(case: Case) -> Body:
    style, intent = style_of(case), intent_of(case)
    head: dict[str, Any] = {"model": "soak"}
    if case.number >= NUMBERS:
        head |= {"created_at": "2026-01-01T00:00:00.000000001Z"} | (UNKNOWN if style.unknown else {})
    last = {"done": True, "done_reason": "stop", "prompt_eval_count": _usage(intent)["prompt_tokens"]}

    def said(text: str, thinking: str = "") -> dict[str, Any]:
        match case.kind:
            case "pull":
                return {"status": text or "success"}
            case "generate":
                return {"response": text} | ({"thinking": thinking} if thinking else {})
        return {"message": {"role": "assistant", "content": text} | ({"thinking": thinking} if thinking else {})}

    if case.whole:
        data = json.dumps(head | said(intent.text, intent.thinking) | last, ensure_ascii=style.ascii).encode()
        return Body(data, [0], len(data))
    frames: list[dict[str, Any] | str] = [head | said("", thought) | {"done": False} for thought in intent.thoughts]
    frames += [head | said(piece) | {"done": False} for piece in intent.pieces]
    if _is_broken(case):
        frames.insert(len(frames) // 2, _broken(case))
    frames.append(head | said("") | last)
    texts = [frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=style.ascii) for frame in frames]
    lines = [(text + style.newline).encode() for text in texts]
    data = b"".join(lines)
    return Body(data, [0, *accumulate(map(len, lines[:-1]))], len(data) - len(style.newline))
