"""What there is: `/`, `/api/version`, `/api/tags`, `/api/show`, `/api/ps`, and what concerns ollama.com."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...net.http_messages import Reply, Request
from ...net.off_loop import off_loop
from ...schemas.go_json_decoding import decode
from ...schemas.ollama.requests import ShowRequest
from ...translate.ollama_descriptions import show, tags_entry
from ...translate.thinking_levels import shown_thinking
from .json_replies import json_reply

if TYPE_CHECKING:
    from ...models.lookup import Models
    from .model_loading import ModelLoading

_COPILOT = "GitHubCopilotChat/"


class Listing:
    """The endpoints that tell of the server and its models."""

    def __init__(self, models: Models, loading: ModelLoading, version: str) -> None:
        self._models = models
        self._loading = loading
        self._version = version

    async def root(self, _request: Request) -> Reply:
        """Say that the server is there."""
        return Reply(200, {"Content-Type": "text/plain; charset=utf-8"}, b"Ollama is running")

    async def version(self, _request: Request) -> Reply:
        """Tell the version that clients are to adapt to."""
        return json_reply({"version": self._version})

    async def tags(self, _request: Request) -> Reply:
        """List the models."""
        return json_reply({"models": [tags_entry(model) for model in await self._models.list()]})

    async def show(self, request: Request) -> Reply:
        """Describe one model."""
        asked = await off_loop(len(request.body), decode, ShowRequest, request.body)
        name = asked.model or asked.name
        model = await self._models.require(name, tagged=True)
        copilot = request.headers.get("user-agent", "").startswith(_COPILOT)
        thinking = shown_thinking(model, self._models.profile_of(model))
        return json_reply(show(model, basename=name if copilot else None, thinking=thinking))

    async def ps(self, _request: Request) -> Reply:
        """List the models that are loaded or, where a server does not tell, count as loaded."""
        return json_reply({"models": await self._loading.list()})

    async def status(self, _request: Request) -> Reply:
        """Say that Ollama's cloud is not switched off, as a fresh Ollama does."""
        return json_reply({"cloud": {"disabled": False, "source": "none"}})

    async def recommendations(self, _request: Request) -> Reply:
        """Recommend no models."""
        return json_reply({"recommendations": []})

    async def me(self, _request: Request) -> Reply:
        """Answer as an Ollama that cannot reach ollama.com: there is no account here, and none is needed."""
        return json_reply({"error": "account unavailable"}, 503)

    async def signout(self, _request: Request) -> Reply:
        """Nobody is signed in."""
        return json_reply({"error": "you are not currently signed in"}, 401)

    async def web(self, _request: Request) -> Reply:
        """Refuse to search the web through ollama.com."""
        return json_reply({"error": "ollama cloud is disabled: web search is unavailable"}, 403)

    async def account(self, _request: Request) -> Reply:
        """Refuse to tell what an account at ollama.com has used, or has left: there is no account here."""
        reply = json_reply({"error": "ollama cloud is disabled: account usage is unavailable"}, 403)
        return replace(reply, headers={**reply.headers, "Cache-Control": "private, no-store"})
