"""The Ollama API: takes a request, returns a reply."""

from __future__ import annotations

import logging
import math
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..backend.client import Backend
from ..errors import ApiError, BackendError, InvalidRequest, ModelNotFound
from ..exchange import Reply, Request
from ..translate.answers import AnswerReader
from ..translate.context import write_context
from ..translate.embeddings import inputs, normalised, vectors
from ..translate.models import Model, ps_entry, read_models, show, tags_entry
from ..translate.parameters import (
    chat_parameters,
    completion_parameters,
    embedding_parameters,
    generate_messages,
    generate_parameters,
)
from ..wire.decoding import decode
from ..wire.frames import JSON_TYPE, ChatFrames, GenerateFrames, encode_json, error_body
from ..wire.requests import ChatRequest, EmbeddingsRequest, EmbedRequest, GenerateRequest, ShowRequest
from .answers import Answer
from .residents import Residents
from .routes import route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..settings import Settings
    from ..wire.frames import Frames

logger = logging.getLogger(__name__)

NO_LISTING = frozenset({404, 405, 501})
"""Statuses by which a back end says that it does not list its models."""
CHARACTERS_PER_TOKEN = 4


class OllamaServer:
    """Serves the Ollama API from one back end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._backend = Backend(settings)
        self._residents = Residents()
        self._endpoints: dict[str, Callable[[Request], Awaitable[Reply]]] = {
            "root": self._root,
            "version": self._version,
            "tags": self._tags,
            "show": self._show,
            "ps": self._ps,
            "chat": self._chat,
            "generate": self._generate,
            "embed": self._embed,
            "embeddings": self._embeddings,
        }

    async def close(self) -> None:
        """Close the connections to the back end."""
        await self._backend.close()

    async def respond(self, request: Request) -> Reply:
        """Answer a request; an `ApiError` becomes the reply it stands for, with an id that is also in the log."""
        request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        try:
            reply = await self._route(request)
        except ApiError as error:
            logger.info("%s %s → %d (%s)", request.method, request.path, error.status, request_id)
            headers = {"Content-Type": JSON_TYPE} | error.headers
            reply = Reply(error.status, headers, error_body(error.message))
        return replace(reply, headers={**reply.headers, "X-Request-Id": request_id})

    async def _route(self, request: Request) -> Reply:
        found = route(request.method, request.path)
        return found if isinstance(found, Reply) else await self._endpoints[found](request)

    # ── what there is

    async def _root(self, _request: Request) -> Reply:
        return Reply(200, {"Content-Type": "text/plain; charset=utf-8"}, b"Ollama is running")

    async def _version(self, _request: Request) -> Reply:
        return _json({"version": self._settings.ollama_version})

    async def _tags(self, _request: Request) -> Reply:
        models = sorted(await self._models(), key=lambda model: -model.created)
        return _json({"models": [tags_entry(model) for model in models]})

    async def _show(self, request: Request) -> Reply:
        asked = decode(ShowRequest, request.body)
        return _json(show(await self._find(asked.model or asked.name)))

    async def _ps(self, _request: Request) -> Reply:
        residents = self._residents.list()
        return _json({"models": [ps_entry(resident.model, resident.expires_at) for resident in residents]})

    # ── text

    async def _chat(self, request: Request) -> Reply:
        asked = decode(ChatRequest, request.body)
        model = await self._find_for(asked)
        frames = ChatFrames(asked.model)
        if not asked.messages:
            return self._idle(model, frames, asked.keep_alive)
        parameters = chat_parameters(asked, model.id)
        reader = AnswerReader(drop_thinking=asked.think is False)
        estimate = _estimate([message.content for message in asked.messages])
        self._residents.used(model, asked.keep_alive)
        answer = Answer(self._backend.chat(parameters), reader, frames, estimate)
        return await (answer.streamed() if asked.stream else answer.whole())

    async def _generate(self, request: Request) -> Reply:
        asked = decode(GenerateRequest, request.body)
        model = await self._find_for(asked)
        if not asked.prompt:
            return self._idle(model, GenerateFrames(asked.model, None), asked.keep_alive)
        if asked.raw or asked.suffix:
            frames = GenerateFrames(asked.model, None if asked.raw else _context_of(asked))
            stream = self._backend.complete(completion_parameters(asked, model.id))
            reader = AnswerReader(split_thinking=False)
        else:
            frames = GenerateFrames(asked.model, _context_of(asked))
            stream = self._backend.chat(generate_parameters(asked, model.id))
            reader = AnswerReader(drop_thinking=asked.think is False)
        self._residents.used(model, asked.keep_alive)
        answer = Answer(stream, reader, frames, _estimate([asked.system, asked.prompt]))
        return await (answer.streamed() if asked.stream else answer.whole())

    def _idle(self, model: Model, frames: Frames, keep_alive: float | None) -> Reply:
        """The reply to a call without anything to answer, by which clients load and unload models."""
        self._residents.used(model, keep_alive)
        return Reply(200, {"Content-Type": JSON_TYPE}, frames.idle("unload" if keep_alive == 0 else "load"))

    # ── embeddings

    async def _embed(self, request: Request) -> Reply:
        started = time.perf_counter_ns()
        asked = decode(EmbedRequest, request.body)
        texts = inputs(asked.input)
        model = await self._find(asked.model, quoted=True, required=False)
        self._residents.used(model, asked.keep_alive)
        if not texts:
            return _json({"model": asked.model, "embeddings": []})
        opened = time.perf_counter_ns()
        reply = await self._backend.embed(embedding_parameters(model.id, texts, asked))
        embeddings = [normalised(vector, asked.dimensions) for vector in vectors(reply, len(texts))]
        counted = (reply.get("usage") or {}).get("prompt_tokens")
        return _json(
            {
                "model": asked.model,
                "embeddings": embeddings,
                "total_duration": max(time.perf_counter_ns() - started, 1),
                "load_duration": max(opened - started, 1),
                "prompt_eval_count": counted or _estimate(texts),
            }
        )

    async def _embeddings(self, request: Request) -> Reply:
        asked = decode(EmbeddingsRequest, request.body)
        model = await self._find(asked.model, quoted=True)
        self._residents.used(model, asked.keep_alive)
        if not asked.prompt:
            return _json({"embedding": []})
        reply = await self._backend.embed(embedding_parameters(model.id, [asked.prompt]))
        return _json({"embedding": vectors(reply, 1)[0]})

    # ── models

    async def _models(self) -> list[Model]:
        try:
            return await self._backend.models()
        except BackendError as error:
            if error.status in NO_LISTING:
                return []
            raise

    async def _find_for(self, asked: ChatRequest | GenerateRequest) -> Model:
        if not 0 <= asked.top_logprobs <= 20:
            raise InvalidRequest("top_logprobs must be between 0 and 20")
        return await self._find(asked.model, required=isinstance(asked, ChatRequest))

    async def _find(self, name: str, *, quoted: bool = False, required: bool = True) -> Model:
        """The model that a request names.

        Args:
            name: as in the request.
            quoted: whether the endpoint words its 404 as the embedding endpoints do.
            required: whether a missing name is a 400, as it is for some endpoints.

        Raises:
            ModelNotFound: the back end has no such model.
            InvalidRequest: there is no name.
            BackendError: the back end's models could not be listed.
        """
        if not name.strip():
            raise InvalidRequest("model is required") if required else ModelNotFound("model '' not found")
        try:
            model = await self._backend.find(name)
        except BackendError as error:
            if error.status not in NO_LISTING:
                raise
            # It will say itself whether it knows the name.
            model = read_models([{"id": name.strip()}], time.time())[0]
        if model is None:
            raise ModelNotFound(f'model "{name}" not found, try pulling it first' if quoted else f"model '{name}' not found")
        return model


def _json(value: Any) -> Reply:
    return Reply(200, {"Content-Type": JSON_TYPE}, encode_json(value))


def _context_of(asked: GenerateRequest) -> Callable[[str], Sequence[int]]:
    messages = [{"role": message.role, "content": message.content} for message in generate_messages(asked)]
    return lambda answer: write_context([*messages, {"role": "assistant", "content": answer}])


def _estimate(texts: Sequence[str]) -> int:
    return max(math.ceil(sum(map(len, texts)) / CHARACTERS_PER_TOKEN), 1)
