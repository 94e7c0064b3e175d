"""Gathers the tool calls of an answer, which OpenAI streams in fragments and Ollama sends whole."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import BackendError
from ..schemas.go_json_decoding import finite, no_constant
from .surrogate_pairs import mended

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ID_CHARACTERS = string.ascii_lowercase + string.digits
_DECODER = json.JSONDecoder(parse_constant=no_constant, parse_float=finite)


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    object: dict[str, Any] | None = None

    def arguments(self) -> dict[str, Any]:
        """The arguments so far.

        Raises:
            ValueError: they are no JSON object, or none yet.
        """
        if self.object is not None:
            return self.object
        text = mended("".join(self.pieces)).strip()
        try:
            # Of a tool without parameters some models write nothing, some write null.
            arguments = _DECODER.decode(text) if text not in ("", "null") else {}
        except RecursionError:
            raise ValueError(text) from None
        if not isinstance(arguments, dict):
            raise ValueError(text)  # noqa: TRY004  # one error for all that is wrong with the text
        return arguments

    def has_arguments(self) -> bool:
        """Whether a whole object is there, so that further arguments are another call's."""
        try:
            return self.object is not None or (any(self.pieces) and isinstance(self.arguments(), dict))
        except ValueError:
            return False


class ToolCalls:
    """Fed with fragments, gives whole calls.

    Back ends number their fragments badly: without an index, or all with 0; some leave out the id as well; some repeat id and
    name in each fragment.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def feed(self, fragments: Sequence[Mapping[str, Any]]) -> None:
        """Take the `tool_calls` of a delta, or of a whole message."""
        for fragment in fragments:
            function = fragment.get("function") or {}
            identity, name = _text(fragment.get("id")), _text(function.get("name"))
            call = self._call_of(fragment.get("index"), identity, function)
            # Some send id and name once, some with every fragment.
            call.id = call.id or identity
            call.name = call.name or name
            match function.get("arguments"):
                case str(text):
                    call.pieces.append(text)
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

    def _call_of(self, index: int | None, call_id: str, function: Mapping[str, Any]) -> _Call:
        """The call that a fragment goes on with: that of its id, else that of its index, else the last; or a new one."""
        call = next((call for call in self._calls if call_id and call.id == call_id), None)
        if call is None:
            call = self._by_index.get(index) if index is not None else next(reversed(self._calls), None)
            if call is None or _is_another(call, call_id, function):
                call = _Call()
                self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        return call


def new_call_id() -> str:
    """An id as Ollama makes them."""
    return "call_" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(8))


def _is_another(call: _Call, call_id: str, function: Mapping[str, Any]) -> bool:
    """Whether a fragment, for all its index says, cannot belong to `call`."""
    if call_id and call.id:
        return call_id != call.id
    name = function.get("name")
    if not name or not call.name:
        return False
    return name != call.name or (bool(function.get("arguments")) and call.has_arguments())


def _arguments(call: _Call) -> dict[str, Any]:
    try:
        return call.arguments()
    except ValueError:
        message = f'the back end sent arguments for the tool "{call.name}" that are no JSON object'
        raise BackendError(500, message) from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
