"""Which endpoint a path belongs to: few names, whatever clients ask for, so that they can be counted by it."""

from __future__ import annotations

from typing import Literal

type Operation = Literal["chat", "text_completion", "embeddings"]

OTHER = "other"
"""The endpoint of every path that is not known, and the method of every request whose method is none."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})

_PATHS = frozenset(
    {
        *("/", "/healthz", "/readyz", "/metrics"),
        *("/api/version", "/api/status", "/api/tags", "/api/show", "/api/ps"),
        *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
        *("/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete"),
        *("/api/me", "/api/signout", "/api/experimental/model-recommendations"),
        *("/api/experimental/web_search", "/api/experimental/web_fetch"),
        *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/responses"),
        *("/v1/messages", "/v1/messages/count_tokens", "/v1/moderations", "/v1/rerank"),
        *("/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations"),
        *("/v1/images/edits", "/v1/images/generations", "/v1/images/variations"),
    }
)
_NAMED = {
    "/api/blobs/": "/api/blobs/:digest",
    "/api/user/keys/": "/api/user/keys/:key",
    "/v1/models/": "/v1/models/:model",
    "/v1/responses/": "/v1/responses/:id",
}
ENDPOINTS = _PATHS | frozenset(_NAMED.values()) | {OTHER}

OPERATIONS: dict[str, Operation] = {
    "/api/chat": "chat",
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/api/generate": "text_completion",
    "/v1/completions": "text_completion",
    "/api/embed": "embeddings",
    "/api/embeddings": "embeddings",
    "/v1/embeddings": "embeddings",
}
"""What the calls to models do, in the words of OpenTelemetry's conventions for generative AI."""


def endpoint_of(path: str) -> str:
    """One of `ENDPOINTS`."""
    if path in _PATHS:
        return path
    return next((name for front, name in _NAMED.items() if path.startswith(front) and path != front), OTHER)
