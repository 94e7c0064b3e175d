"""Turns a back end's stream into the reply of a chat or generate call, streamed or whole."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from ..errors import ApiError, BackendError
from ..exchange import Reply
from ..translate.answers import join_deltas
from ..wire.frames import JSON_TYPE, NDJSON_TYPE, Counters, error_body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ..backend.client import ChunkStream
    from ..translate.answers import AnswerReader
    from ..wire.frames import Delta, Frames


class Answer:
    """One answer in the making.

    Args:
        stream: the back end's side.
        reader: makes pieces of its chunks.
        frames: writes the pieces.
        prompt_estimate: tokens of the prompt, for a back end that does not count them.
    """

    def __init__(self, stream: ChunkStream, reader: AnswerReader, frames: Frames, prompt_estimate: int) -> None:
        self._stream = stream
        self._reader = reader
        self._frames = frames
        self._prompt_estimate = prompt_estimate
        self._started = self._opened = self._first = time.perf_counter_ns()

    async def whole(self) -> Reply:
        """The answer as one object. Cancelling frees the back end.

        Raises:
            ApiError: the back end refused or failed.
        """
        pieces: list[Delta] = []
        async with aclosing(self._deltas()) as batches:
            async for deltas in batches:
                pieces += deltas
        return Reply(200, {"Content-Type": JSON_TYPE}, self._frames.whole(join_deltas(pieces), self._counters()))

    async def streamed(self) -> Reply:
        """The answer as frames. Returns once the first of them is there.

        Raises:
            ApiError: the back end refused or failed before the first frame, so that the client can be told with a status.
        """
        batches = self._deltas()
        first = await anext(batches, None)
        return Reply(200, {"Content-Type": NDJSON_TYPE}, self._write(first or [], batches))

    async def _write(self, first: list[Delta], batches: AsyncGenerator[list[Delta], None]) -> AsyncGenerator[bytes, None]:
        write = self._frames.delta
        async with aclosing(batches):
            try:
                if first:
                    yield b"".join(map(write, first))
                async for deltas in batches:
                    yield b"".join(map(write, deltas))
                yield self._frames.final(self._counters())
            except ApiError as error:
                yield error_body(error.message) + b"\n"

    async def _deltas(self) -> AsyncGenerator[list[Delta], None]:
        """The pieces of the answer, those that came together in one list; ends only with an answer that is complete."""
        feed = self._reader.feed
        begun = False
        async with aclosing(self._stream.batches()) as batches:
            async for chunks in batches:
                deltas = [delta for chunk in chunks if (delta := feed(chunk))]
                if not begun:
                    self._first = time.perf_counter_ns()
                    if deltas:
                        begun = True
                    elif self._opened == self._started:
                        self._opened = self._first
                if deltas:
                    yield deltas
        if not (self._stream.complete or self._reader.ended):
            raise BackendError(502, "the back end broke off its answer")
        if delta := self._reader.finish():
            yield [delta]

    def _counters(self) -> Counters:
        ended = time.perf_counter_ns()
        return Counters(
            done_reason=self._reader.done_reason,
            total_duration=max(ended - self._started, 1),
            load_duration=max(self._opened - self._started, 1),
            prompt_eval_count=self._reader.prompt_tokens(self._prompt_estimate),
            prompt_eval_duration=max(self._first - self._opened, 1),
            eval_count=self._reader.completion_tokens,
            eval_duration=max(ended - self._first, 1),
        )
