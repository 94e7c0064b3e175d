"""OpenAI's responses and Anthropic's messages from chat completions."""

from __future__ import annotations

import secrets
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

from ...backend.answer_stream import read_answer
from ...errors import ApiError, ModelNotFound
from ...net.messages import Reply
from ...net.request_context import current_record
from ...schemas.anthropic import parse_messages_request
from ...schemas.ollama.frames import encode_json
from ...schemas.openai_responses import parse_responses_request
from ...translate.answer_reader import AnswerReader
from ...translate.anthropic import request as anthropic_request
from ...translate.anthropic.event_writer import MessageWriter
from ...translate.openai_responses import request as responses_request
from ...translate.openai_responses.event_writer import ResponseWriter
from ..error_shapes import error_event
from ..paths import COUNT_TOKENS, OPENAI_RESPONSES
from ..stream_errors import SSE_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from typing import Any

    from ...backend.client import Backend
    from ...net.messages import Request
    from ...schemas.ollama.frames import Delta
    from ...schemas.usage import Usage
    from ...translate.model_descriptions import Model

JSON_TYPE = "application/json"
STREAM_HEADERS = {"Content-Type": SSE_TYPE, "Cache-Control": "no-cache"}

type Event = dict[str, Any]


class Writer(Protocol):
    """Writes the answer of one call in its API's form."""

    def begin(self) -> list[Event]:
        """The events before the answer."""

    def delta(self, delta: Delta) -> list[Event]:
        """What a piece of the answer adds."""

    def end(self, *, finish_reason: str, usage: Usage) -> list[Event]:
        """The events after the last piece."""

    def broken_off(self, error: ApiError) -> bytes:
        """What ends a stream that breaks off."""

    def whole(self) -> dict[str, Any]:
        """The answer as one object."""


async def translate(request: Request, content: bytes, model: Model | None, backend: Backend) -> Reply:
    """Answer a call that the back end does not have; `model` is None where the request names none.

    Raises:
        ApiError: the request cannot be translated, or the back end refuses.
    """
    if request.path == OPENAI_RESPONSES:
        return await _respond(content, model, backend)
    asked = parse_messages_request(content, counting=request.path == COUNT_TOKENS)
    model = _named(model)
    tokens = anthropic_request.count_tokens(asked)
    if request.path == COUNT_TOKENS:
        return Reply(200, {"Content-Type": JSON_TYPE}, encode_json({"input_tokens": tokens}))
    parameters = anthropic_request.chat_parameters(asked, model, backend.profile)
    message = _Message(MessageWriter(asked, message_id=f"msg_{secrets.token_hex(12)}", input_tokens=tokens))
    reader = AnswerReader(drop_thinking=anthropic_request.wanted_thinking(asked) is False)
    answer = _Answer(read_answer(backend.chat(parameters), reader), reader, message, tokens)
    return await (answer.streamed() if asked.stream else answer.whole())


async def _respond(content: bytes, model: Model | None, backend: Backend) -> Reply:
    asked = parse_responses_request(content)
    model = _named(model)
    parameters = responses_request.chat_parameters(asked, model, backend.profile)
    writer = ResponseWriter(asked, response_id=f"resp_{secrets.token_hex(24)}", created_at=int(time.time()))
    reader = AnswerReader(drop_thinking=asked.reasoning.effort == "none")
    estimate = max(len(content) // anthropic_request.CHARACTERS_PER_TOKEN, 1)
    answer = _Answer(read_answer(backend.chat(parameters), reader), reader, _Response(writer), estimate)
    return await (answer.streamed() if asked.stream else answer.whole())


def _named(model: Model | None) -> Model:
    # What else is wrong with a request is told first.
    if model is None:
        raise ModelNotFound("model '' not found")
    return model


class _Response:
    def __init__(self, writer: ResponseWriter) -> None:
        self._writer = writer
        self.begin = writer.begin
        self.delta = writer.delta
        self.whole = writer.response

    def end(self, *, finish_reason: str, usage: Usage) -> list[Event]:
        return self._writer.end(finish_reason=finish_reason, usage=usage, completed_at=int(time.time()))

    def broken_off(self, error: ApiError) -> bytes:
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        # The SDK hands on `response.failed` like any other event, and raises only the error behind it.
        return _sse(self._writer.failed(error.message, code)) + error_event("openai", error.status, error.message)


class _Message:
    def __init__(self, writer: MessageWriter) -> None:
        self.begin = writer.begin
        self.delta = writer.delta
        self.end = writer.end
        self.whole = writer.message

    def broken_off(self, error: ApiError) -> bytes:
        return error_event("anthropic", error.status, error.message)


class _Answer:
    """One answer in the making; `estimate` is of the tokens in the prompt."""

    def __init__(self, batches: AsyncGenerator[list[Delta], None], reader: AnswerReader, writer: Writer, estimate: int) -> None:
        self._batches = batches
        self._reader = reader
        self._writer = writer
        self._estimate = estimate

    async def whole(self) -> Reply:
        self._writer.begin()
        async with aclosing(self._batches) as batches:
            async for deltas in batches:
                for delta in deltas:
                    self._writer.delta(delta)
        self._end()
        return Reply(200, {"Content-Type": JSON_TYPE}, encode_json(self._writer.whole()) + b"\n")

    async def streamed(self) -> Reply:
        """Returns once the back end has begun, so that a refusal can be told with its status."""
        first: list[Delta] = await anext(self._batches, [])
        return Reply(200, STREAM_HEADERS, self._write(first))

    async def _write(self, first: list[Delta]) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._batches) as batches:
            try:
                yield _sse([*self._writer.begin(), *self._events(first)])
                async for deltas in batches:
                    if deltas:
                        yield _sse(self._events(deltas))
                yield _sse(self._end())
            except ApiError as error:
                current_record().error = error.kind
                yield self._writer.broken_off(error)

    def _events(self, deltas: Iterable[Delta]) -> list[Event]:
        return [event for delta in deltas for event in self._writer.delta(delta)]

    def _end(self) -> list[Event]:
        usage = self._reader.usage(self._estimate)
        record = current_record()
        record.prompt_tokens, record.completion_tokens = usage.input_tokens, usage.output_tokens
        return self._writer.end(finish_reason=self._reader.finish_reason, usage=usage)


def _sse(events: Iterable[Event]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), encode_json(event)) for event in events)
