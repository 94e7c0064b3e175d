"""Makes whole tool calls of the events of a call, for the APIs that give calls whole, and the ids of calls for all APIs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..events import ReasoningState, ToolCallBegin

if TYPE_CHECKING:
    from ..events import ToolCallEnd

type CallId = Callable[[ToolCallBegin, ReasoningState | None], str]
"""Makes the id under which the client gets a call.

The id carries opaque state where the client's API has no other place: the state of the call itself and, in the first call of an
answer, the state of the reasoning.
"""


def server_call_id(call: ToolCallBegin, state: ReasoningState | None) -> str:  # noqa: ARG001
    """The id that the server gave, without any state."""
    return call.id


class WholeToolCalls:
    """Makes whole calls in Ollama's form: `id`, and `function` with `index`, `name`, and the arguments as an object.

    Args:
        call_id: makes the ids.

    Attributes:
        incomplete: whether a call was dropped because its arguments are not complete.
    """

    __slots__ = ("_begun", "_call_id", "_count", "_state", "incomplete")

    def __init__(self, call_id: CallId) -> None:
        self._call_id = call_id
        self._begun: ToolCallBegin | None = None
        self._state: ReasoningState | None = None
        self._count = 0
        self.incomplete = False

    def keep(self, state: ReasoningState) -> None:
        """Keeps the state of the reasoning for the first whole call."""
        self._state = state

    def begin(self, call: ToolCallBegin) -> None:
        """Takes the beginning of a call."""
        self._begun = call

    def end(self, end: ToolCallEnd) -> dict[str, Any] | None:
        """The whole call, or None for an incomplete call."""
        begun, self._begun = self._begun, None
        if begun is None or end.arguments is None:
            self.incomplete = True
            return None
        state, self._state = self._state, None
        function = {"index": self._count, "name": begun.name, "arguments": end.arguments}
        self._count += 1
        return {"id": self._call_id(begun, state), "function": function}
