"""Which paths and methods the Ollama API has, and its answers to those that it has not (wire reference §1.2, §2)."""

from __future__ import annotations

from typing import Literal

from ..exchange import Reply
from ..wire.frames import TEXT_TYPE

type Endpoint = Literal["root", "version", "tags", "show", "ps", "chat", "generate", "embed", "embeddings"]

ROUTES: dict[str, dict[str, Endpoint]] = {
    "/": {"HEAD": "root", "GET": "root"},
    "/api/version": {"HEAD": "version", "GET": "version"},
    "/api/tags": {"HEAD": "tags", "GET": "tags"},
    "/api/show": {"POST": "show"},
    "/api/ps": {"GET": "ps"},
    "/api/chat": {"POST": "chat"},
    "/api/generate": {"POST": "generate"},
    "/api/embed": {"POST": "embed"},
    "/api/embeddings": {"POST": "embeddings"},
}


def route(method: str, path: str) -> Endpoint | Reply:
    """The endpoint of a request, or Ollama's reply to one that has none."""
    methods = ROUTES.get(path)
    if methods is None:
        return Reply(404, {"Content-Type": TEXT_TYPE}, b"404 page not found")
    if method not in methods:
        return Reply(405, {"Allow": ", ".join(methods), "Content-Type": TEXT_TYPE}, b"405 method not allowed")
    return methods[method]
