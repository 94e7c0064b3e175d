"""The content views: what mitmweb and mitmproxy show in place of a body's bytes.

Each view only chooses what a flow has for it and hands that on to the module of the text.
A view may be chosen by hand for any body, so none of them relies on the rest of the flow being there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitmproxy import contentviews, http

from ...api.path_table import ROUTES
from .backend_side import BACKEND, CALL, kept, other_side
from .request_text import conversation_of
from .response_text import answer_text

if TYPE_CHECKING:
    from mitmproxy.contentviews import Metadata, SyntaxHighlight

HIGHEST = 10.0
"""mitmproxy's own views go up to 2."""
POSSIBLE = 0.0
"""Not chosen by itself: each body has a view that gives more than that."""
UNFIT = -1.0

_OLLAMA = [route for route in ROUTES if route.surface == "ollama" and route.body == "json"]
_ASKED = frozenset(route.path for route in _OLLAMA)
_V1 = frozenset(route.path for route in ROUTES if route.surface in ("openai", "anthropic") and route.operation)
_JSON = "application/json"


class _Answer(contentviews.Contentview):
    """What a call was answered: text, thinking and tool calls put together, counters, frames."""

    syntax_highlight: SyntaxHighlight = "none"
    stream_type = ""
    paths: frozenset[str] = frozenset()

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Put the answer together."""
        return answer_text(data, _kept(metadata, CALL))

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """High for streams, and for the objects that the calls to a model answer with."""
        if not data:
            return UNFIT
        answered = metadata.content_type == _JSON and _is_response(metadata) and _path(metadata) in self.paths
        return HIGHEST if answered or metadata.content_type == self.stream_type else POSSIBLE


class OllamaAnswer(_Answer):
    """What an Ollama call was answered."""

    name = "Ollama answer"
    stream_type = "application/x-ndjson"
    paths = frozenset(route.path for route in _OLLAMA if route.operation or route.streams)


class OpenAIAnswer(_Answer):
    """What an OpenAI or Anthropic call was answered."""

    name = "OpenAI answer"
    stream_type = "text/event-stream"
    paths = _V1


class OllamaRequest(contentviews.Contentview):
    """What a client asked, in any of the APIs: roles, texts, images, tools, settings."""

    name = "Ollama request"
    syntax_highlight: SyntaxHighlight = "none"

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Write the request as a conversation."""
        request = _request(metadata)
        return conversation_of(_path(metadata), data, request.method if request else "POST")

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """High for the requests of calls, whatever content type a client gives them."""
        if not data or _is_response(metadata):
            return UNFIT
        return HIGHEST if _path(metadata) in _ASKED | _V1 else POSSIBLE


class BackEnd(contentviews.Contentview):
    """Both sides of a translated call: what the back end was sent, what it answered, what was changed and why."""

    name = "Back end"
    syntax_highlight: SyntaxHighlight = "none"

    def prettify(self, data: bytes, metadata: Metadata) -> str:  # noqa: ARG002  # it is the flow that it shows
        """Show the other side of the call."""
        side = _kept(metadata, BACKEND)
        if side is None:
            return "This call went to no back end, or its other side was not kept.\n"
        return other_side(side, _kept(metadata, CALL))

    def render_priority(self, data: bytes, metadata: Metadata) -> float:  # noqa: ARG002
        """Never chosen by itself."""
        return UNFIT if _kept(metadata, BACKEND) is None else POSSIBLE


VIEWS: tuple[type[contentviews.Contentview], ...] = (OllamaAnswer, OpenAIAnswer, OllamaRequest, BackEnd)


def register() -> None:
    """Make the views known to mitmproxy, once however often it is called."""
    for view in VIEWS:
        if not isinstance(_known(view), view):
            contentviews.add(view)


def unregister() -> None:
    """Take the views away again. mitmproxy has no way of its own for that."""
    for view in VIEWS:
        if (known := _known(view)) is not None:
            del contentviews.registry._by_name[_key(view)]  # noqa: SLF001
            contentviews.registry.on_change.send(known)


def _known(view: type[contentviews.Contentview]) -> contentviews.Contentview | None:
    return contentviews.registry.get(_key(view))


def _key(view: type[contentviews.Contentview]) -> str:
    return str(view.name).lower()


def _request(metadata: Metadata) -> http.Request | None:
    if isinstance(metadata.flow, http.HTTPFlow):
        return metadata.flow.request
    return metadata.http_message if isinstance(metadata.http_message, http.Request) else None


def _path(metadata: Metadata) -> str:
    request = _request(metadata)
    return request.path.partition("?")[0] if request else ""


def _is_response(metadata: Metadata) -> bool:
    return isinstance(metadata.http_message, http.Response)


def _kept(metadata: Metadata, key: str) -> dict[str, Any] | None:
    return kept(metadata.flow.metadata, key) if metadata.flow else None
