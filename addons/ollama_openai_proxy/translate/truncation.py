"""Shortens a conversation that is longer than the model's context, as Ollama does it on `/api/chat`.

The oldest messages go first. The system message, the last message, and the user's last message stay, and tool calls go together
with their results. Ollama counts with the model's tokenizer; here tokens are estimated, and where a server has refused a prompt
with its number of tokens, the estimate is corrected by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .parameter_ranges import TOKEN_LIMITS, lowered_limit
from .token_estimate import message_tokens, prompt_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .conversation_normalizer import OpenAIMessage

type Parameters = dict[str, Any]

LIFETIME = 3600.0
"""Seconds after which the size that a refusal has told is forgotten: the server may have been started with another context."""

_ANSWER_SHARE = 4
"""At most this part of the context is kept free for the answer."""
_USUAL_ANSWER = 512
"""Tokens kept free for the answer of a call without a limit."""
_HEADROOM = 1.05
"""By how much the estimate of the shortened prompt may be too low."""


@dataclass(frozen=True, slots=True)
class ContextSize:
    """How much a model takes.

    Attributes:
        limit: tokens of prompt and answer.
        scale: the model's tokens for each estimated one.
    """

    limit: int
    scale: float = 1.0


class ContextSizes:
    """The sizes that refusals have told, by model.

    Args:
        clock: the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sizes: dict[tuple[str, str], tuple[ContextSize, float]] = {}

    def learn(self, backend: str, model: str, size: ContextSize) -> None:
        """Remember the size of a model's context for an hour."""
        self._sizes[backend, model] = (size, self._clock() + LIFETIME)

    def find(self, backend: str, model: str, known_length: int) -> ContextSize | None:
        """The size of a model's context; `known_length` is what its description says, in tokens, or 0."""
        size, until = self._sizes.get((backend, model), (None, 0.0))
        if size is not None and self._clock() < until:
            return size
        return ContextSize(known_length) if known_length else None


def told_size(parameters: Mapping[str, Any], limit: int, tokens: int) -> ContextSize:
    """The size of the context, after a refusal of these parameters.

    Args:
        parameters: of the refused call.
        limit: tokens that the model takes; 0 where the refusal does not say.
        tokens: tokens that the prompt has; 0 where the refusal does not say.
    """
    estimate = _estimate(parameters)
    if not limit:
        return ContextSize(max(estimate // 2, 1))
    if tokens:
        return ContextSize(limit, tokens / estimate)
    # All that is known is that the prompt has more tokens than the limit.
    return ContextSize(limit, max(1.0, 1.25 * limit / estimate))


def shorten(parameters: Mapping[str, Any], size: ContextSize) -> Parameters | None:
    """Return a copy of a call's parameters without the oldest messages, so that the conversation fits, if it can.

    System messages, the last message and, unless it is very long, the user's last message are kept. The limit of tokens for
    the answer is lowered to the room that is left.

    Args:
        parameters: of a chat completion; not modified.
        size: of the model's context, in tokens.

    Returns:
        None means "send the original": the conversation fits already, or no message may be left out.
    """
    messages = parameters["messages"]
    if _estimate(parameters) * size.scale <= size.limit:
        return None
    given = min((parameters[name] for name in TOKEN_LIMITS if name in parameters), default=_USUAL_ANSWER)
    reserve = min(given, size.limit // _ANSWER_SHARE)
    schemas = prompt_tokens((), parameters.get("tools", ()))
    kept = _newest(messages, (size.limit - reserve) / (size.scale * _HEADROOM) - schemas)
    if len(kept) == len(messages):
        return None
    shorter = {**parameters, "messages": kept}
    return shorter | lowered_limit(shorter, size.limit, int(_estimate(shorter) * size.scale))


def _estimate(parameters: Mapping[str, Any]) -> int:
    return max(prompt_tokens(parameters["messages"], parameters.get("tools", ())), 1)


def _newest(messages: Sequence[OpenAIMessage], budget: float) -> list[OpenAIMessage]:
    """The messages without the oldest, so that they have no more than `budget` estimated tokens, if that can be."""
    units = _units(messages)
    sizes = [sum(map(message_tokens, unit)) for unit in units]
    last = len(units) - 1
    users = [number for number, unit in enumerate(units) if unit[0]["role"] == "user"]
    stays = {number for number, unit in enumerate(units) if unit[0]["role"] == "system"} | {last}
    if users and sizes[users[-1]] <= budget / 2:
        # Without a message of the user many chat templates refuse, and an agent forgets its task.
        stays.add(users[-1])
    left = sum(sizes)
    kept = set(range(len(units)))
    for number in range(len(units)):
        if left <= budget:
            break
        if number not in stays:
            kept.discard(number)
            left -= sizes[number]
    if len(kept) < len(units):
        # What is left begins with a message of the user, if there is one.
        first = next((number for number in users if number in kept), 0)
        kept -= set(range(first)) - stays
    return [message for number in sorted(kept) for message in units[number]]


def _units(messages: Sequence[OpenAIMessage]) -> list[list[OpenAIMessage]]:
    """The messages, those with tool calls together with the results."""
    units: list[list[OpenAIMessage]] = []
    for message in messages:
        if message["role"] == "tool" and units:
            units[-1].append(message)
        else:
            units.append([message])
    return units
