"""The Ollama API: takes a request, returns a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...net.http_messages import Reply
from .chat_and_generate import Generation
from .embed import Embedding
from .loaded_models import Residents
from .model_listing import Listing
from .model_loading import ModelLoading
from .model_management import Lifecycle
from .routes import handler_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ...models.catalogue import Catalogue
    from ...models.lookup import Models
    from ...net.http_messages import Request
    from ...settings import Settings
    from ...workers.link import Link
    from ..path_table import Handler


class OllamaServer:
    """Serves the Ollama API from the models of the catalogue."""

    def __init__(self, settings: Settings, catalogue: Catalogue, models: Models, link: Link | None = None) -> None:
        residents = Residents(link)
        loading = ModelLoading(catalogue, models, residents)
        listing = Listing(models, loading, settings.ollama_version)
        generation = Generation(models, catalogue, residents, loading, settings.heartbeat_seconds)
        embedding = Embedding(models, catalogue, residents, loading)
        lifecycle = Lifecycle(models)
        self._handlers: dict[Handler, Callable[[Request], Awaitable[Reply]]] = {
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
            "account": listing.account,
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

    def allowed_methods(self, request: Request) -> str | None:
        """The methods of the request's path, where the path exists and the method is not among them."""
        found = handler_of(request.method, request.path)
        return found.headers.get("Allow") if isinstance(found, Reply) else None

    async def respond(self, request: Request) -> Reply:
        """Answer a request.

        Raises:
            ApiError: the error that the client is to be told.
        """
        found = handler_of(request.method, request.path)
        return found if isinstance(found, Reply) else await self._handlers[found](request)
