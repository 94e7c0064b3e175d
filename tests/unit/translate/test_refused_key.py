"""Whose key a back end has refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ollama_openai_proxy.translate.refused_key import KeyOwner, names_refused_key, refused_key, told_in_body

PROXY = "the back end refused the proxy's own key (OPENAI_API_KEY), not yours"


@pytest.mark.parametrize(
    ("said", "owner", "told"),
    [
        ("wrong key", "proxy", f"{PROXY}: wrong key"),
        ("", "proxy", PROXY),
        ("wrong key", "client", "the back end refused the key that you sent, which the proxy passes on: wrong key"),
        ("no key", "nobody", "the back end wants a key, and the proxy has none for it (OPENAI_API_KEY): no key"),
    ],
)
def test_a_sentence(said: str, owner: KeyOwner, told: str) -> None:
    assert refused_key(said, owner, "OPENAI_API_KEY") == told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {"error": {"message": "no", "code": "c", "type": "t", "param": None}},
            {"error": {"message": f"{PROXY}: no", "code": "c", "type": "t", "param": None}},
        ),
        (
            {"type": "error", "error": {"type": "authentication_error", "message": "no"}},
            {"type": "error", "error": {"type": "authentication_error", "message": f"{PROXY}: no"}},
        ),
        ({"error": "no"}, {"error": f"{PROXY}: no"}),
        ({"detail": "no"}, {"detail": f"{PROXY}: no"}),
        ({"message": "no", "error": 1}, {"message": f"{PROXY}: no", "error": 1}),
        # Where there is no sentence, nothing changes.
        ({"code": 1}, {"code": 1}),
        ([1], [1]),
    ],
)
def test_a_body_keeps_all_but_its_sentence(body: Any, told: Any) -> None:
    assert json.loads(told_in_body(json.dumps(body).encode(), "proxy", "OPENAI_API_KEY")) == told


@pytest.mark.parametrize("body", [b"", b"Unauthorized", b"<html>", b"\xff"])
def test_a_body_that_is_no_json_stays(body: bytes) -> None:
    assert told_in_body(body, "proxy", "OPENAI_API_KEY") is body


@pytest.mark.parametrize(
    ("status", "said", "named"),
    [
        # xAI, Gemini, LiteLLM without a database
        (400, "Incorrect API key provided: sk***ng. You can obtain an API key from https://console.x.ai.", True),
        (400, "API key not valid. Please pass a valid API key.", True),
        (400, "No connected db.", True),
        (403, "Invalid API-Key provided.", True),
        (403, "The api key is expired", True),
        (401, "Incorrect API key provided", False),
        (422, "Invalid API key", False),
        (400, "the model has no connected db.", False),
        (400, "Unsupported parameter: 'key'", False),
        (400, "messages[0] " + "is too long " * 20 + "Invalid API key", False),
        (400, "", False),
    ],
)
def test_a_key_that_is_refused_with_another_status_is_seen(status: int, said: str, named: bool) -> None:
    assert names_refused_key(status, said) is named
