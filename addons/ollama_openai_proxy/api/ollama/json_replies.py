"""Replies that several endpoints make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...net.body import KnownParts
from ...net.http_messages import Reply
from ...schemas.ollama.json_encoding import JSON_TYPE, NDJSON_TYPE, encode_json

if TYPE_CHECKING:
    from collections.abc import Sequence


def json_reply(value: Any, status: int = 200) -> Reply:
    """One JSON value."""
    return Reply(status, {"Content-Type": JSON_TYPE}, encode_json(value))


def progress_reply(frames: Sequence[dict[str, Any]], *, stream: bool) -> Reply:
    """What pull, push and create answer: frames of progress or, where the client wants no stream, the last of them."""
    if stream:
        return Reply(200, {"Content-Type": NDJSON_TYPE}, KnownParts(encode_json(frame) + b"\n" for frame in frames))
    status = 500 if "error" in frames[-1] else 200
    return Reply(status, {"Content-Type": "application/json"}, encode_json(frames[-1]))
