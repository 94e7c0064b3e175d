"""Tells a back end that has no such call from one that has it and refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...net.body import MOST_ERROR, read_whole
from ...translate.adaptation.finding import STATUSES
from ...translate.not_found import MISSING, names_missing_route

if TYPE_CHECKING:
    from ...net.http_messages import Reply


async def whole(reply: Reply) -> Reply:
    """The reply with its body in one piece, where it may have to be looked into.

    Raises:
        BackendError: the back end broke off.
    """
    return await _in_one_piece(reply) if reply.status in MISSING else reply


def names_no_route(reply: Reply) -> bool:
    """Whether a whole reply says that there is no such call; a 404 may also be about a model, a response or a file."""
    if reply.status not in MISSING:
        return False
    return reply.status != 404 or not isinstance(reply.body, bytes) or names_missing_route(reply.body)


async def whole_refusal(reply: Reply) -> Reply:
    """The reply with its body in one piece where it is a refusal of the call.

    Raises:
        BackendError: the back end broke off.
    """
    return await _in_one_piece(reply) if reply.status in STATUSES or 400 <= reply.status < 500 else reply


async def _in_one_piece(reply: Reply) -> Reply:
    if isinstance(reply.body, bytes):
        return reply
    return replace(reply, body=await read_whole(reply.body, MOST_ERROR), length=None)
