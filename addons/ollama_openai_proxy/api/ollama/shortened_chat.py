"""A chat whose conversation is shortened where it is longer than the model's context."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ...errors import BackendError
from ...net.request_context import current_record
from ...translate.truncation import overflow, shorten, told_size

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from ...backend.client import Backend, ChunkStream
    from ...backend.sse import Chunk
    from ...translate.model_descriptions import Model
    from ...translate.truncation import ContextSizes

MOST_ATTEMPTS = 4
"""How often a call is made. A refusal that tells the numbers of tokens makes the second one fit."""

_REFUSED = frozenset({400, 413, 422, 500})

logger = logging.getLogger(__name__)


class ShortenedChat:
    """A stream of chunks, as `Backend.chat` gives it.

    The conversation is shortened beforehand where the size of the context is known, else after the refusal.

    Args:
        backend: the server.
        parameters: of the chat completion.
        model: the model.
        sizes: what is known of the models' contexts.

    Attributes:
        complete: whether the server marked the end of the stream.
    """

    def __init__(self, backend: Backend, parameters: dict[str, Any], model: Model, sizes: ContextSizes) -> None:
        self._backend = backend
        self._parameters = parameters
        self._where = (model.backend, model.target)
        self._known_length = model.known_context_length
        self._sizes = sizes
        self._stream: ChunkStream | None = None

    @property
    def complete(self) -> bool:  # noqa: D102
        return self._stream is not None and self._stream.complete

    async def batches(self) -> AsyncGenerator[list[Chunk], None]:
        """Make the call, as often as needed, and yield the chunks of the answer.

        Raises:
            BackendError: the server cannot be reached, refuses, or breaks off.
        """
        batches, first = await self._open()
        async with aclosing(batches):
            if first is not None:
                yield first
            async for chunks in batches:
                yield chunks

    async def _open(self) -> tuple[AsyncGenerator[list[Chunk], None], list[Chunk] | None]:
        """Make the call; the result is the chunks of an answer that has begun, and the first of them."""
        parameters = self._parameters
        size = self._sizes.find(*self._where, self._known_length)
        if size is not None and (shorter := shorten(parameters, size)):
            parameters = self._noted(parameters, shorter)
        for _ in range(MOST_ATTEMPTS - 1):
            self._stream = self._backend.chat(parameters)
            batches = self._stream.batches()
            try:
                return batches, await anext(batches, None)
            except BackendError as error:
                refused = overflow(error.message) if error.status in _REFUSED else None
                if refused is None:
                    raise
                told = told_size(parameters, refused)
                if (shorter := shorten(parameters, told)) is None:
                    raise
            if refused.limit:
                self._sizes.learn(*self._where, told)
            current_record().retries += 1
            parameters = self._noted(parameters, shorter)
        self._stream = self._backend.chat(parameters)
        return self._stream.batches(), None

    def _noted(self, parameters: Mapping[str, Any], shorter: dict[str, Any]) -> dict[str, Any]:
        """Tell whoever watches the call that it was shortened."""
        count, kept = len(parameters["messages"]), len(shorter["messages"])
        text = f"the conversation is longer than the model's context: {count - kept} of {count} messages are left out"
        logger.info("model %s: %s", self._where[1], text)
        if (watcher := current_record().watcher) is not None:
            watcher.note(text)
        return shorter
