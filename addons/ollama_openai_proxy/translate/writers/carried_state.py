"""Puts the state that a server wants back where the client's API has a place for it, see `opaque_state`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..opaque_state import encode_state, id_with_state

if TYPE_CHECKING:
    from ..events import ReasoningState, ToolCallBegin


def id_of_call(call: ToolCallBegin, reasoning: ReasoningState | None) -> str:
    """The id of a call for the client, with the state of the call and of the reasoning before the call."""
    state: dict[str, Any] = {"extra_content": call.state} if call.state else {}
    return id_with_state(call.id, state | _fields(reasoning))


def seal_reasoning(reasoning: ReasoningState) -> str:
    """The text of the state of a reasoning, for a signature or for encrypted content; "" where there is too much of it."""
    return encode_state(_fields(reasoning))


def _fields(reasoning: ReasoningState | None) -> dict[str, Any]:
    return {} if reasoning is None else {"reasoning_details": list(reasoning.details)}
