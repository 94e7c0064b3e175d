"""A prompt with a suffix behind llama.cpp, whose `/v1/completions` ignores the suffix, goes to its `/infill`."""

from __future__ import annotations

import json
from typing import Any

import httpx
from aiohttp import web

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE
from tests.standins._thread import ThreadedServer

CHUNKS: list[dict[str, Any]] = [
    {"index": 0, "content": "return", "stop": False},
    {"index": 0, "content": " 1", "stop": False},
    {"index": 0, "content": "", "stop": True, "stop_type": "eos", "timings": {"prompt_n": 7, "predicted_n": 2}},
]


class LlamaCpp(ThreadedServer):
    """What llama.cpp's server says of itself, and its `/infill`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []
        self.fills_in = True

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/infill", self._infill)

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "coder", "owned_by": "llamacpp", "meta": {"n_ctx_train": 4096}}]})

    async def _infill(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        if not self.fills_in:
            message = "Infill is not supported by this model: prefix token is missing. suffix token is missing. "
            error = {"code": 501, "message": message, "type": "not_supported_error"}
            return web.json_response({"error": error}, status=501)
        return web.Response(
            text="".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS), content_type="text/event-stream"
        )


def test_a_suffix_reaches_infill() -> None:
    body = {"model": "coder", "prompt": "def one(): ", "suffix": "\n", "options": {"num_predict": 9}}
    with LlamaCpp() as server, ProxyProcess(OPENAI_API_BASE_URL=f"{server.url}/v1") as proxy:
        streamed = httpx.post(proxy.url + "/api/generate", json=body, timeout=PATIENCE)
        whole = httpx.post(proxy.url + "/api/generate", json=body | {"stream": False}, timeout=PATIENCE).json()
    frames = [json.loads(line) for line in streamed.text.splitlines()]
    assert "".join(frame["response"] for frame in frames) == whole["response"] == "return 1"
    assert (whole["done_reason"], whole["prompt_eval_count"], whole["eval_count"]) == ("stop", 7, 2)
    assert [(call["input_prefix"], call["input_suffix"], call["n_predict"]) for call in server.asked] == [
        ("def one(): ", "\n", 9)
    ] * 2


def test_a_model_that_cannot_fill_in_is_refused_in_ollamas_words() -> None:
    body = {"model": "coder", "prompt": "def one(): ", "suffix": "\n"}
    with LlamaCpp() as server, ProxyProcess(OPENAI_API_BASE_URL=f"{server.url}/v1") as proxy:
        server.fills_in = False
        for _ in range(2):
            refused = httpx.post(proxy.url + "/api/generate", json=body, timeout=PATIENCE)
            assert refused.status_code == 400
            assert refused.json() == {"error": "registry.ollama.ai/library/coder:latest does not support insert"}
        shown = httpx.post(proxy.url + "/api/show", json={"model": "coder"}, timeout=PATIENCE).json()
    assert "insert" not in shown["capabilities"]
    # Known from the first refusal.
    assert len(server.asked) == 1
