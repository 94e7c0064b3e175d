"""What is tried: one call, the way in which the back end answers it, and the manner of its client.

A case is a line of text, such as `translate/chat/cut=412/new/2`, from which both ends derive everything else: the style of
the back end's bytes and what it means to say from the number at the end.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal, get_args

type Mode = Literal["translate", "fix"]

MODES: tuple[Mode, ...] = get_args(Mode.__value__)
CALLS: dict[Mode, tuple[str, ...]] = {
    "translate": ("chat", "chat-whole", "generate", "generate-whole", "raw", "v1", "v1-whole", "messages"),
    "fix": ("chat", "chat-whole", "generate", "generate-whole", "pull", "v1", "v1-whole"),
}
PATHS = {
    "chat": "/api/chat",
    "generate": "/api/generate",
    "raw": "/api/generate",
    "pull": "/api/pull",
    "v1": "/v1/chat/completions",
    "messages": "/v1/messages",
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
    def kind(self) -> str:
        """The call, streamed or not."""
        return self.call.removesuffix("-whole")

    @property
    def path(self) -> str:
        """Where the client sends it."""
        return PATHS[self.kind]

    @property
    def relayed(self) -> bool:
        """Whether the proxy hands the back end's bytes on as they are."""
        return self.mode == "fix" or self.call.startswith("v1")

    @property
    def asks_ollama(self) -> bool:
        """Whether the back end is asked as an Ollama."""
        return self.mode == "fix" and not self.call.startswith("v1")

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
