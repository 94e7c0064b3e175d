"""A call at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def comment_of(info: Mapping[str, Any]) -> str:
    """One line."""
    return " ".join(str(info[name]) for name in ("mode", "model", "error") if info.get(name))


def marker_of(info: Mapping[str, Any]) -> str:
    """A marker."""
    return ":red_circle:" if info.get("error") else ""
