"""Tells a back end that has no such call from one that has it and refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic_core import from_json

from ...net.body import read_whole
from ...translate.error_text import error_text

if TYPE_CHECKING:
    from ...net.messages import Reply

NO_ROUTE = frozenset({404, 405, 501})


async def whole(reply: Reply) -> Reply:
    """The reply with its body in one piece, where it may have to be looked into.

    Raises:
        BackendError: the back end broke off.
    """
    if reply.status not in NO_ROUTE or isinstance(reply.body, bytes):
        return reply
    return replace(reply, body=await read_whole(reply.body), length=None)


def names_no_route(reply: Reply) -> bool:
    """Whether a whole reply says that there is no such call; a 404 may also be about the model."""
    if reply.status not in NO_ROUTE:
        return False
    return reply.status != 404 or not (isinstance(reply.body, bytes) and _is_about_model(reply.body))


def _is_about_model(body: bytes) -> bool:
    try:
        told = from_json(body)
    except ValueError:
        return False
    error = told.get("error") if isinstance(told, dict) else None
    if isinstance(error, dict) and error.get("code") == "model_not_found":
        return True
    return "model" in error_text(told).lower()
