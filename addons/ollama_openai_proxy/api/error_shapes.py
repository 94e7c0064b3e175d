"""How each of the three APIs tells an error: with a status, and in the middle of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..schemas.ollama.frames import JSON_TYPE, encode_json, error_body
from ..translate.anthropic.event_writer import error_object

if TYPE_CHECKING:
    from .paths import Surface

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error_reply(surface: Surface, status: int, message: str, request_id: str) -> tuple[str, bytes]:
    """Content type and body of an error."""
    match surface:
        case "openai":
            return "application/json", encode_json(_openai_error(status, message)) + b"\n"
        case "anthropic":
            return JSON_TYPE, encode_json(error_object(status, message, request_id))
        case _:
            return JSON_TYPE, error_body(message)


def error_event(surface: Surface, status: int, message: str) -> bytes:
    """The last event of a stream of server-sent events that breaks off."""
    if surface == "anthropic":
        return b"event: error\ndata: " + encode_json(error_object(status, message)) + b"\n\n"
    # The OpenAI SDKs raise an error for any event that has this key.
    return b"data: " + encode_json(_openai_error(status, message)) + b"\n\n"


def _openai_error(status: int, message: str) -> dict[str, Any]:
    kind = _OPENAI_TYPES.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
