"""`keep_alive` loads and unloads models where a server can be told to, and `/api/ps` tells what is loaded there."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import httpx
import ollama
import pytest
from aiohttp import web

from tests.live.proxy import ProxyProcess
from tests.patience import PATIENCE, wait_until
from tests.standins import ScriptedBackend, ThreadedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = {"role": "user", "content": "hi"}
SOON = "2030-01-02T03:04:05.678Z"


class LoadingServer(ThreadedServer):
    """A server of two models, `one` and `two`, that loads and unloads them when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: set[str] = set()
        self.told: list[tuple[str, Any]] = []
        self.refuses = False

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._reply)

    async def _reply(self, request: web.Request) -> web.Response:
        body: Any = await request.json() if request.can_read_body else None
        if request.path == "/v1/models":
            return web.json_response({"object": "list", "data": self.entries()})
        if request.path == "/v1/chat/completions":
            self.loaded.add(body["model"])
            choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
            return web.json_response({"choices": [choice]})
        self.told.append((f"{request.method} {request.path}", body))
        if self.refuses:
            return web.json_response({"error": {"message": "out of memory"}}, status=500)
        return self.answer(request.method, request.path, body)

    @abstractmethod
    def entries(self) -> list[dict[str, Any]]:
        """What `/v1/models` lists."""

    @abstractmethod
    def answer(self, method: str, path: str, body: Any) -> web.Response:
        """Answer a call that loads, unloads or lists."""


class Router(LoadingServer):
    """llama.cpp's server in router mode."""

    steps = 0

    def entries(self) -> list[dict[str, Any]]:
        return [{"id": name, "object": "model", "owned_by": "llamacpp", "status": self.status(name)} for name in ("one", "two")]

    def status(self, name: str) -> dict[str, Any]:
        return {"value": "loaded" if name in self.loaded else "loading" if self.steps else "unloaded"}

    def answer(self, method: str, path: str, body: Any) -> web.Response:
        match method, path:
            case "GET", "/models":
                if self.steps:
                    self.steps -= 1
                    if not self.steps:
                        self.loaded.add("one")
                return web.json_response({"data": self.entries()})
            case "POST", "/models/load":
                if body["model"] in self.loaded:
                    return web.json_response({"error": {"code": 400, "message": "model is already running"}}, status=400)
                self.steps = 3
                return web.json_response({"success": True})
            case "POST", "/models/unload":
                if body["model"] not in self.loaded:
                    return web.json_response({"error": {"code": 400, "message": "model is not running"}}, status=400)
                self.loaded.discard(body["model"])
                return web.json_response({"success": True})
        return web.json_response({"error": "no"}, status=404)


class Swap(LoadingServer):
    """llama-swap."""

    old = False

    def entries(self) -> list[dict[str, Any]]:
        return [{"id": name, "object": "model", "created": 1, "owned_by": "llama-swap"} for name in ("one", "two")]

    def answer(self, method: str, path: str, body: Any) -> web.Response:
        if path == "/running":
            return web.json_response({"running": [{"model": name, "state": "ready"} for name in sorted(self.loaded)]})
        if path.startswith("/upstream/"):
            self.loaded.add(path.split("/")[2])
            return web.Response(text="OK")
        if path == "/unload":
            self.loaded.clear()
            return web.Response(text="OK")
        if method == "POST" and path.startswith("/api/models/unload/") and not self.old:
            self.loaded.discard(path.rpartition("/")[2])
            return web.Response(text="OK")
        return web.Response(status=404, text="404 page not found")


class RealOllama(LoadingServer):
    """An Ollama, behind its OpenAI API."""

    def entries(self) -> list[dict[str, Any]]:
        return [{"id": f"{name}:latest", "object": "model", "created": 1, "owned_by": "library"} for name in ("one", "two")]

    def answer(self, method: str, path: str, body: Any) -> web.Response:
        if path == "/api/ps":
            facts = {"size": 5, "size_vram": 4, "context_length": 4096, "expires_at": SOON, "digest": "d"}
            return web.json_response({"models": [{"name": name, "model": name, **facts} for name in sorted(self.loaded)]})
        if (method, path) == ("POST", "/api/generate"):
            (self.loaded.discard if body.get("keep_alive") == 0 else self.loaded.add)(body["model"])
            return web.json_response({"model": body["model"], "done": True})
        return web.json_response({"error": "no"}, status=404)


@pytest.fixture(params=[Router, Swap, RealOllama])
def server(request: pytest.FixtureRequest) -> Iterator[LoadingServer]:
    with request.param() as running:
        yield running


@pytest.fixture
def proxy(server: LoadingServer) -> Iterator[ProxyProcess]:
    with ProxyProcess(OPENAI_API_BASE_URL=server.base_url) as running:
        yield running


def post(proxy: ProxyProcess, path: str, **body: Any) -> httpx.Response:
    return httpx.post(proxy.url + path, json={"model": "one", "stream": False, **body}, timeout=PATIENCE)


def loaded(proxy: ProxyProcess) -> list[str]:
    return [model.model or "" for model in ollama.Client(proxy.url, timeout=PATIENCE).ps().models]


def names(server: LoadingServer) -> set[str]:
    return {name.removesuffix(":latest") for name in server.loaded}


@pytest.mark.parametrize(
    ("path", "empty"), [("/api/generate", {"prompt": ""}), ("/api/chat", {"messages": []}), ("/api/chat", {})]
)
def test_an_empty_call_loads_and_one_with_keep_alive_0_unloads(
    server: LoadingServer, proxy: ProxyProcess, path: str, empty: dict[str, Any]
) -> None:
    reply = post(proxy, path, **empty)
    assert (reply.status_code, reply.json()["done_reason"]) == (200, "load")
    assert names(server) == {"one"}
    assert [name.removesuffix(":latest") for name in loaded(proxy)] == ["one"]
    reply = post(proxy, path, **empty, keep_alive=0)
    assert (reply.status_code, reply.json()["done_reason"]) == (200, "unload")
    assert names(server) == set()
    assert loaded(proxy) == []


def test_loading_or_unloading_twice_does_no_harm(server: LoadingServer, proxy: ProxyProcess) -> None:
    for keep_alive in (60, 60, 0, 0):
        assert post(proxy, "/api/generate", keep_alive=keep_alive).status_code == 200


def test_keep_alive_0_unloads_after_an_answer(server: LoadingServer, proxy: ProxyProcess) -> None:
    for stream in (True, False):
        reply = post(proxy, "/api/chat", messages=[USER], keep_alive=0, stream=stream)
        assert "Hello" in reply.text
        wait_until(lambda: not server.loaded)


def test_ps_tells_what_others_have_loaded(server: LoadingServer, proxy: ProxyProcess) -> None:
    [entry] = [entry["id"] for entry in server.entries() if "two" in entry["id"]]
    server.loaded.add(entry)
    [model] = httpx.get(proxy.url + "/api/ps", timeout=PATIENCE).json()["models"]
    assert model["name"] == entry
    if isinstance(server, RealOllama):
        assert (model["expires_at"], model["size_vram"], model["context_length"]) == (SOON, 4, 4096)


def test_a_server_that_cannot_load_says_why(server: LoadingServer, proxy: ProxyProcess) -> None:
    assert loaded(proxy) == []
    server.refuses = True
    reply = post(proxy, "/api/generate")
    assert (reply.status_code, reply.json()) == (500, {"error": "out of memory"})
    # What the server does not tell is what was used last.
    assert loaded(proxy) == []


def test_ollama_gets_the_time_of_a_call() -> None:
    with RealOllama() as server, ProxyProcess(OPENAI_API_BASE_URL=server.base_url) as proxy:
        post(proxy, "/api/generate", keep_alive="10m")
        post(proxy, "/api/generate", keep_alive=-1)
        post(proxy, "/api/chat", messages=[USER], keep_alive=1.5)
        wait_until(lambda: len(server.told) == 3)
        assert [body["keep_alive"] for _, body in server.told] == [600, -1, "1.5s"]
        assert all("prompt" not in body for _, body in server.told)


def test_an_older_llama_swap_unloads_all_only_where_nothing_else_is_loaded() -> None:
    with Swap() as server, ProxyProcess(OPENAI_API_BASE_URL=server.base_url) as proxy:
        server.old = True
        server.loaded = {"one", "two"}
        assert post(proxy, "/api/generate", keep_alive=0).status_code == 200
        assert server.loaded == {"one", "two"}
        server.loaded = {"one"}
        assert post(proxy, "/api/generate", keep_alive=0).status_code == 200
        assert server.loaded == set()


def test_a_router_that_fails_to_load_is_told() -> None:
    class Failing(Router):
        def status(self, name: str) -> dict[str, Any]:
            return {"value": "unloaded", "failed": bool(self.told), "exit_code": 1}

    with Failing() as server, ProxyProcess(OPENAI_API_BASE_URL=server.base_url) as proxy:
        reply = post(proxy, "/api/generate")
        assert reply.status_code == 500
        assert "could not load" in reply.json()["error"]


def test_a_server_that_cannot_be_told_is_not_asked() -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        for keep_alive in (60, 0):
            assert httpx.post(
                proxy.url + "/api/generate", json={"model": "gpt-test", "keep_alive": keep_alive}, timeout=PATIENCE
            ).is_success
        assert {request.path for request in backend.requests} == {"/v1/models"}


def test_the_key_goes_along() -> None:
    class Keyed(RealOllama):
        keys: list[str | None]

        async def _reply(self, request: web.Request) -> web.Response:
            self.keys.append(request.headers.get("Authorization"))
            return await super()._reply(request)

    with Keyed() as server, ProxyProcess(OPENAI_API_BASE_URL=server.base_url, OPENAI_API_KEY="a-key") as proxy:
        server.keys = []
        post(proxy, "/api/generate")
        loaded(proxy)
        assert set(server.keys) == {"Bearer a-key"}
        assert json.dumps(server.told).count("a-key") == 0
