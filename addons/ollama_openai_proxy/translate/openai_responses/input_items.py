"""The items of a Responses request as turns of a conversation.

What is one turn of the model stands there as several items: its reasoning, its text, each of its calls.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...errors import InvalidRequest
from ..conversation_normalizer import Call, Turn
from ..opaque_state import decode_state
from .compaction import COMPACTIONS, TRIGGER, open_summary, summary_message
from .content_parts import beside_text, text_of, user_content
from .tools import SEARCH, function_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...schemas.openai_responses import Item
    from ..conversation_normalizer import Role
    from ..opaque_state import State

_ROLES: dict[str, Role] = {"assistant": "assistant", "system": "system", "developer": "system"}
"""Every other role is the user's. Few servers know that of a developer, and OpenAI takes both for the same."""

_CALLS = frozenset({"function_call", "custom_tool_call", "mcp_call", "local_shell_call"})
"""Calls also where they have no `call_id`, without which another item is the record of something done on a server."""

_MESSAGES = frozenset({"message", "agent_message"})
"""An agent's message is what another agent says to this one; it has an author and no role, so it counts as the user's."""

_REFERENCE = "item_reference"
_SEARCH_CALL, _SEARCH_OUTPUT = f"{SEARCH}_call", f"{SEARCH}_output"


def turns(items: Sequence[Item]) -> list[Turn]:
    """Return the conversation, with consecutive items of the model (reasoning, text, tool calls) merged into one turn.

    Items that record what OpenAI's hosted tools did are left out, since their results are told in the model's text.

    Raises:
        InvalidRequest: an item refers to something that OpenAI stored, or has a content part of an unknown type.
    """
    reader = _Reader()
    for number, item in enumerate(items):
        reader.add(number, item)
    return reader.turns


class _Reader:
    def __init__(self) -> None:
        self.turns: list[Turn] = []
        # Of a turn of the model that has not begun.
        self._reasoning: list[str] = []
        self._state: State = {}

    def add(self, number: int, item: Item) -> None:
        """Go on with the next item.

        Raises:
            InvalidRequest: it cannot be read.
        """
        if item.type == _REFERENCE:
            raise InvalidRequest(f'"{_place(number)}" is of a type that only the server which made it can read.')
        if item.type == TRIGGER:
            return
        if item.type in COMPACTIONS:
            self._add_summary(number, item)
        elif item.type == "reasoning":
            self._reasoning += [part.text for part in item.summary or item.content if part.text]
            self._state |= decode_state(item.encrypted_content)
        elif _is_call(item):
            self._add_call(number, item)
        elif item.type == _SEARCH_OUTPUT:
            if item.call_id:
                self.turns.append(Turn("tool", _found(item), call_id=item.call_id, name=SEARCH))
        elif _is_output(item):
            content = user_content(item.output, f"{_place(number)}.output")
            name = function_name(item.name, item.namespace) if item.name else ""
            self.turns.append(Turn("tool", content, call_id=_call_id(item), name=name))
        elif item.type in _MESSAGES or (item.role and item.type != "additional_tools"):
            self._add_message(number, item)

    def _add_summary(self, number: int, item: Item) -> None:
        summary = open_summary(item.encrypted_content)
        if summary is None:
            raise InvalidRequest(f'"{_place(number)}" was made by another server, which alone can read it.')
        self.turns.append(Turn("user", summary_message(summary)))
        self._reasoning, self._state = [], {}

    def _add_message(self, number: int, item: Item) -> None:
        role = _ROLES.get(item.role, "user")
        place = f"{_place(number)}.content"
        if role == "user":
            self.turns.append(Turn("user", user_content(item.content, place)))
            # Reasoning belongs to what the model said after it, and here it said nothing.
            self._reasoning, self._state = [], {}
            return
        if role == "assistant":
            self._answer(Turn("assistant", text_of(item.content, between="")))
        else:
            self.turns.append(Turn("system", text_of(item.content)))
        if others := beside_text(item.content, place):
            self.turns.append(Turn("user", others))

    def _add_call(self, number: int, item: Item) -> None:
        call_id = _call_id(item)
        if item.type == "mcp_call":
            # It ran on the server, so its output is in it.
            call_id = call_id or f"mcp_{number}"
        call = Call(_name(item), _arguments(item), call_id)
        if self.turns and self.turns[-1].role == "assistant":
            self.turns[-1].calls.append(call)
        else:
            self.turns.append(Turn("assistant", calls=[call]))
        self._answer(self.turns.pop())
        if item.type == "mcp_call":
            output = user_content(item.output, f"{_place(number)}.output")
            self.turns.append(Turn("tool", output, call_id=call_id))

    def _answer(self, turn: Turn) -> None:
        """Add a turn of the model, with the reasoning before it."""
        reasoning = [turn.reasoning, *self._reasoning]
        turn.reasoning = "\n\n".join(filter(None, reasoning))
        turn.state = {**turn.state, **self._state}
        self._reasoning, self._state = [], {}
        self.turns.append(turn)


def _place(number: int) -> str:
    return f"input[{number}]"


def _is_call(item: Item) -> bool:
    return item.type in _CALLS or (item.type.endswith("_call") and bool(item.call_id))


def _is_output(item: Item) -> bool:
    return item.type.endswith("_call_output")


def _found(item: Item) -> str:
    """What a search for tools has found; the tools themselves are offered like all others."""
    names = [
        function_name(tool.name, each.name if each.type == "namespace" else "")
        for each in item.tools
        for tool in (each.tools if each.type == "namespace" else [each])
    ]
    return f"These tools can be called now: {', '.join(names)}" if names else "No tools were found."


def _call_id(item: Item) -> str:
    # A local shell's output names its call by `id`.
    return item.call_id or item.id


def _name(item: Item) -> str:
    """The name of the function; a built-in tool's call has none, and its type says what it is."""
    return function_name(item.name or item.type.removesuffix("_call"), item.namespace)


def _arguments(item: Item) -> str:
    if item.type == "custom_tool_call":
        return json.dumps({"input": item.input}, ensure_ascii=False)
    if fields := item.action or item.operation:
        return json.dumps(fields, ensure_ascii=False)
    return item.arguments.strip() or "{}"
