"""Gathers OpenRouter's `reasoning_details`, which the server wants back with the next request of the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXTS = ("text", "summary", "data", "signature")
_SAME = ("type", "index", "id")


class ReasoningDetails:
    """The details of one answer: streamed fragments of one detail are joined."""

    __slots__ = ("_details", "_texts")

    def __init__(self) -> None:
        self._details: list[dict[str, Any]] = []
        self._texts: dict[str, list[str]] = {}
        """The fragments of the last detail's texts, which are joined once: else each would copy all before it."""

    def feed(self, fragments: object) -> None:
        """Take the details of a delta."""
        for fragment in fragments if isinstance(fragments, list) else ():
            if not isinstance(fragment, dict):
                continue
            if self._details and _continues(self._details[-1], fragment):
                self._join(self._details[-1], fragment)
            else:
                self._settle()
                self._details.append(dict(fragment))

    def take(self) -> list[dict[str, Any]]:
        """The details since the last call."""
        self._settle()
        details, self._details = self._details, []
        return details

    def _join(self, detail: dict[str, Any], fragment: Mapping[str, Any]) -> None:
        for key, value in fragment.items():
            if value is None:
                continue
            if key in _TEXTS and isinstance(value, str) and isinstance(old := detail.get(key), str):
                self._texts.setdefault(key, [old]).append(value)
            else:
                self._texts.pop(key, None)
                detail[key] = value

    def _settle(self) -> None:
        """Give the last detail its whole texts."""
        for key, fragments in self._texts.items():
            self._details[-1][key] = "".join(fragments)
        self._texts.clear()


def _continues(last: Mapping[str, Any], fragment: Mapping[str, Any]) -> bool:
    # Encrypted details come whole.
    if fragment.get("type") == "reasoning.encrypted":
        return False
    return all(last.get(key) == fragment.get(key) or fragment.get(key) is None for key in _SAME)
