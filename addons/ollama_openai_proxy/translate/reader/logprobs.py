"""Reads the log probabilities of a chunk into Ollama's form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..surrogate_pairs import mended

if TYPE_CHECKING:
    from collections.abc import Mapping

_IMPOSSIBLE = -9999.0


def read_logprobs(logprobs: object) -> list[dict[str, Any]]:
    """The entries of a choice's `logprobs`; what cannot be read among them is left out."""
    if not isinstance(logprobs, dict):
        return []
    if isinstance(entries := logprobs.get("content"), list):
        return [_logprob(entry) | _tops(entry.get("top_logprobs")) for entry in entries if isinstance(entry, dict)]
    # Completions have parallel lists instead.
    tokens, values, tops = (_list(logprobs.get(key)) for key in ("tokens", "token_logprobs", "top_logprobs"))
    tops += [None] * (len(tokens) - len(tops))
    return [
        _logprob({"token": token, "logprob": value}) | _tops(_entries(top))
        for token, value, top in zip(tokens, values, tops, strict=False)
    ]


def _entries(top: object) -> list[dict[str, Any]]:
    return [{"token": token, "logprob": value} for token, value in top.items()] if isinstance(top, dict) else []


def _logprob(entry: Mapping[str, Any]) -> dict[str, Any]:
    token = entry.get("token")
    token = mended(token) if isinstance(token, str) else ""
    octets = entry.get("bytes")
    value = entry.get("logprob")
    number = value if isinstance(value, int | float) else 0.0
    return {
        "token": token,
        # Some servers write an impossible token as -Infinity, which is no JSON.
        "logprob": number if math.isfinite(number) else _IMPOSSIBLE,
        "bytes": octets if isinstance(octets, list) else list(token.encode()),
    }


def _tops(entries: object) -> dict[str, Any]:
    tops = [_logprob(entry) for entry in _list(entries) if isinstance(entry, dict)]
    return {"top_logprobs": tops} if tops else {}


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []
