"""The Ollama API: takes a request, returns a reply."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from ..backend.catalogue import Catalogue
from ..errors import ApiError
from ..exchange import Reply, Request
from ..wire.frames import JSON_TYPE, error_body
from .access import Access
from .embedding import Embedding
from .generation import Generation
from .lifecycle import Lifecycle
from .listing import Listing
from .models import Models
from .residents import Residents
from .routes import Endpoint, route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..settings import Settings

COMMAND_LINE = "ollama/"
"""How the `ollama` command calls itself. It takes a 401 for one of ollama.com, hides its text, and asks the user to sign in."""

logger = logging.getLogger(__name__)


class OllamaServer:
    """Serves the Ollama API from the back ends of the settings.

    Raises:
        SettingsError: the models file is wrong.
    """

    def __init__(self, settings: Settings) -> None:
        self._catalogue = Catalogue(settings)
        self._access = Access(settings.ollama_origins, settings.proxy_host)
        models = Models(self._catalogue)
        residents = Residents()
        listing = Listing(models, residents, settings.ollama_version)
        generation = Generation(models, self._catalogue, residents)
        embedding = Embedding(models, self._catalogue, residents)
        lifecycle = Lifecycle(models)
        self._endpoints: dict[Endpoint, Callable[[Request], Awaitable[Reply]]] = {
            "root": listing.root,
            "version": listing.version,
            "status": listing.status,
            "tags": listing.tags,
            "show": listing.show,
            "ps": listing.ps,
            "recommendations": listing.recommendations,
            "me": listing.me,
            "signout": listing.signout,
            "web": listing.web,
            "chat": generation.chat,
            "generate": generation.generate,
            "embed": embedding.embed,
            "embeddings": embedding.embeddings,
            "pull": lifecycle.pull,
            "push": lifecycle.push,
            "create": lifecycle.create,
            "copy": lifecycle.copy,
            "delete": lifecycle.delete,
            "blob": lifecycle.blob,
        }

    async def close(self) -> None:
        """Close the connections to the back ends."""
        await self._catalogue.close()

    async def respond(self, request: Request) -> Reply:
        """Answer a request; an `ApiError` becomes the reply it stands for, with an id that is also in the log."""
        request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        reply = self.refusal(request)
        if reply is None:
            found = route(request.method, request.path)
            reply = found if isinstance(found, Reply) else await self._serve(found, request, request_id)
            reply = replace(reply, headers={**reply.headers, **self.cors(request)})
        return replace(reply, headers={**reply.headers, "X-Request-Id": request_id})

    def refusal(self, request: Request) -> Reply | None:
        """The reply to a request that may not come from where it comes, or that only asks whether it may."""
        found = route(request.method, request.path)
        return self._access.refuse(request, found.headers.get("Allow") if isinstance(found, Reply) else None)

    def cors(self, request: Request) -> dict[str, str]:
        """What the reply to a request carries so that the web page it came from may read it."""
        return self._access.headers(request)

    async def _serve(self, endpoint: Endpoint, request: Request, request_id: str) -> Reply:
        try:
            return await self._endpoints[endpoint](request)
        except ApiError as error:
            logger.info("%s %s → %d (%s)", request.method, request.path, error.status, request_id)
            status = error.status
            if status == 401 and request.headers.get("user-agent", "").startswith(COMMAND_LINE):
                status = 502
            return Reply(status, {"Content-Type": JSON_TYPE} | error.headers, error_body(error.message))
