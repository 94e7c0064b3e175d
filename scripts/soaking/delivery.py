"""The bytes of an answer on the wire, and how they are sent: in which pieces, with which pauses, and what comes then."""

from __future__ import annotations

import gzip
import json
import random
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from .cases import NUMBERS
from .speech import body_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .cases import Case
    from .speech import Body

type Ending = Literal["keep", "close", "reset", "stall"]

TYPES = ("text/plain", "application/octet-stream", "", "text/event-stream;charset=latin1", "application/json", "text/html")
PACE = 0.2
"""Seconds between two pieces of a paced answer."""
PAGE = "<!DOCTYPE html><html><head><title>{status}</title></head><body><h1>soak</h1></body></html>"
ENDINGS: dict[str, Ending] = {"cut": "close", "reset": "reset", "stall": "stall"}
"""Of what goes no further than a byte."""
_MOST_PAUSES = 30


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
        writes: the bytes with which a new write begins, in their order, and the seconds to wait before each.
        stop: how many bytes are sent.
        ending: what happens then.
    """

    wire: bytes
    status: int
    type: str
    content: bytes
    finish: int
    stop: int
    coding: str = ""
    location: str = ""
    writes: dict[int, float] = field(default_factory=dict)
    ending: Ending = "keep"


def delivery_of(case: Case, target: str) -> Delivery:
    """How the back end answers a request for `target`."""
    again = target.partition("?")[2] == "again"
    match case.fault:
        case "status":
            text = refusal_text(case)
            error = text if case.asks_ollama else {"message": text, "type": "soak_error", "param": None, "code": None}
            return _plain(case.size, "application/json", json.dumps({"error": error}).encode())
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


def refusal_text(case: Case) -> str:
    """What a back end says that answers with an error's status."""
    return f"the soak says no: {case.number}"


def _plain(status: int, kind: str, content: bytes, location: str = "") -> Delivery:
    head = f"HTTP/1.1 {status} Soak\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
    head += f"Location: {location}\r\n\r\n" if location else "\r\n"
    wire = head.encode() + content
    return Delivery(wire, status, kind, content, len(wire), len(wire), location=location)


def _answer(case: Case, body: Body) -> Delivery:
    chance = random.Random(f"delivery {case.number}")
    small = case.number < NUMBERS
    framing = _framing(case, chance)
    kind, content, coding = _type(case), body.data, ""
    positional = case.fault == "paced" or case.fault in ENDINGS
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
    splits = _splits(case, content, body, chance)
    starts, bounds = [len(wire)], [0, len(content)]
    if framing == "chunked":
        # Chunks of HTTP end elsewhere than writes do.
        bounds = [0, *sorted({*(splits[::2] if small else splits), len(content)} - {0})]
        pieces, size, starts = [wire], len(wire), []
        for begin, end in pairwise(bounds):
            opening = b"%x\r\n" % (end - begin)
            pieces += (opening, content[begin:end], b"\r\n")
            starts.append(size + len(opening))
            size = starts[-1] + end - begin + 2
        wire = b"".join([*pieces, b"0\r\n\r\n"])
    else:
        wire += content

    def place(offset: int) -> int:
        """Where a byte of the content is on the wire."""
        piece = max(bisect_left(bounds, offset) - 1, 0)
        return starts[piece] + offset - bounds[piece]

    finish = len(wire)
    if case.relayed or not coding:
        finish = place(len(content) if case.relayed else body.finish)
    writes = _writes(case, chance, starts[0], [place(split) for split in splits])
    ending = ENDINGS.get(case.fault, "close" if framing == "close" else "keep")
    stop = min(case.size, len(wire)) if case.fault in ENDINGS else len(wire)
    return Delivery(wire, 200, kind, content, finish, stop, coding, "", writes, ending)


def _framing(case: Case, chance: random.Random) -> str:
    if case.number < NUMBERS:
        # The end of a body that is ended by closing cannot be told from a cut; only a translation knows what is missing.
        return ("chunked", "chunked", "length", "chunked" if case.relayed else "close")[case.number]
    share = chance.random()
    if share < 0.15 and case.fault not in ENDINGS:
        return "close"
    return "length" if share < 0.3 and case.fault != "paced" else "chunked"


def _type(case: Case) -> str:
    if case.fault == "type":
        return TYPES[case.size % len(TYPES)]
    if case.call == "v1-whole" or case.fault == "unstreamed" or (case.asks_ollama and case.whole):
        return "application/json"
    return "application/x-ndjson" if case.asks_ollama else "text/event-stream"


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


def _writes(case: Case, chance: random.Random, head: int, breaks: list[int]) -> dict[int, float]:
    """The pauses before the breaks, and before some bytes more; `head` is where the content begins."""
    if case.fault == "paced":
        return {place: PACE if number else 0.0 for number, place in enumerate(breaks)}
    if case.fault in ("huge", "tiny"):
        return {}
    slow: list[int] = []
    byte_by_byte: Iterable[int] = ()
    if case.number >= NUMBERS and chance.random() < 0.1:
        slow = chance.sample(range(1, head), 3)
    if case.number >= NUMBERS and chance.random() < 0.1:
        byte_by_byte = range(head, head + 4 * _MOST_PAUSES)
    ordered = sorted({*breaks, *slow, *byte_by_byte})
    return {place: 0.001 if number < _MOST_PAUSES else 0.0 for number, place in enumerate(ordered)} | dict.fromkeys(slow, 0.2)
