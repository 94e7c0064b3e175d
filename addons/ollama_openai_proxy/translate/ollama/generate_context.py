"""The `context` of a generate call: numbers from which a later call continues the conversation.

In Ollama they are the model's tokens, which only it can read. Here they are the conversation itself, compressed: clients
treat them as opaque, the proxy keeps nothing, and any replica can continue. Each number holds three bytes; the first says
whose numbers they are and how many bytes they hold.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...schemas.json_elements import count_elements
from ..packed_data import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARK = 0x6F6C6C  # "oll"
_MOST_TIMES = 16
"""How many times its packed size a conversation may have; a packed byte takes three in the JSON of the numbers."""
_MOST_ELEMENTS = 50_000
"""Values in the JSON of a conversation; a message has five."""


def write_context(messages: Sequence[dict[str, str]]) -> list[int]:
    """The numbers for a conversation of messages with `role` and `content`."""
    data = pack(json.dumps(messages, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"), _MOST_TIMES)
    padded = data + bytes(-len(data) % 3)
    return [_MARK, len(data), *(int.from_bytes(padded[i : i + 3]) for i in range(0, len(padded), 3))]


def read_context(context: Sequence[int]) -> list[dict[str, str]]:
    """The conversation of such numbers; empty where they are none of ours, such as a real Ollama's."""
    if len(context) < 2 or context[0] != _MARK:
        return []
    try:
        data = b"".join(number.to_bytes(3) for number in context[2:])[: context[1]]
        text = unpack(data, _MOST_TIMES)
        if text is None or count_elements(text, _MOST_ELEMENTS) > _MOST_ELEMENTS:
            return []
        return [{"role": _text(message["role"]), "content": _text(message["content"])} for message in json.loads(text)]
    except (OverflowError, RecursionError, ValueError, TypeError, KeyError):
        return []


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # a ValueError where it holds half a character
    return value
