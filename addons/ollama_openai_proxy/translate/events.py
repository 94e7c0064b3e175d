"""The neutral events of an answer: what a server said, in no API's words.

A reader of server streams makes these events of a back end's bytes; a writer makes the bytes of one client API of these
events. The order of the events of one answer is fixed:

* `Text` and `Thinking` come as the server sent them, one event for each piece.
* A tool call is `ToolCallBegin`, any number of `ToolCallArguments`, `ToolCallEnd`. The pieces of the arguments, joined, are
  the text of one JSON object, unless the call ended as incomplete. The events of two calls are never mixed.
* `ReasoningState` comes before the first `ToolCallBegin`, or before the end.
* The last event is `Finish` for an answer that is complete, or `Failure` for an answer that is not. Nothing comes after either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ..errors import ApiError
    from ..schemas.usage import Usage

type Logprobs = Sequence[Mapping[str, Any]]
"""Entries in Ollama's form: `token`, `logprob`, `bytes` and, where they were asked for, `top_logprobs`."""

type FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why a complete answer ended: by itself or at a stop text; at a limit of tokens; to call tools; at a content filter."""


@dataclass(slots=True)
class Text:
    """A piece of the answer's text.

    Attributes:
        text: may be empty where only `logprobs` came.
        logprobs: of the tokens in `text`.
    """

    text: str
    logprobs: Logprobs = ()


@dataclass(slots=True)
class Thinking:
    """A piece of the model's reasoning.

    Attributes:
        text: not empty.
        logprobs: of the tokens in `text`.
    """

    text: str
    logprobs: Logprobs = ()


@dataclass(slots=True)
class ReasoningState:
    """Opaque state of the reasoning that the server wants back with the next request of the conversation.

    Attributes:
        details: items of OpenRouter's `reasoning_details`, unchanged and not merged.
    """

    details: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class ToolCallBegin:
    """A tool call begins.

    Attributes:
        index: 0 for the first call of the answer, counted up by one.
        id: never empty, and different for each call of the answer.
        name: of the tool, as the client called it in its request.
        state: opaque state of the call that the server wants back, such as Gemini's `extra_content`; None where there is none.
    """

    index: int
    id: str
    name: str
    state: Mapping[str, Any] | None = None


@dataclass(slots=True)
class ToolCallArguments:
    """A piece of the arguments of the call that has begun: JSON text, not empty."""

    piece: str


@dataclass(slots=True)
class ToolCallEnd:
    """The call that has begun ends.

    Attributes:
        arguments: all of the arguments, parsed; None for an incomplete call, which must not be carried out.
    """

    arguments: dict[str, Any] | None


@dataclass(slots=True)
class Finish:
    """The answer is complete.

    Attributes:
        reason: why it ended.
        usage: tokens, as the server counted them, else estimated.
        stop_sequence: the stop text that was met, where the server tells it.
    """

    reason: FinishReason
    usage: Usage
    stop_sequence: str | None = None


@dataclass(slots=True)
class Failure:
    """The answer is not complete, and will not be.

    Attributes:
        error: what to tell the client: with its status before the first byte, within the stream after it.
    """

    error: ApiError


type Event = Text | Thinking | ReasoningState | ToolCallBegin | ToolCallArguments | ToolCallEnd | Finish | Failure
