"""What differs between a recorded reply and one that came now.

The status and the headers that clients read must agree. So must every key of every object, its order and its type, and every
value that `_RULES` does not free. Of a stream the order of its kinds of frames must agree; how many pieces the text comes in is
free, and each frame is compared with the first recorded one of its kind.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tests.conformance.recording import Response

EXACT_HEADERS = ("content-type", "location", "access-control-allow-origin", "access-control-max-age")
LIST_HEADERS = ("allow", "vary", "access-control-allow-headers", "access-control-allow-methods")
"""Headers that hold a list, in which neither order nor case matters."""
STREAMS = ("application/x-ndjson", "text/event-stream")

OMITTED_WHEN_ZERO = frozenset(
    {"total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"}
)
"""Ollama leaves these out where they are 0, which depends on its clock; beside one of them the others may be there."""
NEEDED_MODEL_INFO = ("general.architecture", "general.parameter_count")
NEEDED_OF_ARCHITECTURE = ("context_length", "embedding_length")
"""What clients read of `model_info`; the rest depends on the model's file."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `place` names where, the same for every element of a list: `status`, `allow`, `models[].size` …"""

    place: str
    what: str


def compare(recorded: Response, answered: Response) -> list[Difference]:
    """Every difference, at most one for each place."""
    found = [*_heads(recorded, answered), *_bodies(recorded, answered)]
    return list({difference.place: difference for difference in reversed(found)}.values())[::-1]


# ── status and headers


def _heads(recorded: Response, answered: Response) -> Iterator[Difference]:
    if recorded.status != answered.status:
        yield Difference("status", f"recorded {recorded.status}, answered {answered.status}")
    for name in EXACT_HEADERS:
        if (was := recorded.headers.get(name)) != (now := answered.headers.get(name)):
            yield Difference(name, f"recorded {was!r}, answered {now!r}")
    for name in LIST_HEADERS:
        was, now = recorded.headers.get(name), answered.headers.get(name)
        if _items(was) != _items(now):
            yield Difference(name, f"recorded {was!r}, answered {now!r}")
    if recorded.content_type.startswith(STREAMS) and answered.headers.get("transfer-encoding") != "chunked":
        yield Difference("framing", "a stream must come in chunks, without a length")


def _items(header: str | None) -> list[str] | None:
    return None if header is None else sorted(item.strip().lower() for item in header.split(","))


# ── bodies


def _bodies(recorded: Response, answered: Response) -> Iterator[Difference]:
    # A reply with another status is another reply altogether: to go through its keys would say nothing more.
    if recorded.kind != answered.kind or (recorded.status != answered.status and recorded.content != answered.content):
        yield Difference("body", f"recorded {_shown(recorded)}, answered {_shown(answered)}")
    elif recorded.kind == "frames":
        yield from _streams(recorded.content, answered.content)
    elif recorded.kind == "json":
        yield from _values("", "", recorded.content, answered.content)
    elif recorded.content_type.startswith("text/event-stream"):
        events = _events(answered.content)
        if events is None:
            yield Difference("body", f"no server-sent events: {answered.content[:80]!r}")
        else:
            yield from _streams(_events(recorded.content) or [], events)
    elif recorded.content != answered.content:
        yield Difference("body", f"recorded {_shown(recorded)}, answered {_shown(answered)}")


def _shown(response: Response) -> str:
    text = response.content if response.kind == "text" else json.dumps(response.content, ensure_ascii=False)
    return f"{response.kind} {text[:120]!r}"


def _events(text: str) -> list[Any] | None:
    """The objects of a stream of server-sent events; its end mark stays a text. None for what is no such stream."""
    *events, rest = text.split("\n\n")
    if rest or not all(event.startswith("data: ") for event in events):
        return None
    data = [event.removeprefix("data: ") for event in events]
    try:
        return [each if each == "[DONE]" else json.loads(each) for each in data]
    except ValueError:
        return None


# ── streams

_REPEATED = frozenset({"text", "thinking", "tool calls", "layer", "progress", "delta"})
"""Kinds of frames of which any number in a row counts as one."""


def _streams(recorded: Sequence[Any], answered: Sequence[Any]) -> Iterator[Difference]:
    was, now = _order(recorded), _order(answered)
    if was != now:
        yield Difference("frames", f"recorded {', '.join(was) or 'none'}; answered {', '.join(now) or 'none'}")
    models: dict[str, Any] = {}
    for frame in recorded:
        models.setdefault(_frame_kind(frame), frame)
    for frame in answered:
        kind = _frame_kind(frame)
        if kind in models:
            yield from _values(f"frames[{kind}]", "", models[kind], frame)


def _order(frames: Iterable[Any]) -> list[str]:
    order: list[str] = []
    for frame in frames:
        kind = _frame_kind(frame)
        if not (order and kind == order[-1] and kind in _REPEATED):
            order.append(kind)
    return order


def _frame_kind(frame: Any) -> str:
    """What a frame is for, whatever its keys."""
    match frame:
        case str():
            return frame
        case {"error": _}:
            return "error"
        case {"choices": []}:
            return "usage"
        case {"choices": [{"finish_reason": str()}, *_]}:
            return "finish"
        case {"choices": _}:
            return "delta"
        case {"done": True}:
            return "done"
        case {"message": {"tool_calls": [_, *_]}} | {"tool_calls": [_, *_]}:
            return "tool calls"
        case {"message": {"thinking": str(thought)}} | {"thinking": str(thought)} if thought:
            return "thinking"
        case {"message": _} | {"response": _}:
            return "text"
        case {"digest": _} | {"total": _}:
            return "progress"
        case {"status": str(status)}:
            # How many layers a model has, and which are new, depends on its files.
            return "layer" if re.match(r"(using existing|creating new) layer ", status) else status
    return "unknown"


# ── values


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is asked of a value that need not be the recorded one."""

    holds: Callable[[Any, Any], bool]
    wanted: str


def _text(recorded: str, answered: str) -> bool:
    return bool(recorded) == bool(answered)


def _count(recorded: float, answered: float) -> bool:
    return answered > 0 or recorded == answered == 0


def _moment(recorded: Any, answered: Any) -> bool:
    if isinstance(recorded, int):
        return _count(recorded, answered)
    # Nine digits at most, none of them a zero at the end; the server's own time zone.
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?(Z|[+-]\d\d:\d\d)", answered))


def _identifier(recorded: str, answered: str) -> bool:
    made_up = re.match(r"[a-z]+[-_](?=[0-9a-z]*\d)", recorded)
    return answered.startswith(made_up[0]) and len(answered) > len(made_up[0]) if made_up else recorded == answered


def _digest(recorded: str, answered: str) -> bool:
    return _without_digests(recorded) == _without_digests(answered) and len(recorded) == len(answered)


def _status(recorded: str, answered: str) -> bool:
    layer = r"^(using existing|creating new) layer "
    was, now = (re.sub(layer, "layer ", _without_digests(text)) for text in (recorded, answered))
    return was == now


def _without_digests(text: str) -> str:
    return re.sub(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b", "…", text)


def _error(recorded: str, answered: str) -> bool:
    # The directory is the recorded machine's.
    was, now = (re.sub(r"\S*(?=/manifests/)", "…", text) for text in (recorded, answered))
    return was == now


def _version(recorded: str, answered: str) -> bool:
    return bool(re.fullmatch(r"\d+\.\d+\.\d+(-\w+)?", answered))


_NON_EMPTY = _Rule(_text, "empty where the recorded one is, and only there")
_POSITIVE = _Rule(_count, "a number above zero, or 0 where the recorded one is 0")
_ANY = _Rule(lambda recorded, answered: True, "anything")
_MADE_UP = _Rule(_identifier, "an id of the recorded kind")
_TIME = _Rule(_moment, "a time of the recorded kind")

_RULES = {
    # texts that a model makes, or that describe its file
    **dict.fromkeys(("content", "response", "thinking", "text", "token", "modelfile", "template", "parameters"), _NON_EMPTY),
    # where its file lies
    "parent_model": _ANY,
    # durations, counts, sizes
    **dict.fromkeys(OMITTED_WHEN_ZERO, _POSITIVE),
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens", "size"), _POSITIVE),
    # 0 without a graphics card
    "size_vram": _Rule(lambda recorded, answered: answered >= 0, "a size"),
    # times
    **dict.fromkeys(("created_at", "modified_at", "expires_at", "created", "completed_at"), _TIME),
    # names made up at each call
    **dict.fromkeys(("id", "request_id"), _MADE_UP),
    "digest": _Rule(_digest, "a digest of the recorded length"),
    "status": _Rule(_status, "the recorded text, with any digest"),
    "error": _Rule(_error, "the recorded text"),
    "version": _Rule(_version, "a version"),
    "logprob": _Rule(lambda recorded, answered: answered <= 0, "a logarithm of a probability"),
}
"""By the name of the key, for values that are neither lists nor objects."""

_VECTORS = frozenset({"embedding", "embeddings"})
_FREE_LENGTH = frozenset({"logprobs", "bytes", "context", "tensors", "shape"})
"""Lists whose length the model decides: empty where the recorded one is, and only there."""


def _values(place: str, key: str, recorded: Any, answered: Any) -> Iterator[Difference]:
    if key in _VECTORS:
        if (was := _lengths(recorded)) != (now := _lengths(answered)):
            yield Difference(place, f"recorded {was}, answered {now}")
        return
    was, now = _type(recorded), _type(answered)
    # A whole number has no fraction in Ollama's JSON.
    if was != now and not (key == "logprob" and {was, now} == {"integer", "fraction"}):
        yield Difference(place or "body", f"recorded {was}, answered {now}")
        return
    match recorded:
        case dict():
            yield from (_model_info if key == "model_info" else _objects)(place, recorded, answered)
        case list():
            yield from _lists(place, key, recorded, answered)
        case _:
            rule = _RULES.get(key) if recorded is not None else None
            if rule and not rule.holds(recorded, answered):
                yield Difference(place, f"recorded {recorded!r}, answered {answered!r}: it must be {rule.wanted}")
            elif not rule and recorded != answered:
                yield Difference(place or "body", f"recorded {recorded!r}, answered {answered!r}")


def _objects(place: str, recorded: dict[str, Any], answered: dict[str, Any]) -> Iterator[Difference]:
    for key, value in recorded.items():
        if key in answered:
            yield from _values(_inside(place, key), key, value, answered[key])
        else:
            yield Difference(_inside(place, key), "missing")
    may_be_there = OMITTED_WHEN_ZERO if OMITTED_WHEN_ZERO & recorded.keys() else frozenset()
    for key in answered:
        if key not in recorded and key not in may_be_there:
            yield Difference(_inside(place, key), "not in the recorded reply")
    yield from _key_order(place, recorded, answered)


def _key_order(place: str, recorded: dict[str, Any], answered: dict[str, Any]) -> Iterator[Difference]:
    was = [key for key in recorded if key in answered]
    now = [key for key in answered if key in recorded]
    if was != now:
        yield Difference(place or "body", f"keys recorded in the order {', '.join(was)}; answered {', '.join(now)}")


def _model_info(place: str, recorded: dict[str, Any], answered: dict[str, Any]) -> Iterator[Difference]:
    architecture = answered.get("general.architecture")
    needed = [*NEEDED_MODEL_INFO, *(f"{architecture}.{key}" for key in NEEDED_OF_ARCHITECTURE)]
    for key in needed:
        if key not in answered:
            yield Difference(_inside(place, key), "missing")
        elif key in recorded and _type(recorded[key]) != _type(answered[key]):
            yield Difference(_inside(place, key), f"recorded {_type(recorded[key])}, answered {_type(answered[key])}")
    yield from _key_order(place, recorded, answered)


def _lists(place: str, key: str, recorded: list[Any], answered: list[Any]) -> Iterator[Difference]:
    free = key in _FREE_LENGTH
    if bool(recorded) != bool(answered) or (len(recorded) != len(answered) and not free):
        yield Difference(place, f"recorded {len(recorded)} of them, answered {len(answered)}")
    elif free:
        for value in answered:
            yield from _elements(f"{place}[]", key, recorded[0], value)
    else:
        for was, now in zip(recorded, answered, strict=True):
            yield from _values(f"{place}[]", key, was, now)


def _elements(place: str, key: str, recorded: Any, answered: Any) -> Iterator[Difference]:
    """Elements of a list of free length: objects are compared, of anything else only the type."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        if key == "tensors":  # Their names and types are the file's.
            recorded, answered = ({name: _type(value) for name, value in each.items()} for each in (recorded, answered))
        yield from _values(place, "", recorded, answered)
    elif (was := _type(recorded)) != (now := _type(answered)):
        yield Difference(place, f"recorded {was}, answered {now}")


def _inside(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _lengths(value: Any) -> str:
    """How long vectors are: `2 of 64 numbers`."""
    match value:
        case [] | [list(), *_]:
            return f"{len(value)} of {' and '.join(sorted({_lengths(item) for item in value})) or 'nothing'}"
        case [*_] if all(_type(item) in ("integer", "fraction") for item in value):
            return f"{len(value)} numbers"
    return _type(value)


def _type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "fraction"
        case str():
            return "string"
        case list():
            return "list"
    return "object"
