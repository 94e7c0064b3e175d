"""Patterns of model names, as the models file and the settings write them: `*` is any text, `?` any one character."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ..translate.ollama_descriptions import plain_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_WILD = re.compile(r"[*?]")


def is_pattern(name: str) -> bool:
    """Return whether a name of the models file stands for several names."""
    return _WILD.search(name) is not None


def matches(pattern: str, name: str) -> bool:
    """Return whether a name, with or without `:latest` and in any case, fits a pattern."""
    # In fnmatch a bracket begins a set of characters; in a name of a model a bracket is a bracket.
    literal = pattern.strip().casefold().replace("[", "[[]")
    return fnmatchcase(plain_name(name), literal) or fnmatchcase(name.strip().casefold(), literal)


def passes(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Return whether a filter lets a name pass; no `include` lets all names pass."""
    included = not include or any(matches(pattern, name) for pattern in include)
    return included and not any(matches(pattern, name) for pattern in exclude)
