"""What is tried: one call, the way in which the back end answers it, and the manner of its client.

A case is a line of text, such as `translate/chat/cut=412/new/2`, from which both ends derive everything else: the style of
the back end's bytes and what it means to say from the number at the end.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

type Mode = Literal["translate", "fix"]

MODES: tuple[Mode, ...] = get_args(Mode.__value__)
CALLS: dict[Mode, tuple[str, ...]] = {
    "translate": ("chat", "chat-whole", "generate", "generate-whole", "raw", "v1", "v1-whole", "messages"),
    "fix": ("chat", "chat-whole", "generate", "generate-whole", "pull", "v1", "v1-whole"),
}
FAULTS = {
    "none": "no fault; but CRLF, comments, splits, gzip, early hints and the like, as the number says",
    "cut": "the connection ends at this byte of the answer",
    "reset": "the same with a TCP reset",
    "stall": "silence from this byte on",
    "status": "an error with this status",
    "html": "a page of HTML with this status",
    "error": "an error in the middle of the answer",
    "garbage": "something that is no JSON in the middle",
    "odd": "null, or another type, where an object belongs: one of `speech.ODD`",
    "type": "another content type: one of `delivery.TYPES`",
    "unstreamed": "a whole answer where a stream was asked for",
    "redirect": "a redirect to the answer",
    "loop": "a redirect to itself",
    "refused": "a back end that is not there",
    "tls": "a back end that does not speak TLS, though its URL says so",
    "selfsigned": "a back end with a certificate that nobody trusts",
    "huge": "so many pieces of a mebibyte",
    "tiny": "so many pieces of a few characters",
    "paced": "so many pieces, five a second",
}
MANNERS = {
    "stay": "reads the answer, on a connection that is used again",
    "new": "reads the answer, on a connection of its own",
    "slow": "reads one kilobyte a second",
    "pipeline": "sends so many requests at once on one connection",
    "leave-head": "leaves after so many bytes of the head",
    "leave-body": "leaves after so many bytes of the body",
    "leave-wait": "leaves when it has sent the request",
    "leave-stream": "leaves after so many bytes of the answer",
    "linger-head": "sends so many bytes of the head, and no more",
    "linger-body": "sends so many bytes of the body, and no more",
    "big": "brings a prompt of so many mebibytes",
}
ELSEWHERE = ("refused", "tls", "selfsigned")
"""Faults of back ends other than the one of the settings, which only translate mode has."""
NUMBERS = 4
"""Numbers below this have short answers and stand for the ways of framing them; their cuts are walked through."""
_STEP = 0.6180339887
_CASE = re.compile(r"(\w+)/([\w-]+)/([a-z]+)(?:=(\d+))?/([a-z-]+)(?:=(\d+))?/(\d+)")
_MARK = re.compile(rb"\[\[soak ([\w/=-]+)\]\]")


@dataclass(frozen=True, slots=True)
class Case:
    """One call. `size` belongs to the fault, `amount` to the manner; 0 where they need none."""

    mode: Mode
    call: str
    fault: str = "none"
    size: int = 0
    manner: str = "stay"
    amount: int = 0
    number: int = 0

    def __str__(self) -> str:
        return "/".join((self.mode, self.call, _with(self.fault, self.size), _with(self.manner, self.amount), str(self.number)))

    @property
    def relayed(self) -> bool:
        """Whether the proxy hands the back end's bytes on as they are."""
        return self.mode == "fix" or self.call.startswith("v1")

    @property
    def whole(self) -> bool:
        """Whether the client asks for the answer in one piece."""
        return self.call.endswith("-whole")

    @property
    def leaves(self) -> bool:
        """Whether the client does not wait for the answer."""
        return self.manner.startswith("leave")

    @property
    def prompt(self) -> str:
        """What the client says. The back end compares it with what it gets."""
        chance = random.Random(f"prompt {self.number}")
        words = " ".join(
            chance.choice(("Why", "naïve", "雨", "🙂", '"quoted"', "back\\slash", "line\nbreak")) for _ in range(6)
        )
        if self.manner == "big":
            words = (words + " ") * (self.amount * (1 << 20) // (len(words.encode()) + 1))
        return f"[[soak {self}]] {words}"


def parse_case(text: str) -> Case:
    """The case of a text.

    Raises:
        ValueError: there is no such case; the message is for the user.
    """
    found = _CASE.fullmatch(text)
    if found is None or found[1] not in MODES:
        raise ValueError(f"{text!r} is not of the form MODE/CALL/FAULT=SIZE/MANNER=AMOUNT/NUMBER")
    mode: Mode = "fix" if found[1] == "fix" else "translate"
    case = Case(mode, found[2], found[3], int(found[4] or 0), found[5], int(found[6] or 0), int(found[7]))
    for name, known in ((case.call, CALLS[mode]), (case.fault, FAULTS), (case.manner, MANNERS)):
        if name not in known:
            raise ValueError(f"there is no {name!r}; there are {', '.join(known)}")
    return case


def case_in(body: bytes) -> Case | None:
    """The case whose text is in a request's body."""
    marks = _MARK.findall(body)
    return parse_case(marks[-1].decode()) if marks else None


def _with(name: str, size: int) -> str:
    return f"{name}={size}" if size else name


class Planner:
    """Gives cases without end, for the kinds of clients that a crowd has.

    Args:
        mode: of the proxy.
        seed: decides everything.
        length: how many bytes the answer to a case has.
        odds: how many kinds of `odd` there are.
        types: how many of `type`.
    """

    def __init__(self, mode: Mode, seed: int, length: Callable[[Case], int], *, odds: int, types: int) -> None:
        self._mode = mode
        self._seed = seed
        self._odds = odds
        self._types = types
        self._chance = random.Random(f"{mode} {seed}")
        self._cuts = [
            (call, number, position)
            for call in CALLS[mode]
            for number in range(NUMBERS)
            for position in range(1, length(Case(mode, call, number=number)))
        ]
        self._walked = 0
        self._length = length

    @property
    def positions(self) -> int:
        """How many bytes there are at which an answer can be cut."""
        return len(self._cuts)

    @property
    def walked(self) -> int:
        """At how many of them one was cut."""
        return min(self._walked, len(self._cuts))

    def quick(self) -> Case:
        """A case that takes little time: most are cuts, each at the next byte."""
        share = self._chance.random()
        if share < 0.6:
            return self.cut()
        if share < 0.8:
            return self._case("none", 0, *self._patient())
        if share < 0.93:
            return self._case(*self._fault(), *self._patient())
        return self._leaving()

    def cut(self) -> Case:
        """The next byte at which an answer is cut. Steps of the golden ratio visit every byte, and soon all regions."""
        total = len(self._cuts)
        step = round(total * _STEP) | 1
        while _divisor(step, total) > 1:
            step += 2
        call, number, position = self._cuts[(self._seed + self._walked * step) % total]
        self._walked += 1
        # Every further walk takes the other half of the positions by reset.
        reset = (position + self._walked // total) % 2
        return Case(self._mode, call, "reset" if reset else "cut", position, "stay" if position % 3 else "new", 0, number)

    def waiting(self) -> Case:
        """A case that takes its time."""
        kind = self._chance.randrange(4)
        if kind == 0:
            return self._lingering()
        if kind == 1:
            return self._case("none", 0, "slow", 0, number=self._chance.randrange(NUMBERS))
        case = self._case("none", 0, "stay", 0, number=self._chance.randrange(NUMBERS))
        return Case(case.mode, case.call, "stall", self._chance.randrange(1, self._length(case)), "new", 0, case.number)

    def heavy(self) -> Iterator[Case]:
        """Cases that are large, in turn."""
        while True:
            yield self._case("none", 0, "big", 20)
            yield self._case("huge", 4, "new", 0)
            yield self._case("tiny", 100_000, "new", 0)

    def paced(self, pieces: int, manner: str = "new") -> Case:
        """A stream that takes a fifth of a second for each piece."""
        calls = [call for call in CALLS[self._mode] if not call.endswith("-whole")]
        return Case(self._mode, self._chance.choice(calls), "paced", pieces, manner, 0, self._number())

    def plain(self) -> Case:
        """A case without a fault."""
        return self._case("none", 0, "new", 0)

    def kept(self) -> Case:
        """A case without a fault, on a connection that is used again and again."""
        return self._case("none", 0, "stay", 0, number=self._chance.randrange(NUMBERS))

    def pipelined(self) -> Case:
        """A case without a fault, of several on one connection."""
        return self._case("none", 0, "pipeline", self._chance.randint(2, 5))

    def _case(self, fault: str, size: int, manner: str, amount: int, *, number: int | None = None) -> Case:
        call = self._chance.choice(CALLS[self._mode])
        return Case(self._mode, call, fault, size, manner, amount, self._number() if number is None else number)

    def _number(self) -> int:
        return self._chance.randrange(NUMBERS, 1_000_000)

    def _patient(self) -> tuple[str, int]:
        return ("new" if self._chance.random() < 0.2 else "stay", 0)

    def _fault(self) -> tuple[str, int]:
        chance = self._chance
        faults = ["status", "html", "error", "garbage", "odd", "type", "unstreamed", "redirect", "loop"]
        fault = chance.choice([*faults, *(ELSEWHERE if self._mode == "translate" else ())])
        match fault:
            case "status":
                return fault, chance.choice((400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529))
            case "html":
                return fault, chance.choice((200, 403, 404, 500, 502, 503, 521))
            case "odd":
                return fault, chance.randrange(self._odds)
            case "type":
                return fault, chance.randrange(self._types)
        return fault, 0

    def _leaving(self) -> Case:
        chance = self._chance
        match chance.randrange(4):
            case 0:
                return self._case("none", 0, "leave-head", chance.randrange(1, 90))
            case 1:
                return self._case("none", 0, "leave-body", chance.randrange(1, 200))
            case 2:
                return self.paced(10, "leave-wait")
        case = self.paced(10, "leave-stream")
        return Case(case.mode, case.call, "paced", 10, "leave-stream", chance.randrange(1, 800), case.number)

    def _lingering(self) -> Case:
        if self._chance.random() < 0.5:
            return self._case("none", 0, "linger-head", self._chance.randrange(1, 60))
        return self._case("none", 0, "linger-body", self._chance.randrange(1, 60))


def _divisor(one: int, other: int) -> int:
    while other:
        one, other = other, one % other
    return one
