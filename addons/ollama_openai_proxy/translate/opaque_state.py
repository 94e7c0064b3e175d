"""State of a back end that has to come back with a conversation, carried in what the client gives back.

Gemini wants the `extra_content` of each tool call back (its thought signature), OpenRouter and MiniMax the `reasoning_details`
of a message with calls. The clients' APIs have no field for either. But clients give back the id of a call, the `signature` of
thinking (Anthropic) and the `encrypted_content` of a reasoning item (Responses). So the state is written into these, and the
proxy stores nothing. Writers of answers call `encode_state` and `id_with_state`; the readers of requests call `decode_state`
and `split_id`.

A state is a mapping with some of the keys in `STATE_FIELDS`. Its text is JSON, compressed, in the URL-safe alphabet of base64
without padding: Claude Code takes nothing else in an id.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from ..schemas.json_elements import count_elements
from .packed_data import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

type State = dict[str, Any]

CALL_FIELDS = ("extra_content",)
"""The fields of a tool call that are state."""

MESSAGE_FIELDS = ("reasoning_details",)
"""The fields of an assistant message that are state."""

STATE_FIELDS = frozenset((*CALL_FIELDS, *MESSAGE_FIELDS))

SIGNATURE_UNKNOWN = {"google": {"thought_signature": "skip_thought_signature_validator"}}
"""The `extra_content` that Google documents for calls without a signature, such as those of another model."""

LONGEST_TEXT = 48 * 1024
"""Characters of an encoded state. Thought signatures have some thousands; what is longer is not worth what clients would have
to carry, and the back end is then asked without."""

_MARK = "state1_"
_BETWEEN = "__"
_ALPHABET = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_MOST_TIMES = 6
"""How many times its packed size a state may have; signatures hardly pack at all."""
_PER_ELEMENT = 8
"""Characters of the encoded state for each value of JSON in the state: a parsed value takes a hundred bytes."""


def encode_state(state: Mapping[str, Any]) -> str:
    """The text for a state; "" where there is nothing to carry, or too much."""
    kept = {name: state[name] for name in sorted(STATE_FIELDS) if state.get(name)}
    if not kept:
        return ""
    data = json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    text = _MARK + base64.urlsafe_b64encode(pack(data, _MOST_TIMES)).decode().rstrip("=")
    return text if len(text) <= LONGEST_TEXT and _is_plain(data, text) else ""


def decode_state(text: str) -> State:
    """The state of a text; empty where the text is none of `encode_state`, such as a signature of another server."""
    if not text.startswith(_MARK) or len(text) > LONGEST_TEXT or not _ALPHABET.fullmatch(text):
        return {}
    try:
        data = unpack(base64.urlsafe_b64decode(text[len(_MARK) :] + "=="), _MOST_TIMES)
        if data is None or not _is_plain(data, text):
            return {}
        value = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return {}
    return {name: value[name] for name in STATE_FIELDS & value.keys()} if isinstance(value, dict) else {}


def id_with_state(call_id: str, state: Mapping[str, Any]) -> str:
    """The id of a tool call for a client, with the state that belongs to the call."""
    text = encode_state(state)
    return f"{call_id}{_BETWEEN}{text}" if text else call_id


def split_id(call_id: str) -> tuple[str, State]:
    """Take the back end's id and the state out of an id that a client gave back."""
    plain, between, text = call_id.partition(_BETWEEN + _MARK)
    if between and (state := decode_state(_MARK + text)):
        return plain, state
    return call_id, {}


def _is_plain(data: bytes, text: str) -> bool:
    """Whether a state has few values of JSON for the size of its text."""
    most = len(text) // _PER_ELEMENT
    return count_elements(data, most) <= most
