"""What the back end means to say in a case."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .cases import NUMBERS

if TYPE_CHECKING:
    from .cases import Case

WORDS = (
    *("the ", "rain ", "in Spain ", "naïve ", "straße ", "雨が", "降る", "🙂", "👩‍👩‍👧", "e\u0301", "\u2028", "\u00a0"),
    *('"', "\\", "\n", "\r\n", "\t", "/", "<b>", "</", "data: ", "[DONE]", "\x7f", "\u0001", "{", "}", "0\r\n\r\n", " ", "a"),
)
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    name: str
    arguments: dict[str, Any]

    @property
    def json(self) -> str:
        """The arguments as OpenAI sends them."""
        return json.dumps(self.arguments)


@dataclass(slots=True)
class Answer:
    """What a back end means to say, or what a client of an API took from what came.

    Attributes:
        pieces: of its text, as the model makes them.
        thoughts: the same of its thinking.
        finish: the reason for the end, in the words of the API; "" where there is none.
        counts: tokens of the prompt and of the completion, where they are told.
        error: what went wrong, if anything.
    """

    pieces: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    counts: tuple[int, int] | None = None
    error: str | None = None

    @property
    def text(self) -> str:
        """All pieces together."""
        return "".join(self.pieces)

    @property
    def thinking(self) -> str:
        """All thoughts together."""
        return "".join(self.thoughts)


def intent_of(case: Case) -> Answer:
    """What the back end means to say, with OpenAI's reason for the end.

    A prompt alone, without messages, has an answer without tool calls and thinking.
    """
    chance = random.Random(f"intent {case.number}")
    small = case.number < NUMBERS
    # Each cut has a whole answer before it, so short ones make the walk short.
    pieces = ["Hé", "🙂 ", '"x"'] if small else [chance.choice(WORDS) for _ in range(chance.randint(1, 40))]
    match case.fault:
        case "huge":
            pieces = [(chance.choice("abcdé雨") * MEBIBYTE)[: MEBIBYTE - n] for n in range(case.size)]
        case "tiny":
            pieces = [f"{n % 7} " for n in range(case.size)]
        case "paced":
            pieces = [f"{n} é " for n in range(case.size)]
    counts = (chance.randint(1, 5000), chance.randint(1, 5000))
    if case.call in ("raw", "pull") or case.fault == "paced":
        return Answer(pieces, finish=chance.choice(("stop", "length")), counts=counts)
    thoughts: list[str] = []
    if chance.random() < 0.3 or case.number == 1:
        thoughts = [chance.choice(("hmm ", "föö ", "思", "🙂"))] * (1 if small else 2)
    calls: list[Call] = []
    if chance.random() < 0.3 or case.number == 2:
        calls = [
            Call(f"tool_{n}", {"n": n, "text": chance.choice(WORDS), "deep": {"list": [1, None, True, 0.5]}})
            for n in range(1 if small else chance.randint(1, 3))
        ]
    finish = "tool_calls" if calls else chance.choice(("stop", "length"))
    return Answer(pieces, thoughts, calls, finish, counts)
