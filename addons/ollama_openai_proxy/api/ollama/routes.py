"""Which paths and methods the Ollama API has, and its answers to those that it has not (wire reference §1.2, §2)."""

from __future__ import annotations

from typing import Literal

from ...net.messages import Reply
from ...schemas.ollama.frames import TEXT_TYPE
from .model_management import BLOBS

type Endpoint = Literal[
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

ROUTES: dict[str, dict[str, Endpoint]] = {
    "/": {"HEAD": "root", "GET": "root"},
    "/api/version": {"HEAD": "version", "GET": "version"},
    "/api/status": {"GET": "status"},
    "/api/tags": {"HEAD": "tags", "GET": "tags"},
    "/api/show": {"POST": "show"},
    "/api/ps": {"GET": "ps"},
    "/api/chat": {"POST": "chat"},
    "/api/generate": {"POST": "generate"},
    "/api/embed": {"POST": "embed"},
    "/api/embeddings": {"POST": "embeddings"},
    "/api/pull": {"POST": "pull"},
    "/api/push": {"POST": "push"},
    "/api/create": {"POST": "create"},
    "/api/copy": {"POST": "copy"},
    "/api/delete": {"DELETE": "delete"},
    "/api/me": {"POST": "me"},
    "/api/signout": {"POST": "signout"},
    "/api/experimental/model-recommendations": {"GET": "recommendations"},
    "/api/experimental/web_search": {"POST": "web"},
    "/api/experimental/web_fetch": {"POST": "web"},
}
KEYS = "/api/user/keys/"
# Paths that end in a name: a digest, a key.
_NAMED: dict[str, dict[str, Endpoint]] = {BLOBS: {"HEAD": "blob", "POST": "blob"}, KEYS: {"DELETE": "signout"}}


def route(method: str, path: str) -> Endpoint | Reply:
    """The endpoint of a request, or Ollama's reply to one that has none."""
    front, slash, name = path.rpartition("/")
    methods = (_NAMED.get(front + slash) if name else None) or ROUTES.get(path)
    if methods is None:
        return Reply(404, {"Content-Type": TEXT_TYPE}, b"404 page not found")
    if method not in methods:
        return Reply(405, {"Allow": ", ".join(methods), "Content-Type": TEXT_TYPE}, b"405 method not allowed")
    return methods[method]
