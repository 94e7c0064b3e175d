"""Fix mode: the real Ollama answers, and its replies are passed on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from ..api.heartbeats import WriterFiller, kept_waiting, silence_limits
from ..api.passed_answers import make_early_machine, make_passed_machine, stream_headers
from ..api.path_table import CHAT, GENERATE, TAGS, VERSION, find_route
from ..errors import BackendError
from ..guard.keys import read_keys
from ..net.body import MOST_LIST, read_whole
from ..net.forwarding import Relay
from ..net.http_messages import Request
from ..net.masking import Masker
from ..net.request_context import current_record
from ..schemas.ollama.model_names import LONGEST_NAME
from ..translate.bounded_json import read_odd_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from ..net.http_messages import Reply
    from ..settings import Settings
    from .request_repair import Mender

# Whether a page may call is decided here, and a loopback-bound Ollama answers 403 to an origin that it does not know.
_DECIDED_HERE = (("Origin", ""), ("Access-Control-Request-Method", ""), ("Access-Control-Request-Headers", ""))


class FixServer:
    """Hands requests, mended before, on to Ollama."""

    def __init__(self, settings: Settings, mender: Mender) -> None:
        self._mender = mender
        self._heartbeat = settings.heartbeat_seconds
        wait = settings.wait_limits
        self._relay = Relay(
            settings.ollama_upstream_url,
            "Ollama",
            settings.timeouts,
            hint="start it with `ollama serve`, or set OLLAMA_UPSTREAM_URL to where it listens",
            wait=wait.seconds if wait.refused else 0,
            limit=settings.answer_limit,
            # The keys of clients are passed on, like all headers.
            masker=Masker(read_keys(_in_clear(settings.proxy_api_keys), settings.proxy_api_keys_file)),
        )

    async def close(self) -> None:
        """Close the connections to Ollama."""
        await self._relay.close()

    def allowed_methods(self, request: Request) -> str | None:
        """The methods of the path of a preflight, which is answered here; any other method Ollama itself refuses."""
        route = find_route(request.path)
        return route.allow if route is not None and request.method not in route.methods else None

    async def respond(self, request: Request) -> Reply:
        """Ollama's reply.

        Raises:
            ApiError: Ollama cannot be reached, or broke off before its reply.
        """
        if self._mender.answers_as_head(request):
            # Whoever sent a GET waits for the body that a reply to HEAD announces and does not have.
            return replace(await self._ask(replace(request, method="HEAD")), length=None)
        params = _params(request)
        current_record().model = model = _model_of(params)
        path = request.path
        silence = silence_limits(path, self._heartbeat)
        if not (silence.before and model and _streams(path, params)):
            return await self._ask(request, model, silence.between)
        return await kept_waiting(
            lambda _: self._ask(request, model, silence.between),
            WriterFiller(make_early_machine(path, model)),
            stream_headers(path),
            silence.before,
        )

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
            entries = read_odd_json(await read_whole(reply.body, MOST_LIST))["models"]
            return [entry["name"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("name"), str)]
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError(502, "Ollama sent a list of models that cannot be understood") from error

    async def _ask(self, request: Request, model: str = "", keep_alive: float = 0) -> Reply:
        current_record().backend = "ollama"
        return await self._relay.send(
            request,
            request.target,
            replaced=_DECIDED_HERE,
            make_machine=lambda headers: make_passed_machine(request.path, headers, model),
            keep_alive=keep_alive,
        )


def _in_clear(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _params(request: Request) -> Mapping[str, Any]:
    """The parameters in the body of a call, if the body is JSON; Ollama itself decides what to make of them."""
    if not request.body:
        return {}
    try:
        params = from_json(request.body)
    except ValueError:
        return {}
    return params if isinstance(params, dict) else {}


def _model_of(params: Mapping[str, Any]) -> str:
    name = params.get("model") or params.get("name")
    return name if isinstance(name, str) and len(name) <= LONGEST_NAME else ""


def _streams(path: str, params: Mapping[str, Any]) -> bool:
    """Whether the answer to a call will be a stream: in Ollama's own API unless the call says otherwise."""
    stream = params.get("stream")
    if path in (CHAT, GENERATE):
        return stream is not False
    route = find_route(path)
    return route is not None and route.streams and route.surface != "ollama" and stream is True
