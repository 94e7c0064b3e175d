"""`/api/embed` and `/api/embeddings`."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ...backend.embedding_calls import EmbeddingCalls
from ...backend.sdk_errors import ContextTooLong, Refusal
from ...errors import BackendError, InvalidRequest
from ...net.http_messages import Reply
from ...net.off_loop import off_loop
from ...schemas.go_json_decoding import decode
from ...schemas.ollama.json_encoding import JSON_TYPE, encode_json
from ...schemas.ollama.requests import EmbeddingsRequest, EmbedRequest
from ...translate.ollama.embeddings import inputs, normalised_json
from ...translate.ollama.request import embedding_parameters
from ..first_answer import first_answer
from .chat_and_generate import estimate_tokens
from .json_replies import json_reply

if TYPE_CHECKING:
    from ...backend.embedding_calls import Embedded
    from ...models.catalogue import Catalogue
    from ...models.lookup import Models
    from ...net.http_messages import Request
    from ...translate.ollama_descriptions import Model
    from .loaded_models import Residents
    from .model_loading import ModelLoading

VECTORS_AT_A_TIME = 8
"""Vectors that are written before other tasks have their turn; one of 1,536 numbers takes about 0.3 ms."""
MOST_CHARACTERS_PER_TOKEN = 8
"""More than a token has in any usual text: what is beyond cannot be within the model's context."""


class Embedding:
    """The endpoints that make vectors."""

    def __init__(self, models: Models, catalogue: Catalogue, residents: Residents, loading: ModelLoading) -> None:
        self._models = models
        self._catalogue = catalogue
        self._residents = residents
        self._loading = loading

    async def embed(self, request: Request) -> Reply:
        """Give a normalised vector for each input."""
        started = time.perf_counter_ns()
        asked = await off_loop(len(request.body), decode, EmbedRequest, request.body)
        texts = inputs(asked.input)
        model = await self._models.require(asked.model, nameless="", quoted=True)
        self._residents.used(model, asked.keep_alive)
        if not texts:
            return json_reply({"model": asked.model, "embeddings": []})
        opened = time.perf_counter_ns()
        embedded = await self._first_answer(model, texts, asked.dimensions, truncate=asked.truncate)
        self._loading.keep(model, asked.keep_alive)
        head = encode_json({"model": asked.model})
        parts = [head[:-1], b',"embeddings":[']
        for number, vector in enumerate(embedded.vectors):
            parts.append((("," if number else "") + normalised_json(vector, asked.dimensions)).encode())
            if number % VECTORS_AT_A_TIME == 0:
                # To write thousands of vectors takes a second, in which other streams go on.
                await asyncio.sleep(0)
        durations = {
            "total_duration": max(time.perf_counter_ns() - started, 1),
            "load_duration": max(opened - started, 1),
            "prompt_eval_count": embedded.prompt_tokens or estimate_tokens(texts),
        }
        parts += [b"],", encode_json(durations)[1:]]
        return Reply(200, {"Content-Type": JSON_TYPE}, b"".join(parts))

    async def embeddings(self, request: Request) -> Reply:
        """Give the vector of one prompt as the back end made it."""
        asked = await off_loop(len(request.body), decode, EmbeddingsRequest, request.body)
        model = await self._models.require(asked.model, quoted=True)
        self._residents.used(model, asked.keep_alive)
        if not asked.prompt:
            return json_reply({"embedding": []})
        embedded = await self._first_answer(model, [asked.prompt])
        self._loading.keep(model, asked.keep_alive)
        return json_reply({"embedding": embedded.vectors[0]})

    async def _first_answer(self, model: Model, texts: list[str], dimensions: int = 0, *, truncate: bool = True) -> Embedded:
        async def ask(model: Model) -> Embedded:
            return await self._embed(model, texts, dimensions, truncate=truncate)

        return await first_answer(await self._models.answering(model), ask, self._catalogue)

    async def _embed(self, model: Model, texts: list[str], dimensions: int, *, truncate: bool) -> Embedded:
        backend = self._catalogue.backend_of(model)
        parameters = embedding_parameters(model, texts, backend.profile, dimensions)
        if truncate:
            parameters |= backend.profile.truncation
            if model.context_length:
                texts = [text[: model.context_length * MOST_CHARACTERS_PER_TOKEN] for text in texts]
        try:
            return await EmbeddingCalls(backend, parameters, truncate=truncate).embed(texts)
        except ContextTooLong:
            raise InvalidRequest("the input length exceeds the context length") from None
        except Refusal as refusal:
            if refusal.status == 404 and "model" not in refusal.message.lower():
                # Ollama's clients take a 404 for a missing model.
                raise BackendError(501, f"the back end has no embeddings: {refusal.message}", kind=refusal.kind) from refusal
            raise
