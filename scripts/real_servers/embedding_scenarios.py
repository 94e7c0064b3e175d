"""What is tried with servers of embedding models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import httpx

from scripts.real_servers.chat_scenarios import LONG
from scripts.real_servers.programs import MODEL
from scripts.real_servers.scenarios import scenario
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.real_servers.stage import Stage


def _near(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two vectors are equal but for the precision of numbers."""
    return len(one) == len(other) and math.dist(one, other) < 0.01 * math.hypot(*other)


@scenario("The list of embedding models", "embeddings")
def _list(stage: Stage) -> None:
    assert [it.model for it in stage.sdks.ollama.list().models] == [MODEL]
    assert [it.id for it in stage.sdks.openai.models.list()] == [MODEL]


@scenario("`show` tells that a model is one of embeddings", "embeddings")
def _show(stage: Stage) -> None:
    # What a server does not say in its list is known after the first call.
    stage.sdks.ollama.embed(MODEL, "Hello")
    capabilities = stage.sdks.ollama.show(MODEL).capabilities or []
    assert "embedding" in capabilities, capabilities


@scenario("Embeddings, in Ollama's and OpenAI's API", "embeddings")
def _embed(stage: Stage) -> None:
    sdks = stage.sdks
    answer = sdks.ollama.embed(MODEL, ["Hello", "How are you?", "Hello"])
    first, second, third = answer.embeddings
    assert _near(first, third)
    assert not _near(first, second)
    assert math.isclose(math.hypot(*first), 1.0, abs_tol=0.01), "Ollama's vectors have the length 1"
    assert answer.prompt_eval_count, "no count of the prompt"
    assert _near(sdks.ollama.embed(MODEL, "Hello").embeddings[0], first)
    assert len(sdks.ollama.embeddings(MODEL, "Hello").embedding) == len(first)
    for form in ("float", "base64"):
        made = sdks.openai.embeddings.create(model=MODEL, input=["Hello", "How are you?"], encoding_format=form)
        assert [it.index for it in made.data] == [0, 1]
    plain = sdks.openai.embeddings.create(model=MODEL, input="Hello").data[0].embedding
    assert _near([number / math.hypot(*plain) for number in plain], first)


@scenario("Embeddings of nothing, of empty texts, and of many texts", "embeddings")
def _edges(stage: Stage) -> None:
    client = stage.sdks.ollama
    assert client.embed(MODEL, []).embeddings == []
    vectors = client.embed(MODEL, ["Hello", "", "Bye"]).embeddings
    assert len(vectors) == 3
    assert len({len(vector) for vector in vectors}) == 1, "vectors of different lengths"
    texts = [f"text {number}" for number in range(100)]
    many = client.embed(MODEL, texts).embeddings
    assert len(many) == 100
    assert _near(many[77], client.embed(MODEL, texts[77]).embeddings[0])


@scenario("A text to embed that is too long is cut, or refused with `truncate: false`", "embeddings")
def _too_long(stage: Stage) -> None:
    for _ in range(2):
        assert len(stage.sdks.ollama.embed(MODEL, ["Hello", LONG]).embeddings) == 2
    body = {"model": MODEL, "input": LONG, "truncate": False}
    refused = httpx.post(f"{stage.proxy.url}/api/embed", json=body, timeout=PATIENCE, trust_env=False)
    assert refused.status_code == 400, f"truncate: false: {refused.status_code} {refused.text[:200]}"
    assert refused.json()["error"]


@scenario("An unknown embedding model is a 404", "embeddings")
def _unknown(stage: Stage) -> None:
    for path in ("/api/embed", "/v1/embeddings"):
        body = {"model": "nobody", "input": "Hello"}
        answer = httpx.post(stage.proxy.url + path, json=body, timeout=PATIENCE, trust_env=False)
        assert answer.status_code == 404, f"{path}: {answer.status_code} {answer.text[:200]}"


@scenario("Chat with an embedding model is refused, with a reason", "embeddings")
def _chat(stage: Stage) -> None:
    for path in ("/api/chat", "/v1/chat/completions", "/v1/messages"):
        body = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]}
        answer = httpx.post(stage.proxy.url + path, json=body, timeout=PATIENCE, trust_env=False)
        # Some servers chat with any model.
        assert answer.is_success or (400 <= answer.status_code < 502 and answer.json()["error"]), answer.text[:200]
        assert answer.status_code != 404 or "not found" not in answer.text.lower(), answer.text[:200]
