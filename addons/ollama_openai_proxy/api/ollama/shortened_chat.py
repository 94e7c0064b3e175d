"""Shortens the conversation of a chat that is longer than the model's context."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ...backend.sdk_errors import ContextTooLong
from ...net.request_context import current_record
from ...translate.truncation import shorten, told_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...translate.ollama_descriptions import Model
    from ...translate.truncation import ContextSizes
    from ..completion import Ask

MOST_ATTEMPTS = 4
"""How often a call is made. A refusal that tells the numbers of tokens makes the second one fit."""

logger = logging.getLogger(__name__)


class ShortenedChat:
    """Makes a call with a shorter conversation: beforehand where the size of the context is known, else after a refusal.

    Args:
        model: the model.
        sizes: what is known of the models' contexts.
    """

    def __init__(self, model: Model, sizes: ContextSizes) -> None:
        self._where = (model.backend, model.target)
        self._known_length = model.known_context_length
        self._sizes = sizes

    async def attempts(self, parameters: dict[str, Any], ask: Ask) -> None:
        """Make the call, as often as needed.

        Args:
            parameters: of the chat completion.
            ask: makes the call once.

        Raises:
            BackendError: the server cannot be reached, refuses, or breaks off before its answer has begun.
        """
        size = self._sizes.find(*self._where, self._known_length)
        if size is not None and (shorter := shorten(parameters, size)):
            parameters = self._noted(parameters, shorter)
        for _ in range(MOST_ATTEMPTS - 1):
            try:
                await ask(parameters)
            except ContextTooLong as error:
                told = told_size(parameters, error.limit, error.prompt_tokens)
                is_known = bool(error.limit) and not error.quoted
                if (shorter := shorten(parameters, told)) is None:
                    raise
            else:
                return
            if is_known:
                self._sizes.learn(*self._where, told)
            current_record().retries += 1
            parameters = self._noted(parameters, shorter)
        await ask(parameters)

    def _noted(self, parameters: Mapping[str, Any], shorter: dict[str, Any]) -> dict[str, Any]:
        """Tell whoever watches the call that it was shortened."""
        count, kept = len(parameters["messages"]), len(shorter["messages"])
        text = f"the conversation is longer than the model's context: {count - kept} of {count} messages are left out"
        logger.info("model %s: %s", self._where[1], text)
        if (watcher := current_record().watcher) is not None:
            watcher.note(text)
        return shorter
