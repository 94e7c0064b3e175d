"""Calls to what a server has above `/v1`, such as Ollama's own API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
from multidict import CIMultiDict
from pydantic_core import to_json

from ..api.path_table import has_dot_segments, root_url
from ..errors import BackendError
from ..net.body import MOST_LIST, read_whole
from ..net.connection_pool import why_unreachable
from ..net.redirects import RedirectError
from ..net.response_body import response_body
from ..translate.bounded_json import read_json
from .sdk_errors import broken, moved, unreachable

if TYPE_CHECKING:
    from ..net.connection_pool import Connections
    from ..translate.loading_calls import LoaderCall
    from .call_headers import CallHeaders
    from .server_options import ServerOptions


class RootCalls:
    """Makes calls above `/v1` of one server.

    Args:
        base_url: of the server's OpenAI API.
        connections: to the server.
        options: the way to the server.
        headers: of its calls.
    """

    def __init__(self, base_url: str, connections: Connections, options: ServerOptions, headers: CallHeaders) -> None:
        self._base_url = base_url
        self._connections = connections
        self._options = options
        self._headers = headers

    async def make(self, call: LoaderCall) -> tuple[int, Any]:
        """Make a call.

        Returns:
            The status, and the body: what its JSON says, else its text.

        Raises:
            BackendError: the server cannot be reached, or breaks off.
        """
        if has_dot_segments(call.path):
            raise BackendError(400, "the name of the model has a part that is not followed: . or ..")
        kept = {name: value for name, value in self._headers.beside_a_clients() if value}
        body = None if call.body is None else to_json(call.body)
        headers = kept if body is None else {**kept, "Content-Type": "application/json"}
        try:
            response = await self._connections.request(
                call.method,
                self._options.with_query(root_url(self._base_url) + call.path),
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
