"""Changes that lower a value to what a server takes: limits of tokens, ranges, stop texts, efforts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .changes import Call, Change, Kind
from .limits import TOKEN_LIMITS
from .quotations import strings_in

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Values of `reasoning_effort`, from the least effort to the most."""
_CHARACTERS_PER_TOKEN = 3.0
"""Fewer than in English prose, so that an estimate is rather too high than too low."""
_IMAGE_TOKENS = 1000
"""What one image is counted as."""
_SPARE_TOKENS = 16
"""What a chat template adds to a conversation."""


@dataclass(frozen=True, slots=True)
class Clamp(Change):
    """Brings a number into the range that is taken.

    Attributes:
        name: the parameter.
        low: the lowest value; None is no bound.
        high: the highest value; None is no bound.
    """

    kind: ClassVar[Kind] = "lower"
    order: ClassVar[int] = 5
    name: str
    low: float | None
    high: float | None

    @property
    def key(self) -> Hashable:
        """The parameter; both names of the limit of tokens are one."""
        return ("clamp", "max_tokens" if self.name in TOKEN_LIMITS else self.name)

    @property
    def settles(self) -> frozenset[str]:
        """The parameter."""
        return frozenset(TOKEN_LIMITS if self.name in TOKEN_LIMITS else (self.name,))

    def apply(self, call: Call) -> Call:
        """Bring the number into the range, as a whole number where it was one."""
        names = TOKEN_LIMITS if self.name in TOKEN_LIMITS else (self.name,)
        changed = {name: self._within(value) for name in names if (value := _number(call.parameters.get(name))) is not None}
        return call.with_parameters(**changed) if changed else call

    def describe(self) -> str:
        """Say what the range is."""
        low, high = (
            None if bound is None else f"{bound:g}" if bound % 1 else str(int(bound)) for bound in (self.low, self.high)
        )
        bounds = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
        return f"{self.name} is {' and '.join(bounds)}"

    def merged(self, newer: Self) -> Self:
        """The range that is within both."""
        lows = [bound for bound in (self.low, newer.low) if bound is not None]
        highs = [bound for bound in (self.high, newer.high) if bound is not None]
        return replace(newer, low=max(lows, default=None), high=min(highs, default=None))

    def _within(self, value: float) -> float:
        if self.high is not None and value > self.high:
            return math.floor(self.high) if isinstance(value, int) else self.high
        if self.low is not None and value < self.low:
            return math.ceil(self.low) if isinstance(value, int) else self.low
        return value


@dataclass(frozen=True, slots=True)
class FitContext(Change):
    """Lowers the limit of tokens to what the prompt leaves of the model's context.

    Attributes:
        limit: tokens of the context.
        characters_per_token: of the prompt that was refused.
        overhead: tokens that the server adds to every prompt, as for its template.
    """

    kind: ClassVar[Kind] = "lower"
    order: ClassVar[int] = 6
    limit: int
    characters_per_token: float = _CHARACTERS_PER_TOKEN
    overhead: int = _SPARE_TOKENS

    @classmethod
    def of(cls, limit: int, prompt_tokens: int, parameters: Mapping[str, Any], *, exact: bool = True) -> FitContext:
        """The change for a prompt of which the tokens were counted; 0 is not known.

        Args:
            limit: tokens of the context.
            prompt_tokens: of the prompt.
            parameters: of the call.
            exact: whether `prompt_tokens` is not only the least that it can be.
        """
        guess = cls(limit)
        if not prompt_tokens or (not exact and prompt_tokens <= guess.estimate(parameters)):
            return guess
        length = text_length(parameters)
        measured = min(max(length / prompt_tokens, 1.0), 6.0)
        return cls(limit, measured, max(_SPARE_TOKENS, math.ceil(prompt_tokens - length / measured)))

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "fit context"

    @property
    def settles(self) -> frozenset[str]:
        """The limit of tokens."""
        return frozenset(TOKEN_LIMITS)

    def apply(self, call: Call) -> Call:
        """Lower the limit of tokens, where prompt and answer would not fit together."""
        room = max(self.limit - self.estimate(call.parameters), 1)
        values = {name: _number(call.parameters.get(name)) for name in TOKEN_LIMITS}
        changed = {name: room for name, value in values.items() if value is not None and value > room}
        return call.with_parameters(**changed) if changed else call

    def estimate(self, parameters: Mapping[str, Any]) -> int:
        """About how many tokens a prompt has, rather too many than too few."""
        return math.ceil(text_length(parameters) / self.characters_per_token * 1.1) + self.overhead

    def describe(self) -> str:
        """Say how long prompt and answer may be."""
        return f"prompt and answer have at most {self.limit} tokens together"

    def merged(self, newer: Self) -> Self:
        """The lower limit and the more careful estimate."""
        return replace(
            newer,
            limit=min(self.limit, newer.limit),
            characters_per_token=min(self.characters_per_token, newer.characters_per_token),
            overhead=max(self.overhead, newer.overhead),
        )


@dataclass(frozen=True, slots=True)
class FewerStops(Change):
    """Sends only the first of several stop texts.

    Attributes:
        most: how many are taken.
    """

    kind: ClassVar[Kind] = "lower"
    order: ClassVar[int] = 5
    most: int

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "stops"

    @property
    def settles(self) -> frozenset[str]:
        """The stop texts."""
        return frozenset({"stop"})

    def apply(self, call: Call) -> Call:
        """Cut the list of stop texts."""
        stop = call.parameters.get("stop")
        return call.with_parameters(stop=stop[: self.most]) if isinstance(stop, list) else call

    def describe(self) -> str:
        """Say how many are sent."""
        return f"only the first {self.most} of `stop` are sent"

    def merged(self, newer: Self) -> Self:
        """The lower number."""
        return min(self, newer, key=lambda change: change.most)


@dataclass(frozen=True, slots=True)
class NoBlankStops(Change):
    """Sends no stop text of white space alone; the proxy itself ends the answer there."""

    kind: ClassVar[Kind] = "leave_out"
    order: ClassVar[int] = 4

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "blank stops"

    @property
    def settles(self) -> frozenset[str]:
        """The stop texts."""
        return frozenset({"stop"})

    def apply(self, call: Call) -> Call:
        """Leave blank stop texts out, and the parameter with the last."""
        stop = call.parameters.get("stop")
        if not isinstance(stop, list):
            return call
        kept = [text for text in stop if not isinstance(text, str) or text.strip()]
        return call.with_parameters(stop=kept) if kept else call.without("stop")

    def describe(self) -> str:
        """Say what is not sent."""
        return "stop texts of white space are not sent"


@dataclass(frozen=True, slots=True)
class NearestEffort(Change):
    """Replaces a `reasoning_effort` that is not taken by the nearest one that is.

    Attributes:
        efforts: the values that are taken.
    """

    kind: ClassVar[Kind] = "lower"
    order: ClassVar[int] = 4
    efforts: frozenset[str]

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "effort"

    @property
    def settles(self) -> frozenset[str]:
        """The effort."""
        return frozenset({"reasoning_effort"})

    def apply(self, call: Call) -> Call:
        """Replace the effort, or leave it out where only another meaning is left."""
        effort = call.parameters.get("reasoning_effort")
        if effort is None or effort in self.efforts:
            return call
        nearest = nearest_effort(effort, self.efforts)
        return call.without("reasoning_effort") if nearest is None else call.with_parameters(reasoning_effort=nearest)

    def describe(self) -> str:
        """Say which values are taken."""
        known = [effort for effort in (*EFFORTS, "default") if effort in self.efforts]
        return f"reasoning_effort is one of {', '.join(known)}"

    def merged(self, newer: Self) -> Self:
        """What both refusals take."""
        return replace(newer, efforts=self.efforts & newer.efforts)


def nearest_effort(effort: str, efforts: frozenset[str]) -> str | None:
    """The nearest of the efforts that are taken, rather the higher one; None where only another meaning is left."""
    ordered = [value for value in EFFORTS if value in efforts]
    if effort == "none":
        return ordered[0] if ordered else None
    thinking = [value for value in ordered if value != "none"]
    if not thinking or effort not in EFFORTS:
        return "default" if "default" in efforts else None
    place = EFFORTS.index(effort)
    return min(reversed(thinking), key=lambda value: abs(EFFORTS.index(value) - place))


def text_length(parameters: Mapping[str, Any]) -> int:
    """Characters of what a model reads of a call; an image counts as the characters of the tokens that it takes."""
    parts = [parameters.get(name) for name in ("messages", "prompt", "tools", "input")]
    images = sum(_images(message) for message in parameters.get("messages") or ())
    return sum(map(len, strings_in(parts))) + round(images * _IMAGE_TOKENS * _CHARACTERS_PER_TOKEN)


def _images(message: Any) -> int:
    content = message.get("content") if isinstance(message, dict) else None
    return (
        sum(isinstance(part, dict) and part.get("type") == "image_url" for part in content) if isinstance(content, list) else 0
    )


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
