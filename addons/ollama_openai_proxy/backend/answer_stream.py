"""Reads a back end's stream to its proper end."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from ..errors import BackendError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ..schemas.ollama.frames import Delta
    from ..translate.answer_reader import AnswerReader
    from .sse import Chunk


class Chunks(Protocol):
    """A stream of chunks; what it says of itself is in `ChunkStream`."""

    @property
    def complete(self) -> bool:
        """Whether the server marked the end of the stream."""

    def batches(self) -> AsyncGenerator[list[Chunk], None]:
        """The chunks, those of one network read together."""


async def read_answer(stream: Chunks, reader: AnswerReader) -> AsyncGenerator[list[Delta], None]:
    """The pieces of an answer, those of one network read in one list, which may be empty.

    It ends only with an answer that is complete. Closing the generator, or cancelling what awaits it, frees the back end.

    Raises:
        BackendError: the back end refused, failed, or broke off.
    """
    feed = reader.feed
    async with aclosing(stream.batches()) as batches:
        async for chunks in batches:
            deltas: list[Delta] = []
            try:
                for chunk in chunks:
                    if delta := feed(chunk):
                        deltas.append(delta)  # noqa: PERF401  # kept when the next one raises
            except BackendError:
                # What came before the error is part of the answer.
                if deltas:
                    yield deltas
                raise
            yield deltas
    if not (stream.complete or reader.ended):
        raise BackendError(502, "the back end broke off its answer")
    if delta := reader.finish():
        yield [delta]
