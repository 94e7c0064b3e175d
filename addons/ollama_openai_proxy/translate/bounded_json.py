"""Reads JSON of servers that are not trusted: a short text may hold millions of objects, each of which takes memory."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

MOST_CONTAINERS = 1 << 20
"""Objects and lists in one JSON text; each takes many times the length of its text in memory."""


def read_json(data: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: the data is no JSON, or holds too many objects and lists.
    """
    _check_containers(data)
    return from_json(data)


def read_odd_json(data: bytes) -> Any:
    """The value of a JSON text, also of one with halves of characters, raw control characters, broken UTF-8, or long numbers.

    Raises:
        ValueError: the data is no JSON, is nested too deeply, or holds too many objects and lists.
    """
    _check_containers(data)
    try:
        return from_json(data)
    except ValueError:
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False, parse_int=_integer)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _check_containers(data: bytes) -> None:
    if len(data) > MOST_CONTAINERS and data.count(b"{") + data.count(b"[") > MOST_CONTAINERS:
        raise ValueError("the JSON holds too many objects and lists")


def _integer(digits: str) -> int | float:
    """A number, which Python reads up to some thousand digits only."""
    return int(digits) if len(digits) < 400 else float(digits)
