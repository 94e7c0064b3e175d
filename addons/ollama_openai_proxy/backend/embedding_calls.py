"""Embeds any number of texts in as many calls as a server needs for them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..translate.adaptation.embedding_changes import LimitInputs
from ..translate.ollama.embeddings import batches, prompt_tokens, sendable, vectors
from .sdk_errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..translate.ollama.embeddings import Vector
    from .client import Backend

MOST_INPUTS = 256
"""Texts of one call, where the server is not known to take fewer. To read an answer with more would hold up other streams."""
AT_ONCE = 4
"""Calls that run at the same time for one request."""


class Embedded(NamedTuple):
    """The vectors of texts, in order.

    Attributes:
        vectors: one for each text.
        prompt_tokens: as the back end counted them; 0 where it did not.
    """

    vectors: Sequence[Vector]
    prompt_tokens: int


class EmbeddingCalls:
    """Makes the calls for one request.

    Args:
        backend: the server.
        parameters: of each call, without its `input`.
        truncate: whether a text that is too long may be cut.
    """

    def __init__(self, backend: Backend, parameters: Mapping[str, Any], *, truncate: bool = True) -> None:
        self._backend = backend
        self._parameters = {"encoding_format": "base64", **parameters}
        self._truncate = truncate
        self._places = asyncio.Semaphore(AT_ONCE)

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts in order, a few calls at a time.

        Raises:
            ContextTooLong: a text is longer than the model's context, and may not be cut.
            BackendError: the server cannot be reached or refuses.
        """
        ready = sendable(texts)
        # The first call alone: what it learns of the server's limits holds for the others.
        first = await self._first(ready)
        results = [first]
        if rest := ready[len(first.vectors) :]:
            async with _cancelling() as tasks:
                tasks += [asyncio.create_task(self._call(piece)) for piece in self._split(rest)]
                results += await asyncio.gather(*tasks)
        return _joined(results)

    async def _first(self, texts: Sequence[str]) -> Embedded:
        """Embed as many of the first texts as the server takes in one call: fewer after each refusal."""
        while True:
            piece = self._split(texts)[0]
            try:
                return await self._embed(piece)
            except Refusal:
                if len(self._split(piece)) == 1:
                    raise

    async def _call(self, texts: Sequence[str]) -> Embedded:
        async with self._places:
            # Another call may have taught a lower limit while this one waited.
            pieces = self._split(texts)
            if len(pieces) == 1:
                try:
                    return await self._embed(texts)
                except Refusal:
                    pieces = self._split(texts)
                    if len(pieces) == 1:
                        raise
        return _joined([await self._call(piece) for piece in pieces])

    async def _embed(self, texts: Sequence[str]) -> Embedded:
        reply = await self._backend.embed({**self._parameters, "input": list(texts)}, truncate=self._truncate)
        return Embedded(vectors(reply, len(texts)), prompt_tokens(reply))

    def _split(self, texts: Sequence[str]) -> list[Sequence[str]]:
        inputs, tokens = min(self._backend.profile.most_inputs or MOST_INPUTS, MOST_INPUTS), None
        for change in self._backend.learned.of(self._parameters["model"], "embedding").changes:
            if isinstance(change, LimitInputs):
                inputs, tokens = min(inputs, change.inputs or inputs), change.tokens
        return batches(texts, inputs, tokens)


@asynccontextmanager
async def _cancelling() -> Any:
    """A list of tasks, of which none outlives the block."""
    tasks: list[asyncio.Task[Embedded]] = []
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _joined(results: Sequence[Embedded]) -> Embedded:
    return Embedded(
        [vector for result in results for vector in result.vectors], sum(result.prompt_tokens for result in results)
    )
