"""One OpenAI-compatible server behind one pooled `AsyncOpenAI`: streams of chunks, embeddings, the list of models."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import httpx2
import openai
from multidict import CIMultiDict
from pydantic_core import from_json

from ..api.paths import OPENAI_CHAT, OPENAI_COMPLETIONS, below_base
from ..errors import BackendError
from ..net.connection_pool import Connections
from ..net.forwarding import Relay
from ..net.messages import REQUEST_ID, within
from ..net.request_context import current_record
from ..translate.adaptation import Adaptations
from ..translate.model_descriptions import read_models
from ..translate.server_profiles import PROFILES, detect_profile
from .sdk_errors import Refusal, backend_error
from .sdk_transport import Transport
from .sse import SseReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from pydantic import SecretStr

    from ..net.messages import Reply, Request, Timeouts
    from ..net.request_context import Watcher
    from ..translate.model_descriptions import Model
    from ..translate.server_profiles import Profile, ProfileName
    from .sse import Chunk

type Headers = Mapping[str, str | openai.Omit]
type Parameters = dict[str, Any]

logger = logging.getLogger(__name__)

SDK_LOGGERS = ("openai", "httpx2", "httpcore2")
DRAIN_TIMEOUT = 0.2
NOT_FORWARDED = (
    *("Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "OpenAI-Organization", "OpenAI-Project", "Cookie"),
    *("Accept-Encoding", "Origin", "Referer", "X-Http-Method-Override"),
)
"""Headers of a client that are not for the back end: its own keys, and what was dealt with here."""
NO_LISTING = frozenset({404, 405, 501})
"""Statuses by which a server says that it does not list its models."""
MOST_ATTEMPTS = 6
"""How often a call is made again without a parameter that was refused; each refusal names another one."""


class Backend:
    """One server.

    Args:
        name: what the models file calls it.
        base_url: its URL.
        key: the proxy's own key.
        profile: its kind; None finds out.
        timeouts: how long it may take.
        passthrough: whether the key that a client brings takes the place of the proxy's own.

    Attributes:
        name: what the models file calls it.
        lists_models: whether it has a list of models; where it has none, any name may be asked for.
        missing: paths that it turned out not to have.
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
    ) -> None:
        for chatty in SDK_LOGGERS:
            # On lower levels they log whole requests.
            logging.getLogger(chatty).setLevel(logging.WARNING)
        self.name = name
        self.lists_models = True
        self.missing: set[str] = set()
        self._base_url = base_url
        connections = Connections(base_url, environment=True)
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            # The SDK insists on a key; where there is none, the header is left out of each request.
            api_key=key.get_secret_value() if key else "none",
            http_client=httpx2.AsyncClient(transport=Transport(connections), timeout=None, follow_redirects=True),
            # The client decides whether to try again: only it knows whether it can wait.
            max_retries=0,
        )
        self._key = key
        self._passthrough = passthrough
        self._timeouts = timeouts
        self.profile: Profile = PROFILES[profile] if profile else detect_profile(base_url, [])
        self._detect = profile is None
        self._adaptations: dict[str, Adaptations] = {}
        # The SDK reads and writes what it knows; a call that is to pass as it is goes another way.
        self._relay = Relay(base_url, "the back end", timeouts, connections=connections)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        await self._relay.close()

    async def forward(self, request: Request, target: str, body: bytes | None = None) -> Reply:
        """Hand an OpenAI call on as it is, with the proxy's key instead of the client's.

        Args:
            request: the call.
            target: path and query below the server's base URL.
            body: instead of the request's.

        Raises:
            BackendError: the server cannot be reached, or broke off before its reply.
        """
        watcher = current_record().watcher
        if watcher is not None:
            watcher.sent(
                self.name, self._base_url + target, request.body if body is None else body, with_key=self._brings_key()
            )
        coding = [] if body is None else [("Content-Encoding", "")]
        reply = await self._relay.send(request, target, body, [*self._replaced_headers(), *coding])
        _note_id(reply.headers)
        if watcher is not None:
            reply = _watched(reply, watcher)
        kept = [(name, value) for name, value in reply.headers.items() if not _of_its_site(name.lower())]
        return replace(reply, headers=CIMultiDict(kept))

    async def models(self) -> list[Model]:
        """Ask for the models, which also tells what kind of server it is.

        Raises:
            BackendError: the server cannot be reached or refuses.
        """
        try:
            with self.errors():
                async with asyncio.timeout(self._timeouts.begin):
                    reply = await self._client.models.with_raw_response.list(extra_headers=self._headers())
                listing = _listing(from_json(reply.http_response.content))
        except BackendError as error:
            if error.status in NO_LISTING:
                self.lists_models = False
                return []
            raise
        self.lists_models = True
        if self._detect:
            self.profile = detect_profile(self._base_url, listing)
        return read_models(listing, time.time(), self.name)

    def chat(self, parameters: Parameters) -> ChunkStream:
        """A streamed chat completion; the call is made when its chunks are asked for."""
        return self._stream(below_base(OPENAI_CHAT), parameters)

    def complete(self, parameters: Parameters) -> ChunkStream:
        """A streamed text completion; the call is made when its chunks are asked for."""
        return self._stream(below_base(OPENAI_COMPLETIONS), parameters)

    async def embed(self, parameters: Parameters) -> dict[str, Any]:
        """The reply to an embeddings call.

        Raises:
            BackendError: the server cannot be reached or refuses.
        """
        call = self._client.embeddings.with_raw_response.create

        async def attempt(adapted: Parameters) -> dict[str, Any]:
            with self.errors():
                async with asyncio.timeout(self._timeouts.begin):
                    reply = await call(**_arguments(adapted), extra_headers=self._headers())
                _note_id(reply.headers)
                body = reply.http_response.json()
            if not isinstance(body, dict):
                raise BackendError(502, "the back end sent embeddings that cannot be understood")
            return body

        return await self.adapted(parameters, attempt)

    async def adapted[T](self, parameters: Parameters, attempt: Callable[[Parameters], Awaitable[T]]) -> T:
        """Make a call, and make it again without what the server refuses of it; what it refuses is remembered.

        Raises:
            BackendError: the server cannot be reached, or refuses the call as such.
        """
        model = parameters["model"]
        adaptations = self._adaptations.get(model) or Adaptations()
        watcher = current_record().watcher
        for _ in range(MOST_ATTEMPTS - 1):
            sent = adaptations.apply(parameters)
            if watcher is not None:
                watcher.sent(self.name, self._base_url, sent, with_key=self._brings_key())
            try:
                return await attempt(sent)
            except Refusal as refusal:
                if watcher is not None:
                    watcher.note(f"the back end refused with {refusal.status}: {refusal.message}")
                if not adaptations.learn(sent, refusal.status, refusal.message, refusal.param):
                    raise
                current_record().retries += 1
                logger.info("back end %s refuses part of a call to %s; it is left out from now on", self.name, model)
                self._adaptations[model] = adaptations
        sent = adaptations.apply(parameters)
        if watcher is not None:
            watcher.sent(self.name, self._base_url, sent, with_key=self._brings_key())
        return await attempt(sent)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the SDK raises into `BackendError`."""
        try:
            yield
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            if isinstance(error, openai.APIStatusError):
                _note_id(error.response.headers)
            raise backend_error(error, self._base_url) from error
        except TimeoutError as error:
            raise BackendError(504, f"the back end at {self._base_url} did not answer in time") from error
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
        return headers

    def _brings_key(self) -> bool:
        return self._key is not None or bool(self._passthrough and current_record().client_key)

    def _replaced_headers(self) -> list[tuple[str, str]]:
        """What takes the place of a client's headers. Anthropic's API has a header of its own for the key."""
        record = current_record()
        own = self._key.get_secret_value() if self._key else ""
        key = (record.client_key if self._passthrough else None) or own
        keys = [("Authorization", f"Bearer {key}"), ("X-Api-Key", key)] if key else []
        return [*[(name, "") for name in NOT_FORWARDED], ("Accept-Encoding", "identity"), *keys]

    def _stream(self, path: str, parameters: Parameters) -> ChunkStream:
        async def call(adapted: Parameters) -> httpx2.Response:
            # The SDK's way to call what it has no method for. Its own methods walk through the types of all parameters first,
            # which costs more than all of the translation, and here everything was checked.
            response = await self._client.post(
                path,
                cast_to=httpx2.Response,
                body=adapted,
                options={"headers": self._headers()},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            # `stream` leaves its body to be read, `cast_to` keeps it from being wrapped, and the types know only one of both.
            return cast("httpx2.Response", response)

        return ChunkStream(self, call, parameters, self._timeouts)


class ChunkStream:
    """A streamed answer.

    Attributes:
        complete: whether the server marked the end of the stream, by `[DONE]` or by HTTP's framing. Where it did not, a cut
            connection looks like an end.
    """

    def __init__(
        self,
        backend: Backend,
        call: Callable[[Parameters], Awaitable[httpx2.Response]],
        parameters: Parameters,
        timeouts: Timeouts,
    ) -> None:
        self.complete = False
        self._timeouts = timeouts
        self._backend = backend
        self._call = call
        self._parameters = parameters

    async def batches(self) -> AsyncGenerator[list[Chunk], None]:
        """Make the call and yield its chunks, those of one network read together.

        The SDK's own stream makes typed objects of each chunk, which costs ten times as much; so it gives the bytes, and
        they are read here. Closing the generator, or cancelling what awaits it, frees the server at once.

        Raises:
            BackendError: the server cannot be reached, refuses, or breaks off.
        """

        async def open_stream(adapted: Parameters) -> tuple[AsyncGenerator[list[Chunk], None], list[Chunk] | None]:
            reads = self._read(adapted)
            with self._backend.errors():
                return reads, await within(self._timeouts.begin, anext(reads, None))

        reads, chunks = await self._backend.adapted(self._parameters, open_stream)
        async with aclosing(reads):
            with self._backend.errors():
                while chunks is not None:
                    yield chunks
                    chunks = await within(self._timeouts.idle, anext(reads, None))

    async def _read(self, parameters: Parameters) -> AsyncGenerator[list[Chunk], None]:
        with self._backend.errors():
            response = await self._call(parameters)
            async with aclosing(response):
                _note_id(response.headers)
                if "json" in response.headers.get("content-type", ""):
                    # It does not stream: the answer is one chunk.
                    yield [_object(await response.aread())]
                    self.complete = True
                    return
                reader = SseReader()
                begun = False
                reads = response.aiter_bytes()
                watcher = current_record().watcher
                async for data in reads:
                    if watcher is not None:
                        watcher.received(response.status_code, data)
                    if chunks := reader.feed(data):
                        begun = True
                        yield chunks
                    if reader.done:
                        await _drain(reads)
                    if reader.done or reader.broken:
                        break
                else:
                    if chunks := reader.finish():
                        begun = True
                        yield chunks
                if reader.broken or not (begun or reader.done):
                    raise ValueError("no stream of chunks")
                self.complete = reader.done or _framed(response)


def _note_id(headers: Mapping[str, str]) -> None:
    """Note the id under which the server knows a call."""
    if own := headers.get("x-request-id"):
        current_record().backend_ids.append(own)


def _watched(reply: Reply, watcher: Watcher) -> Reply:
    if isinstance(reply.body, bytes):
        watcher.received(reply.status, reply.body)
        return reply
    return replace(reply, body=_watched_parts(reply.status, reply.body, watcher))


async def _watched_parts(status: int, parts: AsyncGenerator[bytes, None], watcher: Watcher) -> AsyncGenerator[bytes, None]:
    async with aclosing(parts):
        async for part in parts:
            watcher.received(status, part)
            yield part


def _of_its_site(name: str) -> bool:
    """Whether a reply's header is about the site that it comes from, which the client does not see."""
    return name in ("set-cookie", "alt-svc", "strict-transport-security") or name.startswith("access-control-")


async def _drain(reads: AsyncIterator[bytes]) -> None:
    """Read on to the end of the body, without which the connection could not be used again; but do not wait for it long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_TIMEOUT):
            async for _ in reads:
                pass


def _object(data: bytes) -> dict[str, Any]:
    value = from_json(data)
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004  # one error for all that is wrong with it
    return value


def _framed(response: httpx2.Response) -> bool:
    headers = response.headers
    return "content-length" in headers or "transfer-encoding" in headers


def _listing(answer: Any) -> list[dict[str, Any]]:
    """The entries of a list of models, which Together gives bare.

    Raises:
        ValueError: it is no such list.
    """
    entries = answer.get("data") if isinstance(answer, dict) else answer
    if entries is None and isinstance(answer, dict) and "data" in answer:
        return []  # Ollama's empty list
    if not isinstance(entries, list):
        raise ValueError("no list of models")  # noqa: TRY004  # one error for all that is wrong with it
    return [entry for entry in entries if isinstance(entry, dict)]


_EMBEDDING = frozenset(inspect.signature(openai.resources.AsyncEmbeddings.create).parameters)


def _arguments(parameters: Parameters) -> Parameters:
    """The parameters of an embeddings call as the SDK takes them: what it does not know goes beside what it knows."""
    named = {name: value for name, value in parameters.items() if name in _EMBEDDING}
    further = {name: value for name, value in parameters.items() if name not in _EMBEDDING}
    return named | {"extra_body": further} if further else named
