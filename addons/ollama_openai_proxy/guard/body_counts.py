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
    from collections.abc import Iterator

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
    limits = most[1:]
    if elements > min(filter(None, limits), default=elements):
        for name, number in _numbers(_parsed(body)):
            limit = getattr(most, name)
            if limit and number > limit:
                raise InvalidRequest(
                    f"the request has {number} {_WORDS[name]}, and {name.upper()} allows {limit}", status=_TOO_MUCH
                )
    return elements


_WORDS = {
    "max_messages": "messages",
    "max_tools": "tools",
    "max_stops": "stop strings",
    "max_inputs": "inputs",
    "max_schema_nodes": "values in its schemas",
    "max_context": "numbers in its context",
}


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


def _numbers(body: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """What there is in a body, by the name of its limit."""
    given = body.get("input", body.get("prompt"))
    yield "max_messages", max(_length(body.get("messages")), _items(given))
    yield "max_inputs", _length(given)
    tools = body.get("tools")
    functions = body.get("functions")
    yield "max_tools", _length(tools) + _length(functions)
    options = _folded(body.get("options"))
    for name in ("stop", "stop_sequences"):
        yield "max_stops", max(_length(body.get(name)), _length(options.get(name)))
    yield "max_context", _length(body.get("context"))
    formats = (body.get("format"), body.get("response_format"), body.get("text"), body.get("output_format"), tools, functions)
    yield "max_schema_nodes", sum(map(_nodes, formats))


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
