"""Ollama's answers as bytes: JSON, time stamps, errors (docs/wire.md#json-encoding, docs/wire.md#chat).

Everything leaves as ASCII: clients that split a stream on Unicode line separators, or decode each network read by itself,
then find nothing to trip over.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

JSON_TYPE = "application/json; charset=utf-8"
NDJSON_TYPE = "application/x-ndjson"
TEXT_TYPE = "text/plain"

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_quote = json.encoder.encode_basestring_ascii


def encode_json(value: Any) -> bytes:
    """Compact JSON in ASCII, without a line end."""
    return _encode(value).encode("ascii")


def error_body(message: str) -> bytes:
    """An error as every native endpoint words it."""
    return encode_json({"error": message})


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC, with up to nine digits of fraction and no trailing zeros, as Go writes it."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    # The many frames of one second share it.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
