"""Translate mode in front of a real OpenAI-compatible server: llama.cpp with a tiny model of random weights."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from ollama import Client

from tests.live.bare_client import send
from tests.live.proxy import ROOT, ProxyProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = [{"role": "user", "content": "hello"}]


@contextlib.contextmanager
def llama_cpp(*arguments: str) -> Iterator[str]:
    command = [sys.executable, str(ROOT / "scripts/demo_backend.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("READY ").strip()
        process.terminate()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with llama_cpp() as url, ProxyProcess(OPENAI_API_BASE_URL=url) as proxy:
        client = Client(proxy.url)
        yield client
        client.close()


def test_the_model_is_listed_with_what_the_server_says_of_it(client: Client) -> None:
    (model,) = client.list().models
    assert model.model == "demo"
    assert model.size is not None
    assert model.size > 100_000
    assert list(client.list().models) == [model]


def test_chat_streams_text_and_real_counts(client: Client) -> None:
    frames = list(client.chat("demo", HELLO, stream=True, options={"num_predict": 12, "temperature": 0}))
    assert "".join(frame.message.content or "" for frame in frames).strip()
    assert 0 < (frames[-1].eval_count or 0) <= 12
    assert frames[-1].prompt_eval_count


def test_the_same_seed_gives_the_same_text_streamed_and_whole(client: Client) -> None:
    options = {"seed": 5, "num_predict": 12}
    whole = client.generate("demo", "hello", options=options).response
    assert whole == "".join(frame.response for frame in client.generate("demo", "hello", options=options, stream=True))


def test_the_token_limit_ends_with_length(client: Client) -> None:
    assert client.chat("demo", HELLO, options={"num_predict": 1, "temperature": 0}).done_reason == "length"


def test_a_schema_binds_the_answer(client: Client) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
    answer = client.chat("demo", HELLO, format=schema, options={"num_predict": 100})
    assert isinstance(json.loads(answer.message.content or "")["ok"], bool)


def test_a_conversation_above_the_context_is_shortened_unless_the_client_forbids_it(client: Client) -> None:
    talk = [{"role": ("user", "assistant")[n % 2], "content": f"message {n}: " + "way people water " * 30} for n in range(59)]
    messages = [{"role": "system", "content": "the system prompt"}, *talk]
    for _ in range(2):
        answer = client.chat("demo", messages, options={"num_predict": 8})
        # The server's own count: more than the system message and the last message have, and no more than fits.
        assert 500 < (answer.prompt_eval_count or 0) <= 2048
    got = send(str(client._client.base_url), "POST", "/api/chat", {"model": "demo", "messages": messages, "truncate": False})
    assert got.status == 400
    assert b"context size" in got.body


def test_embeddings_come_normalised_and_raw() -> None:
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(llama_cpp("--embeddings"))
        proxy = stack.enter_context(ProxyProcess(OPENAI_API_BASE_URL=url))
        client = stack.enter_context(contextlib.closing(Client(proxy.url)))
        vectors = client.embed("demo-embed", ["one", "two"]).embeddings
        assert [sum(x * x for x in vector) for vector in vectors] == pytest.approx([1, 1], abs=1e-4)
        assert len(client.embeddings("demo-embed", "one").embedding) == len(vectors[0])
