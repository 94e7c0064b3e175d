"""The other side of a translated call, as a text and as a `curl` command."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import Any

import pytest
from ollama_openai_proxy.mitm.views.backend_side import backend_url, other_side
from ollama_openai_proxy.mitm.views.curl import MOST_ARGUMENT, ollama_curl, openai_curl

from tests.unit.mitm.views.samples import sample

SIDE: dict[str, Any] = {
    "backend": "default",
    "url": "http://backend.example/v1",
    "request": {"model": "m", "messages": [{"role": "user", "content": "It's 5 o'clock: 'é'"}], "stream": True},
    "request_headers": {"Authorization": "Bearer ****", "X-Request-Id": "abc"},
    "status": 200,
    "answer": sample("chat.sse").decode(),
    "truncated": False,
    "notes": ["left out num_gpu: the back end has no such option"],
}


def test_both_directions_and_all_changes_are_shown() -> None:
    text = other_side(SIDE, {"duration": 2.5})
    assert text.startswith("back end default · status 200\nPOST http://backend.example/v1/chat/completions\n")
    assert "• left out num_gpu" in text
    assert "Authorization: Bearer ****\n" in text
    assert '"content": "It\'s 5 o\'clock' in text
    assert "  Let me think." in text
    assert "2.5 s" in text
    assert text.index("what was changed") < text.index("sent: body") < text.index("received")


@pytest.mark.parametrize(
    "changed",
    [
        *({name: None} for name in SIDE),
        {"request": "no json"},
        {"request": '{"model":"m"}'},
        {"request": [1]},
        {"request": '{"a":' * 700 + "1" + "}" * 700},
        {"answer": "\ud800"},
        {"notes": "x", "request_headers": ["x"], "status": "x", "url": 5},
    ],
)
def test_what_is_missing_or_odd_is_no_trouble(changed: dict[str, Any]) -> None:
    other_side(SIDE | changed).encode()
    other_side({name: value for name, value in SIDE.items() if name not in changed}).encode()


def test_a_call_under_way_says_so() -> None:
    text = other_side({"backend": "default", "request": {}, "notes": []})
    assert "back end default · no answer yet" in text
    assert "(no answer)" in text


def test_images_are_cut_short_and_what_was_kept_in_part_is_called_so() -> None:
    text = other_side(SIDE | {"request": {"messages": [{"content": "x" * 100_000}]}, "truncated": True})
    assert " more characters\n" in text
    assert "received (only its beginning was kept)" in text


@pytest.mark.parametrize(
    ("url", "request_body", "whole"),
    [
        ("http://b/v1", {"messages": []}, "http://b/v1/chat/completions"),
        ("http://b/v1/", {"prompt": "x"}, "http://b/v1/completions"),
        ("http://b/v1", {"input": "x"}, "http://b/v1/embeddings"),
        ("http://b/v1/responses", {"input": "x"}, "http://b/v1/responses"),
        ("http://b/v1/chat/completions?api-version=1", {"messages": []}, "http://b/v1/chat/completions?api-version=1"),
    ],
)
def test_the_url_is_that_of_the_call(url: str, request_body: dict[str, Any], whole: str) -> None:
    assert backend_url({"url": url, "request": request_body}) == whole


# -- curl --------------------------------------------------------------------------------------------------------------


def run(command: str, **environment: str) -> tuple[list[str], bytes]:
    """The arguments that the shell gives curl, and the body: what `-d` says."""
    script = 'curl() { for word; do printf "%s\\0" "$word"; done; case "$*" in *" @-"*) cat;; esac; }; ' + command
    known = {"PATH": os.environ["PATH"]} | environment
    output = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True, env=known).stdout
    *words, rest = output.split(b"\0")
    arguments = [word.decode() for word in words]
    return arguments, rest or arguments[-1].encode()


def test_the_call_to_the_back_end_can_be_made_again() -> None:
    arguments, body = run(openai_curl(SIDE), OPENAI_API_KEY="my-key")
    assert arguments[:2] == ["-sN", "http://backend.example/v1/chat/completions"]
    assert "Authorization: Bearer my-key" in arguments
    assert json.loads(body) == SIDE["request"]


def test_a_back_end_without_a_key_is_called_without_one() -> None:
    assert "Authorization" not in openai_curl(SIDE | {"request_headers": {"X-Request-Id": "abc"}})


def test_what_the_sdk_has_no_name_for_belongs_to_the_body() -> None:
    body = run(openai_curl(SIDE | {"request": {"model": "m", "prompt": "p", "extra_body": {"top_k": 4}}}))[1]
    assert json.loads(body) == {"model": "m", "prompt": "p", "top_k": 4}


@pytest.mark.parametrize("changed", [{"request": "no json"}, {"request": None}, {"url": ""}])
def test_a_call_that_was_not_kept_gives_no_command(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not kept whole"):
        openai_curl(SIDE | changed)


@pytest.mark.parametrize("size", [1, 2 * MOST_ARGUMENT])
def test_a_clients_call_can_be_made_again(size: int) -> None:
    request = {"model": "m", "prompt": "'$(id)`\n\\" * size}
    command = ollama_curl("http://localhost:11434/", "POST", "/api/generate?a=b&c", request, has_key=True)
    arguments, body = run(command, OLLAMA_API_KEY="my-key")
    assert arguments[:4] == ["-sN", "http://localhost:11434/api/generate?a=b&c", "-H", "Authorization: Bearer my-key"]
    assert json.loads(body) == request


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("GET", None, ["curl", "-s", "http://p/x"]),
        ("HEAD", None, ["curl", "-s", "-I", "http://p/x"]),
        ("DELETE", {}, ["curl", "-sN", "-X", "DELETE", "http://p/x", "-H", "Content-Type: application/json", "-d", "{}"]),
        ("POST", None, ["curl", "-s", "-X", "POST", "http://p/x"]),
    ],
)
def test_other_methods_are_named(method: str, body: dict[str, Any] | None, words: list[str]) -> None:
    assert shlex.split(ollama_curl("http://p", method, "/x", body)) == words
