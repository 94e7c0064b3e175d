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
import zlib
from typing import TYPE_CHECKING, Any

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
_LARGEST = 1 << 20


def encode_state(state: Mapping[str, Any]) -> str:
    """The text for a state; "" where there is nothing to carry, or too much."""
    kept = {name: state[name] for name in sorted(STATE_FIELDS) if state.get(name)}
    if not kept:
        return ""
    data = json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    text = _MARK + base64.urlsafe_b64encode(zlib.compress(data)).decode().rstrip("=")
    return text if len(text) <= LONGEST_TEXT else ""


def decode_state(text: str) -> State:
    """The state of a text; empty where the text is none of `encode_state`, such as a signature of another server."""
    if not text.startswith(_MARK) or len(text) > LONGEST_TEXT or not _ALPHABET.fullmatch(text):
        return {}
    try:
        data = base64.urlsafe_b64decode(text[len(_MARK) :] + "==")
        value = json.loads(zlib.decompressobj().decompress(data, _LARGEST).decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError, zlib.error):
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
