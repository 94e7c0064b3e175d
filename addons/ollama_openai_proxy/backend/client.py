"""One pooled `AsyncOpenAI`: streams of chunks, embeddings, and the list of models."""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from ..errors import BackendError
from ..translate.models import Model, find_model, read_models
from .errors import backend_error
from .sse import BrokenStream, SseReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from ..settings import Settings
    from .sse import Chunk

type Headers = Mapping[str, str | openai.Omit]

MODELS_LIFETIME = 10.0
"""Seconds for which the list of models is not asked for again."""
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 600.0
DRAIN_TIMEOUT = 0.2


class Backend:
    """The OpenAI-compatible server of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.base_url = settings.openai_api_base_url
        key = settings.openai_api_key
        self._client = openai.AsyncOpenAI(
            base_url=self.base_url,
            # The SDK insists on a key; where there is none, the header is left out of each request.
            api_key=key.get_secret_value() if key else "none",
            timeout=httpx2.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
            # The client decides whether to try again: only it knows whether it can wait.
            max_retries=0,
        )
        self._headers: Headers = {} if key else {"Authorization": openai.Omit()}
        self._models: list[Model] | None = None
        self._models_until = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def models(self) -> list[Model]:
        """The back end's models; the answer is kept for `MODELS_LIFETIME`.

        Raises:
            BackendError: the back end cannot be reached or refuses.
        """
        if self._models is None or time.monotonic() >= self._models_until:
            with self.errors():
                page = await self._client.models.list(extra_headers=self._headers)
            self._models = read_models((entry.model_dump() for entry in page.data or []), time.time())
            self._models_until = time.monotonic() + MODELS_LIFETIME
        return self._models

    async def find(self, name: str) -> Model | None:
        """The model that a client means, or None where the back end has none of that name.

        Raises:
            BackendError: the back end cannot be reached or refuses.
        """
        return find_model(name, await self.models())

    def chat(self, parameters: dict[str, Any]) -> ChunkStream:
        """A streamed chat completion; the call is made when its chunks are asked for."""
        return self._stream(self._client.chat.completions.with_streaming_response.create, _CHAT, parameters)

    def complete(self, parameters: dict[str, Any]) -> ChunkStream:
        """A streamed text completion; the call is made when its chunks are asked for."""
        return self._stream(self._client.completions.with_streaming_response.create, _COMPLETION, parameters)

    def _stream(self, create: Callable[..., Any], known: frozenset[str], parameters: dict[str, Any]) -> ChunkStream:
        # What the SDK does not know goes into the body beside what it knows.
        named = {name: value for name, value in parameters.items() if name in known}
        further = {name: value for name, value in parameters.items() if name not in known}
        return ChunkStream(partial(create, **named, extra_body=further or None, extra_headers=self._headers), self.errors)

    async def embed(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The reply to an embeddings call.

        Raises:
            BackendError: the back end cannot be reached or refuses.
        """
        with self.errors():
            reply = await self._client.embeddings.with_raw_response.create(**parameters, extra_headers=self._headers)
            body = reply.http_response.json()
        if not isinstance(body, dict):
            raise BackendError(502, "the back end sent embeddings that cannot be understood")
        return body

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the SDK raises into `BackendError`."""
        try:
            yield
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise backend_error(error, self.base_url) from error
        except (BrokenStream, ValueError) as error:
            raise BackendError(502, "the back end sent an answer that cannot be understood") from error


class ChunkStream:
    """A streamed answer of the back end.

    Attributes:
        complete: whether the back end marked the end of the stream, by `[DONE]` or by HTTP's framing. Where it did not, a
            cut connection looks like an end.
    """

    def __init__(self, call: Callable[[], Any], errors: Callable[[], AbstractContextManager[None]]) -> None:
        self.complete = False
        self._call = call
        self._errors = errors

    async def batches(self) -> AsyncGenerator[list[Chunk], None]:
        """Make the call and yield its chunks, those of one network read together.

        The SDK's own stream makes typed objects of each chunk, which costs ten times as much; so it gives the bytes, and
        they are read here. Closing the generator, or cancelling what awaits it, frees the back end at once.

        Raises:
            BackendError: the back end cannot be reached, refuses, or breaks off.
        """
        with self._errors():
            async with self._call() as response:
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


_CHAT = frozenset(inspect.signature(openai.resources.chat.AsyncCompletions.create).parameters)
_COMPLETION = frozenset(inspect.signature(openai.resources.AsyncCompletions.create).parameters)
