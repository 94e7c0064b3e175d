"""The items of a Responses request as the messages of chat completions.

What is one turn of the model stands there as several items: its reasoning, its text, each of its calls. A call's output may
stand anywhere later. Here a turn is one message, and each of its calls is answered right after it.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest
from .content_parts import beside_text, text_of, user_content
from .tools import function_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...schemas.openai_responses import Item
    from ..ollama.chat_messages import OpenAIMessage

_ROLES = {"assistant": "assistant", "system": "system", "developer": "system"}
"""Every other role is the user's. Few servers know that of a developer, and OpenAI takes both for the same."""

_CALLS = frozenset({"function_call", "custom_tool_call", "mcp_call", "local_shell_call"})
"""Calls also where they have no `call_id`, without which another item is the record of something done on a server."""

_UNREADABLE = frozenset({"item_reference", "compaction", "context_compaction"})


def chat_messages(items: Sequence[Item], *, reasoning_back: bool = False) -> list[OpenAIMessage]:
    """The conversation; `reasoning_back` is for a back end that wants the reasoning with the message that followed from it.

    Records of what OpenAI's own tools did on its servers are left out: what came of it is in the model's text.

    Raises:
        InvalidRequest: an item cannot be had without OpenAI's store, or a part of one is of an unknown type.
    """
    conversation = _Conversation(items, reasoning_back=reasoning_back)
    for number, item in enumerate(items):
        conversation.add(number, item)
    return conversation.finish()


def leading_system_joined(messages: Sequence[OpenAIMessage]) -> list[OpenAIMessage]:
    """The same with one system message at the head in place of several: many chat templates refuse a second one."""
    head = 0
    while head < len(messages) and messages[head]["role"] == "system":
        head += 1
    if head < 2:
        return list(messages)
    text = "\n\n".join(message["content"] for message in messages[:head])
    return [{"role": "system", "content": text}, *messages[head:]]


@dataclass(slots=True)
class _Turn:
    """A turn of the model to which more may be added.

    Attributes:
        pictures: what the outputs of its calls have beside text, which a tool's message cannot take.
    """

    text: str = ""
    reasoning: list[str] = field(default_factory=list)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: list[OpenAIMessage] = field(default_factory=list)
    pictures: list[dict[str, Any]] = field(default_factory=list)


class _Conversation:
    def __init__(self, items: Sequence[Item], *, reasoning_back: bool) -> None:
        self._reasoning_back = reasoning_back
        self._outputs = _paired(items)
        self._paired = set(self._outputs.values())
        self._items = items
        self._messages: list[OpenAIMessage] = []
        self._reasoning: list[str] = []
        self._turn: _Turn | None = None

    def add(self, number: int, item: Item) -> None:
        """Go on with the next item.

        Raises:
            InvalidRequest: it cannot be read.
        """
        if item.type in _UNREADABLE:
            raise InvalidRequest(f'"{_place(number)}" is of a type that only the server which made it can read.')
        if item.type == "reasoning":
            self._reasoning += [part.text for part in item.summary or item.content if part.text]
        elif _is_call(item):
            self._add_call(number, item)
        elif _is_output(item):
            self._add_output(number, item)
        elif item.type == "message" or (item.role and item.type != "additional_tools"):
            self._add_message(number, item)

    def finish(self) -> list[OpenAIMessage]:
        """The messages."""
        self._end_turn()
        return self._messages

    def _add_message(self, number: int, item: Item) -> None:
        self._end_turn()
        role = _ROLES.get(item.role, "user")
        place = f"{_place(number)}.content"
        if role == "user":
            self._messages.append({"role": role, "content": user_content(item.content, place)})
            self._reasoning = []
            return
        if role == "assistant":
            self._turn = _Turn(text_of(item.content, between=""))
            self._take_reasoning(self._turn)
        else:
            self._messages.append({"role": role, "content": text_of(item.content)})
        if others := beside_text(item.content, place):
            self._end_turn()
            self._messages.append({"role": "user", "content": others})

    def _add_call(self, number: int, item: Item) -> None:
        turn = self._turn = self._turn or _Turn()
        self._take_reasoning(turn)
        # Made from its place where it has none: the same history always gives the same ids.
        call_id = _call_id(item) or f"call_{number:08d}"
        while call_id in turn.calls:
            call_id += "_"
        function = {"name": _name(item), "arguments": _arguments(item)}
        turn.calls[call_id] = {"id": call_id, "type": "function", "function": function}
        answer: OpenAIMessage = {"role": "tool", "tool_call_id": call_id, "content": ""}
        if (at := self._outputs.get(number)) is not None:
            output = self._items[at].output
            answer["content"] = text_of(output)
            turn.pictures += beside_text(output, f"{_place(at)}.output")
        turn.answers.append(answer)

    def _add_output(self, number: int, item: Item) -> None:
        self._end_turn()
        if number not in self._paired and (content := user_content(item.output, f"{_place(number)}.output")):
            # The output of a call that nobody made is information all the same.
            self._messages.append({"role": "user", "content": content})

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        # Some servers refuse a message of the model with nothing in it.
        if turn is None or not (turn.text or turn.calls):
            return
        message: OpenAIMessage = {"role": "assistant", "content": turn.text or None}
        if turn.calls:
            message["tool_calls"] = list(turn.calls.values())
        if turn.reasoning and self._reasoning_back:
            message["reasoning_content"] = "\n\n".join(turn.reasoning)
        self._messages += [message, *turn.answers]
        if turn.pictures:
            self._messages.append({"role": "user", "content": turn.pictures})

    def _take_reasoning(self, turn: _Turn) -> None:
        turn.reasoning += self._reasoning
        self._reasoning = []


def _paired(items: Sequence[Item]) -> dict[int, int]:
    """The number of the output for that of each call which has one."""
    open_calls: defaultdict[str, deque[int]] = defaultdict(deque)
    pairs: dict[int, int] = {}
    for number, item in enumerate(items):
        if item.type == "mcp_call":
            # It ran on the server, so its output is in it.
            pairs[number] = number
        elif _is_call(item):
            open_calls[_call_id(item)].append(number)
        elif _is_output(item) and (waiting := open_calls.get(_call_id(item))):
            pairs[waiting.popleft()] = number
    return pairs


def _place(number: int) -> str:
    return f"input[{number}]"


def _is_call(item: Item) -> bool:
    # What a search for tools has found is offered like any other tool.
    return item.type in _CALLS or (item.type.endswith("_call") and bool(item.call_id) and item.type != "tool_search_call")


def _is_output(item: Item) -> bool:
    return item.type.endswith("_call_output")


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
