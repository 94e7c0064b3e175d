"""What clients of an Ollama after 0.33 see: calls to decision models, an account, cached tokens, refused adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import ollama
import pytest

from tests.live.proxy import ProxyProcess
from tests.standins.openai_backend import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODELS = """
[models.judge]
model = "gpt-test"
capabilities = ["decision"]
"""
QUESTIONS = {"wet": {"type": "noul", "instructions": "Is it wet?"}}


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as backend:
        yield backend


@pytest.fixture(scope="module")
def url(server: ScriptedBackend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path: Path = tmp_path_factory.mktemp("models") / "models.toml"
    path.write_text(MODELS, "utf-8")
    with ProxyProcess(OPENAI_API_BASE_URL=server.base_url, MODELS_FILE=str(path), FIX_METHODS="false") as proxy:
        yield proxy.url


def error_of(reply: httpx.Response) -> tuple[int, str]:
    error: Any = reply.json()["error"]
    return reply.status_code, error["message"] if isinstance(error, dict) else error


@pytest.mark.parametrize("path", ["/api/usage?range=7d&scope=self", "/api/balance"])
def test_there_is_no_account_whose_usage_could_be_told(url: str, path: str) -> None:
    reply = httpx.get(url + path)
    assert error_of(reply) == (403, "ollama cloud is disabled: account usage is unavailable")
    assert reply.headers["cache-control"] == "private, no-store"
    assert httpx.post(url + path, json={}).status_code == 405


def test_the_models_file_may_say_that_a_model_decides(url: str) -> None:
    assert httpx.post(f"{url}/api/show", json={"model": "judge"}).json()["capabilities"] == ["decision"]
    listed = httpx.get(f"{url}/api/tags").json()["models"]
    assert [model["name"] for model in listed if "decision" in model["capabilities"]] == ["judge"]


def test_a_model_that_only_decides_does_not_chat(url: str) -> None:
    reply = httpx.post(f"{url}/api/chat", json={"model": "judge", "messages": [{"role": "user", "content": "hi"}]})
    assert error_of(reply) == (400, '"judge" does not support chat')


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "model is required"),
        ({"model": "nope"}, 404, "model 'nope' not found"),
        # Its server has no such call.
        ({"model": "judge"}, 400, "registry.ollama.ai/library/judge:latest does not support decision"),
        ({"model": "gpt-test"}, 400, "registry.ollama.ai/library/gpt-test:latest does not support decision"),
    ],
)
def test_a_call_to_a_decision_model_is_refused_as_ollama_does(url: str, body: Any, status: int, message: str) -> None:
    reply = httpx.post(f"{url}/v1/systemone", json=body | {"state": "It rains.", "questions": QUESTIONS})
    assert error_of(reply) == (status, message)


def test_the_sdk_raises_what_it_is_told(url: str) -> None:
    client = ollama.Client(url)
    with pytest.raises(ollama.ResponseError) as caught:
        client.systemone("gpt-test", "It rains.", QUESTIONS)
    client.close()
    assert caught.value.status_code == 400


def test_adapters_are_refused(url: str) -> None:
    body = {"model": "x", "from": "gpt-test", "adapters": {"a": "sha256:" + "0" * 64}}
    assert error_of(httpx.post(f"{url}/api/create", json=body)) == (400, "LoRA adapters are no longer supported")
    assert httpx.post(f"{url}/api/create", json=body | {"adapters": {}, "stream": False}).json() == {"status": "success"}
