"""Turns a back end's stream into the reply of a chat or generate call, streamed or whole."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from ...backend.answer_stream import read_answer
from ...errors import ApiError
from ...net.messages import Reply
from ...net.request_context import current_record
from ...schemas.ollama.frames import JSON_TYPE, NDJSON_TYPE, Counters, error_body
from ...translate.answer_reader import join_deltas

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ...backend.answer_stream import Chunks
    from ...schemas.ollama.frames import Delta, Frames
    from ...translate.answer_reader import AnswerReader


class Answer:
    """One answer in the making.

    Args:
        stream: the back end's side.
        reader: makes pieces of its chunks.
        frames: writes the pieces.
        prompt_estimate: tokens of the prompt, for a back end that does not count them.
    """

    def __init__(self, stream: Chunks, reader: AnswerReader, frames: Frames, prompt_estimate: int) -> None:
        self._stream = stream
        self._reader = reader
        self._frames = frames
        self._prompt_estimate = prompt_estimate
        self._started = self._opened = self._first = time.perf_counter_ns()
        self._begun = False

    async def whole(self) -> Reply:
        """The answer as one object. Cancelling frees the back end.

        Raises:
            ApiError: the back end refused or failed.
        """
        pieces: list[Delta] = []
        async with aclosing(read_answer(self._stream, self._reader)) as batches:
            async for deltas in batches:
                self._note(deltas)
                pieces += deltas
        return Reply(200, {"Content-Type": JSON_TYPE}, self._frames.whole(join_deltas(pieces), self._counters()))

    async def streamed(self) -> Reply:
        """The answer as frames. Returns once the first of them is there.

        Raises:
            ApiError: the back end refused or failed before the first frame, so that the client can be told with a status.
        """
        batches = read_answer(self._stream, self._reader)
        async for first in batches:
            self._note(first)
            if first:
                return Reply(200, {"Content-Type": NDJSON_TYPE}, self._write(first, batches))
        return Reply(200, {"Content-Type": NDJSON_TYPE}, self._write([], batches))

    async def _write(self, first: list[Delta], batches: AsyncGenerator[list[Delta], None]) -> AsyncGenerator[bytes, None]:
        write = self._frames.delta
        async with aclosing(batches):
            try:
                if first:
                    yield b"".join(map(write, first))
                async for deltas in batches:
                    if deltas:
                        yield b"".join(map(write, deltas))
                yield self._frames.final(self._counters())
            except ApiError as error:
                current_record().error = error.kind
                yield error_body(error.message) + b"\n"

    def _note(self, deltas: list[Delta]) -> None:
        """Take the time of what came before the first piece, and of the first piece itself."""
        if not self._begun:
            self._first = time.perf_counter_ns()
            if deltas:
                self._begun = True
            elif self._opened == self._started:
                self._opened = self._first

    def _counters(self) -> Counters:
        ended = time.perf_counter_ns()
        usage = self._reader.usage(self._prompt_estimate)
        record = current_record()
        record.prompt_tokens, record.completion_tokens = usage.input_tokens, usage.output_tokens
        return Counters(
            done_reason=self._reader.done_reason,
            total_duration=max(ended - self._started, 1),
            load_duration=max(self._opened - self._started, 1),
            prompt_eval_count=usage.input_tokens,
            prompt_eval_duration=max(self._first - self._opened, 1),
            eval_count=usage.output_tokens,
            eval_duration=max(ended - self._first, 1),
        )
