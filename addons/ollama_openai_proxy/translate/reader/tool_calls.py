"""Puts the tool calls of an answer together from the fragments that servers send, as events.

The contract: feed the `tool_calls` of each delta, or of a whole message, and send on the events that come back; at the end ask
`finish`. Events of two calls are never mixed: a call is held back until the call before it has ended.

Which call a fragment belongs to is decided by index, id, name and completeness together, because each alone is wrong with some
servers: the index is always 0 (lmdeploy#3412), missing, or counted from 1; the id is new with each fragment (vllm#23522), the
same for parallel calls (nanobot#3943), or missing; the name is repeated with each fragment, or spread over several.
"""

from __future__ import annotations

import json
import secrets
import string
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..events import ToolCallArguments, ToolCallBegin, ToolCallEnd
from ..surrogate_pairs import HalfJoiner
from .tool_arguments import ArgumentText

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from ..events import Event
    from .offered_tools import OfferedTools

_ID_CHARACTERS = string.ascii_lowercase + string.digits


def new_call_id() -> str:
    """Make an id as Ollama makes them."""
    return "call_" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(8))


@dataclass(slots=True)
class _Fragment:
    index: int | None
    id: str
    name: str
    arguments: str
    state: Mapping[str, Any] | None


@dataclass(slots=True)
class _Call:
    """One call as it is put together.

    Attributes:
        pieces: of the arguments, certain but not sent yet.
        number: of the call among all calls of the answer.
        ids: all ids that came for it, in their order.
        twin: the call that this one perhaps only repeats.
        raw: what came of the arguments while `twin` is set.
    """

    index: int | None = None
    number: int = 0
    ids: dict[str, None] = field(default_factory=dict)
    name: str = ""
    arguments: ArgumentText = field(default_factory=ArgumentText)
    joiner: HalfJoiner = field(default_factory=HalfJoiner)
    state: Mapping[str, Any] | None = None
    pieces: list[str] = field(default_factory=list)
    begun: bool = False
    twin: _Call | None = None
    _twin_text: str | None = None
    _compared: int = 0
    _same: int = 0
    _differs: bool = False

    def add(self, fragment: _Fragment) -> None:
        if fragment.id:
            self.ids[fragment.id] = None
        if fragment.state is not None:
            self.state = fragment.state
        if fragment.arguments and (piece := self.arguments.feed(self.joiner.feed(fragment.arguments))):
            self.pieces.append(piece)

    @property
    def is_repeat(self) -> bool:
        """Whether all that came so far repeats the twin."""
        twin, own = self.twin, self.arguments
        if twin is None:
            return False
        if own.complete:
            return own.value == twin.arguments.value
        return own.blank or self._begins_as(twin)

    def _begins_as(self, twin: _Call) -> bool:
        """Whether what was given out of the arguments is the beginning of the twin's; only what is new is compared."""
        if self._twin_text is None:
            self._twin_text = twin.arguments.text
        for piece in self.arguments.pieces[self._compared :]:
            self._differs = self._differs or not self._twin_text.startswith(piece, self._same)
            self._compared += 1
            self._same += len(piece)
        return not self._differs


class ToolCallAssembly:
    """The calls of one answer.

    Args:
        tools: that were offered.
        original_name: maps a name that was shortened for the server back to that of the client.

    Attributes:
        whole: how many calls came out whole.
        incomplete: whether a call was cut, or is no call that can be carried out.
        started: whether any call has begun.
    """

    def __init__(self, tools: OfferedTools, original_name: Callable[[str], str]) -> None:
        self.whole = 0
        self.incomplete = False
        self._tools = tools
        self._original_name = original_name
        self._calls: list[_Call] = []
        # Calls of the text that no other call has repeated yet.
        self._written: dict[str, deque[_Call]] = {}
        self._by_index: dict[int, _Call] = {}
        # The latest call of each id.
        self._by_id: dict[str, _Call] = {}
        self._sending = 0
        self._begun = 0
        self._ids: set[str] = set()

    @property
    def started(self) -> bool:
        """Whether any call has begun."""
        return bool(self._calls)

    @property
    def open(self) -> bool:
        """Whether a call has begun whose end has not been given out."""
        return self._sending < len(self._calls) and self._calls[self._sending].begun

    @property
    def holds(self) -> bool:
        """Whether a whole call is held back, because its state may still come."""
        return self._sending < len(self._calls) and self._holds(self._calls[-1])

    def release(self, events: list[Event]) -> None:
        """Add the call that is held back."""
        self._send(events, last=True)

    def feed(self, fragments: object, events: list[Event]) -> None:
        """Take the fragments of one delta, and add what is certain now to the events."""
        if not isinstance(fragments, list):
            fragments = [fragments]
        named: set[int] = set()
        for each in fragments:
            if not isinstance(each, dict):
                continue
            fragment = _fragment(each)
            if not (fragment.id or fragment.name or fragment.arguments):
                # Gemini sends the signature of a call behind the call.
                if fragment.state is not None and self._calls:
                    self._by_index.get(-1 if fragment.index is None else fragment.index, self._calls[-1]).state = fragment.state
                continue
            call = self._call_of(fragment, named)
            self._add(call, fragment)
            if fragment.index is not None:
                self._by_index[fragment.index] = call
            if fragment.name:
                named.add(call.number)
        self._send(events)

    def add_whole(self, name: str, arguments: Mapping[str, Any], events: list[Event]) -> None:
        """Take a call that is known whole."""
        call = _Call(name=name, number=len(self._calls))
        call.add(_Fragment(None, "", name, json.dumps(arguments, separators=(",", ":")), None))
        self._calls.append(call)
        self._written.setdefault(name, deque()).append(call)
        self._send(events, last=True)

    def finish(self, events: list[Event], *, said_complete: bool) -> None:
        """Add the rest of the calls, when the answer has ended.

        Args:
            events: to add to.
            said_complete: whether the server ended the answer, other than at a limit.
        """
        self._send(events)
        for call in self._calls[self._sending :]:
            if call.is_repeat:
                continue
            if piece := call.arguments.finish(said_complete=said_complete):
                call.pieces.append(piece)
            if call.begun or (call.arguments.complete and (call.name or self._tools.only)):
                self._send_pieces(call, events)
                self._end(call, events)
            elif call.name or not call.arguments.blank:
                self.incomplete = True
        self._sending = len(self._calls)

    def abandon(self, events: list[Event]) -> None:
        """End the call that has begun, when the answer has failed."""
        if self.open:
            events.append(ToolCallEnd(None))
        self._sending = len(self._calls)

    def _send(self, events: list[Event], *, last: bool = False) -> None:
        """Add what is certain of the calls, in their order.

        Args:
            events: to add to.
            last: whether the last call is known to have ended.
        """
        while self._sending < len(self._calls):
            call = self._calls[self._sending]
            ended = last or self._sending + 1 < len(self._calls)
            if call.is_repeat:
                if not (ended or call.arguments.complete):
                    return
                self._sending += 1
                continue
            arguments = call.arguments
            if not ended and self._holds(call):
                return
            if ended and arguments.empty_object and call.name:
                call.pieces.append(arguments.finish(said_complete=True))
            settled = arguments.complete or arguments.broken
            if call.pieces and (call.name or (ended and self._tools.only)):
                self._send_pieces(call, events)
            if not (settled and (call.begun or ended)):
                return
            if call.begun:
                self._end(call, events)
            else:
                self.incomplete = True
            self._sending += 1

    @staticmethod
    def _holds(call: _Call) -> bool:
        return call.arguments.complete and not call.begun and call.state is None and not call.is_repeat

    def _send_pieces(self, call: _Call, events: list[Event]) -> None:
        if not call.begun:
            call.begun = True
            name = self._original_name(self._tools.clean(call.name) or self._tools.only)
            events.append(ToolCallBegin(self._begun, self._own_id(call), name, call.state))
            self._begun += 1
        events.extend([ToolCallArguments(piece) for piece in call.pieces])
        call.pieces.clear()

    def _end(self, call: _Call, events: list[Event]) -> None:
        value = call.arguments.value
        if value is None:
            self.incomplete = True
        else:
            self.whole += 1
        events.append(ToolCallEnd(value))

    def _own_id(self, call: _Call) -> str:
        own = next((each for each in call.ids if each not in self._ids), "") or new_call_id()
        self._ids.add(own)
        return own

    def _add(self, call: _Call, fragment: _Fragment) -> None:
        call.add(fragment)
        if fragment.id and ((latest := self._by_id.get(fragment.id)) is None or latest.number < call.number):
            self._by_id[fragment.id] = call

    def _call_of(self, fragment: _Fragment, named: Container[int]) -> _Call:
        """The call that a fragment goes on with, its name brought up to date; or a new call.

        Args:
            fragment: what came.
            named: the numbers of the calls that named fragments of the same delta belong to: one delta names a call once.
        """
        call = self._likely_call(fragment)
        if call is None or (fragment.name and call.number in named):
            return self._new(fragment)
        if not fragment.name:
            begins = fragment.id and fragment.id not in call.ids and call.arguments.complete and not fragment.arguments.strip()
            return self._new(fragment) if begins else call
        if call.arguments.complete or call.arguments.broken:
            return self._after_complete(call, fragment)
        differs = bool(fragment.id and call.ids and fragment.id not in call.ids)
        if call.arguments.blank:
            if differs and fragment.name != call.name and not self._tools.offers(call.name + fragment.name):
                return self._new(fragment)
            if (joined := self._tools.join(call.name, fragment.name)) is None:
                return self._new(fragment)
            call.name = joined
            return call
        # In the midst of its arguments.
        call.name = call.name or fragment.name
        if (
            (differs and not fragment.arguments)
            or self._tools.clean(fragment.name) != self._tools.clean(call.name)
            or not self._goes_on(call, fragment)
        ):
            return self._new(fragment)
        return call

    def _likely_call(self, fragment: _Fragment) -> _Call | None:
        """The call that index and id point to; None where they point to a new one."""
        if not self._calls:
            return None
        last = self._calls[-1]
        by_index = self._by_index.get(fragment.index) if fragment.index is not None else None
        if fragment.id:
            latest = self._by_id.get(fragment.id)
            if by_index is not None and (latest is None or fragment.id in by_index.ids):
                return by_index
            if latest is not None:
                # One id for parallel calls, which the index tells apart.
                other = fragment.index is not None and latest.index is not None and fragment.index != latest.index
                continues = fragment.name == latest.name and self._goes_on(latest, fragment)
                return None if other and fragment.name and not continues else latest
            return last if fragment.index is None else None
        if fragment.index is None:
            return last
        if by_index is not None:
            return by_index
        # A new index begins a call, unless the fragment only has arguments for a call that waits for some.
        waits = not (last.arguments.complete or last.arguments.broken)
        return last if waits and not fragment.name and fragment.arguments.strip() else None

    def _after_complete(self, call: _Call, fragment: _Fragment) -> _Call:
        """The call of a named fragment whose call, by index and id, has all of its arguments: a repeat, or another call."""
        if not call.name:
            call.name = fragment.name
            return call
        if self._tools.clean(fragment.name) != self._tools.clean(call.name):
            return self._new(fragment)
        # Where the ids of one call differ, a new one means nothing.
        known = not fragment.id or fragment.id in call.ids or len(call.ids) != 1
        new = self._new(fragment)
        if known:
            new.twin = call
        return new

    def _goes_on(self, call: _Call, fragment: _Fragment) -> bool:
        """Whether a fragment that has a name goes on with its arguments, instead of beginning with others."""
        if call.arguments.complete or call.arguments.blank:
            return False
        text = fragment.arguments.lstrip()
        if text.startswith("{") and fragment.index is None and fragment.id and call.ids and fragment.id not in call.ids:
            return False
        return not text.startswith("{") or call.arguments.at_value or call.arguments.is_beginning_of(text)

    def _new(self, fragment: _Fragment) -> _Call:
        call = _Call(index=fragment.index, name=fragment.name, number=len(self._calls))
        self._calls.append(call)
        # Some servers leave the text of a call in the content, and send the call as well.
        name = self._tools.clean(fragment.name)
        if written := self._written.get(name):
            call.twin = written.popleft()
        return call


def _fragment(each: dict[str, Any]) -> _Fragment:
    function = each.get("function")
    if isinstance(function, str):
        function = each | {"name": function}
    elif not isinstance(function, dict):
        function = each
    arguments = function.get("arguments")
    if arguments is None:
        named = (function.get(key) for key in ("parameters", "input"))
        arguments = next((value for value in named if isinstance(value, dict | str)), None)
    if isinstance(arguments, dict):
        arguments = json.dumps(arguments, separators=(",", ":"))
    state = each.get("extra_content")
    return _Fragment(
        index=_index(each.get("index")),
        id=_text(each.get("id")),
        name=_text(function.get("name")),
        arguments=_text(arguments),
        state=state if isinstance(state, dict) and state else None,
    )


def _index(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 9:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
