"""The ways in which a call is changed after a refusal.

A change is small, immutable and free of the client's data, so that it can be remembered, compared and shown. All changes of a call
are applied to the parameters as the proxy first made them, in the order of `order`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from .limits import TOKEN_LIMITS
from .refusal_text import strings_in

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

type Parameters = dict[str, Any]
type Kind = Literal["leave_out", "add", "lower", "rebuild", "no_stream", "messages", "split"]
"""What a change does, as metrics and log lines call it."""

KINDS: tuple[Kind, ...] = ("leave_out", "add", "lower", "rebuild", "no_stream", "messages", "split")

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Values of `reasoning_effort`, from the least effort to the most."""

_OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_GO_WITH = {"logprobs": ("top_logprobs",)}
_CHARACTERS_PER_TOKEN = 3.0
"""Fewer than in English prose, so that an estimate is rather too high than too low."""
_IMAGE_TOKENS = 1000
"""What one image is counted as."""
_SPARE_TOKENS = 16
"""What a chat template adds to a conversation."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call, and what becomes of its answer.

    Attributes:
        parameters: the body of the request to the server.
        unwrap: whether the answer is a JSON object around the value that the client asked for.
    """

    parameters: Parameters
    unwrap: bool = False

    def with_parameters(self, **parameters: Any) -> Call:
        """The call with other values for some parameters."""
        return replace(self, parameters={**self.parameters, **parameters})

    def without(self, *names: str) -> Call:
        """The call without some parameters."""
        return replace(self, parameters={name: value for name, value in self.parameters.items() if name not in names})


def is_streamed(parameters: Mapping[str, Any]) -> bool:
    """Whether a call asks for a stream, and not for the whole answer at once."""
    return bool(parameters.get("stream"))


@dataclass(frozen=True, slots=True)
class Change(ABC):
    """One change of a call."""

    kind: ClassVar[Kind]
    order: ClassVar[int] = 0

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """What is the same for changes of which one takes the place of the other."""

    @abstractmethod
    def apply(self, call: Call) -> Call:
        """Change a call, or give it back where the change does not concern it."""

    @abstractmethod
    def describe(self) -> str:
        """Say what the change does, for log lines and the user interface."""

    def merged(self, newer: Self) -> Self:
        """The change that does what this one and a newer one of the same key do."""
        return newer


@dataclass(frozen=True, slots=True)
class LeaveOut(Change):
    """Leaves out a parameter, with those that need it. A limit of tokens gets its other name, unless that is left out, too.

    Attributes:
        name: the parameter.
        beside: the parameters without which it is taken; empty where it never is.
        renamed: whether the other name of a limit of tokens is still to be tried.
    """

    kind: ClassVar[Kind] = "leave_out"
    name: str
    beside: frozenset[str] = frozenset()
    renamed: bool = False

    @property
    def key(self) -> Hashable:
        """The parameter and what it is refused beside."""
        return ("leave out", self.name, self.beside)

    def apply(self, call: Call) -> Call:
        """Leave the parameter out of a call that has all of `beside`."""
        if self.name not in call.parameters or not all(call.parameters.get(name) for name in self.beside):
            return call
        value = call.parameters[self.name]
        changed = call.without(self.name, *_GO_WITH.get(self.name, ()))
        other = _OTHER_NAME.get(self.name)
        if self.renamed and other and other not in changed.parameters:
            return changed.with_parameters(**{other: value})
        return changed

    def describe(self) -> str:
        """Say what is left out, and when."""
        when = f" beside {', '.join(sorted(self.beside))}" if self.beside else ""
        return f"{self.name} is called {_OTHER_NAME[self.name]}" if self.renamed else f"{self.name} is left out{when}"

    @classmethod
    def of(cls, name: str, beside: frozenset[str] = frozenset()) -> LeaveOut:
        """The change for a parameter that is refused for the first time."""
        return cls(name, beside, renamed=name in _OTHER_NAME)

    def merged(self, newer: Self) -> Self:
        """A name that was replaced and is refused again is left out altogether."""
        return replace(newer, renamed=self.renamed and newer.renamed)


@dataclass(frozen=True, slots=True)
class Add(Change):
    """Gives a parameter a value that the server demands.

    Attributes:
        name: the parameter.
        value: its value.
        beside: parameters that a call must have for it.
        replaces: whether the value takes the place of another one.
        only_whole: whether it concerns only calls that are asked without a stream.
    """

    kind: ClassVar[Kind] = "add"
    order: ClassVar[int] = 7
    name: str
    value: str | int | float | bool
    beside: frozenset[str] = frozenset()
    replaces: bool = True
    only_whole: bool = False

    @property
    def key(self) -> Hashable:
        """The parameter and what it is demanded beside."""
        return ("add", self.name, self.beside)

    def apply(self, call: Call) -> Call:
        """Set the parameter."""
        if not all(call.parameters.get(name) for name in self.beside) or (not self.replaces and self.name in call.parameters):
            return call
        if self.only_whole and is_streamed(call.parameters):
            return call
        return call.with_parameters(**{self.name: self.value})

    def describe(self) -> str:
        """Say what is added."""
        when = f" beside {', '.join(sorted(self.beside))}" if self.beside else ""
        return f"{self.name} is {self.value!r}{when}"


@dataclass(frozen=True, slots=True)
class KeepThinking(Change):
    """Leaves out whatever would turn thinking off, for a model that cannot be without it."""

    kind: ClassVar[Kind] = "leave_out"
    _VARIABLES: ClassVar[tuple[str, ...]] = ("enable_thinking", "thinking")

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "keep thinking"

    def apply(self, call: Call) -> Call:
        """Leave out each parameter that says not to think."""
        parameters = {name: value for name, value in call.parameters.items() if not _turns_thinking_off(name, value)}
        if isinstance(variables := parameters.get("chat_template_kwargs"), dict):
            kept = {name: value for name, value in variables.items() if not (name in self._VARIABLES and value is False)}
            parameters["chat_template_kwargs"] = kept
            if not kept:
                del parameters["chat_template_kwargs"]
        return replace(call, parameters=parameters)

    def describe(self) -> str:
        """Say that thinking stays on."""
        return "thinking is not turned off"


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
    """

    kind: ClassVar[Kind] = "lower"
    order: ClassVar[int] = 6
    limit: int
    characters_per_token: float = _CHARACTERS_PER_TOKEN

    @classmethod
    def of(cls, limit: int, prompt_tokens: int, parameters: Mapping[str, Any]) -> FitContext:
        """The change for a prompt of which the tokens were counted; 0 is not known."""
        measured = text_length(parameters) / prompt_tokens if prompt_tokens else _CHARACTERS_PER_TOKEN
        return cls(limit, min(max(measured, 0.5), 6.0))

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "fit context"

    def apply(self, call: Call) -> Call:
        """Lower the limit of tokens, where prompt and answer would not fit together."""
        room = max(self.limit - self.estimate(call.parameters), 1)
        values = {name: _number(call.parameters.get(name)) for name in TOKEN_LIMITS}
        changed = {name: room for name, value in values.items() if value is not None and value > room}
        return call.with_parameters(**changed) if changed else call

    def estimate(self, parameters: Mapping[str, Any]) -> int:
        """About how many tokens a prompt has, rather too many than too few."""
        return math.ceil(text_length(parameters) / self.characters_per_token * 1.1) + _SPARE_TOKENS

    def describe(self) -> str:
        """Say how long prompt and answer may be."""
        return f"prompt and answer have at most {self.limit} tokens together"

    def merged(self, newer: Self) -> Self:
        """The lower limit and the more careful estimate."""
        return replace(
            newer,
            limit=min(self.limit, newer.limit),
            characters_per_token=min(self.characters_per_token, newer.characters_per_token),
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


@dataclass(frozen=True, slots=True)
class AskWithoutStream(Change):
    """Asks for the whole answer at once; the client's stream is made of it.

    Attributes:
        beside: the parameters without which a stream is given; empty where none ever is.
    """

    kind: ClassVar[Kind] = "no_stream"
    order: ClassVar[int] = 6
    beside: frozenset[str] = frozenset()

    @property
    def key(self) -> Hashable:
        """What a stream is refused beside."""
        return ("no stream", self.beside)

    def apply(self, call: Call) -> Call:
        """Ask for no stream."""
        if not is_streamed(call.parameters) or not all(call.parameters.get(name) for name in self.beside):
            return call
        return call.without("stream_options").with_parameters(stream=False)

    def describe(self) -> str:
        """Say when no stream is asked for."""
        when = f" beside {', '.join(sorted(self.beside))}" if self.beside else ""
        return f"the answer is asked for without a stream{when}"


@dataclass(frozen=True, slots=True)
class LimitInputs(Change):
    """Says how many texts one embeddings call may have; `embedding_batches` splits the call.

    Attributes:
        inputs: texts of a call; None is any number.
        tokens: tokens of all texts of a call together; None is any number.
    """

    kind: ClassVar[Kind] = "split"
    inputs: int | None = None
    tokens: int | None = None

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "inputs"

    def apply(self, call: Call) -> Call:
        """Leave the call as it is: one call cannot become several here."""
        return call

    def describe(self) -> str:
        """Say what the limits are."""
        limits = [f"{self.inputs} texts"] * (self.inputs is not None) + [f"{self.tokens} tokens"] * (self.tokens is not None)
        return f"an embeddings call has at most {' and '.join(limits)}"

    def merged(self, newer: Self) -> Self:
        """The lower limits."""
        return replace(newer, inputs=_lower(self.inputs, newer.inputs), tokens=_lower(self.tokens, newer.tokens))


@dataclass(frozen=True, slots=True)
class CutInputs(Change):
    """Cuts each text of an embeddings call to the model's context.

    Attributes:
        characters: how many characters of a text are sent.
    """

    kind: ClassVar[Kind] = "lower"
    characters: int

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "cut inputs"

    def apply(self, call: Call) -> Call:
        """Cut the texts that are too long."""
        texts = call.parameters.get("input")
        return call.with_parameters(input=[text[: self.characters] for text in texts]) if isinstance(texts, list) else call

    def describe(self) -> str:
        """Say where texts are cut."""
        return f"texts to embed are cut to {self.characters} characters"

    def merged(self, newer: Self) -> Self:
        """The shorter one."""
        return min(self, newer, key=lambda change: change.characters)


@dataclass(frozen=True, slots=True)
class FillBlankInputs(Change):
    """Replaces blank texts of an embeddings call, which the server refuses, by a full stop."""

    kind: ClassVar[Kind] = "add"

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "blank inputs"

    def apply(self, call: Call) -> Call:
        """Replace the blank texts."""
        texts = call.parameters.get("input")
        return (
            call.with_parameters(input=[text if text.strip() else "." for text in texts]) if isinstance(texts, list) else call
        )

    def describe(self) -> str:
        """Say what stands for a blank text."""
        return "a full stop stands for a blank text to embed"


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


def _turns_thinking_off(name: str, value: Any) -> bool:
    match name, value:
        case "reasoning_effort", "none" | "minimal":
            return True
        case (("thinking" | "reasoning"), {"type": "disabled"} | {"enabled": False} | {"effort": "none"}):
            return True
        case "enable_thinking", False:
            return True
    return False


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _lower(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)
