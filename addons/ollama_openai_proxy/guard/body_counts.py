"""Limits on what is in a JSON body: how many values, messages, tools and the like, whichever API the body is for.

The values are counted before the body is parsed (`schemas.json_elements`), the rest is counted in the parsed body before
anything is validated or translated. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from ..errors import InvalidRequest
from ..schemas.go_json_decoding import first_value
from ..schemas.json_elements import count_elements, most_elements

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..net.bounds import Counts

_TOO_MUCH = 413


def check_counts(body: bytes, most: Counts) -> int:
    """Refuse a body in which there is too much of something; returns about how many values of JSON the body has.

    A body that is no JSON passes: the API that the body is for refuses the body in the API's own words.

    Raises:
        InvalidRequest: with status 413.
    """
    elements = most_elements(body)
    if most.max_json_elements and elements > most.max_json_elements:
        elements = count_elements(body, most.max_json_elements)
        if elements > most.max_json_elements:
            raise InvalidRequest(
                f"the request has more than {most.max_json_elements} values, which MAX_JSON_ELEMENTS allows", status=_TOO_MUCH
            )
    # A part has no more values than the whole.
    in_doubt = [name for name in _COUNTED if 0 < getattr(most, name) < elements]
    if in_doubt:
        content = _parsed(body)
        for name in in_doubt:
            words, count = _COUNTED[name]
            number, limit = count(content), getattr(most, name)
            if number > limit:
                raise InvalidRequest(f"the request has {number} {words}, and {name.upper()} allows {limit}", status=_TOO_MUCH)
    return elements


def _parsed(body: bytes) -> dict[str, Any]:
    """The object in a body, with names in lower case as Go reads them; empty if the body is none."""
    try:
        value = from_json(body)
    except ValueError:  # which it also raises for deep nesting, and for what follows the first value
        try:
            value = first_value(body)
        except InvalidRequest:
            return {}
    return _folded(value)


def _folded(value: object) -> dict[str, Any]:
    return {name.lower(): item for name, item in value.items()} if isinstance(value, dict) else {}


def _messages(body: dict[str, Any]) -> int:
    return max(_length(body.get("messages")), _items(_given(body)))


def _inputs(body: dict[str, Any]) -> int:
    return _length(_given(body))


def _given(body: dict[str, Any]) -> object:
    """What an embeddings call, a Responses call or a completion is about."""
    return body.get("input", body.get("prompt"))


def _tools(body: dict[str, Any]) -> int:
    return _length(body.get("tools")) + _length(body.get("functions"))


def _stops(body: dict[str, Any]) -> int:
    places = (body, _folded(body.get("options")))
    return max(_length(place.get(name)) for place in places for name in ("stop", "stop_sequences"))


def _schema_nodes(body: dict[str, Any]) -> int:
    return sum(_nodes(body.get(name)) for name in _WITH_SCHEMAS)


def _context(body: dict[str, Any]) -> int:
    return _length(body.get("context"))


_WITH_SCHEMAS = ("format", "response_format", "text", "output_format", "tools", "functions")
_COUNTED: dict[str, tuple[str, Callable[[dict[str, Any]], int]]] = {
    "max_messages": ("messages", _messages),
    "max_inputs": ("inputs", _inputs),
    "max_tools": ("tools", _tools),
    "max_stops": ("stop strings", _stops),
    "max_context": ("numbers in its context", _context),
    "max_schema_nodes": ("values in its schemas", _schema_nodes),
}
"""For each limit what it is about, and what counts that in a body."""


def _length(value: object) -> int:
    return len(value) if isinstance(value, (list, dict)) else 0


def _items(value: object) -> int:
    """How many items a list of Responses items has; a list of texts or numbers has none."""
    return len(value) if isinstance(value, list) and any(isinstance(item, dict) for item in value) else 0


def _nodes(value: object) -> int:
    """How many values there are within a value; any depth."""
    count, pending = 0, [value]
    while pending:
        item = pending.pop()
        if item.__class__ is dict:
            item = item.values()
        elif item.__class__ is not list:
            continue
        count += len(item)
        pending += [inner for inner in item if inner.__class__ in _CONTAINERS]
    return count


_CONTAINERS = frozenset({dict, list})
