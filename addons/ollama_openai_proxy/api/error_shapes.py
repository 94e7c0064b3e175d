"""The three APIs on one port, and how each of them tells an error: with a status, and in the middle of a stream."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Literal
from uuid import uuid4

from ..schemas.ollama.frames import JSON_TYPE, encode_json, error_body
from ..translate.anthropic.event_writer import error_object

MALFORMED = "malformed HTTP request"

logger = logging.getLogger(__name__)

type Surface = Literal["ollama", "openai", "anthropic"]

_OPENAI_PATH = "/v1/"
_ANTHROPIC_PATH = "/v1/messages"
_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def surface_of(path: str) -> Surface:
    """The API that a path belongs to."""
    if path == _ANTHROPIC_PATH or path.startswith(_ANTHROPIC_PATH + "/"):
        return "anthropic"
    return "openai" if path.startswith(_OPENAI_PATH) else "ollama"


def error_reply(surface: Surface, status: int, message: str, request_id: str) -> tuple[str, bytes]:
    """Content type and body of an error."""
    match surface:
        case "openai":
            return "application/json", encode_json(_openai_error(status, message)) + b"\n"
        case "anthropic":
            return JSON_TYPE, encode_json(error_object(status, message, request_id))
        case _:
            return JSON_TYPE, error_body(message)


def error_response(status: int, message: str = "", path: str = "", *, log: bool = True) -> bytes:
    """The whole HTTP/1.1 response to a client whose request is not answered, after which its connection is closed.

    Args:
        status: HTTP status code.
        message: for the client.
        path: what was asked for, if that is known: the error has the shape of that API.
        log: whether to log that the client was sent away.
    """
    message = message or MALFORMED
    request_id = uuid4().hex
    if log:
        logger.info("a client was sent away with status %d: %s request_id=%s", status, message, request_id)
    content_type, body = error_reply(surface_of(path.partition("?")[0]), status, message, request_id)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-Id: {request_id}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def error_event(surface: Surface, status: int, message: str) -> bytes:
    """The last event of a stream of server-sent events that breaks off."""
    if surface == "anthropic":
        return b"event: error\ndata: " + encode_json(error_object(status, message)) + b"\n\n"
    # The OpenAI SDKs raise an error for any event that has this key.
    return b"data: " + encode_json(_openai_error(status, message)) + b"\n\n"


def _openai_error(status: int, message: str) -> dict[str, Any]:
    kind = _OPENAI_TYPES.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
