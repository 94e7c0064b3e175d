"""Gathers the tool calls of an answer, which OpenAI streams in fragments and Ollama sends whole."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ID_CHARACTERS = string.ascii_lowercase + string.digits


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    object: dict[str, Any] | None = None


class ToolCalls:
    """Fed with fragments, gives whole calls.

    Back ends number their fragments badly: without an index, or all with 0. So a fragment that names another id than the call
    of its index begins a new call.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def feed(self, fragments: Sequence[Mapping[str, Any]]) -> None:
        """Take the `tool_calls` of a delta, or of a whole message."""
        for position, fragment in enumerate(fragments):
            function = fragment.get("function") or {}
            call = self._call_of(fragment, position)
            call.id = call.id or fragment.get("id") or ""
            # Some send the name once, some with every fragment.
            call.name = call.name or function.get("name") or ""
            match function.get("arguments"):
                case str(text):
                    call.arguments.append(text)
                case dict(arguments):
                    call.object = arguments

    def finish(self) -> list[dict[str, Any]]:
        """The calls in Ollama's form.

        Raises:
            BackendError: the arguments of a call are no JSON object.
        """
        calls, self._calls, self._by_index = self._calls, [], {}
        return [
            {
                "id": call.id or new_call_id(),
                "function": {"index": number, "name": call.name, "arguments": _arguments(call)},
            }
            for number, call in enumerate(calls)
        ]

    def _call_of(self, fragment: Mapping[str, Any], position: int) -> _Call:
        index = fragment.get("index")
        call_id = fragment.get("id")
        if index is None:
            begins = call_id or (fragment.get("function") or {}).get("name")
            index = len(self._calls) if begins and not self._known(call_id) else max(len(self._calls) - 1, position)
        known = self._by_index.get(index)
        if known is None or (call_id and known.id and call_id != known.id):
            known = next((call for call in self._calls if call_id and call.id == call_id), None)
            if known is None:
                known = _Call()
                self._calls.append(known)
            self._by_index[index] = known
        return known

    def _known(self, call_id: object) -> bool:
        return bool(call_id) and any(call.id == call_id for call in self._calls)


def new_call_id() -> str:
    """An id as Ollama makes them."""
    return "call_" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(8))


def _arguments(call: _Call) -> dict[str, Any]:
    if call.object is not None:
        return call.object
    text = "".join(call.arguments)
    if not text.strip():
        return {}
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = None
    if arguments is None and text.strip() == "null":
        return {}
    if not isinstance(arguments, dict):
        raise BackendError(500, f'the back end sent arguments for the tool "{call.name}" that are no JSON object')
    return arguments
