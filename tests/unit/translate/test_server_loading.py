"""Servers say in many words that they load, and in others that they refuse."""

import pytest
from ollama_openai_proxy.translate.server_loading import says_loading


@pytest.mark.parametrize(
    ("status", "text"),
    [
        pytest.param(503, "Loading model", id="llama.cpp"),
        pytest.param(503, "Model org/name is currently loading", id="hugging face"),
        pytest.param(503, "The model is not ready yet", id="gateway"),
        pytest.param(503, "model is still being loaded", id="being loaded"),
        pytest.param(429, "Cold start in progress, please retry", id="cold start"),
        pytest.param(429, "the endpoint is scaling from zero", id="scaling"),
        pytest.param(503, "server is starting", id="starting"),
        pytest.param(503, "starting", id="one word"),
        pytest.param(503, "Loading...", id="one word with full stops"),
        pytest.param(502, "worker is warming up", id="warm-up"),
        pytest.param(500, "engine not initialized", id="engine"),
        pytest.param(504, "deployment not yet ready", id="deployment"),
        pytest.param(425, "", id="too early"),
    ],
)
def test_a_server_that_loads(status: int, text: str) -> None:
    assert says_loading(status, text)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (503, "The engine is currently overloaded, please try again later"),
        (503, "Service Unavailable"),
        (503, ""),
        (429, "Rate limit reached for requests"),
        (429, "You exceeded your current quota"),
        (400, "Loading model"),
        (404, "model is not loaded"),
        (500, "CUDA out of memory"),
        (502, "Bad Gateway"),
    ],
)
def test_a_server_that_refuses(status: int, text: str) -> None:
    assert not says_loading(status, text)
