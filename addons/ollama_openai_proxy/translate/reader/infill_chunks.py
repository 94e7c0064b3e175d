"""Reads the chunks of llama.cpp's `/infill`, which have a form of their own.

Source: github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def infill_choice(chunk: Mapping[str, Any]) -> dict[str, Any] | None:
    """The choice that OpenAI's `/v1/completions` would have in place of the chunk; None if the chunk is none of `/infill`.

    The last chunk has `stop: true` and says in `stop_type` what ended the text; older releases have `stopped_limit`.
    """
    text = chunk.get("content")
    if not isinstance(text, str) or not isinstance(chunk.get("stop"), bool):
        return None
    choice: dict[str, Any] = {"index": 0, "text": text}
    if chunk["stop"]:
        cut = chunk.get("stop_type") == "limit" or chunk.get("stopped_limit") is True
        choice["finish_reason"] = "length" if cut else "stop"
    return choice
