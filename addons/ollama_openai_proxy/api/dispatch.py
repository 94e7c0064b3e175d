"""Translate mode: the Ollama API and the OpenAI API, both from the models of the back ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..models.catalogue import Catalogue
from ..models.lookup import Models
from .ollama.router import OllamaServer
from .openai.router import OpenAIServer
from .path_table import surface_of

if TYPE_CHECKING:
    from ..models.lookup import Owners
    from ..net.http_messages import Reply, Request
    from ..settings import Settings
    from ..workers.link import Link


class TranslateServer:
    """Answers calls of either API.

    Args:
        settings: of the proxy.
        link: to the state that all workers share; None where there is one process.

    Raises:
        SettingsError: the models file is wrong.
    """

    def __init__(self, settings: Settings, link: Link | None = None) -> None:
        self._catalogue = Catalogue(settings)
        self._models = Models(self._catalogue, int(settings.max_copies_size), owners=_owners(settings), link=link)
        self._ollama = OllamaServer(settings, self._catalogue, self._models, link)
        self._openai = OpenAIServer(self._models, self._catalogue, settings.heartbeat_seconds)

    async def close(self) -> None:
        """Close the connections to the back ends."""
        await self._catalogue.close()

    async def reach(self) -> None:
        """Return when the back end of the settings answers.

        Raises:
            ApiError: it does not.
        """
        await self._catalogue.reach()

    async def model_names(self) -> list[str]:
        """The names of `/api/tags`.

        Raises:
            ApiError: no back end could be asked.
        """
        return [model.id for model in await self._models.list()]

    def allowed_methods(self, request: Request) -> str | None:
        """The methods of the request's path, where the path exists and the method is not among them."""
        return self._ollama.allowed_methods(request) if surface_of(request.path) == "ollama" else None

    async def respond(self, request: Request) -> Reply:
        """Answer a request.

        Raises:
            ApiError: the error that the client is to be told.
        """
        server = self._ollama if surface_of(request.path) == "ollama" else self._openai
        return await server.respond(request)


def _owners(settings: Settings) -> Owners:
    """Who has names of its own for models."""
    if settings.proxy_api_keys or settings.proxy_api_keys_file:
        return "keys"
    return "passed keys" if settings.openai_api_key_passthrough else "all"
