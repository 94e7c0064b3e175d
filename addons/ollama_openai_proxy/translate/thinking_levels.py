"""The levels of thinking that clients name, as the levels that back ends have parameters for.

Newer releases of Ollama take every name of a level for a model that thinks, and use the default of the model for a name that
the model does not have.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequest
from ..schemas.go_json_syntax import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..schemas.ollama.requests import Think
    from .ollama_descriptions import Model
    from .server_profiles import Profile

type Level = bool | str
"""A level of thinking: on, off, or a name."""

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


def level_for(think: Level | None, model: Model) -> Level | None:
    """Return the level to ask of a model; None leaves the level to the back end.

    A model whose levels are known takes these only. Instead of another level the model's default is used, as in Ollama: that of
    the models file, or else that of the back end.
    """
    if not model.think_levels:
        nearest = nearest_level(think)
        return nearest_level(model.think) if nearest is None else nearest
    if think is None:
        return model.think
    for level in (think, nearest_level(think)):
        if level is not None and level in model.think_levels:
            return level
    names = [level for level in model.think_levels if isinstance(level, str)]
    if think is True and model.think in (None, False) and names:
        return _middle(names)
    return model.think


def shown_thinking(model: Model, profile: Profile) -> dict[str, Any] | None:
    """Return what `/api/show` says of a model's thinking, `{"values": […], "default": …}`; None where nothing is known."""
    if "thinking" in model.lacks:
        return {"values": [False], "default": False}
    if model.think_levels:
        values = model.think_levels
    elif "thinking" in model.capabilities:
        values = _profile_levels(model, profile)
    else:
        return None
    if not values:
        return None
    names = [level for level in values if isinstance(level, str)]
    choices = (model.think, model.think_default, _middle(names) if names else profile.thinks_by_default)
    default = next((choice for choice in choices if choice is not None and choice in values), values[-1])
    return {"values": list(values), "default": default}


_NAMES = ("low", "medium", "high", "max")
_ALWAYS_THINKING = re.compile(r"gpt-oss|(?<![a-z0-9])o[134](?![a-z])", re.IGNORECASE)
"""Models whose thinking no server can turn off."""


def _profile_levels(model: Model, profile: Profile) -> tuple[Level, ...]:
    """The levels of a model as far as the kind of its server tells them."""
    if not profile.thinking or (profile.levels_unknown and "thinking" not in model.told):
        return ()
    always = _ALWAYS_THINKING.search(model.target) is not None
    if "gpt-oss" in model.target.lower():
        return ("low", "medium", "high")
    names: list[str] = []
    thinking: Mapping[Any, Any] = profile.thinking
    if not profile.template_thinking:
        # Names that a server is sent the same for are one level.
        sent: list[Any] = []
        for name in _NAMES:
            if (parameters := thinking.get(name)) is not None and parameters not in sent:
                sent.append(parameters)
                names.append(name)
    off: tuple[Level, ...] = (False,) if False in profile.thinking and not always else ()
    return (*off, *names) if len(names) > 1 else (*off, True)


def _middle(names: Sequence[str]) -> str:
    return "medium" if "medium" in names else names[(len(names) - 1) // 2]
