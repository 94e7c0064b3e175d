"""One OpenAI-compatible server behind one pooled `AsyncOpenAI`: answers, embeddings, the list of models."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from multidict import CIMultiDict
from pydantic_core import to_json

from ..api.path_table import (
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
    below_base,
    has_dot_segments,
    root_url,
)
from ..errors import BackendError, EmptyAnswer
from ..net.answer_driver import ServerAnswer
from ..net.body import MOST_ERROR, MOST_LIST, read_whole
from ..net.connection_pool import Connections, why_unreachable
from ..net.forwarding import Relay
from ..net.http_messages import REQUEST_ID
from ..net.masking import Masker
from ..net.redirects import RedirectError
from ..net.request_context import current_record
from ..net.response_body import BODY, response_body
from ..translate.adaptation.api_changes import UseResponses, in_chat_terms, use_responses
from ..translate.adaptation.changes import AskWithoutStream
from ..translate.adaptation.embedding_changes import CutInputs
from ..translate.adaptation.finding import STATUSES
from ..translate.adaptation.learned import LearnedByModel, Missing
from ..translate.adaptation.refusal_text import RefusalText
from ..translate.bounded_json import read_json, read_odd_json
from ..translate.error_text import error_text
from ..translate.loading_calls import detect_loader
from ..translate.not_found import MISSING, names_missing_route
from ..translate.ollama.embeddings import is_without_vectors
from ..translate.ollama_descriptions import DEFAULT_BACKEND, read_models
from ..translate.reader.server_errors import ModelNames, error_in_chunk, server_error
from ..translate.refused_key import OTHER_STATUSES, names_refused_key, refused_key, told_in_body
from ..translate.responses_backend.reasoning_items import without_items
from ..translate.responses_backend.request import responses_parameters
from ..translate.responses_backend.when_needed import reasons_beside_tools
from ..translate.server_profiles import PROFILES, detect_profile
from .forwarded_headers import is_harmless
from .lazy_sdk import httpx2, openai
from .model_lists import ModelDetails, listed_entries
from .model_loader import ModelLoader
from .sdk_errors import ContextTooLong, Refusal, backend_error, broken, late, moved, unreachable
from .server_options import ServerOptions
from .single_calls import SingleCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from pydantic import SecretStr

    from ..net.answer_driver import AnswerDriver, Machine
    from ..net.forwarding import MakeMachine
    from ..net.http_messages import Reply, Request, Timeouts
    from ..net.request_context import Record
    from ..translate.adaptation.changes import Call, Change
    from ..translate.loading_calls import LoaderCall, LoaderKind
    from ..translate.ollama_descriptions import Model
    from ..translate.refused_key import KeyOwner
    from ..translate.server_profiles import Profile, ProfileName

type Headers = Mapping[str, str | openai.Omit]
type Parameters = dict[str, Any]

logger = logging.getLogger(__name__)

KEY_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
"""Headers in which servers expect a key."""
MOST_NOTED = 100
"""Unknown words for the end of an answer that are logged."""
MOST_THINKING = 1000
"""Models that are remembered because their answers begin with thinking; a server may take any name for a model."""
REFUSED = frozenset({"backend_refused", "context_overflow"})
"""Kinds of errors that tell a refusal, see `server_error`."""
CHAT = below_base(OPENAI_CHAT)
COMPLETIONS = below_base(OPENAI_COMPLETIONS)
INFILL = "/infill"
"""llama.cpp's path for a prompt with a suffix, which stands beside `/v1`, not below it."""
RESPONSES = below_base(OPENAI_RESPONSES)
SDK_LOGGERS = ("openai", "httpx2", "httpcore2")
_SDK_HEADERS = {"authorization": "Authorization", "user-agent": "User-Agent", "accept": "Accept"}
"""Headers that the SDK sends by itself, in its spelling: it would send another spelling besides."""


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
        self._key = key
        self._passthrough = passthrough
        self.timeouts = timeouts
        self.profile: Profile = PROFILES[profile] if profile else detect_profile(base_url, [])
        self._detect = profile is None
        self.loader_kind: LoaderKind | None = None
        self.loader = ModelLoader(self)
        # The SDK reads and writes what it knows; a call that is to pass as it is goes another way.
        self._relay = Relay(
            base_url, "the back end", timeouts, connections=self._connections, watched=True, follow=True, limit=limit
        )
        self._details = ModelDetails(base_url, self._told_json, time.monotonic)
        self._running: list[Record] = []
        self._lock = asyncio.Lock()

    @cached_property
    def _client(self) -> openai.AsyncOpenAI:
        """The SDK's client, made with the first call."""
        from .sdk_transport import Client, HttpClient, Transport

        return Client(
            base_url=self._base_url,
            # The SDK insists on a key; where there is none, the header is left out of each request.
            api_key=self._key.get_secret_value() if self._key else "none",
            default_query=self.options.plain_query() or None,
            # The transport follows redirects, since the client would lose the method.
            http_client=HttpClient(Transport(self._connections, self._base_url, self.limit)),
            # The client decides whether to try again: only it knows whether it can wait.
            max_retries=0,
        )

    async def close(self) -> None:
        """Close the connections."""
        if "_client" in vars(self):
            await self._client.close()
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
                self.name, self._base_url + target, request.body if body is None else body, with_key=self._brings_key()
            )
        coding = [] if body is None else [("Content-Encoding", "")]
        replaced = [*self._replaced_headers(), *coding]
        target = self.options.with_query(target)
        async with self._single_call() as single:
            reply = await self._relay.send(
                request, target, body, replaced, harmless=is_harmless, make_machine=make_machine, keep_alive=keep_alive
            )
            if not isinstance(reply.body, bytes):
                reply = replace(reply, body=single.until_end_of(reply.body))
        _note_id(reply.headers)
        if reply.status in OTHER_STATUSES and not isinstance(reply.body, bytes):
            reply = replace(reply, body=await read_whole(reply.body, MOST_ERROR), length=None)
        if isinstance(reply.body, bytes) and names_refused_key(reply.status, error_text(reply.body.decode("utf-8", "replace"))):
            reply = replace(reply, status=int(HTTPStatus.UNAUTHORIZED))
        if reply.status == HTTPStatus.UNAUTHORIZED:
            reply = replace(reply, body=told_in_body(await read_whole(reply.body), *self._key_sent()), length=None)
        kept = [(name, value) for name, value in reply.headers.items() if not _of_its_site(name.lower())]
        return replace(reply, headers=CIMultiDict(kept))

    async def models(self) -> list[Model]:
        """Ask for the models, which also tells what kind of server it is.

        Raises:
            BackendError: the server cannot be reached or refuses.
        """
        try:
            with self.errors():
                async with asyncio.timeout(self.timeouts.begin):
                    reply = await self._client.models.with_raw_response.list(extra_headers=self._headers())
                listing = listed_entries(read_odd_json(reply.http_response.content))
        except BackendError as error:
            if error.status in MISSING:
                self.lists_models = False
                return []
            raise
        self.lists_models = True
        self.loader_kind = detect_loader(self._base_url, listing)
        if self._detect:
            self.profile = detect_profile(self._base_url, listing, [name.lower() for name in reply.headers])
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
            return await self._json_at(url, body)
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
                with self.errors():
                    await driver.open(
                        lambda: self._stream(RESPONSES if call.api == "responses" else path, sent_body(call)),
                        make_machine(call),
                        whole=whole,
                        timeouts=self.timeouts,
                        explain=self.explain,
                    )
            except BackendError as error:
                if error.kind in REFUSED and not isinstance(error, Refusal):
                    # Some servers refuse within an answer of status 200.
                    raise Refusal(error.status, error.message, error.headers, error.param, _told(error)) from error
                raise

        if path == CHAT and self.uses_responses(parameters):
            try:
                await self.adapted(parameters, attempt, beginning=(UseResponses(),))
            except Refusal as error:
                if not (error.status in MISSING and names_missing_route(error.told)):
                    raise
                self.missing.add(OPENAI_RESPONSES)
            else:
                return
        try:
            await self.adapted(parameters, attempt, refusal=refusal)
        except EmptyAnswer:
            if not (self.profile.hides_refusals and self.learned.enabled):
                raise
            await self.adapted(parameters, attempt, beginning=(AskWithoutStream(),))

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

    def learns_responses(self, chat: Mapping[str, Any], status: int, body: bytes) -> bool:
        """Learn from the refusal of a chat completion that was passed on whether its model has only `/v1/responses`.

        Args:
            chat: the parameters that were sent.
            status: of the refusal.
            body: of the refusal.
        """
        refusal = RefusalText.of(status, error_text(body.decode("utf-8", "replace")), None)
        changes = [finding.change for finding in use_responses(refusal, chat)] if status in STATUSES else []
        if changes and self.learned.enabled:
            self.learned.of(str(chat.get("model")), "chat").remember(changes)
            self._tell(chat, changes)
        return bool(changes) and self.learned.enabled

    def explain(self, error: Exception) -> BackendError:
        """The error for the client of what ended the body of a stream."""
        if isinstance(error, TimeoutError):
            return BackendError(504, late(self._base_url))
        if isinstance(error, aiohttp.ClientError):
            return BackendError(502, "the connection to the back end broke off: it closed the connection before the end")
        return BackendError(502, "the back end sent an answer that cannot be understood")

    def with_key_named[Error: BackendError](self, error: Error) -> Error:
        """The error, whose text says whose key was refused, if one was."""
        if error.status == HTTPStatus.UNAUTHORIZED:
            error.message = refused_key(error.message, *self._key_sent())
        return error

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

    async def call_root(self, call: LoaderCall) -> tuple[int, Any]:
        """Make a call to what is above `/v1`, such as Ollama's own API.

        Returns:
            The status, and the body: what its JSON says, else its text.

        Raises:
            BackendError: the server cannot be reached, or breaks off.
        """
        if has_dot_segments(call.path):
            raise BackendError(400, "the name of the model has a part that is not followed: . or ..")
        kept = {name: value for name, value in self._replaced_headers() if value}
        body = None if call.body is None else to_json(call.body)
        headers = kept if body is None else {**kept, "Content-Type": "application/json"}
        try:
            response = await self._connections.request(
                call.method,
                self.options.with_query(root_url(self._base_url) + call.path),
                headers=CIMultiDict(headers),
                data=body,
                base_url=self._base_url,
            )
            coding = response.headers.get("Content-Encoding", "")
            content = await read_whole(response_body(response, coding, self._connections.masker), MOST_LIST)
        except aiohttp.ClientConnectorError as error:
            raise unreachable(why_unreachable(error), self._base_url) from error
        except RedirectError as error:
            raise moved(error, self._base_url) from error
        except aiohttp.ClientError as error:
            raise broken("it closed the connection before the end", self._base_url) from error
        except ValueError as error:
            raise BackendError(502, "the back end sent an answer that cannot be understood") from error
        try:
            return response.status, read_json(content)
        except ValueError:
            return response.status, content.decode("utf-8", "replace")

    async def embed(self, parameters: Parameters, *, truncate: bool = True) -> dict[str, Any]:
        """The reply to one embeddings call; `truncate` says whether texts that are too long may be cut.

        Raises:
            ContextTooLong: a text is longer than the model's context.
            BackendError: the server cannot be reached or refuses.
        """

        async def attempt(call: Call) -> dict[str, Any]:
            with self.errors():
                async with asyncio.timeout(self.timeouts.begin), self._single_call():
                    # Not the SDK's own method, which adds `encoding_format` where a server does not know it.
                    response = await self._client.post(
                        below_base(OPENAI_EMBEDDINGS),
                        cast_to=httpx2.Response,
                        body=call.parameters,
                        options={"headers": self._headers()},
                    )
                _note_id(response.headers)
                body = read_json(response.content)
            if not isinstance(body, dict):
                raise BackendError(502, "the back end sent embeddings that cannot be understood")
            if not body.get("data") and (error := error_in_chunk(body, None)) is not None:
                told = server_error(error, ModelNames())
                raise Refusal(told.status, told.message, {}, told.param, error) if told.kind in REFUSED else told
            if call.parameters.get("encoding_format") == "base64" and is_without_vectors(body):
                raise Refusal(400, "base64 is not supported: the back end sent no vectors", {}, None)
            return body

        answer = await self.adapted(parameters, attempt, excluding=() if truncate else (CutInputs,))
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
        with self.errors():
            async with asyncio.timeout(patience):
                return await self._json_at(url, dict(body))

    async def _json_at(self, url: str, body: Parameters | None) -> Any:
        """The JSON of the reply to a GET or, with a body, to a POST."""
        options: Any = {"headers": self._headers()}
        if body is None:
            response = await self._client.get(url, cast_to=httpx2.Response, options=options)
        else:
            response = await self._client.post(url, cast_to=httpx2.Response, body=body, options=options)
        return read_json(response.content)

    async def adapted[T](
        self,
        parameters: Parameters,
        attempt: Callable[[Call], Awaitable[T]],
        *,
        excluding: tuple[type[Change], ...] = (),
        beginning: tuple[Change, ...] = (),
        refusal: BackendError | None = None,
    ) -> T:
        """Make a call, and make it again in the way that the server's refusal asks for; what it refuses is remembered.

        Args:
            parameters: the call as it is made where nothing is known.
            attempt: makes the call once.
            excluding: the changes that may not be made.
            beginning: the changes that are made from the beginning.
            refusal: how the server has refused the call before, so that the first attempt is made otherwise.

        Raises:
            ContextTooLong: the prompt alone is longer than the model's context.
            BackendError: the server cannot be reached, or refuses the call as such.
        """
        attempts = self.learned.attempts(parameters, excluding, beginning)
        record = current_record()
        self._note_running()
        if refusal is not None:
            self._tell(parameters, attempts.learn(refusal.status, refusal.message, refusal.param).changes)
        while True:
            if record.watcher is not None:
                record.watcher.sent(self.name, self._base_url, sent_body(attempts.call), with_key=self._brings_key())
            try:
                result = await attempt(attempts.call)
            except Refusal as error:
                if record.watcher is not None:
                    record.watcher.note(f"the back end refused with {error.status}: {error.message}")
                lesson = attempts.learn(error.status, *_in_chat_terms(error, attempts.call))
                self._tell(parameters, lesson.changes)
                if not lesson.again:
                    if lesson.too_long is not None:
                        raise ContextTooLong(error, lesson.too_long) from error
                    raise
            else:
                attempts.confirm()
                return result

    def _tell(self, parameters: Mapping[str, Any], changes: Sequence[Change]) -> None:
        """Say in the log, in the user interface and in the metrics what was learned from a refusal."""
        record = current_record()
        for change in changes:
            logger.info("back end %s, model %s: for an hour, %s", self.name, parameters["model"], change.describe())
            if record.watcher is not None:
                record.watcher.note(f"asked again: {change.describe()}")
        for kind in {change.kind for change in changes}:
            record.extra_calls.append(kind)
        record.retries += bool(changes)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the SDK raises into `BackendError`."""
        try:
            yield
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            if isinstance(error, openai.APIStatusError):
                _note_id(error.response.headers)
            raise self.with_key_named(backend_error(error, self._base_url)) from error
        except RedirectError as error:
            raise moved(error, self._base_url) from error
        except TimeoutError as error:
            raise BackendError(504, late(self._base_url)) from error
        except ValueError as error:
            raise BackendError(502, "the back end sent an answer that cannot be understood") from error

    def _headers(self) -> Headers:
        """What a call of the SDK carries besides."""
        record = current_record()
        headers: dict[str, str | openai.Omit] = {REQUEST_ID: record.request_id} if record.request_id else {}
        if self._passthrough and record.client_key:
            headers["Authorization"] = f"Bearer {record.client_key}"
        elif self._key is None:
            headers["Authorization"] = openai.Omit()
        for name, value in self.options.plain_headers().items():
            headers[_SDK_HEADERS.get(name.lower(), name)] = value
        return headers

    def _brings_key(self) -> bool:
        return self._key_sent()[0] != "nobody"

    def _key_sent(self) -> tuple[KeyOwner, str]:
        """Whose key a call carries, and how the settings call the proxy's."""
        named = "OPENAI_API_KEY" if self.name == DEFAULT_BACKEND else f"of the back end {self.name}"
        if self._passthrough and current_record().client_key:
            return "client", named
        # A server may also be configured with a header of its own for the key.
        own = self._key is not None or any(name.lower() in KEY_HEADERS for name in self.options.plain_headers())
        return ("proxy" if own else "nobody"), named

    def _replaced_headers(self) -> list[tuple[str, str]]:
        """What is sent beside a client's harmless headers. Anthropic's API has a header of its own for the key."""
        record = current_record()
        own = self._key.get_secret_value() if self._key else ""
        key = (record.client_key if self._passthrough else None) or own
        keys = [("Authorization", f"Bearer {key}"), ("X-Api-Key", key)] if key else []
        return [("Accept-Encoding", "identity"), *keys, *self.options.plain_headers().items()]

    def _url(self, path: str) -> str:
        """Return the URL of a call, which the SDK parses once; a relative one costs it two parses each time."""
        return root_url(self._base_url) + path if path == INFILL else f"{self._base_url.rstrip('/')}/{path.lstrip('/')}"

    async def _stream(self, path: str, parameters: Parameters) -> ServerAnswer:
        async with self._single_call() as single:
            # The SDK's way to call what it has no method for. Its own methods walk through the types of all parameters first,
            # which costs more than all of the translation, and here everything was checked.
            answer = await self._client.post(
                self._url(path),
                cast_to=httpx2.Response,
                body=parameters,
                # What is not given, the SDK copies anew from its defaults for each call.
                options={"headers": self._headers(), "params": {}, "max_retries": 0, "timeout": None},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            # `stream` leaves its body to be read, `cast_to` keeps it from being wrapped, and the types know only one of both.
            response = cast("httpx2.Response", answer)
            _note_id(response.headers)
            framed = "content-length" in response.headers or "transfer-encoding" in response.headers
            return ServerAnswer(response.status_code, single.until_end_of(response.extensions[BODY]), framed)

    def _single_call(self) -> SingleCall:
        """One call, which waits for others where it would stop their answers."""
        return SingleCall(self._lock if self.profile.stops_answers else None)


def sent_body(call: Call) -> Parameters:
    """The body of a call, in the terms of the API that is called."""
    return responses_parameters(call.parameters) if call.api == "responses" else without_items(call.parameters)


def _in_chat_terms(refusal: Refusal, call: Call) -> tuple[str, str | None]:
    """The text and the parameter of a refusal in the terms in which calls are changed."""
    if call.api == "chat":
        return refusal.message, refusal.param
    return in_chat_terms(refusal.message), refusal.param and in_chat_terms(refusal.param)


def _told(error: BackendError) -> dict[str, Any]:
    return {"error": {"message": error.message, "type": error.error_type, "param": error.param, "code": error.code}}


def _note_id(headers: Mapping[str, str]) -> None:
    """Note the id under which the server knows a call."""
    if own := headers.get("x-request-id"):
        current_record().backend_ids.append(own)


def _of_its_site(name: str) -> bool:
    """Whether a reply's header is about the site that it comes from, which the client does not see."""
    return name in ("set-cookie", "alt-svc", "strict-transport-security") or name.startswith("access-control-")
