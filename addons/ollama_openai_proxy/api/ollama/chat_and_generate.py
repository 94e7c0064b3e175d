"""`/api/chat` and `/api/generate`."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest
from ...models.lookup import require_capabilities
from ...net.messages import Reply
from ...net.request_context import current_record
from ...schemas.go_json_decoding import decode
from ...schemas.ollama.frames import JSON_TYPE, ChatFrames, GenerateFrames
from ...schemas.ollama.requests import ChatRequest, GenerateRequest
from ...translate.answer_reader import AnswerReader
from ...translate.ollama.generate_context import write_context
from ...translate.ollama.request import (
    chat_parameters,
    check_raw,
    completion_parameters,
    generate_messages,
    generate_parameters,
    tool_names,
)
from ...translate.renamed_calls import RenamingReader
from ...translate.truncation import ContextSizes
from ..keep_alive import with_heartbeat
from .ndjson_stream import Answer
from .shortened_chat import ShortenedChat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ...backend.answer_stream import Chunks
    from ...models.catalogue import Catalogue
    from ...models.lookup import Models
    from ...net.messages import Request
    from ...schemas.ollama.frames import Frames
    from ...translate.model_descriptions import Model
    from .loaded_models import Residents

MOST_TOP_LOGPROBS = 20
CHARACTERS_PER_TOKEN = 4


class Generation:
    """The endpoints that make text."""

    def __init__(self, models: Models, catalogue: Catalogue, residents: Residents, heartbeat: float) -> None:
        self._models = models
        self._catalogue = catalogue
        self._residents = residents
        self._heartbeat = heartbeat
        self._context_sizes = ContextSizes(time.monotonic)

    async def chat(self, request: Request) -> Reply:
        """Answer a conversation, or load or unload a model where there is none."""
        asked = decode(ChatRequest, request.body)
        _check_top_logprobs(asked)
        model = await self._models.require(asked.model)
        wanted = ["completion", *(["tools"] if asked.tools else []), *(["thinking"] if asked.think else [])]
        if asked.messages or asked.keep_alive != 0:
            require_capabilities(model, asked.model, wanted)
        frames = ChatFrames(asked.model)
        if not asked.messages:
            return self._idle(model, frames, asked.keep_alive)
        backend = self._catalogue.backend_of(model)
        stream = self._stream(asked, model, chat_parameters(asked, model, backend.profile))
        reader = RenamingReader(original_tool_name=tool_names(asked).original, drop_thinking=asked.think is False)
        texts = (message.content for message in asked.messages)
        return await self._answer(asked, model, Answer(stream, reader, frames, estimate_tokens(texts)), frames)

    async def generate(self, request: Request) -> Reply:
        """Answer a prompt, or load or unload a model where it is empty."""
        asked = decode(GenerateRequest, request.body)
        _check_top_logprobs(asked)
        model = await self._models.require(asked.model, nameless="")
        check_raw(asked)
        wanted = ["completion", *(["insert"] if asked.suffix else []), *(["thinking"] if asked.think else [])]
        if asked.prompt or asked.keep_alive != 0:
            require_capabilities(model, asked.model, wanted, "generate")
        if not asked.prompt:
            return self._idle(model, GenerateFrames(asked.model, None), asked.keep_alive)
        backend = self._catalogue.backend_of(model)
        profile = backend.profile
        if asked.raw or asked.suffix:
            stream: Chunks = backend.complete(completion_parameters(asked, model, profile))
            reader = AnswerReader(split_thinking=False)
        else:
            stream = self._stream(asked, model, generate_parameters(asked, model, profile))
            reader = AnswerReader(drop_thinking=asked.think is False)
        frames = GenerateFrames(asked.model, None if asked.raw else _context_of(asked, model))
        answer = Answer(stream, reader, frames, estimate_tokens((asked.system, asked.prompt)))
        return await self._answer(asked, model, answer, frames)

    def _stream(self, asked: ChatRequest | GenerateRequest, model: Model, parameters: dict[str, Any]) -> Chunks:
        backend = self._catalogue.backend_of(model)
        if not asked.truncate:
            return backend.chat(parameters)
        return ShortenedChat(backend, parameters, model, self._context_sizes)

    async def _answer(self, asked: ChatRequest | GenerateRequest, model: Model, answer: Answer, frames: Frames) -> Reply:
        self._residents.used(model, asked.keep_alive)
        self._note_differences(asked, model)
        return await (with_heartbeat(answer.streamed(), frames, self._heartbeat) if asked.stream else answer.whole())

    def _note_differences(self, asked: ChatRequest | GenerateRequest, model: Model) -> None:
        """Tell whoever watches the call what the back end gets otherwise than the client sent it."""
        watcher = current_record().watcher
        if watcher is None:
            return
        if model.target != asked.model:
            watcher.note(f"the model {asked.model} is {model.target} at the back end {model.backend}")
        profile = self._catalogue.backend_of(model).profile
        if unknown := sorted(set(asked.options) - set(profile.options)):
            watcher.note(f"not sent, since a server of the kind {profile.name} does not know them: {', '.join(unknown)}")

    def _idle(self, model: Model, frames: Frames, keep_alive: float | None) -> Reply:
        """The reply to a call without anything to answer, by which clients load and unload models."""
        self._residents.used(model, keep_alive)
        return Reply(200, {"Content-Type": JSON_TYPE}, frames.idle("unload" if keep_alive == 0 else "load"))


def estimate_tokens(texts: Iterable[str]) -> int:
    """Roughly how many tokens a model makes of the texts; at least 1."""
    return max(math.ceil(sum(map(len, texts)) / CHARACTERS_PER_TOKEN), 1)


def _check_top_logprobs(asked: ChatRequest | GenerateRequest) -> None:
    if not 0 <= asked.top_logprobs <= MOST_TOP_LOGPROBS:
        raise InvalidRequest(f"top_logprobs must be between 0 and {MOST_TOP_LOGPROBS}")


def _context_of(asked: GenerateRequest, model: Model) -> Callable[[str], Sequence[int]]:
    def context(answer: str) -> Sequence[int]:
        # Made when the answer has ended, so that it does not hold up the first frame.
        messages = [{"role": message.role, "content": message.content} for message in generate_messages(asked, model.system)]
        return write_context([*messages, {"role": "assistant", "content": answer}])

    return context
