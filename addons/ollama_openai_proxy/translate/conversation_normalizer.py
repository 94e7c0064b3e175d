"""The messages of a chat completion, made of a conversation of any of the three client APIs.

`/api/chat`, `/v1/messages` and `/v1/responses` each turn their messages into `Turn`s; `chat_messages` makes of these what
strict servers and chat templates take. The contract of its result:

* At most one system message, and it is the first. All system texts are joined in it, as Ollama does it.
* No two messages in a row are of the user, nor of the assistant, except that results of tools stand in between.
* An assistant's message with tool calls is followed by one result for each call, in the order of the calls. A result is text;
  what else it has follows as the user's message.
* No message is empty, unless it is the last of the user, and no `content` is null.
* The ids of calls are unique in the whole conversation, and the same for the same history.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

from .opaque_state import CALL_FIELDS, MESSAGE_FIELDS, SIGNATURE_UNKNOWN, split_id
from .responses_backend.reasoning_items import DETAILS, own_details
from .tool_pairing import Given, Made, Section, pair_results
from .unique_ids import UniqueIds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .server_profiles import Profile
    from .tool_names import ToolNames

type Part = dict[str, Any]
type Content = str | list[Part]
type OpenAIMessage = dict[str, Any]
type Role = Literal["system", "user", "assistant", "tool"]

BETWEEN_MESSAGES = "\n\n"
"""What Ollama puts between the texts of messages that it joins."""

UNRECORDED_REASONING = "(not recorded)"
"""Stands for the reasoning behind a tool call that the client has dropped. DeepSeek, Moonshot and others refuse a call without;
some of them take an empty text for none."""

_NO_REASONING_BACK = frozenset({"openai", "azure", "groq", "mistral", "gemini", "xai"})
"""Profiles of servers that refuse the field `reasoning_content` in a message, or never send it."""

_STATE_BACK = frozenset({"generic", "gemini", "openrouter", "litellm", "minimax"})
"""Profiles of servers that send opaque state, and of gateways to them. A conversation may have begun at another server."""

_SIGNED_MODELS = ("gemini-3", "gemini-4")

_LONGEST_OPENAI_ID, _SHORT_ID = 40, 9


@dataclass(slots=True)
class Call:
    """A tool call in a conversation.

    Attributes:
        name: of the tool, as the client calls it.
        arguments: the text of a JSON object.
        id: as the client gave it; "" where the client dropped it.
    """

    name: str
    arguments: str
    id: str = ""


@dataclass(slots=True)
class Turn:
    """One message of a conversation, or what a client API has in place of one.

    Attributes:
        role: whose it is.
        content: text, or parts as chat completions have them; of `system` and `assistant` always text.
        calls: the tool calls of an assistant.
        reasoning: the thinking before an assistant's message.
        state: opaque state of the back end that came back with an assistant's message.
        call_id: of a tool's result, the id of its call; "" where the client does not say.
        name: of a tool's result, the name of its tool; "" where the client does not say.
    """

    role: Role
    content: Content = ""
    calls: list[Call] = field(default_factory=list)
    reasoning: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    call_id: str = ""
    name: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is said in it."""
        content = self.content
        return not ((content.strip() if isinstance(content, str) else content) or self.calls or self.role == "tool")


def chat_messages(
    turns: Sequence[Turn], profile: Profile, names: ToolNames, *, model: str = "", by_id_only: bool = False
) -> list[OpenAIMessage]:
    """Make the messages of a chat completion.

    Args:
        turns: the conversation.
        profile: what the server takes.
        names: the names that the call's tools have for the server.
        model: the server's name for the model.
        by_id_only: whether results name the ids of their calls, as in Anthropic's API and in Responses.
    """
    system = [turn.content for turn in turns if turn.role == "system" and isinstance(turn.content, str) and not turn.empty]
    said = _said([turn for turn in turns if turn.role != "system"])
    messages: list[OpenAIMessage] = [{"role": "system", "content": BETWEEN_MESSAGES.join(system)}] if system else []
    if any(turn.calls or turn.role == "tool" for turn in said):
        return messages + _with_tools(_grouped(said), _Builder(profile, names, model), by_id_only=by_id_only)
    for role, neighbours in groupby(said, attrgetter("role")):
        contents = [turn.content for turn in neighbours]
        messages.append({"role": role, "content": contents[0] if len(contents) == 1 else _joined(contents)})
    return messages


def with_instruction(messages: Sequence[OpenAIMessage], instruction: str) -> list[OpenAIMessage]:
    """Add an instruction to the system message, which is made where there is none."""
    if messages and messages[0]["role"] == "system":
        text = messages[0]["content"] + BETWEEN_MESSAGES + instruction
        return [{**messages[0], "content": text}, *messages[1:]]
    return [{"role": "system", "content": instruction}, *messages]


def continue_last_message(messages: list[OpenAIMessage], profile: Profile) -> dict[str, Any]:
    """Ask for the continuation of a last message that is the assistant's, as Ollama goes on with it.

    Returns:
        The parameters that say so; a field of the message itself is set in place.
    """
    if not messages or messages[-1]["role"] != "assistant" or "tool_calls" in messages[-1]:
        return {}
    if profile.continued_by == "continue_final_message":
        return {"continue_final_message": True, "add_generation_prompt": False}
    if profile.continued_by:
        messages[-1][profile.continued_by] = True
    return {}


def _said(turns: Sequence[Turn]) -> list[Turn]:
    """The turns in which something is said, and an empty one of the user where the model's would else be the last."""
    said = [turn for turn in turns if not turn.empty]
    if turns and (not said or (said[-1].role == "assistant" and turns[-1].role == "user" and turns[-1].empty)):
        said.append(Turn("user"))
    return said


@dataclass(slots=True, eq=False)
class _Group:
    """A turn, or an assistant's turns in a row, with the calls or the result in the terms of the pairing."""

    turns: list[Turn]
    made: list[Made] = field(default_factory=list)
    given: Given | None = None

    @property
    def role(self) -> Role:
        return self.turns[0].role


def _grouped(turns: Sequence[Turn]) -> list[_Group]:
    groups: list[_Group] = []
    for turn in turns:
        if turn.role == "assistant":
            if not groups or groups[-1].role != "assistant":
                groups.append(_Group([]))
            groups[-1].turns.append(turn)
            groups[-1].made += [Made(split_id(call.id)[0], call.name) for call in turn.calls]
        elif turn.role == "tool":
            groups.append(_Group([turn], given=Given(split_id(turn.call_id)[0], turn.name)))
        else:
            groups.append(_Group([turn]))
    return groups


def _with_tools(groups: Sequence[_Group], builder: _Builder, *, by_id_only: bool) -> list[OpenAIMessage]:
    """The messages of a conversation with calls of tools, each with its result."""
    result_turns = {group.given: group.turns[0] for group in groups if group.given is not None}
    pairs = pair_results(_sections(groups), by_id_only=by_id_only)
    used = set(pairs.values())
    results = {made: result_turns[given] for made, given in pairs.items()}
    for group in groups:
        if group.role == "assistant":
            builder.add_assistant(group, results)
        elif group.given not in used:
            # The result of a call that nobody made is information all the same.
            builder.add("user", group.turns[0].content)
    builder.settle()
    return builder.messages


def _sections(groups: Sequence[_Group]) -> list[Section]:
    sections = [Section()]
    for group in groups:
        if group.made:
            sections.append(Section(group.made))
        elif group.given is not None:
            sections[-1].results.append(group.given)
    return sections


class _Builder:
    """Writes the messages, group by group."""

    def __init__(self, profile: Profile, names: ToolNames, model: str) -> None:
        self.messages: list[OpenAIMessage] = []
        self._contents: list[Content] = []
        """What the last message is put together from, all at once: else each message would copy all before it."""
        self._profile = profile
        self._names = names
        self._signed = profile.name == "gemini" and any(name in model for name in _SIGNED_MODELS)
        self._ids = UniqueIds()
        self._calls_made = 0

    def add_assistant(self, group: _Group, results: Mapping[Made, Turn]) -> None:
        """Add an assistant's message and the results of its calls."""
        calls = [call for turn in group.turns for call in turn.calls]
        if not calls and len(group.turns) == 1:
            self.add("assistant", group.turns[0].content)
            return
        text = BETWEEN_MESSAGES.join(str(turn.content) for turn in group.turns if not _blank(turn.content))
        if not calls:
            self.add("assistant", text)
            return
        message: OpenAIMessage = {"role": "assistant", "content": text, "tool_calls": []}
        state: dict[str, Any] = {}
        for call in calls:
            plain, call_state = split_id(call.id)
            state = {**call_state, **state}
            message["tool_calls"].append(self._tool_call(call, plain, call_state))
        for turn in group.turns:
            state |= turn.state
        message |= self._kept(state, MESSAGE_FIELDS) | self._reasoning(group.turns)
        self._append(message)
        self.settle()
        media: list[Part] = []
        for made, sent in zip(group.made, message["tool_calls"], strict=True):
            result = results.get(made)
            parts = _parts(result.content) if result else []
            texts = [part["text"] for part in parts if "text" in part]
            self.messages.append({"role": "tool", "tool_call_id": sent["id"], "content": "\n".join(texts)})
            media += [part for part in parts if "text" not in part]
        if media:
            self.add("user", media)

    def add(self, role: str, content: Content) -> None:
        """Add a message without calls."""
        self._append({"role": role, "content": content})

    def _append(self, message: OpenAIMessage) -> None:
        messages, contents = self.messages, self._contents
        if contents and messages[-1]["role"] == message["role"]:
            messages[-1] = message
            contents.append(message["content"])
            return
        if len(contents) > 1:
            self.settle()
        messages.append(message)
        self._contents = [message["content"]]

    def settle(self) -> None:
        """Give the last message the contents of all that were put together in it; nothing more goes into that message."""
        if len(self._contents) > 1:
            self.messages[-1]["content"] = _joined(self._contents)
        self._contents = []

    def _tool_call(self, call: Call, plain_id: str, state: Mapping[str, Any]) -> dict[str, Any]:
        # Made from the call's place where it has none.
        call_id = self._sent_id(plain_id or f"call_{self._calls_made:08d}")
        self._calls_made += 1
        function = {"name": self._names.sent(call.name), "arguments": call.arguments}
        signature = {"extra_content": SIGNATURE_UNKNOWN} if self._signed else {}
        return {"id": call_id, "type": "function", "function": function} | signature | self._kept(state, CALL_FIELDS)

    def _sent_id(self, call_id: str) -> str:
        """The id for the back end: unique in this conversation, and as short as the server wants it."""
        unique = self._ids.take(call_id)
        if self._profile.short_call_ids:
            return _digest(unique)[:_SHORT_ID]
        # Other servers take the ids that they have given, and some carry a signature within.
        limited = self._profile.name in ("openai", "azure")
        return unique if not limited or len(unique) <= _LONGEST_OPENAI_ID else f"call_{_digest(unique)[:24]}"

    def _kept(self, state: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
        if self._profile.name in _STATE_BACK:
            return {name: state[name] for name in fields if name in state}
        # The reasoning of `/v1/responses` goes back to wherever a call of `/v1/responses` is made.
        own = own_details(state.get(DETAILS)) if DETAILS in fields else []
        return {DETAILS: own} if own else {}

    def _reasoning(self, turns: Sequence[Turn]) -> dict[str, str]:
        if self._profile.name in _NO_REASONING_BACK:
            return {}
        reasoning = BETWEEN_MESSAGES.join(turn.reasoning for turn in turns if turn.reasoning)
        if not reasoning and self._profile.reasoning_back:
            reasoning = UNRECORDED_REASONING
        return {"reasoning_content": reasoning} if reasoning else {}


def _blank(content: Content) -> bool:
    return not (content.strip() if isinstance(content, str) else content)


def _parts(content: Content) -> list[Part]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


def _joined(contents: Sequence[Content]) -> Content:
    texts = [content for content in takewhile(lambda content: isinstance(content, str), contents) if isinstance(content, str)]
    text = BETWEEN_MESSAGES.join(filter(None, texts))
    rest = contents[len(texts) :]
    return [*_parts(text), *(part for content in rest for part in _parts(content))] if rest else text


def _digest(call_id: str) -> str:
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()
