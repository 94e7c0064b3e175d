"""Calls of one server's OpenAI API through the official SDK, and what the errors of these calls mean."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import aiohttp

from ..api.path_table import root_url
from ..errors import BackendError
from ..net.answer_driver import ServerAnswer
from ..net.redirects import RedirectError
from ..net.request_context import current_record
from ..net.response_body import BODY
from ..translate.bounded_json import read_json
from ..translate.refused_key import refused_key
from .lazy_sdk import httpx2, openai
from .sdk_errors import backend_error, late, moved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import SecretStr

    from ..net.connection_pool import Connections
    from .call_headers import CallHeaders
    from .server_options import ServerOptions
    from .single_calls import SingleCall

type Parameters = dict[str, Any]

INFILL = "/infill"
"""llama.cpp's path for a prompt with a suffix, which stands beside `/v1`, not below it."""


class SdkCalls:
    """Makes calls with one pooled `AsyncOpenAI`.

    Args:
        base_url: of the server.
        key: the proxy's own key.
        connections: to the server.
        options: the way to the server.
        headers: of its calls.
        limit: bytes of an answer that may be held in memory; None for any.

    Attributes:
        base_url: of the server.
    """

    def __init__(
        self,
        base_url: str,
        key: SecretStr | None,
        connections: Connections,
        options: ServerOptions,
        headers: CallHeaders,
        limit: int | None,
    ) -> None:
        self.base_url = base_url
        self._key = key
        self._connections = connections
        self._options = options
        self._headers = headers
        self._limit = limit

    @cached_property
    def _client(self) -> openai.AsyncOpenAI:
        """The SDK's client, made with the first call."""
        from .sdk_transport import Client, HttpClient, Transport

        return Client(
            base_url=self.base_url,
            # The SDK insists on a key; where there is none, the header is left out of each request.
            api_key=self._key.get_secret_value() if self._key else "none",
            default_query=self._options.plain_query() or None,
            # The transport follows redirects, since the client would lose the method.
            http_client=HttpClient(Transport(self._connections, self.base_url, self._limit)),
            # The client decides whether to try again: only it knows whether it can wait.
            max_retries=0,
        )

    async def close(self) -> None:
        """Close the SDK's client, if there was a call."""
        if "_client" in vars(self):
            await self._client.close()

    async def list_models(self) -> tuple[bytes, list[str]]:
        """Ask for the list of models; returns the body, and the names of the headers in lower case."""
        reply = await self._client.models.with_raw_response.list(extra_headers=self._headers.of_the_sdk())
        return reply.http_response.content, [name.lower() for name in reply.headers]

    async def post(self, path: str, parameters: Parameters) -> bytes:
        """Make a call whose answer is read at once; returns the body.

        Not the SDK's own methods, which add parameters that a server may not know, such as `encoding_format`.
        """
        response = await self._client.post(
            path, cast_to=httpx2.Response, body=parameters, options={"headers": self._headers.of_the_sdk()}
        )
        note_id(response.headers)
        return response.content

    async def stream(self, path: str, parameters: Parameters, turn: SingleCall) -> ServerAnswer:
        """Begin a call whose answer is read while it arrives.

        Args:
            path: below the base URL; see `_url`.
            parameters: the body.
            turn: the server's turn for this call, which ends with the answer.
        """
        async with turn:
            # The SDK's way to call what it has no method for. Its own methods walk through the types of all parameters first,
            # which costs more than all of the translation, and here everything was checked.
            answer = await self._client.post(
                self._url(path),
                cast_to=httpx2.Response,
                body=parameters,
                # What is not given, the SDK copies anew from its defaults for each call.
                options={"headers": self._headers.of_the_sdk(), "params": {}, "max_retries": 0, "timeout": None},
                stream=True,
                stream_cls=openai.AsyncStream[Any],
            )
            # `stream` leaves its body to be read, `cast_to` keeps it from being wrapped, and the types know only one of both.
            response = cast("httpx2.Response", answer)
            note_id(response.headers)
            framed = "content-length" in response.headers or "transfer-encoding" in response.headers
            return ServerAnswer(response.status_code, turn.until_end_of(response.extensions[BODY]), framed)

    async def json_at(self, url: str, body: Parameters | None) -> Any:
        """Return the JSON of the reply to a GET or, with a body, to a POST."""
        options: Any = {"headers": self._headers.of_the_sdk()}
        if body is None:
            response = await self._client.get(url, cast_to=httpx2.Response, options=options)
        else:
            response = await self._client.post(url, cast_to=httpx2.Response, body=body, options=options)
        return read_json(response.content)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the SDK raises into `BackendError`."""
        try:
            yield
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            if isinstance(error, openai.APIStatusError):
                note_id(error.response.headers)
            raise self.with_key_named(backend_error(error, self.base_url)) from error
        except RedirectError as error:
            raise moved(error, self.base_url) from error
        except TimeoutError as error:
            raise BackendError(504, late(self.base_url)) from error
        except ValueError as error:
            raise BackendError(502, "the back end sent an answer that cannot be understood") from error

    def with_key_named[Error: BackendError](self, error: Error) -> Error:
        """Return the error, whose text says whose key was refused, if one was."""
        if error.status == HTTPStatus.UNAUTHORIZED:
            error.message = refused_key(error.message, *self._headers.key_sent())
        return error

    def explain(self, error: Exception) -> BackendError:
        """Return the error for the client of what ended the body of a stream."""
        if isinstance(error, TimeoutError):
            return BackendError(504, late(self.base_url))
        if isinstance(error, aiohttp.ClientError):
            return BackendError(502, "the connection to the back end broke off: it closed the connection before the end")
        return BackendError(502, "the back end sent an answer that cannot be understood")

    def _url(self, path: str) -> str:
        """Return the URL of a call, which the SDK parses once; a relative one costs it two parses each time."""
        return root_url(self.base_url) + path if path == INFILL else f"{self.base_url.rstrip('/')}/{path.lstrip('/')}"


def note_id(headers: Mapping[str, str]) -> None:
    """Note the id under which the server knows a call."""
    if own := headers.get("x-request-id"):
        current_record().backend_ids.append(own)
