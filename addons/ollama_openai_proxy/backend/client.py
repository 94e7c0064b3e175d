"""One OpenAI-compatible server behind one pooled `AsyncOpenAI`: streams of chunks, embeddings, the list of models."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from ..errors import BackendError
from ..translate.adaptation import Adaptations
from ..translate.models import read_models
from ..translate.profiles import PROFILES, detect_profile
from .errors import Refusal, backend_error
from .sse import BrokenStream, SseReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from pydantic import SecretStr

    from ..translate.models import Model
    from ..translate.profiles import Profile, ProfileName
    from .sse import Chunk

type Headers = Mapping[str, str | openai.Omit]
type Parameters = dict[str, Any]

logger = logging.getLogger(__name__)

SDK_LOGGERS = ("openai", "httpx2", "httpcore2")
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 600.0
DRAIN_TIMEOUT = 0.2
NO_LISTING = frozenset({404, 405, 501})
"""Statuses by which a server says that it does not list its models."""
MOST_ATTEMPTS = 6
"""How often a call is made again without a parameter that was refused; each refusal names another one."""


class Backend:
    """One server.

    Attributes:
        name: what the models file calls it.
        lists_models: whether it has a list of models; where it has none, any name may be asked for.
    """

    def __init__(self, name: str, base_url: str, key: SecretStr | None, profile: ProfileName | None) -> None:
        for chatty in SDK_LOGGERS:
            # On lower levels they log whole requests.
            logging.getLogger(chatty).setLevel(logging.WARNING)
        self.name = name
        self.lists_models = True
        self._base_url = base_url
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            # The SDK insists on a key; where there is none, the header is left out of each request.
            api_key=key.get_secret_value() if key else "none",
            timeout=httpx2.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
            # The client decides whether to try again: only it knows whether it can wait.
            max_retries=0,
        )
        self._headers: Headers = {} if key else {"Authorization": openai.Omit()}
        self.profile: Profile = PROFILES[profile] if profile else detect_profile(base_url, [])
        self._detect = profile is None
        self._adaptations: dict[str, Adaptations] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def models(self) -> list[Model]:
        """Ask for the models, which also tells what kind of server it is.

        Raises:
            BackendError: the server cannot be reached or refuses.
        """
        try:
            with self.errors():
                page = await self._client.models.list(extra_headers=self._headers)
        except BackendError as error:
            if error.status in NO_LISTING:
                self.lists_models = False
                return []
            raise
        self.lists_models = True
        listing = [entry.model_dump() for entry in page.data or []]
        if self._detect:
            self.profile = detect_profile(self._base_url, listing)
        return read_models(listing, time.time(), self.name)

    def chat(self, parameters: Parameters) -> ChunkStream:
        """A streamed chat completion; the call is made when its chunks are asked for."""
        return self._stream(self._client.chat.completions.with_streaming_response.create, _CHAT, parameters)

    def complete(self, parameters: Parameters) -> ChunkStream:
        """A streamed text completion; the call is made when its chunks are asked for."""
        return self._stream(self._client.completions.with_streaming_response.create, _COMPLETION, parameters)

    async def embed(self, parameters: Parameters) -> dict[str, Any]:
        """The reply to an embeddings call.

        Raises:
            BackendError: the server cannot be reached or refuses.
        """
        call = self._client.embeddings.with_raw_response.create

        async def attempt(adapted: Parameters) -> dict[str, Any]:
            with self.errors():
                reply = await call(**_arguments(_EMBEDDING, adapted), extra_headers=self._headers)
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
        for _ in range(MOST_ATTEMPTS - 1):
            sent = adaptations.apply(parameters)
            try:
                return await attempt(sent)
            except Refusal as refusal:
                if not adaptations.learn(sent, refusal.status, refusal.message, refusal.param):
                    raise
                logger.info("back end %s refuses part of a call to %s; it is left out from now on", self.name, model)
                self._adaptations[model] = adaptations
        return await attempt(adaptations.apply(parameters))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the SDK raises into `BackendError`."""
        try:
            yield
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise backend_error(error, self._base_url) from error
        except (BrokenStream, ValueError) as error:
            raise BackendError(502, "the back end sent an answer that cannot be understood") from error

    def _stream(self, create: Callable[..., Any], known: frozenset[str], parameters: Parameters) -> ChunkStream:
        def call(adapted: Parameters) -> Any:
            return create(**_arguments(known, adapted), extra_headers=self._headers)

        return ChunkStream(self, call, parameters)


class ChunkStream:
    """A streamed answer.

    Attributes:
        complete: whether the server marked the end of the stream, by `[DONE]` or by HTTP's framing. Where it did not, a cut
            connection looks like an end.
    """

    def __init__(self, backend: Backend, call: Callable[[Parameters], Any], parameters: Parameters) -> None:
        self.complete = False
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
            return reads, await anext(reads, None)

        reads, first = await self._backend.adapted(self._parameters, open_stream)
        async with aclosing(reads):
            if first:
                yield first
            async for chunks in reads:
                yield chunks

    async def _read(self, parameters: Parameters) -> AsyncGenerator[list[Chunk], None]:
        with self._backend.errors():
            async with self._call(parameters) as response:
                if "json" in response.headers.get("content-type", ""):
                    # It does not stream: the answer is one chunk.
                    yield [await response.json()]
                    self.complete = True
                    return
                reader = SseReader()
                reads = response.iter_bytes()
                async for data in reads:
                    if chunks := reader.feed(data):
                        yield chunks
                    if reader.done:
                        await _drain(reads)
                        break
                else:
                    if chunks := reader.finish():
                        yield chunks
                self.complete = reader.done or _framed(response.http_response)


async def _drain(reads: AsyncIterator[bytes]) -> None:
    """Read on to the end of the body, without which the connection could not be used again; but do not wait for it long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_TIMEOUT):
            async for _ in reads:
                pass


def _framed(response: httpx2.Response) -> bool:
    headers = response.headers
    return "content-length" in headers or "transfer-encoding" in headers or response.http_version == "HTTP/2"


def _arguments(known: frozenset[str], parameters: Parameters) -> Parameters:
    """The parameters as the SDK takes them: what it does not know goes into the body beside what it knows."""
    named = {name: value for name, value in parameters.items() if name in known}
    further = {name: value for name, value in parameters.items() if name not in known}
    return named | {"extra_body": further} if further else named


_CHAT = frozenset(inspect.signature(openai.resources.chat.AsyncCompletions.create).parameters)
_COMPLETION = frozenset(inspect.signature(openai.resources.AsyncCompletions.create).parameters)
_EMBEDDING = frozenset(inspect.signature(openai.resources.AsyncEmbeddings.create).parameters)
