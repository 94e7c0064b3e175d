"""The OpenAI API, and Anthropic's messages: handed on to the model's back end, or translated where it has no such call.

A call goes on as it is but for the name of its model, which is one that `/api/tags` shows, and for the client's key.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ApiError, BackendError, InvalidRequest, ModelNotFound
from ...models.lookup import does_not_support, require_capabilities
from ...net.http_messages import Reply
from ...net.off_loop import off_loop
from ...schemas.go_json_syntax import syntax_error
from ...schemas.ollama.json_encoding import encode_json
from ...schemas.ollama.model_names import shown
from ...translate.adaptation.finding import STATUSES
from ...translate.adaptation.passed_chats import knows_better, teaching_refusal
from ...translate.anthropic.models import anthropic_entry, anthropic_list
from ...translate.not_found import MISSING
from ...translate.ollama.request import completion_defaults, default_parameters
from ...translate.ollama_descriptions import openai_entry
from ...translate.openai_responses.compaction import has_trigger, with_summaries
from ...translate.reader.server_errors import ModelNames, server_error
from ..completion import Answering
from ..first_answer import first_answer
from ..heartbeats import Waiting, WriterFiller, kept_waiting, silence_limits
from ..passed_answers import make_early_machine, make_passed_machine, stream_headers
from ..path_table import (
    COMPACT,
    COUNT_TOKENS,
    HELLO,
    MESSAGES,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_MODELS,
    OPENAI_RESPONSES,
    ROUTES,
    SYSTEMONE,
    below_base,
    find_route,
    has_dot_segments,
)
from .missing_routes import names_no_route, whole, whole_refusal
from .model_field import Body
from .model_renaming import make_renaming
from .refused_calls import has_better_chat
from .unanswered import UnansweredReply, require_answer

if TYPE_CHECKING:
    from ...backend.client import Backend
    from ...models.catalogue import Catalogue
    from ...models.lookup import Models
    from ...net.http_messages import Request
    from ...translate.ollama_descriptions import Model

TRANSLATED = frozenset(route.path for route in ROUTES if route.translated)
"""Calls that chat completions can stand in for."""
ANTHROPIC_VERSION = "anthropic-version"
"""The header that every client of Anthropic's API sends."""
_DECISION = "decision"
_WITH_ITEMS = frozenset({OPENAI_RESPONSES, COMPACT})
_COMPACTING = frozenset({"openai", "azure"})
"""Kinds of servers that know the item `compaction_trigger`."""
STREAMED = frozenset(route.path for route in ROUTES if route.streams and route.surface != "ollama")
"""Calls whose answer is a stream if the client asks for one."""


class Call(NamedTuple):
    """A request whose model was found.

    Attributes:
        backend: the one that has the model, or that of the settings where none is named.
        model: None where none is named.
        name: the model's, as the client wrote it.
        content: the body.
        data: the body for the back end as a JSON object; None where it is none.
        changed: the body for the back end; None where it is the one that came.
    """

    request: Request
    backend: Backend
    model: Model | None
    name: str
    content: bytes
    data: dict[str, Any] | None
    changed: bytes | None


class OpenAIServer:
    """Serves `/v1/*`; `heartbeat` is the setting `HEARTBEAT_SECONDS`."""

    def __init__(self, models: Models, catalogue: Catalogue, heartbeat: float | None) -> None:
        self._heartbeat = heartbeat
        self._models = models
        self._catalogue = catalogue

    async def respond(self, request: Request) -> Reply:
        """Answer a request.

        Raises:
            ApiError: the error that the client is to be told.
        """
        path = request.path
        if has_dot_segments(request.target):
            raise InvalidRequest("the path has a segment that is not followed: . or ..")
        if request.method in ("GET", "HEAD"):
            as_anthropic = ANTHROPIC_VERSION in request.headers
            if path == OPENAI_MODELS:
                return await self._list(as_anthropic=as_anthropic)
            if path.startswith(OPENAI_MODELS + "/"):
                return await self._describe(path.removeprefix(OPENAI_MODELS + "/"), as_anthropic=as_anthropic)
        if path == HELLO:
            return _hello(request.method)
        content = request.body
        body = await off_loop(len(content), Body, content, request.headers.get("content-type", ""))
        if request.method == "POST" and body.data is None and _wants_json(request):
            raise InvalidRequest(syntax_error(content) or "the body is no JSON object" if content else "missing request body")
        silence = silence_limits(path, self._heartbeat)
        if not (request.method == "POST" and path in STREAMED and body.data and body.data.get("stream") is True):
            return await self._answer(request, body, content, silence.between, None)
        early = WriterFiller(make_early_machine(path, body.model or ""))
        return await kept_waiting(
            lambda waiting: self._answer(request, body, content, silence.between, waiting),
            early,
            stream_headers(path),
            silence.before,
        )

    async def _answer(self, request: Request, body: Body, content: bytes, keep_alive: float, waiting: Waiting | None) -> Reply:
        if request.path == SYSTEMONE and not body.model:
            raise InvalidRequest("model is required")
        answering = Answering(waiting)
        if not body.model:
            return await self._ask(
                Call(request, self._catalogue.default, None, "", content, body.data, None), keep_alive, answering
            )
        model = await self._models.find(body.model)
        if model is None:
            raise ModelNotFound(f"model '{shown(body.model)}' not found")
        if request.method != "POST":
            return await self._ask(await self._call(request, body, content, model), keep_alive, answering)
        models = await self._models.answering(model)

        async def ask(model: Model) -> Reply:
            reply = await self._ask(await self._call(request, body, content, model), keep_alive, answering)
            return reply if answering.made(reply) else await require_answer(reply, held=len(models) > 1)

        try:
            return await first_answer(models, ask, self._catalogue)
        except UnansweredReply as unanswered:
            return unanswered.reply

    async def _ask(self, call: Call, keep_alive: float, answering: Answering) -> Reply:
        """Ask the model of a call: with the call as it came, or translated where the server has no such call."""
        path = call.request.path
        if call.request.method != "POST":
            return await _forward(call, keep_alive)
        if path == SYSTEMONE:
            return await _decide(call, keep_alive)
        if path == OPENAI_CHAT and call.model is not None and call.data is not None:
            return await _chat(call, call.data, call.model, keep_alive, answering)
        if not call.backend.uses(path):
            if path not in TRANSLATED:
                raise BackendError(501, f"{path} is not among the APIs that are used of the back end {call.backend.name}")
            return await _translate(call, keep_alive, answering)
        if path not in TRANSLATED:
            return await _forward(call, keep_alive)
        if path not in call.backend.missing and not answering.begun and not _compacts_here(call):
            reply = await whole(await whole_refusal(await _forward(call, keep_alive)))
            if not names_no_route(reply):
                return await _made_otherwise(call, reply, keep_alive, answering)
            call.backend.missing.add(path)
        return await _translate(call, keep_alive, answering)

    async def _list(self, *, as_anthropic: bool) -> Reply:
        models = await self._models.list()
        if as_anthropic:
            return _json(anthropic_list(models))
        entries = []
        for model in models:
            # One entry may hold what is no JSON, such as NaN.
            with suppress(ValueError, RecursionError):
                entries.append(encode_json(openai_entry(model)))
        return Reply(200, {"Content-Type": "application/json"}, b'{"object":"list","data":[%s]}\n' % b",".join(entries))

    async def _describe(self, name: str, *, as_anthropic: bool) -> Reply:
        model = await self._models.require(name, tagged=True)
        return _json((anthropic_entry(model) if as_anthropic else openai_entry(model)) | {"id": name})

    async def _call(self, request: Request, body: Body, content: bytes, model: Model) -> Call:
        """The call to a model's back end."""
        backend = self._catalogue.backend_of(model)
        changed: dict[str, Any] = {}
        if body.data and request.path == OPENAI_CHAT:
            changed = default_parameters(body.data, model, backend.profile)
        elif body.data and request.path == OPENAI_COMPLETIONS:
            changed = completion_defaults(body.data, model, backend.profile)
        elif body.data and request.path in _WITH_ITEMS and (items := with_summaries(body.data.get("input"))) is not None:
            # Of the summaries that were made here, no back end can read the content.
            changed = {"input": items}
        sent = await off_loop(len(content), body.naming, model.target, **changed)
        data = None if body.data is None else {**body.data, "model": model.target, **changed}
        return Call(request, backend, model, body.model or "", content, data, None if sent is content else sent)


async def _forward(call: Call, keep_alive: float) -> Reply:
    path = call.request.path
    rename = None if call.model is None else make_renaming(call.model.target, call.name)
    reply = await call.backend.forward(
        call.request,
        below_base(call.request.target),
        call.changed,
        make_machine=lambda headers: make_passed_machine(path, headers, call.name, rename),
        keep_alive=keep_alive,
    )
    if rename is not None and isinstance(reply.body, bytes):
        return replace(reply, body=rename(reply.body))
    return reply


async def _decide(call: Call, keep_alive: float) -> Reply:
    """Pass a call to a decision model on, which few servers have.

    Raises:
        InvalidRequest: the model cannot decide, or its back end has no such call.
    """
    if call.model is not None:
        require_capabilities(call.model, call.name, [_DECISION])
    if SYSTEMONE not in call.backend.missing:
        reply = await whole(await _forward(call, keep_alive))
        if not names_no_route(reply):
            return reply
        call.backend.missing.add(SYSTEMONE)
    raise does_not_support(call.name, _DECISION)


async def _chat(call: Call, data: dict[str, Any], model: Model, keep_alive: float, answering: Answering) -> Reply:
    """Ask for a chat completion: as it came, or by translation.

    A call is translated if its model has only `/v1/responses`, or if a refusal shows how the call can be made otherwise.
    """
    backend = call.backend
    refusal: BackendError | None = None
    if not (backend.options.uses(OPENAI_CHAT) or backend.uses_responses(data)):
        raise BackendError(501, f"{OPENAI_CHAT} is not among the APIs that are used of the back end {backend.name}")
    if not (answering.begun or backend.uses_responses(data) or knows_better(backend.learned, data)):
        reply = await whole_refusal(await _forward(call, keep_alive))
        if not isinstance(reply.body, bytes) or reply.status not in STATUSES | MISSING:
            return reply
        if reply.status in (404, 405) and names_no_route(reply):
            # Clients take a 404 for a model that is not there.
            raise server_error(reply.body.decode("utf-8", "replace"), ModelNames(), status=reply.status)
        told = (data, reply.status, reply.body)
        if not backend.adapted.learn_responses(*told):
            refusal = teaching_refusal(backend.learned, *told)
            if refusal is None:
                return reply
    # Few installations need this, and it takes a while to load.
    from .chat_completions import create_chat_completion

    return await create_chat_completion(data, call.name, model, backend, keep_alive, answering, refusal)


async def _translate(call: Call, keep_alive: float, answering: Answering) -> Reply:
    # Few installations need these, and they take a while to load.
    from ..anthropic.messages import count_message_tokens, create_message
    from .responses import create_compaction, create_response

    if call.request.path == COUNT_TOKENS:
        return await count_message_tokens(call.content, call.model, call.backend)
    if call.request.path == COMPACT:
        return await create_compaction(call.content, call.model, call.backend, answering)
    if call.request.path == MESSAGES:
        return await create_message(call.content, call.model, call.backend, keep_alive, answering)
    return await create_response(call.content, call.model, call.backend, keep_alive, answering)


async def _made_otherwise(call: Call, reply: Reply, keep_alive: float, answering: Answering) -> Reply:
    """Return a server's reply; if the reply is a refusal that shows how the call can be made otherwise, the other answer."""
    if call.model is None or call.data is None:
        return reply
    path, content = call.request.path, call.content
    if not await has_better_chat(path, content, call.data, call.model, call.backend, reply):
        return reply
    try:
        return await _translate(call, keep_alive, answering)
    except ApiError:
        if answering.begun:
            raise
        # The reason that belongs to the client's call.
        return reply


def _wants_json(request: Request) -> bool:
    """Whether the body of a call has to be a JSON object."""
    route = find_route(request.path)
    kind = request.headers.get("content-type", "").lower()
    return (route is not None and route.body == "json") or (bool(request.body) and kind.startswith("application/json"))


def _compacts_here(call: Call) -> bool:
    """Whether a request asks for a compaction of a back end that would answer the conversation instead."""
    triggered = call.request.path == OPENAI_RESPONSES and call.data is not None and has_trigger(call.data.get("input"))
    return triggered and call.backend.profile.name not in _COMPACTING


def _hello(method: str) -> Reply:
    if method not in ("GET", "HEAD"):
        return Reply(405, {"Allow": "HEAD, GET"}, b"")
    return _json({"message": "hello"})


def _json(value: object) -> Reply:
    return Reply(200, {"Content-Type": "application/json"}, encode_json(value) + b"\n")
