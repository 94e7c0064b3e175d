"""The OpenAI API, and Anthropic's messages: handed on to the model's back end, or translated where it has no such call.

A call goes on as it is but for the name of its model, which is one that `/api/tags` shows, and for the client's key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...errors import ModelNotFound
from ...net.messages import Reply
from ...schemas.ollama.frames import encode_json
from ...translate.model_descriptions import openai_entry
from ...translate.ollama.request import default_parameters
from ..paths import OPENAI_CHAT, OPENAI_MODELS, ROUTES, below_base, surface_of
from ..stream_errors import explained
from .content_encoding import plain_content
from .missing_routes import names_no_route, whole
from .model_field import Body
from .model_renaming import renamed

if TYPE_CHECKING:
    from ...backend.client import Backend
    from ...models.catalogue import Catalogue
    from ...models.lookup import Models
    from ...net.messages import Request
    from ...translate.model_descriptions import Model

TRANSLATED = frozenset(route.path for route in ROUTES if route.translated)
"""Calls that chat completions can stand in for."""


class Call(NamedTuple):
    """A request whose model was found.

    Attributes:
        backend: the one that has the model, or that of the settings where none is named.
        model: None where none is named.
        name: the model's, as the client wrote it.
        content: the body, without a content coding.
        changed: the body for the back end; None where it is the one that came.
    """

    request: Request
    backend: Backend
    model: Model | None
    name: str
    content: bytes
    changed: bytes | None


class OpenAIServer:
    """Serves `/v1/*`."""

    def __init__(self, models: Models, catalogue: Catalogue) -> None:
        self._models = models
        self._catalogue = catalogue

    async def respond(self, request: Request) -> Reply:
        """Answer a request.

        Raises:
            ApiError: the error that the client is to be told.
        """
        path = request.path
        if request.method in ("GET", "HEAD"):
            if path == OPENAI_MODELS:
                return await self._list()
            if path.startswith(OPENAI_MODELS + "/"):
                return await self._describe(path.removeprefix(OPENAI_MODELS + "/"))
        call = await self._resolve(request)
        if request.method != "POST" or path not in TRANSLATED:
            return await _forward(call)
        if path not in call.backend.missing:
            reply = await whole(await _forward(call))
            if not names_no_route(reply):
                return reply
            call.backend.missing.add(path)
        return await _translate(call)

    async def _list(self) -> Reply:
        entries = [openai_entry(model) for model in await self._models.list()]
        return _json({"object": "list", "data": entries})

    async def _describe(self, name: str) -> Reply:
        model = await self._models.require(name)
        return _json(openai_entry(model) | {"id": name})

    async def _resolve(self, request: Request) -> Call:
        """Find the back end of the model that a request names.

        Raises:
            ModelNotFound: there is no such model.
            InvalidRequest: the body's coding cannot be undone.
            BackendError: no back end could be asked for its models.
        """
        content = plain_content(request)
        body = Body(content, request.headers.get("content-type", ""))
        if not body.model:
            return Call(request, self._catalogue.default, None, "", content, None)
        model = await self._models.find(body.model)
        if model is None:
            raise ModelNotFound(f"model '{body.model}' not found")
        backend = self._catalogue.backend_of(model)
        changed = default_parameters(body.data, model, backend.profile) if body.data and request.path == OPENAI_CHAT else {}
        sent = body.naming(model.target, **changed)
        return Call(request, backend, model, body.model, content, None if sent is content else sent)


async def _forward(call: Call) -> Reply:
    reply = await call.backend.forward(call.request, below_base(call.request.target), call.changed)
    if call.model is not None:
        reply = renamed(reply, call.model.target, call.name)
    return explained(reply, surface_of(call.request.path))


async def _translate(call: Call) -> Reply:
    # Few installations need it, and it takes a while to load.
    from .translated_calls import translate

    return await translate(call.request, call.content, call.model, call.backend)


def _json(value: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json"}, encode_json(value) + b"\n")
