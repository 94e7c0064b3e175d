"""Finds the handler of a request to the Ollama API, and answers requests that have none.

Source: docs/wire.md#routing and docs/wire.md#routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...net.http_messages import Reply
from ...schemas.ollama.json_encoding import TEXT_TYPE
from ..path_table import find_route

if TYPE_CHECKING:
    from ..path_table import Handler


def handler_of(method: str, path: str) -> Handler | Reply:
    """The handler of a request, or Ollama's reply to a request with an unknown path or a wrong method.

    Args:
        method: of the request.
        path: decoded, without the query.
    """
    route = find_route(path)
    if route is None or route.handler is None or (route.prefix is not None and "/" in path.removeprefix(route.prefix)):
        return Reply(404, {"Content-Type": TEXT_TYPE}, b"404 page not found")
    if method not in route.methods:
        return Reply(405, {"Allow": route.allow, "Content-Type": TEXT_TYPE}, b"405 method not allowed")
    return route.handler
