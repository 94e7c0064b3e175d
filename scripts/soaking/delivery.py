"""The bytes of an answer on the wire, and how they are sent: in which pieces, with which pauses, and what comes then."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .cases import NUMBERS
from .speech import body_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cases import Case
    from .speech import Body

type Place = Callable[[int], int]
type Ending = Literal["keep", "close", "reset", "stall"]

TYPES = ("text/plain", "application/octet-stream", "", "text/event-stream;charset=latin1", "application/json", "text/html")
PACE = 0.2
"""Seconds between two pieces of a paced answer."""
PAGE = "<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>soak</h1></body></html>"
_MOST_SPLITS = 30


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer on its way.

    Attributes:
        wire: all bytes of the answer, from the status line to the end of the body.
        status: of it.
        type: its content type.
        coding: its content coding.
        location: where a redirect goes.
        content: its body, without framing.
        finish: after so many bytes of the wire the answer is said to be finished.
        done: after so many it cannot be anything but finished.
        counted: whether the back end counts its tokens.
        breaks: where a new write begins.
        pauses: for how many seconds to wait before the byte at a place.
        stop: how many bytes are sent.
        ending: what happens then.
    """

    wire: bytes
    status: int
    type: str
    content: bytes
    finish: int
    done: int
    coding: str = ""
    location: str = ""
    counted: bool = True
    breaks: list[int] = field(default_factory=list)
    pauses: dict[int, float] = field(default_factory=dict)
    stop: int = 0
    ending: Ending = "keep"


def delivery_of(case: Case, target: str) -> Delivery:
    """How the back end answers a request for `target`."""
    again = target.partition("?")[2] == "again"
    match case.fault:
        case "status":
            return _refusal(case)
        case "html":
            page = PAGE.format(status=case.size).encode()
            return _plain(case.size, "text/html; charset=utf-8", page)
        case "loop":
            return _plain(307, "text/plain", b"", target)
        case "redirect" if not again:
            return _plain(307, "text/plain", b"", f"{target}?again")
    return _answer(case, body_of(case))


def answer_length(case: Case) -> int:
    """How many bytes the answer to a case has on the wire."""
    return len(delivery_of(case, "/").wire)


def _refusal(case: Case) -> Delivery:
    text = refusal_text(case)
    error: dict[str, object] = {"error": text}
    if not (case.mode == "fix" and not case.call.startswith("v1")):
        error = {"error": {"message": text, "type": "soak_error", "param": None, "code": None}}
    return _plain(case.size, "application/json", json.dumps(error).encode())


def refusal_text(case: Case) -> str:
    """What a back end says that answers with an error's status."""
    return f"the soak says no: {case.number}"


def _plain(status: int, kind: str, content: bytes, location: str = "") -> Delivery:
    head = f"HTTP/1.1 {status} Soak\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
    head += f"Location: {location}\r\n\r\n" if location else "\r\n"
    wire = head.encode() + content
    size = len(wire)
    return Delivery(wire, status, kind, content, size, size, location=location, stop=size)


def _answer(case: Case, body: Body) -> Delivery:
    chance = random.Random(f"delivery {case.number}")
    small = case.number < NUMBERS
    framing = _framing(case, chance)
    kind, content, coding = _type(case), body.data, ""
    positional = case.fault in ("cut", "reset", "stall", "paced")
    if not small and not positional and chance.random() < 0.1:
        content, coding = gzip.compress(content, mtime=0), "gzip"
    head = "HTTP/1.1 200 OK\r\n" + (f"Content-Type: {kind}\r\n" if kind else "")
    head += f"Content-Encoding: {coding}\r\n" if coding else ""
    head += {
        "chunked": "Transfer-Encoding: chunked",
        "length": f"Content-Length: {len(content)}",
        "close": "Connection: close",
    }[framing]
    lead = ""
    if not small and chance.random() < 0.2:
        lead = chance.choice(("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </soak>\r\n\r\n"))
    wire = f"{lead}{head}\r\nX-Soak: {case.number}\r\n\r\n".encode()
    size = len(wire)
    splits = _splits(case, content, body, chance)
    starts = [0]
    if framing == "chunked":
        # Chunks of HTTP end elsewhere than writes do.
        ends = sorted({*(splits[::2] if small else splits), len(content)} - {0})
        pieces, starts, last = [wire], [], 0
        for end in ends:
            opening = f"{end - last:x}\r\n".encode()
            starts.append(size + len(opening))
            pieces += (opening, content[last:end], b"\r\n")
            size += len(opening) + end - last + 2
            last = end
        wire = b"".join([*pieces, b"0\r\n\r\n"])
        bounds = [0, *ends]
    else:
        starts, bounds = [size], [0, len(content)]
        wire += content

    def place(offset: int) -> int:
        """Where a byte of the content is on the wire."""
        number = max(0, next((n for n, bound in enumerate(bounds) if bound >= offset), len(bounds) - 1) - 1)
        return starts[number] + offset - bounds[number]

    head_size = starts[0]
    finish = done = len(wire)
    if case.relayed:
        finish = place(len(content))
    elif not coding:
        finish = place(body.finish)
        done = place(body.done) if body.data.rstrip().endswith(b"[DONE]") else done
    breaks, pauses = _writes(case, body, chance, place, head_size, splits)
    stop, ending = _ending(case, len(wire), framing)
    return Delivery(wire, 200, kind, content, finish, done, coding, "", body.counted, breaks, pauses, stop, ending)


def _framing(case: Case, chance: random.Random) -> str:
    if case.number < NUMBERS:
        # The end of a body that is ended by closing cannot be told from a cut; only a translation knows what is missing.
        return ("chunked", "chunked", "length", "chunked" if case.relayed else "close")[case.number]
    share = chance.random()
    if share < 0.15 and case.fault not in ("cut", "reset", "stall"):
        return "close"
    return "length" if share < 0.3 and case.fault != "paced" else "chunked"


def _type(case: Case) -> str:
    if case.fault == "type":
        return TYPES[case.size % len(TYPES)]
    if case.call == "v1-whole" or case.fault == "unstreamed" or (case.mode == "fix" and case.whole):
        return "application/json"
    return "application/x-ndjson" if case.mode == "fix" and not case.call.startswith("v1") else "text/event-stream"


def _splits(case: Case, content: bytes, body: Body, chance: random.Random) -> list[int]:
    """Where a body is cut into pieces: within characters, within JSON, within `data:`, or between events."""
    if case.fault == "paced":
        return body.events
    size = len(content)
    if case.fault in ("huge", "tiny"):
        return list(range(0, size, 50_000))
    inside = [n for n in range(1, size) if content[n] & 0xC0 == 0x80]
    chosen = set(chance.sample(inside, min(len(inside), 3)))
    chosen |= {start + chance.randint(0, 6) for start in chance.sample(body.events, min(len(body.events), 4))}
    chosen |= {chance.randrange(size) for _ in range(chance.choice((0, 3, 10)))} if size else set()
    return sorted(place for place in chosen if 0 < place < size)


def _writes(
    case: Case, body: Body, chance: random.Random, place: Place, head: int, splits: list[int]
) -> tuple[list[int], dict[int, float]]:
    if case.fault == "paced":
        events = [place(start) for start in body.events]
        return events, dict.fromkeys(events[1:], PACE)
    if case.fault in ("huge", "tiny"):
        return [], {}
    breaks = {place(split) for split in splits}
    pauses: dict[int, float] = {}
    if case.number >= NUMBERS:
        if chance.random() < 0.1:
            slow = sorted(chance.sample(range(1, head), 3))
            breaks |= set(slow)
            pauses |= dict.fromkeys(slow, 0.2)
        if chance.random() < 0.1:
            # Byte by byte.
            breaks |= set(range(head, head + 4 * _MOST_SPLITS))
    ordered = sorted(breaks)
    return ordered, dict.fromkeys(ordered[:_MOST_SPLITS], 0.001) | pauses


def _ending(case: Case, size: int, framing: str) -> tuple[int, Ending]:
    match case.fault:
        case "cut":
            return min(case.size, size), "close"
        case "reset":
            return min(case.size, size), "reset"
        case "stall":
            return min(case.size, size), "stall"
    return size, "close" if framing == "close" else "keep"
