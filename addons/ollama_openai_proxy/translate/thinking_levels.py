"""The levels of thinking that clients name, as the levels that back ends have parameters for.

Newer releases of Ollama take every name of a level for a model that thinks, and use the default of the model for a name that
the model does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidRequest
from ..schemas.go_json_syntax import quoted

if TYPE_CHECKING:
    from ..schemas.ollama.requests import Think

OLLAMA_LEVELS = frozenset({"low", "medium", "high", "max"})
"""The levels that Ollama takes for a model of which it does not know whether, and how, the model thinks."""

_NEAREST: dict[str, Think] = {
    **dict.fromkeys(("none", "off", "false", "disabled"), False),
    **dict.fromkeys(("on", "true", "enabled"), True),
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    **dict.fromkeys(("max", "xhigh", "ultra"), "max"),
}


def nearest_level(think: bool | str | None) -> Think | None:
    """The level that is nearest to what a client asks for; None, which leaves it to the back end, for an unknown name."""
    return _NEAREST.get(think.strip().lower()) if isinstance(think, str) else think


def check_level(think: bool | str | None) -> None:
    """Refuses an unknown name for a model that is known not to think, in Ollama's words.

    Raises:
        InvalidRequest: the name is none of `OLLAMA_LEVELS`.
    """
    if isinstance(think, str) and think not in OLLAMA_LEVELS:
        valid = '(must be "high", "medium", "low", "max", true, or false)'
        raise InvalidRequest(f"invalid think value: {quoted(think)} {valid}")
