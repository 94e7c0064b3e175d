"""`/api/embed` and `/api/embeddings`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...schemas.go_json_decoding import decode
from ...schemas.ollama.requests import EmbeddingsRequest, EmbedRequest
from ...translate.ollama.embeddings import inputs, normalised, vectors
from ...translate.ollama.request import embedding_parameters
from .chat_and_generate import estimate_tokens
from .json_replies import json_reply

if TYPE_CHECKING:
    from ...models.catalogue import Catalogue
    from ...models.lookup import Models
    from ...net.messages import Reply, Request
    from .loaded_models import Residents


class Embedding:
    """The endpoints that make vectors."""

    def __init__(self, models: Models, catalogue: Catalogue, residents: Residents) -> None:
        self._models = models
        self._catalogue = catalogue
        self._residents = residents

    async def embed(self, request: Request) -> Reply:
        """Give a normalised vector for each input."""
        started = time.perf_counter_ns()
        asked = decode(EmbedRequest, request.body)
        texts = inputs(asked.input)
        model = await self._models.require(asked.model, nameless="", quoted=True)
        self._residents.used(model, asked.keep_alive)
        if not texts:
            return json_reply({"model": asked.model, "embeddings": []})
        opened = time.perf_counter_ns()
        backend = self._catalogue.backend_of(model)
        reply = await backend.embed(embedding_parameters(model, texts, backend.profile, asked.dimensions))
        counted = (reply.get("usage") or {}).get("prompt_tokens")
        return json_reply(
            {
                "model": asked.model,
                "embeddings": [normalised(vector, asked.dimensions) for vector in vectors(reply, len(texts))],
                "total_duration": max(time.perf_counter_ns() - started, 1),
                "load_duration": max(opened - started, 1),
                "prompt_eval_count": counted or estimate_tokens(texts),
            }
        )

    async def embeddings(self, request: Request) -> Reply:
        """Give the vector of one prompt as the back end made it."""
        asked = decode(EmbeddingsRequest, request.body)
        model = await self._models.require(asked.model, quoted=True)
        self._residents.used(model, asked.keep_alive)
        if not asked.prompt:
            return json_reply({"embedding": []})
        backend = self._catalogue.backend_of(model)
        reply = await backend.embed(embedding_parameters(model, [asked.prompt], backend.profile))
        return json_reply({"embedding": vectors(reply, 1)[0]})
