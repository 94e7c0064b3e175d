"""Changes of the conversation's shape, each a pure function over a list of OpenAI messages.

What every server takes is made before (`chat_messages`); these are for a server that has refused a conversation. No function
changes the messages that it is given, and each gives back an equal list where there is nothing to do.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..opaque_state import SIGNATURE_UNKNOWN
from .changes import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from .changes import Call, Kind

type Message = dict[str, Any]

type Shape = Literal[
    "one system message first",
    "system message within the user's",
    "developer message as system message",
    "alternating roles",
    "user first",
    "user last",
    "prefix",
    "assistant between tool and user",
    "reasoning filled in",
    "signatures filled in",
    "no null content",
    "no empty content",
    "plain text",
    "named tool results",
    "short call ids",
    "one call a message",
    "tools as text",
]

_PLACEHOLDER = "."
"""What stands for reasoning, or for a turn, that a server insists on and nobody has."""
_CONTINUE = "Continue."
_CALL_ID_LENGTH = 9
"""Letters and digits of an id that the strictest servers, Mistral's, take."""
_CORE_FIELDS = frozenset({"role", "content", "tool_calls", "tool_call_id"})


@dataclass(frozen=True, slots=True)
class ShapeMessages(Change):
    """Gives the conversation a shape.

    Attributes:
        shape: which one.
    """

    kind: ClassVar[Kind] = "messages"
    shape: Shape

    @property
    def order(self) -> int:  # type: ignore[override]  # the shapes have an order of their own
        """After the changes that add to the messages, in the order of the table of shapes."""
        return 10 + list(SHAPES).index(self.shape)

    @property
    def key(self) -> Hashable:
        """The shape."""
        return ("shape", self.shape)

    def apply(self, call: Call) -> Call:
        """Shape the messages of a chat."""
        messages = call.parameters.get("messages")
        return call.with_parameters(messages=SHAPES[self.shape](messages)) if isinstance(messages, list) else call

    def describe(self) -> str:
        """Say what the shape is."""
        return f"the messages are rebuilt: {self.shape}"


@dataclass(frozen=True, slots=True)
class LeaveOutOfMessages(Change):
    """Leaves a field out of every message.

    Attributes:
        name: the field; none without which a message would be another one.
    """

    kind: ClassVar[Kind] = "messages"
    order: ClassVar[int] = 9
    name: str

    @property
    def key(self) -> Hashable:
        """The field."""
        return ("message field", self.name)

    def apply(self, call: Call) -> Call:
        """Leave the field out."""
        messages = call.parameters.get("messages")
        if not isinstance(messages, list) or self.name in _CORE_FIELDS:
            return call
        return call.with_parameters(
            messages=[{name: value for name, value in message.items() if name != self.name} for message in messages]
        )

    def describe(self) -> str:
        """Say which field is left out."""
        return f"{self.name} is left out of the messages"


@dataclass(frozen=True, slots=True)
class ContinueLast(Change):
    """Tells a server that makes prompts of templates to go on with the last message of the assistant."""

    kind: ClassVar[Kind] = "add"
    order: ClassVar[int] = 9

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "continue"

    def apply(self, call: Call) -> Call:
        """Set vLLM's parameters, if the assistant has the last word."""
        messages = call.parameters.get("messages")
        if not messages or messages[-1].get("role") != "assistant":
            return call
        return call.with_parameters(continue_final_message=True, add_generation_prompt=False)

    def describe(self) -> str:
        """Say what is added."""
        return "a last message of the assistant is continued"


def one_system_first(messages: Sequence[Message]) -> list[Message]:
    """All system messages as one, which is the first."""
    texts = [text for message in messages if _is_system(message) if (text := plain_text(message.get("content")))]
    rest = [message for message in messages if not _is_system(message)]
    return [{"role": "system", "content": "\n\n".join(texts)}, *rest] if texts else rest


def system_within_user(messages: Sequence[Message]) -> list[Message]:
    """What the system messages say, at the beginning of the user's first message."""
    texts = [text for message in messages if _is_system(message) if (text := plain_text(message.get("content")))]
    rest = [message for message in messages if not _is_system(message)]
    if not texts:
        return rest
    said: Message = {"role": "user", "content": "\n\n".join(texts)}
    place = next((number for number, message in enumerate(rest) if message.get("role") == "user"), None)
    if place is None:
        return [said, *rest]
    return [*rest[:place], _together(said, rest[place]), *rest[place + 1 :]]


def developer_as_system(messages: Sequence[Message]) -> list[Message]:
    """Messages of the role `developer` with the older name of that role."""
    return [{**message, "role": "system"} if message.get("role") == "developer" else message for message in messages]


def alternating(messages: Sequence[Message]) -> list[Message]:
    """Neighbours of one role as one message. Results of tools and messages that call them stay apart."""
    result: list[Message] = []
    for message in messages:
        if result and result[-1].get("role") == message.get("role") and _may_merge(result[-1], message):
            result[-1] = _together(result[-1], message)
        else:
            result.append(message)
    return result


def user_first(messages: Sequence[Message]) -> list[Message]:
    """The conversation with a message of the user at its beginning, behind the system message."""
    place = next((number for number, message in enumerate(messages) if not _is_system(message)), len(messages))
    if place < len(messages) and messages[place].get("role") == "user":
        return list(messages)
    return [*messages[:place], {"role": "user", "content": _CONTINUE}, *messages[place:]]


def user_last(messages: Sequence[Message]) -> list[Message]:
    """The conversation with a message of the user, or a tool's result, at its end."""
    if messages and messages[-1].get("role") in ("user", "tool"):
        return list(messages)
    return [*messages, {"role": "user", "content": _CONTINUE}]


def prefixed(messages: Sequence[Message]) -> list[Message]:
    """The last message of the assistant, marked as the beginning of the answer."""
    if not messages or messages[-1].get("role") != "assistant":
        return list(messages)
    return [*messages[:-1], {**messages[-1], "prefix": True}]


def assistant_between(messages: Sequence[Message]) -> list[Message]:
    """A short message of the assistant between a tool's result and the user's words."""
    result: list[Message] = []
    for message in messages:
        if result and result[-1].get("role") == "tool" and message.get("role") == "user":
            result.append({"role": "assistant", "content": _PLACEHOLDER})
        result.append(message)
    return result


def reasoning_filled(messages: Sequence[Message]) -> list[Message]:
    """A placeholder for the reasoning that a client did not give back with its tool calls."""
    return [
        {**message, "reasoning_content": _PLACEHOLDER}
        if message.get("tool_calls") and not message.get("reasoning_content")
        else message
        for message in messages
    ]


def signatures_filled(messages: Sequence[Message]) -> list[Message]:
    """What stands for the signature of a call that came without one, or whose client has dropped it."""
    return [
        {**message, "tool_calls": [{"extra_content": SIGNATURE_UNKNOWN, **call} for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else message
        for message in messages
    ]


def without_null(messages: Sequence[Message]) -> list[Message]:
    """An empty text in place of a content that is null or missing."""
    return [{**message, "content": ""} if message.get("content") is None else message for message in messages]


def without_empty(messages: Sequence[Message]) -> list[Message]:
    """No message, or no content beside tool calls, where there is no text; a placeholder for what has to be there."""
    result: list[Message] = []
    for message in messages:
        content = message.get("content")
        if content is None or not _is_blank(content):
            result.append(message)
        elif message.get("tool_calls"):
            result.append({name: value for name, value in message.items() if name != "content"})
        elif message.get("role") == "tool":
            result.append({**message, "content": _PLACEHOLDER})
    return result


def as_text(messages: Sequence[Message]) -> list[Message]:
    """Contents in parts as one text, unless there are images among the parts."""
    return [
        {**message, "content": plain_text(message["content"])} if _is_text_in_parts(message.get("content")) else message
        for message in messages
    ]


def named_results(messages: Sequence[Message]) -> list[Message]:
    """Results of tools with the name of the tool."""
    names: dict[Any, str] = {}
    result: list[Message] = []
    for message in messages:
        for call in message.get("tool_calls") or ():
            names[call.get("id")] = call.get("function", {}).get("name") or ""
        if message.get("role") == "tool" and not message.get("name"):
            message = {**message, "name": names.get(message.get("tool_call_id")) or "tool"}
        result.append(message)
    return result


def short_ids(messages: Sequence[Message]) -> list[Message]:
    """Ids of calls as nine letters and digits; the same id always becomes the same."""
    result: list[Message] = []
    for message in messages:
        if message.get("tool_calls"):
            message = {**message, "tool_calls": [{**call, "id": _short(call.get("id"))} for call in message["tool_calls"]]}
        if "tool_call_id" in message:
            message = {**message, "tool_call_id": _short(message["tool_call_id"])}
        result.append(message)
    return result


def one_call_each(messages: Sequence[Message]) -> list[Message]:
    """Each call of a tool in a message of its own, followed by its result."""
    results = {message.get("tool_call_id"): message for message in messages if message.get("role") == "tool"}
    used: set[Any] = set()
    shaped: list[Message] = []
    for message in messages:
        calls = message.get("tool_calls") or ()
        if len(calls) > 1:
            for number, call in enumerate(calls):
                shaped.append({**message, "content": message.get("content") if number == 0 else "", "tool_calls": [call]})
                if (result := results.get(call.get("id"))) is not None:
                    shaped.append(result)
                    used.add(call.get("id"))
        elif message.get("role") != "tool" or message.get("tool_call_id") not in used:
            shaped.append(message)
    return shaped


def tools_as_text(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with tool calls and tool results written as plain text, for a model that supports no tools."""
    result: list[Message] = []
    names: dict[Any, str] = {}
    for message in messages:
        if message.get("tool_calls"):
            lines = [plain_text(message.get("content"))] if message.get("content") else []
            for call in message["tool_calls"]:
                function = call.get("function", {})
                names[call.get("id")] = function.get("name") or "tool"
                lines.append(
                    json.dumps({"call": function.get("name"), "arguments": function.get("arguments")}, ensure_ascii=False)
                )
            result.append({"role": "assistant", "content": "\n".join(lines)})
        elif message.get("role") == "tool":
            name = names.get(message.get("tool_call_id"), "tool")
            result.append({"role": "user", "content": f"Result of {name}: {plain_text(message.get('content'))}"})
        else:
            result.append(message)
    return result


SHAPES: dict[Shape, Callable[[Sequence[Message]], list[Message]]] = {
    "developer message as system message": developer_as_system,
    "tools as text": tools_as_text,
    "one call a message": one_call_each,
    "one system message first": one_system_first,
    "system message within the user's": system_within_user,
    "plain text": as_text,
    "no null content": without_null,
    "no empty content": without_empty,
    "alternating roles": alternating,
    "user first": user_first,
    "user last": user_last,
    "assistant between tool and user": assistant_between,
    "prefix": prefixed,
    "reasoning filled in": reasoning_filled,
    "signatures filled in": signatures_filled,
    "named tool results": named_results,
    "short call ids": short_ids,
}
"""The functions, in the order in which they are applied."""


def plain_text(content: Any) -> str:
    """The text of a content, which may stand in parts."""
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") in ("system", "developer")


def _may_merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.get("role") != "tool" and not one.get("tool_calls") and not other.get("tool_calls")


def _together(one: Message, other: Message) -> Message:
    """Two messages as one, with the fields of the second."""
    first, second = one.get("content"), other.get("content")
    if isinstance(first, list) or isinstance(second, list):
        return {**other, "content": [*_parts(first), *_parts(second)]}
    return {**other, "content": "\n\n".join(text for text in (first, second) if text)}


def _parts(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _is_blank(content: Any) -> bool:
    return not content.strip() if isinstance(content, str) else not content


def _is_text_in_parts(content: Any) -> bool:
    return isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content)


def _short(call_id: Any) -> str:
    return hashlib.sha256(str(call_id).encode("utf-8", "replace")).hexdigest()[:_CALL_ID_LENGTH]
