"""The table of paths: every path that a client may call, and what each module has to know about that path.

This module imports nothing of the package, so that every room may ask the table: the routers, fix mode's map of methods, the
limits, the metrics and the views. No other module holds a route's path as a literal.

A parameter in a path is written `:name`, as Ollama's own router writes parameters. The path is also the route's label in the
metrics, so a label never holds what a client can choose freely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from unicodedata import normalize
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

type Surface = Literal["ollama", "openai", "anthropic"]
"""An API that clients speak."""

type Handler = Literal[
    "root",
    "version",
    "status",
    "tags",
    "show",
    "ps",
    "recommendations",
    "me",
    "signout",
    "web",
    "account",
    "chat",
    "generate",
    "embed",
    "embeddings",
    "pull",
    "push",
    "create",
    "copy",
    "delete",
    "blob",
]
"""A handler of the Ollama API; several paths may share one."""

type Operation = Literal["chat", "text_completion", "embeddings"]
"""What a call to a model does, in the words of OpenTelemetry's conventions for generative AI."""

type BodyKind = Literal["none", "json", "form", "file"]
"""The body that belongs to a call: none, a JSON object, a form, or a file that may be larger than memory."""

ROOT = "/"
VERSION = "/api/version"
TAGS = "/api/tags"
SHOW = "/api/show"
CHAT = "/api/chat"
GENERATE = "/api/generate"
OPENAI_CHAT = "/v1/chat/completions"
OPENAI_COMPLETIONS = "/v1/completions"
OPENAI_EMBEDDINGS = "/v1/embeddings"
OPENAI_MODELS = "/v1/models"
OPENAI_RESPONSES = "/v1/responses"
SYSTEMONE = "/v1/systemone"
"""Ollama's calls to decision models, which are no part of OpenAI's API."""
MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
HELLO = "/api/hello"
"""Where Claude Code looks whether Anthropic's API can be reached."""
COMPACT = "/v1/responses/compact"
LOADED = "/api/ps"
LLAMA_SWAP_UNLOAD = "/api/models/unload/"
"""Below this path llama-swap, a server behind the proxy, unloads a model."""
LIVE = "/healthz"
READY = "/readyz"
METRICS = "/metrics"

OLLAMA_PREFIX = "/api/"
OPENAI_BASE = "/v1"
"""How the base URL of an OpenAI-compatible server usually ends."""
OPENAI_PREFIX = OPENAI_BASE + "/"
_MOST_DECODINGS = 5
_TRIMMED = "".join(map(chr, range(33))) + "\x7f"
API_PREFIXES = (OLLAMA_PREFIX, OPENAI_PREFIX)
"""Below these, each path belongs to one of the APIs, whether the table knows the path or not."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path.

    Attributes:
        path: as clients call it; a last segment `:name` stands for any text.
        methods: the methods that the path takes, in the order of Ollama's `Allow` header; `OPTIONS` aside.
        surface: the API that the path belongs to; "proxy" for paths that only this proxy has.
        body: the body that belongs to a call with the last of the methods; a call with another method has none.
        handler: what answers the path in translate mode; None for paths that are no part of the Ollama API.
        operation: what the call does with a model; None if the call involves no model, or no such operation.
        calls_model: whether a model has to work for the answer, so that the call counts against the limit of concurrent calls.
        streams: whether the answer may be a stream. Ollama streams such an answer unless the request says `"stream": false`.
        translated: whether chat completions can stand in for the call, if a back end does not have the call itself.
        stands_for: the path that is called instead, for a name that programs use although no Ollama server has it.
        stands_for_body: the fields of the body of that call, beside the model that the request names.
    """

    path: str
    methods: tuple[str, ...]
    surface: Surface | Literal["proxy"] = "ollama"
    body: BodyKind = "none"
    handler: Handler | None = None
    operation: Operation | None = None
    calls_model: bool = False
    streams: bool = False
    translated: bool = False
    stands_for: str | None = None
    stands_for_body: Mapping[str, Any] | None = None

    @property
    def prefix(self) -> str | None:
        """What stands before the parameter, with a slash at its end; None for a path without a parameter."""
        before, colon, _ = self.path.partition(":")
        return before if colon else None

    @property
    def allow(self) -> str:
        """The `Allow` header of a reply with status 405."""
        return ", ".join(self.methods)

    def methods_with(self, *, body: bool) -> frozenset[str]:
        """The methods that a call with a body, or without one, may have."""
        if self.body == "none":
            # A body that comes nevertheless is ignored.
            return frozenset(self.methods)
        return frozenset(self.methods[-1:] if body else self.methods[:-1])


def _ollama(path: str, methods: str, handler: Handler, body: BodyKind = "none", **more: Any) -> Route:
    return Route(path, tuple(methods.split()), "ollama", body, handler, **more)


def _ollama_model(path: str, handler: Handler, operation: Operation, *, streams: bool) -> Route:
    return Route(path, ("POST",), "ollama", "json", handler, operation, calls_model=True, streams=streams)


def _openai(path: str, operation: Operation | None = None, body: BodyKind = "json", **more: Any) -> Route:
    return Route(path, ("POST",), "openai", body, None, operation, calls_model=True, **more)


_UNLOAD: Mapping[str, Any] = {"keep_alive": 0}

ROUTES: tuple[Route, ...] = (
    _ollama(ROOT, "HEAD GET", "root"),
    _ollama(VERSION, "HEAD GET", "version"),
    _ollama(TAGS, "HEAD GET", "tags"),
    _ollama(LOADED, "GET", "ps"),
    _ollama("/api/status", "GET", "status"),
    _ollama_model(GENERATE, "generate", "text_completion", streams=True),
    _ollama_model(CHAT, "chat", "chat", streams=True),
    _ollama_model("/api/embed", "embed", "embeddings", streams=False),
    _ollama_model("/api/embeddings", "embeddings", "embeddings", streams=False),
    _ollama(SHOW, "POST", "show", "json"),
    _ollama("/api/pull", "POST", "pull", "json", streams=True),
    _ollama("/api/push", "POST", "push", "json", streams=True),
    _ollama("/api/create", "POST", "create", "json", streams=True),
    _ollama("/api/copy", "POST", "copy", "json"),
    _ollama("/api/delete", "DELETE", "delete", "json"),
    # A client asks for a blob with HEAD before it sends the blob.
    _ollama("/api/blobs/:digest", "HEAD POST", "blob", "file"),
    _ollama("/api/me", "POST", "me"),
    _ollama("/api/signout", "POST", "signout"),
    _ollama("/api/user/keys/:key", "DELETE", "signout"),
    _ollama("/api/experimental/model-recommendations", "GET", "recommendations"),
    _ollama("/api/experimental/web_search", "POST", "web", "json"),
    _ollama("/api/experimental/web_fetch", "POST", "web", "json"),
    _ollama("/api/usage", "GET", "account"),
    _ollama("/api/balance", "GET", "account"),
    Route("/api/ls", ("HEAD", "GET"), stands_for=TAGS),
    Route("/api/serve", ("HEAD", "GET"), stands_for=VERSION),
    Route("/api/stop", ("POST",), body="json", stands_for=GENERATE, stands_for_body=_UNLOAD),
    Route("/api/unload", ("POST",), body="json", stands_for=GENERATE, stands_for_body=_UNLOAD),
    Route(OPENAI_MODELS, ("GET",), "openai"),
    # OpenAI's API also deletes a fine-tuned model there.
    Route("/v1/models/:model", ("GET", "DELETE"), "openai"),
    # With GET, OpenAI's API lists the completions that it stored.
    Route(OPENAI_CHAT, ("GET", "POST"), "openai", "json", None, "chat", calls_model=True, streams=True),
    _openai(OPENAI_COMPLETIONS, "text_completion", streams=True),
    _openai(OPENAI_EMBEDDINGS, "embeddings"),
    _openai(OPENAI_RESPONSES, "chat", streams=True, translated=True),
    _openai(COMPACT, "chat", translated=True),
    Route("/v1/responses/:id", ("GET", "DELETE", "POST"), "openai", calls_model=True),
    _openai(SYSTEMONE),
    _openai("/v1/moderations"),
    _openai("/v1/rerank"),
    _openai("/v1/audio/speech"),
    _openai("/v1/audio/transcriptions", body="form"),
    _openai("/v1/audio/translations", body="form"),
    _openai("/v1/images/edits", body="form"),
    _openai("/v1/images/generations"),
    _openai("/v1/images/variations", body="form"),
    Route(MESSAGES, ("POST",), "anthropic", "json", None, "chat", calls_model=True, streams=True, translated=True),
    Route(COUNT_TOKENS, ("POST",), "anthropic", "json", calls_model=True, translated=True),
    Route(HELLO, ("HEAD", "GET"), "anthropic"),
    Route(LIVE, ("GET",), "proxy"),
    Route(READY, ("GET",), "proxy"),
    Route(METRICS, ("GET",), "proxy"),
)
"""All paths."""

_EXACT = {route.path: route for route in ROUTES if route.prefix is None}
_PREFIXED = {route.prefix: route for route in ROUTES if route.prefix is not None}


def find_route(path: str) -> Route | None:
    """The route of a decoded path without its query, or None if the table has none. A parameter may contain slashes."""
    if (route := _EXACT.get(path)) is not None:
        return route
    return next((route for prefix, route in _PREFIXED.items() if path.startswith(prefix) and path != prefix), None)


def surface_of(path: str) -> Surface:
    """The API that a path belongs to; also of a path that the table does not have, since its error needs a shape."""
    if path in (MESSAGES, HELLO) or path.startswith(MESSAGES + "/"):
        return "anthropic"
    return "openai" if path.startswith(OPENAI_PREFIX) else "ollama"


def calls_model(method: str, path: str) -> bool:
    """Whether a model has to work for a call. A `POST` that only a back end knows counts as such a call."""
    route = find_route(path)
    return method == "POST" and (path.startswith(OPENAI_PREFIX) if route is None else route.calls_model)


def takes_file(method: str, path: str) -> bool:
    """Whether the body of a call is a file, which is passed on, or looked at, piece by piece."""
    route = find_route(path)
    return method == "POST" and route is not None and route.body == "file"


def has_dot_segments(target: str) -> bool:
    """Whether a server could take the path of a request target for one with a `.` or `..` segment, in whatever spelling.

    Servers differ in how often they decode a path, whether a backslash is a slash, and whether a segment ends at `;`.
    """
    path = target.partition("?")[0]
    if path.isascii() and not ("." in path or "%" in path):
        return False
    for _ in range(_MOST_DECODINGS):
        decoded = unquote(path, errors="surrogateescape")
        if decoded == path:
            break
        path = decoded
    else:
        return True
    # What is no UTF-8 may be an overlong spelling, and letters of full width may become ASCII.
    if not path.isascii():
        if any("\udc80" <= character <= "\udcff" for character in path):
            return True
        path = normalize("NFKC", path)
    segments = path.replace("\\", "/").split("/")
    return any(segment.partition(";")[0].strip(_TRIMMED) in (".", "..") for segment in segments)


def root_url(base_url: str) -> str:
    """The root of the server that has a base URL, without a slash at the end."""
    return base_url.rstrip("/").removesuffix(OPENAI_BASE)


def below_base(path: str) -> str:
    """An OpenAI path, or a request target with one, as it follows a back end's base URL: without the leading `/v1`."""
    return path.removeprefix(OPENAI_BASE)
