"""How each of the three APIs tells an error: with a status, and in the middle of a stream."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

from ..errors import ApiError
from ..net.http_messages import MALFORMED
from ..schemas.ollama.json_encoding import JSON_TYPE, encode_json, error_body
from ..translate.writers.error_objects import anthropic_error, openai_error
from .path_table import surface_of

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from .path_table import Surface


def error_reply(surface: Surface, error: ApiError, request_id: str) -> tuple[str, bytes]:
    """Content type and body of an error."""
    match surface:
        case "openai":
            return "application/json", encode_json(openai_error(error)) + b"\n"
        case "anthropic":
            return JSON_TYPE, encode_json(anthropic_error(error, request_id))
        case _:
            return JSON_TYPE, error_body(error.message)


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
    content_type, body = error_reply(surface_of(path.partition("?")[0]), ApiError(status, message), request_id)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-Id: {request_id}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def error_event(surface: Surface, error: ApiError) -> bytes:
    """The last event of a stream of server-sent events that breaks off."""
    if surface == "anthropic":
        return b"event: error\ndata: " + encode_json(anthropic_error(error)) + b"\n\n"
    # The OpenAI SDKs raise an error for any event that has this key.
    return b"data: " + encode_json(openai_error(error)) + b"\n\n"
