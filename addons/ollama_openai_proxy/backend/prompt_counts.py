"""Has a back end count the tokens of a prompt, where its kind of server has a tokenizer to ask."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..api.path_table import root_url
from ..errors import BackendError
from ..translate.not_found import MISSING
from ..translate.tokenizer_calls import TOKENIZE, count_calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .client import Backend

PATIENCE = 5.0
"""Seconds that a server may take for each call: a client asks for the count before its real call."""

logger = logging.getLogger(__name__)


async def count_prompt(backend: Backend, parameters: Mapping[str, Any]) -> int | None:
    """The tokens of a chat completion's prompt; None if the server cannot be asked, or does not say.

    Args:
        backend: the server.
        parameters: of the chat completion.
    """
    counting = count_calls(backend.profile.name, parameters)
    if counting is None or TOKENIZE in backend.missing:
        return None
    root = root_url(backend.base_url)
    try:
        call = next(counting)
        while True:
            call = counting.send(await backend.post_json(root + call.path, call.body, PATIENCE))
    except StopIteration as end:
        count: int | None = end.value
        return count
    except BackendError as error:
        if error.status in MISSING:
            backend.missing.add(TOKENIZE)
        logger.info("back end %s does not count tokens (%s): they are estimated", backend.name, error.kind)
        return None
