"""A flow at a glance: its comment and its marker in the list of flows.

The comment can be searched: `~comment llama3`, `~comment error:`, `~comment fix`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .formatting import clipped, number, span, text_of
from .response_counters import per_second

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILED = ":red_circle:"
"""The marker of an error."""
MENDED = ":wrench:"
"""The marker of a request that came as a GET and was put right."""
MARKERS = frozenset({FAILED, MENDED})
"""The markers that the proxy sets itself. mitmproxy's `m` sets another one."""
_MANGLED = ("GET", "HEAD")
_MOST_OF_A_NAME = 80


def comment_of(info: Mapping[str, Any]) -> str:
    """Model, error, tokens, speed, time and mode in one line; empty for a call that concerns no model and went well.

    Args:
        info: what `flow.metadata["ollama"]` holds.
    """
    model, error = text_of(info.get("model")), text_of(info.get("error"))
    if not (model or error):
        return ""
    # mitmweb's column shows about twenty characters: first what tells one call from the next.
    said = [clipped(model, _MOST_OF_A_NAME)]
    if error:
        said.append(f"error: {clipped(error)}")
    prompt, completion = number(info.get("prompt_tokens")), number(info.get("completion_tokens"))
    if prompt is not None or completion is not None:
        said.append(f"{_count(prompt)}→{_count(completion)} tokens")
    if (rate := speed(info)) is not None:
        said.append(f"{rate:,.1f} tok/s")
    if (first := number(info.get("first_part"))) is not None:
        said.append(f"first part {span(first)}")
    said.append(text_of(info.get("mode")))
    if _is_mended(info):
        said.append(f"came as {info['arrived_as']}")
    return " · ".join(filter(None, said))


def marker_of(info: Mapping[str, Any]) -> str:
    """The marker, as mitmproxy names emoji; empty for a flow of which there is nothing to say.

    Args:
        info: what `flow.metadata["ollama"]` holds.
    """
    if info.get("error"):
        return FAILED
    return MENDED if _is_mended(info) else ""


def speed(info: Mapping[str, Any]) -> float | None:
    """Return the tokens of the answer per second; None if unknown.

    The time, as the proxy measured it, runs from the first part of a stream (of a whole answer, from the request) to the end.
    """
    duration, first = number(info.get("duration")), number(info.get("first_part"))
    if duration is None or duration <= (first or 0):
        return None
    return per_second(number(info.get("completion_tokens")), duration - (first or 0))


def _is_mended(info: Mapping[str, Any]) -> bool:
    # No call that names a model is a GET.
    return bool(info.get("model")) and info.get("arrived_as") in _MANGLED


def _count(tokens: float | None) -> str:
    return "?" if tokens is None else f"{tokens:,.0f}"
