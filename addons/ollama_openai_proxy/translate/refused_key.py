"""Says whose key a back end has refused: users otherwise look for the fault in their own key.

Only the sentence for the user changes; the back end's code, type and parameter stay.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

type KeyOwner = Literal["proxy", "client", "nobody"]
"""Whose key a call to a back end carried."""

OTHER_STATUSES = frozenset({400, 403})
"""Statuses beside 401 with which servers refuse a key."""
_LONGEST_BEGINNING = 160
_KEY_REFUSED = re.compile(
    r"\b(?:incorrect|invalid|wrong|missing)\s(?:x-)?api[\s_-]?key\b|\bapi[\s_-]?key\s(?:is\s)?(?:not\svalid|invalid|missing|expired|not\sfound)"
    # LiteLLM without a database, in which it would look a key up that is not its own.
    r"|^no\sconnected\sdb\b",
    re.IGNORECASE,
)

_TEXT_KEYS = ("message", "detail", "msg", "error")


def names_refused_key(status: int, said: str) -> bool:
    """Whether a refusal is about the key, though its status is not 401: so refuse xAI, Gemini and LiteLLM.

    Args:
        status: of the refusal.
        said: what the back end says. Only its beginning counts, since a text may quote the client's own words.
    """
    return status in OTHER_STATUSES and _KEY_REFUSED.search(said[:_LONGEST_BEGINNING].strip()) is not None


def refused_key(said: str, owner: KeyOwner, backend: str) -> str:
    """The sentence for a client.

    Args:
        said: what the back end says.
        owner: whose key the back end was sent.
        backend: how the proxy's settings call the key, or the back end.
    """
    match owner:
        case "client":
            begin = "the back end refused the key that you sent, which the proxy passes on"
        case "proxy":
            begin = f"the back end refused the proxy's own key ({backend}), not yours"
        case _:
            begin = f"the back end wants a key, and the proxy has none for it ({backend})"
    return f"{begin}: {said}" if said else begin


def told_in_body(body: bytes, owner: KeyOwner, backend: str) -> bytes:
    """An error's body with that sentence in the place of the back end's; a body in which no sentence is found stays.

    Args:
        body: of the back end's response.
        owner: see `refused_key`.
        backend: see `refused_key`.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    changed = _changed(value, owner, backend)
    return body if changed is None else json.dumps(changed, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _changed(value: Any, owner: KeyOwner, backend: str) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    if (inner := _changed(value.get("error"), owner, backend)) is not None:
        return {**value, "error": inner}
    for key in _TEXT_KEYS:
        if isinstance(said := value.get(key), str):
            return {**value, key: refused_key(said, owner, backend)}
    return None
