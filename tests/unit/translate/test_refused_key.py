"""Whose key a back end has refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ollama_openai_proxy.translate.refused_key import KeyOwner, refused_key, told_in_body

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
