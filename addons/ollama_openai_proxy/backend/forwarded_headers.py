"""The headers of a client that a back end gets to see: those that are known to hold no key."""

from __future__ import annotations

_NAMES = frozenset(
    {
        # The body, its framing, and what answer is wanted.
        *("accept", "accept-language", "content-encoding", "content-language", "content-length", "content-type"),
        *("content-md5", "digest", "cache-control", "if-match", "if-modified-since", "if-none-match", "range", "prefer"),
        # Of SDKs and coding agents.
        *("user-agent", "idempotency-key", "x-idempotency-key", "openai-beta", "openai-version", "api-version"),
        *("anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access", "x-app", "originator"),
        *("version", "session_id", "session-id", "conversation_id", "conversation-id", "x-session-id", "x-session-affinity"),
        *("x-conversation-id", "x-client-request-id", "x-grok-conv-id", "x-initiator", "x-interaction-type"),
        *("copilot-vision-request", "editor-version", "editor-plugin-version"),
        # OpenRouter's names for the program that calls.
        *("http-referer", "x-title", "x-openrouter-title", "x-openrouter-categories"),
        # W3C Trace Context.
        *("traceparent", "tracestate"),
    }
)
_BEGINNINGS = ("x-stainless-", "x-codex-", "x-claude-code-")


def is_harmless(name: str) -> bool:
    """Whether the header of this name, in lower case, is sent on."""
    return name in _NAMES or name.startswith(_BEGINNINGS)
