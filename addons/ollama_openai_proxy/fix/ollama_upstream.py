"""Fix mode: the real Ollama answers, and its replies are passed on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from ..api.keep_alive import with_heartbeat
from ..api.paths import CHAT, GENERATE, TAGS, VERSION, surface_of
from ..api.stream_errors import explained
from ..errors import BackendError
from ..net.forwarding import Relay
from ..net.messages import Request, content_of
from ..net.request_context import current_record
from ..schemas.ollama.frames import ChatFrames, GenerateFrames

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..net.messages import Reply
    from ..schemas.ollama.frames import Frames
    from ..settings import Settings
    from .request_repair import Mender

# Whether a page may call is decided here, and a loopback-bound Ollama answers 403 to an origin that it does not know.
_DECIDED_HERE = (("Origin", ""), ("Access-Control-Request-Method", ""), ("Access-Control-Request-Headers", ""))


class FixServer:
    """Hands requests, mended before, on to Ollama."""

    def __init__(self, settings: Settings, mender: Mender) -> None:
        self._mender = mender
        self._heartbeat = settings.heartbeat_seconds
        self._relay = Relay(
            settings.ollama_upstream_url,
            "Ollama",
            settings.timeouts,
            hint="start it with `ollama serve`, or set OLLAMA_UPSTREAM_URL to where it listens",
            wait=settings.upstream_wait_seconds,
        )

    async def close(self) -> None:
        """Close the connections to Ollama."""
        await self._relay.close()

    def allowed_methods(self, request: Request) -> str | None:  # noqa: ARG002  # Ollama itself knows what it has
        """Nothing: Ollama itself refuses a method."""
        return None

    async def respond(self, request: Request) -> Reply:
        """Ollama's reply.

        Raises:
            ApiError: Ollama cannot be reached, or broke off before its reply.
        """
        if self._mender.answers_as_head(request):
            # Whoever sent a GET waits for the body that a reply to HEAD announces and does not have.
            return replace(await self._ask(replace(request, method="HEAD")), length=None)
        asked = _asked(request)
        current_record().model = _model_of(asked)
        frames = _frames_of(request.path, asked) if self._heartbeat else None
        if frames is None:
            return await self._ask(request)
        return await with_heartbeat(self._ask(request), frames, self._heartbeat)

    async def reach(self) -> None:
        """Return when Ollama answers.

        Raises:
            ApiError: it does not.
        """
        await self._relay.send(Request("GET", VERSION), VERSION)

    async def model_names(self) -> list[str]:
        """The names that Ollama lists.

        Raises:
            ApiError: it cannot be reached, or answers something else.
        """
        reply = await self._relay.send(Request("GET", TAGS), TAGS)
        try:
            return [model["name"] for model in from_json(await content_of(reply))["models"]]
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError(502, "Ollama sent a list of models that cannot be understood") from error

    async def _ask(self, request: Request) -> Reply:
        current_record().backend = "ollama"
        reply = await self._relay.send(request, request.target, replaced=_DECIDED_HERE)
        return explained(reply, surface_of(request.path))


def _asked(request: Request) -> Mapping[str, Any]:
    """What a call says in its body, as far as it is JSON; Ollama itself decides what to make of it."""
    if not request.body:
        return {}
    try:
        asked = from_json(request.body)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


def _model_of(asked: Mapping[str, Any]) -> str:
    name = asked.get("model") or asked.get("name")
    return name if isinstance(name, str) else ""


def _frames_of(path: str, asked: Mapping[str, Any]) -> Frames | None:
    """Writes the frames of a streamed chat or generate call; None for any other call."""
    if asked.get("stream") is False or not isinstance(asked.get("model"), str):
        return None
    if path == CHAT:
        return ChatFrames(asked["model"])
    return GenerateFrames(asked["model"], None) if path == GENERATE else None
