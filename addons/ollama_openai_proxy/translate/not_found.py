"""Tells a path that a server does not have from a thing that it does not have: a model, an earlier response, a file."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from .error_text import error_text, is_markup

MISSING = frozenset({404, 405, 501})
"""Statuses by which servers say that they have no such call. A 404 may also be about a thing."""

_ROUTE_CODES = frozenset({"unknown_url", "route_not_found", "path_not_found", "endpoint_not_found", "not_found"})
_ROUTE = re.compile(r"\b(?:url|uri|route|endpoint|path|page|method|resource v1)\b|\b(?:get|post)\s+/|/v1/\w", re.IGNORECASE)
_THING = re.compile(
    r"\b(?:model|response|file|deployment|conversation|item|assistant|thread|message|batch|adapter|lora|engine|vector[ _]store"
    r"|container|run|job|upload|session)s?\b",
    re.IGNORECASE,
)
# llama.cpp's words for a path.
_NO_FILE = "file not found"


def names_missing_route(body: Any) -> bool:
    """Whether the body of a 404 says that the path is not there.

    Args:
        body: in any shape: bytes or text, JSON that is parsed, or nothing.
    """
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        if is_markup(body):
            return True
        with suppress(ValueError, RecursionError):
            body = json.loads(body)
    error = body.get("error") if isinstance(body, dict) else None
    place = error if isinstance(error, dict) else body if isinstance(body, dict) else {}
    code = place.get("code")
    if isinstance(place.get("param"), str) and place["param"]:
        return False
    if isinstance(code, str) and code.lower().endswith("_not_found"):
        return code.lower() in _ROUTE_CODES
    text = error_text(body)
    if text.strip(" .").lower() == _NO_FILE or _ROUTE.search(text):
        return True
    return _THING.search(text) is None
