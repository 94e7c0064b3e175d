"""The headers that a back end gets to see."""

from __future__ import annotations

import pytest
from ollama_openai_proxy.backend.forwarded_headers import is_harmless


@pytest.mark.parametrize(
    "name", ["user-agent", "openai-beta", "anthropic-version", "x-stainless-lang", "content-type", "traceparent"]
)
def test_known_headers_are_sent_on(name: str) -> None:
    assert is_harmless(name)


@pytest.mark.parametrize(
    "name", ["authorization", "x-api-key", "cookie", "cf-access-client-secret", "x-auth-token", "x-real-ip", "x-new"]
)
def test_all_others_are_not(name: str) -> None:
    assert not is_harmless(name)
