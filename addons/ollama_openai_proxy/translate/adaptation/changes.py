"""The ways in which a call is changed after a refusal.

A change is small, immutable and free of the client's data, so that it can be remembered, compared and shown. All changes of a
call are applied to the parameters as the proxy first made them, in the order of `order`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from .limits import TOKEN_LIMITS

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

type Parameters = dict[str, Any]
type Kind = Literal["leave_out", "add", "lower", "rebuild", "no_stream", "messages", "split", "other_api"]
"""What a change does, as metrics and log lines call it."""

KINDS: tuple[Kind, ...] = ("leave_out", "add", "lower", "rebuild", "no_stream", "messages", "split", "other_api")


_GO_WITH = {"logprobs": ("top_logprobs",)}


@dataclass(frozen=True, slots=True)
class Call:
    """A call, and what becomes of its answer.

    Attributes:
        parameters: the body of the request to the server.
        unwrap: whether the answer is a JSON object around the value that the client asked for.
        api: the API of the server that is called with these parameters, which are those of a chat completion all the same.
    """

    parameters: Parameters
    unwrap: bool = False
    api: Literal["chat", "responses"] = "chat"

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

    @property
    def settles(self) -> frozenset[str]:
        """The parameters of which the change says what becomes of them."""
        return frozenset()

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
    """Leaves out a parameter, with those that need it.

    Attributes:
        name: the parameter.
        beside: the parameters without which it is taken; empty where it never is.
    """

    kind: ClassVar[Kind] = "leave_out"
    name: str
    beside: frozenset[str] = frozenset()

    @property
    def key(self) -> Hashable:
        """The parameter and what it is refused beside."""
        return ("leave out", self.name, self.beside)

    @property
    def settles(self) -> frozenset[str]:
        """The parameter."""
        return frozenset({self.name})

    def apply(self, call: Call) -> Call:
        """Leave the parameter out of a call that has all of `beside`."""
        if self.name not in call.parameters or not all(call.parameters.get(name) for name in self.beside):
            return call
        return call.without(self.name, *_GO_WITH.get(self.name, ()))

    def describe(self) -> str:
        """Say what is left out, and when."""
        when = f" beside {', '.join(sorted(self.beside))}" if self.beside else ""
        return f"{self.name} is left out{when}"


@dataclass(frozen=True, slots=True)
class RenameLimit(Change):
    """Gives the limit of tokens its other name, or leaves the limit out where both names are refused.

    Attributes:
        refused: the names that are not taken.
    """

    kind: ClassVar[Kind] = "leave_out"
    refused: frozenset[str]

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "name of the limit"

    @property
    def settles(self) -> frozenset[str]:
        """The names that are not taken."""
        return self.refused

    def apply(self, call: Call) -> Call:
        """Rename the limit, or leave it out."""
        refused = [name for name in TOKEN_LIMITS if name in self.refused and name in call.parameters]
        if not refused:
            return call
        changed = call.without(*refused)
        taken = [name for name in TOKEN_LIMITS if name not in self.refused and name not in changed.parameters]
        return changed.with_parameters(**dict.fromkeys(taken[:1], call.parameters[refused[0]]))

    def describe(self) -> str:
        """Say what the limit is called."""
        taken = [name for name in TOKEN_LIMITS if name not in self.refused]
        return f"the limit of tokens is called {taken[0]}" if taken else "the limit of tokens is left out"

    def merged(self, newer: Self) -> Self:
        """Both names, if each was refused."""
        return replace(newer, refused=self.refused | newer.refused)


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

    @property
    def settles(self) -> frozenset[str]:
        """The parameter."""
        return frozenset({self.name})

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

    @property
    def settles(self) -> frozenset[str]:
        """All parameters that may say not to think."""
        return frozenset({"thinking", "reasoning", "enable_thinking", "reasoning_effort", "chat_template_kwargs"})

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


def _turns_thinking_off(name: str, value: Any) -> bool:
    match name, value:
        case "reasoning_effort", "none" | "minimal":
            return True
        case (("thinking" | "reasoning"), {"type": "disabled"} | {"enabled": False} | {"effort": "none"}):
            return True
        case "enable_thinking", False:
            return True
    return False
