"""Which HTTP method each endpoint of Ollama wants, and what to do with a request that arrives with another one.

Pure: the map is data, `restore` decides, the addon applies the decision to a flow. Source: wire reference §2 and
requirements F1, F2, F9.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Literal

type Method = Literal["GET", "POST", "DELETE"]

# These never come out of a mangling proxy by accident, and mean the same for every path.
KEPT = frozenset({"HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How Ollama wants one path to be called.

    Attributes:
        method: the method it takes (`HEAD` and `OPTIONS` aside).
        allow: the `Allow` header of Ollama's 405.
        path: the path to use instead, for a name that no Ollama server knows.
        unload: the request's model is to be unloaded: the body becomes a generate call with `keep_alive` 0.
    """

    method: Method
    allow: str
    path: str | None = None
    unload: bool = False


_READ = Endpoint("GET", "HEAD, GET")
_CALL = Endpoint("POST", "POST")
_UNLOAD = Endpoint("POST", "POST", path="/api/generate", unload=True)

ENDPOINTS: dict[str, Endpoint] = {
    "/": _READ,
    "/api/version": _READ,
    "/api/tags": _READ,
    "/api/ps": Endpoint("GET", "GET"),
    "/api/status": Endpoint("GET", "GET"),
    "/api/generate": _CALL,
    "/api/chat": _CALL,
    "/api/embed": _CALL,
    "/api/embeddings": _CALL,
    "/api/show": _CALL,
    "/api/pull": _CALL,
    "/api/push": _CALL,
    "/api/create": _CALL,
    "/api/copy": _CALL,
    "/api/delete": Endpoint("DELETE", "DELETE"),
    # Names that programs use though no Ollama server has them.
    "/api/ls": replace(_READ, path="/api/tags"),
    "/api/serve": replace(_READ, path="/api/version"),
    "/api/stop": _UNLOAD,
    "/api/unload": _UNLOAD,
}
BLOBS = "/api/blobs/"
_BLOB = Endpoint("POST", "HEAD, POST")
# Endpoints that work without a body; to lose theirs on the way does them no harm.
_BODILESS = frozenset({"GET"})


@dataclass(frozen=True, slots=True)
class LostBody:
    """A GET on an endpoint that needs a body, without one: it cannot be repaired."""

    allow: str


def find(path: str) -> Endpoint | None:
    """The endpoint of a path (without its query, slashes mended), or None where the map has none."""
    return _BLOB if path.startswith(BLOBS) else ENDPOINTS.get(path)


def restore(method: str, path: str, *, has_body: bool) -> str | LostBody:
    """The method that a request must have had when its client sent it.

    Where the map has no entry, a GET with a body is taken for a POST and everything else is left alone.
    """
    if method in KEPT:
        return method
    endpoint = find(path)
    if endpoint is None:
        return "POST" if method == "GET" and has_body else method
    if method == "GET" and not has_body and endpoint.method not in _BODILESS:
        # A client asks for a blob with HEAD before it sends it, and HEAD is the one bodiless call of that path.
        return "HEAD" if endpoint is _BLOB else LostBody(endpoint.allow)
    return endpoint.method


def mend_slashes(target: str) -> str:
    """The request target with doubled slashes in its path made one and a trailing one removed.

    Ollama answers such paths with a redirect, after which most clients lose method and body.
    """
    path, mark, query = target.partition("?")
    if "//" not in path and (path == "/" or not path.endswith("/")):
        return target
    return (re.sub("/{2,}", "/", path).rstrip("/") or "/") + mark + query


def unload_body(body: bytes) -> bytes:
    """The body of the generate call that unloads the model a stop or unload request names."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(asked, dict):
        return body
    return json.dumps({"model": asked.get("model") or asked.get("name") or "", "keep_alive": 0}).encode()


def explain_lost_body(lost: LostBody) -> str:
    """What to tell the client of a request whose body was lost."""
    return (
        f"405 method not allowed: this endpoint takes {lost.allow}, but the request arrived as GET without a body. "
        "A redirect from http to https, or of a doubled slash, drops method and body: "
        "use https:// and no trailing slash in the base URL."
    )
