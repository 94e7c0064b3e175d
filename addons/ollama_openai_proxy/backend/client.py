"""One OpenAI-compatible server: its answers, embeddings and list of models, and calls that are handed on to it as they are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

from ..api.path_table import (
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
    below_base,
)
from ..errors import BackendError, EmptyAnswer
from ..net.body import MOST_ERROR, read_whole
from ..net.connection_pool import Connections
from ..net.forwarding import Relay
from ..net.masking import Masker
from ..net.request_context import current_record
from ..translate.adaptation.api_changes import UseResponses
from ..translate.adaptation.changes import AskWithoutStream
from ..translate.adaptation.embedding_changes import CutInputs
from ..translate.adaptation.learned import LearnedByModel, Missing
from ..translate.bounded_json import read_json, read_odd_json
from ..translate.error_text import error_text
from ..translate.loading_calls import detect_loader
from ..translate.not_found import MISSING, names_missing_route
from ..translate.ollama.embeddings import is_without_vectors
from ..translate.ollama_descriptions import read_models
from ..translate.reader.server_errors import ModelNames, error_in_chunk, server_error
from ..translate.refused_key import OTHER_STATUSES, names_refused_key, told_in_body
from ..translate.responses_backend.when_needed import reasons_beside_tools
from ..translate.server_profiles import PROFILES, detect_profile
from .adapted_calls import AdaptedCalls, sent_body
from .call_headers import CallHeaders
from .forwarded_headers import is_harmless
from .lazy_sdk import httpx2, openai
from .model_lists import ModelDetails, listed_entries
from .model_loader import ModelLoader
from .root_calls import RootCalls
from .sdk_calls import SdkCalls, note_id
from .sdk_errors import Refusal
from .server_options import ServerOptions
from .single_calls import SingleCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import SecretStr

    from ..net.answer_driver import AnswerDriver, Machine
    from ..net.forwarding import MakeMachine
    from ..net.http_messages import Reply, Request, Timeouts
    from ..net.request_context import Record
    from ..translate.adaptation.changes import Call
    from ..translate.loading_calls import LoaderKind
    from ..translate.ollama_descriptions import Model
    from ..translate.server_profiles import Profile, ProfileName

type Parameters = dict[str, Any]

logger = logging.getLogger(__name__)

MOST_NOTED = 100
"""Unknown words for the end of an answer that are logged."""
MOST_THINKING = 1000
"""Models that are remembered because their answers begin with thinking; a server may take any name for a model."""
REFUSED = frozenset({"backend_refused", "context_overflow"})
"""Kinds of errors that tell a refusal, see `server_error`."""
CHAT = below_base(OPENAI_CHAT)
COMPLETIONS = below_base(OPENAI_COMPLETIONS)
RESPONSES = below_base(OPENAI_RESPONSES)
SDK_LOGGERS = ("openai", "httpx2", "httpcore2")


class Backend:
    """One server.

    Args:
        name: what the models file calls it.
        base_url: its URL.
        key: the proxy's own key.
        profile: its kind; None finds out.
        timeouts: how long it may take.
        passthrough: whether the key that a client brings takes the place of the proxy's own.
        adapt: whether to learn from refusals, and to make a refused call again in another way.
        limit: bytes of an answer that may be held in memory; None for any.
        options: the way to it.

    Attributes:
        name: what the models file calls it.
        lists_models: whether it has a list of models; where it has none, any name may be asked for.
        missing: paths that it turned out not to have; each is tried again after an hour.
        learned: what its refusals have taught of each model.
        timeouts: how long it may take.
        limit: bytes of an answer that may be held in memory; None for any.
        loader_kind: how the server loads and unloads models; None where it cannot be told to.
        loader: loads and unloads them.
        opens_thinking: models whose answers were seen to begin with thinking that no tag opens.
        options: the way to it.
        sdk: its calls through the SDK.
        adapted: its calls that are made again after a refusal.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        key: SecretStr | None,
        profile: ProfileName | None,
        timeouts: Timeouts,
        *,
        passthrough: bool = False,
        adapt: bool = True,
        limit: int | None = None,
        options: ServerOptions | None = None,
    ) -> None:
        for chatty in SDK_LOGGERS:
            # On lower levels they log whole requests.
            logging.getLogger(chatty).setLevel(logging.WARNING)
        self.name = name
        self.lists_models = True
        self.missing = Missing(time.monotonic)
        self.learned = LearnedByModel(time.monotonic, enabled=adapt)
        self._base_url = base_url
        self.limit = limit
        self.options = options or ServerOptions()
        secrets = [key, *self.options.headers.values(), *self.options.query.values()]
        masker = Masker(secret.get_secret_value() for secret in secrets if secret is not None)
        self._connections = Connections(base_url, environment=True, ca_file=self.options.ca_file, masker=masker)
        self.opens_thinking: OrderedDict[str, None] = OrderedDict()
        self._finish_reasons: set[str] = set()
        self.timeouts = timeouts
        self.profile: Profile = PROFILES[profile] if profile else detect_profile(base_url, [])
        self._detect = profile is None
        self.loader_kind: LoaderKind | None = None
        self._headers = CallHeaders(name, key, self.options, passthrough=passthrough)
        self.sdk = SdkCalls(base_url, key, self._connections, self.options, self._headers, limit)
        self.adapted = AdaptedCalls(name, base_url, self.learned, self._headers)
        self.loader = ModelLoader(name, timeouts, RootCalls(base_url, self._connections, self.options, self._headers))
        # The SDK reads and writes what it knows; a call that is to pass as it is goes another way.
        self._relay = Relay(
            base_url, "the back end", timeouts, connections=self._connections, watched=True, follow=True, limit=limit
        )
        self._details = ModelDetails(base_url, self._told_json, time.monotonic)
        self._running: list[Record] = []
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self.sdk.close()
        await self._relay.close()

    async def forward(
        self,
        request: Request,
        target: str,
        body: bytes | None = None,
        *,
        make_machine: MakeMachine | None = None,
        keep_alive: float = 0,
    ) -> Reply:
        """Hand an OpenAI call on as it is, with the proxy's key instead of the client's.

        Args:
            request: the call.
            target: path and query below the server's base URL.
            body: instead of the request's.
            make_machine: see `Relay.send`.
            keep_alive: see `Relay.send`.

        Raises:
            BackendError: the server cannot be reached, or broke off before its reply.
        """
        self._note_running()
        watcher = current_record().watcher
        if watcher is not None:
            watcher.sent(
                self.name, self._base_url + target, request.body if body is None else body, with_key=self._headers.brings_key()
            )
        coding = [] if body is None else [("Content-Encoding", "")]
        replaced = [*self._headers.beside_a_clients(), *coding]
        target = self.options.with_query(target)
        async with self._single_call() as single:
            reply = await self._relay.send(
                request, target, body, replaced, harmless=is_harmless, make_machine=make_machine, keep_alive=keep_alive
            )
            if not isinstance(reply.body, bytes):
                reply = replace(reply, body=single.until_end_of(reply.body))
        note_id(reply.headers)
        if reply.status in OTHER_STATUSES and not isinstance(reply.body, bytes):
            reply = replace(reply, body=await read_whole(reply.body, MOST_ERROR), length=None)
        if isinstance(reply.body, bytes) and names_refused_key(reply.status, error_text(reply.body.decode("utf-8", "replace"))):
            reply = replace(reply, status=int(HTTPStatus.UNAUTHORIZED))
        if reply.status == HTTPStatus.UNAUTHORIZED:
            reply = replace(reply, body=told_in_body(await read_whole(reply.body), *self._headers.key_sent()), length=None)
        kept = [(name, value) for name, value in reply.headers.items() if not _of_its_site(name.lower())]
        return replace(reply, headers=CIMultiDict(kept))

    async def models(self) -> list[Model]:
        """Ask for the models, which also tells what kind of server it is.

        Raises:
            BackendError: the server cannot be reached or refuses.
        """
        try:
            with self.sdk.errors():
                async with asyncio.timeout(self.timeouts.begin):
                    body, headers = await self.sdk.list_models()
                listing = listed_entries(read_odd_json(body))
        except BackendError as error:
            if error.status in MISSING:
                self.lists_models = False
                return []
            raise
        self.lists_models = True
        self.loader_kind = detect_loader(self._base_url, listing)
        if self._detect:
            self.profile = detect_profile(self._base_url, listing, headers)
        shown = await self._details.add_to(listing, self.profile)
        return read_models(listing, time.time(), self.name, shown=shown)

    @property
    def may_not_be_disturbed(self) -> bool:
        """Whether another request would end an answer that is running."""
        if not self.profile.stops_answers:
            return False
        self._running = [record for record in self._running if record.duration is None]
        return bool(self._running)

    def _note_running(self) -> None:
        """Note that the request being answered uses the server, where other requests must not disturb that."""
        record = current_record()
        if self.profile.stops_answers and record.request_id and all(each is not record for each in self._running):
            self._running.append(record)

    async def _told_json(self, url: str, body: Parameters | None) -> Any:
        """The JSON that the server has at a URL; None where there is none."""
        try:
            return await self.sdk.json_at(url, body)
        except (openai.OpenAIError, httpx2.HTTPError, ValueError):
            return None

    async def answer(
        self,
        path: str,
        parameters: Parameters,
        driver: AnswerDriver,
        make_machine: Callable[[Call], Machine],
        *,
        whole: bool,
        refusal: BackendError | None = None,
    ) -> None:
        """Ask for a streamed completion; returns when the answer has begun or, where `whole` says so, is complete.

        Args:
            path: `CHAT`, `COMPLETIONS` or `INFILL`.
            parameters: of the call.
            driver: takes the answer.
            make_machine: makes a machine for each attempt.
            whole: whether to wait for the end.
            refusal: how the server has refused the call before.

        Raises:
            BackendError: the server cannot be reached, refuses, or failed before that.
        """

        async def attempt(call: Call) -> None:
            try:
                with self.sdk.errors():
                    await driver.open(
                        lambda: self.sdk.stream(
                            RESPONSES if call.api == "responses" else path, sent_body(call), self._single_call()
                        ),
                        make_machine(call),
                        whole=whole,
                        timeouts=self.timeouts,
                        explain=self.sdk.explain,
                    )
            except BackendError as error:
                if error.kind in REFUSED and not isinstance(error, Refusal):
                    # Some servers refuse within an answer of status 200.
                    raise Refusal(error.status, error.message, error.headers, error.param, _told(error)) from error
                raise

        self._note_running()
        if path == CHAT and self.uses_responses(parameters):
            try:
                await self.adapted.make(parameters, attempt, beginning=(UseResponses(),))
            except Refusal as error:
                if not (error.status in MISSING and names_missing_route(error.told)):
                    raise
                self.missing.add(OPENAI_RESPONSES)
            else:
                return
        try:
            await self.adapted.make(parameters, attempt, refusal=refusal)
        except EmptyAnswer:
            if not (self.profile.hides_refusals and self.learned.enabled):
                raise
            await self.adapted.make(parameters, attempt, beginning=(AskWithoutStream(),))

    def uses(self, path: str) -> bool:
        """Whether calls of a path (`/v1/…`) may go to the server as they are; others are translated."""
        return self.options.uses(path, self.profile.translated)

    def uses_responses(self, chat: Mapping[str, Any]) -> bool:
        """Whether a chat completion is made by a call of `/v1/responses`.

        Args:
            chat: its parameters.
        """
        if OPENAI_RESPONSES in self.missing or not self.options.uses(OPENAI_RESPONSES):
            return False
        if not self.options.uses(OPENAI_CHAT):
            return True
        if self.profile.responses_beside_tools and reasons_beside_tools(chat):
            return True
        changes = self.learned.of(str(chat.get("model")), "chat").changes
        return any(isinstance(change, UseResponses) for change in changes)

    def note_opened_thinking(self, model: str) -> None:
        """Remember that a model's answers begin with thinking that no tag opens."""
        self.opens_thinking[model] = None
        self.opens_thinking.move_to_end(model)
        if len(self.opens_thinking) > MOST_THINKING:
            self.opens_thinking.popitem(last=False)

    def note_finish_reason(self, word: str) -> None:
        """Log a word for the end of an answer that is not known, once."""
        if word not in self._finish_reasons and len(self._finish_reasons) < MOST_NOTED:
            self._finish_reasons.add(word)
            logger.info("back end %s ends answers with the unknown reason %.50r, which counts as done", self.name, word)

    async def embed(self, parameters: Parameters, *, truncate: bool = True) -> dict[str, Any]:
        """The reply to one embeddings call; `truncate` says whether texts that are too long may be cut.

        Raises:
            ContextTooLong: a text is longer than the model's context.
            BackendError: the server cannot be reached or refuses.
        """

        async def attempt(call: Call) -> dict[str, Any]:
            with self.sdk.errors():
                async with asyncio.timeout(self.timeouts.begin), self._single_call():
                    content = await self.sdk.post(below_base(OPENAI_EMBEDDINGS), call.parameters)
                body = read_json(content)
            if not isinstance(body, dict):
                raise BackendError(502, "the back end sent embeddings that cannot be understood")
            if not body.get("data") and (error := error_in_chunk(body, None)) is not None:
                told = server_error(error, ModelNames())
                raise Refusal(told.status, told.message, {}, told.param, error) if told.kind in REFUSED else told
            if call.parameters.get("encoding_format") == "base64" and is_without_vectors(body):
                raise Refusal(400, "base64 is not supported: the back end sent no vectors", {}, None)
            return body

        self._note_running()
        answer = await self.adapted.make(parameters, attempt, excluding=() if truncate else (CutInputs,))
        self.learned.of(str(parameters["model"]), "embedding").grant("embedding")
        return answer

    @property
    def base_url(self) -> str:
        """The URL of the server's OpenAI API."""
        return self._base_url

    async def post_json(self, url: str, body: Mapping[str, Any], patience: float) -> Any:
        """The JSON of the reply to a call beside the OpenAI API.

        Args:
            url: the whole URL.
            body: of the call.
            patience: seconds that the server may take.

        Raises:
            BackendError: the server cannot be reached, refuses, or sends no JSON.
        """
        with self.sdk.errors():
            async with asyncio.timeout(patience):
                return await self.sdk.json_at(url, dict(body))

    def _single_call(self) -> SingleCall:
        """One call, which waits for others where it would stop their answers."""
        return SingleCall(self._lock if self.profile.stops_answers else None)


def _told(error: BackendError) -> dict[str, Any]:
    return {"error": {"message": error.message, "type": error.error_type, "param": error.param, "code": error.code}}


def _of_its_site(name: str) -> bool:
    """Whether a reply's header is about the site that it comes from, which the client does not see."""
    return name in ("set-cookie", "alt-svc", "strict-transport-security") or name.startswith("access-control-")
