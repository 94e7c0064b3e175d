"""Any server: lists that are refused or hang, what servers tell of models, names, what a server needs, hosted services."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiohttp import web

from tests.live.proxy import ProxyProcess, free_port
from tests.live.test_check_command import checked
from tests.live.tls_server import tls_server
from tests.patience import PATIENCE
from tests.standins import Done, Error, ScriptedBackend, Sleep, Stream, finish, role, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HELLO = [{"role": "user", "content": "hello"}]


class Odd(ScriptedBackend):
    """A server whose list of models is what `answer` makes of the request, where that makes anything."""

    def __init__(self, answer: Callable[[web.Request], web.Response | None], **more: Any) -> None:
        super().__init__(strict=False, **more)
        self._answer = answer

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        if (reply := self._answer(request)) is not None:
            self._note_request(request, await request.read())
            return reply
        return await super()._serve_any(request)


def listing(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"object": "model", "created": 1_700_000_000, "owned_by": "tests"} | entry for entry in entries]


def refused_list(status: int, body: str) -> Callable[[web.Request], web.Response | None]:
    def answer(request: web.Request) -> web.Response | None:
        if not request.path.endswith("/models"):
            return None
        return web.Response(status=status, text=body, content_type="text/html" if body[:1] == "<" else "application/json")

    return answer


def post(url: str, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(url + path, json=body, timeout=PATIENCE, trust_env=False)


def chat(url: str, model: str, **more: Any) -> httpx.Response:
    return post(url, "/api/chat", {"model": model, "messages": HELLO, "stream": False, **more})


def show(url: str, model: str) -> Any:
    reply = post(url, "/api/show", {"model": model})
    assert reply.status_code == 200
    return reply.json()


def names(url: str) -> list[str]:
    reply = httpx.get(f"{url}/api/tags", timeout=PATIENCE, trust_env=False)
    assert reply.status_code == 200
    return [model["name"] for model in reply.json()["models"]]


def calls(backend: ScriptedBackend) -> list[Any]:
    return [request for request in backend.requests if request.method == "POST" and not request.path.startswith("/api/")]


def write(folder: Path, content: str) -> str:
    path = folder / "models.toml"
    path.write_text(content, "utf-8")
    return str(path)


@contextmanager
def proxied(folder: Path, file: str, backend: ScriptedBackend, **settings: Any) -> Iterator[str]:
    with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, MODELS_FILE=write(folder, file), **settings) as proxy:
        yield proxy.url


# ── lists


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, '{"error": {"message": "Missing scopes: api.model.read.", "code": "missing_scope"}}'),
        (401, '{"error": {"message": "Missing scopes: api.model.read."}}'),
        (404, '{"detail": "Not Found"}'),
        (500, '{"error": {"message": "the list is out of order"}}'),
        (200, "<html>a gateway</html>"),
        (200, '{"data": "none"}'),
    ],
)
def test_a_list_that_is_not_to_be_had_keeps_no_model_from_working(tmp_path: Path, status: int, body: str) -> None:
    with Odd(refused_list(status, body)) as backend, proxied(tmp_path, '[models.mine]\ntarget = "m"\n', backend) as url:
        assert names(url) == ["mine"]
        for name, target in (("mine", "m"), ("another", "another")):
            assert chat(url, name).status_code == 200
            assert calls(backend)[-1].json["model"] == target


def test_a_list_that_hangs_keeps_no_model_from_working(tmp_path: Path) -> None:
    released = threading.Event()

    class Hanging(ScriptedBackend):
        async def _serve_any(self, request: web.Request) -> web.StreamResponse:
            if request.path.endswith("/models"):
                while not released.is_set():
                    await asyncio.sleep(0.05)
            return await super()._serve_any(request)

    with Hanging() as backend, proxied(tmp_path, '[models.mine]\ntarget = "gpt-test"\n', backend) as url:
        try:
            assert chat(url, "mine").status_code == 200
            assert chat(url, "unknown").status_code == 200
            assert names(url) == ["mine"]
        finally:
            released.set()


def test_a_server_that_stops_answers_is_not_asked_for_its_list_beside_one(tmp_path: Path) -> None:
    entries = listing({"id": "m", "owned_by": "me", "permissions": []})
    with ScriptedBackend(strict=False) as backend:
        backend.models = entries
        with proxied(tmp_path, "", backend) as url:
            assert names(url) == ["m"]
            # Longer than a list counts as fresh.
            backend.reply_with(Stream([role(), text("a"), Sleep(11), text("b"), finish("stop"), Done()]))
            before = len(backend.requests)
            with httpx.stream("POST", f"{url}/api/chat", json={"model": "m", "messages": HELLO}, timeout=PATIENCE) as reply:
                frames = reply.iter_lines()
                next(frames)
                answer = [json.loads(line) for line in frames]
                assert answer[-1]["done"]
            during = [request.path for request in backend.requests[before:]]
            assert during == ["/v1/chat/completions"]
            assert names(url) == ["m"]
            assert backend.requests[-1].path == "/v1/models"


class Counting(ScriptedBackend):
    """A server that stops answers, and counts how many run at a time."""

    def __init__(self) -> None:
        super().__init__(strict=False)
        self.models = listing({"id": "m", "owned_by": "me", "permissions": []})
        self.running = self.most = 0

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return await super()._serve_any(request)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await super()._serve_any(request)
        finally:
            self.running -= 1


def test_a_server_that_stops_answers_gets_one_call_at_a_time(tmp_path: Path) -> None:
    with Counting() as backend, proxied(tmp_path, "", backend) as url:
        assert names(url) == ["m"]
        answer = Stream([role(), text("a"), Sleep(0.3), text("b"), finish("stop"), Done()])
        backend.reply_with(*[answer] * 6)
        paths = ["/api/chat", "/v1/chat/completions", "/v1/messages"] * 2
        body = {"model": "m", "messages": HELLO, "max_tokens": 9}
        with ThreadPoolExecutor(len(paths)) as pool:
            replies = list(pool.map(lambda path: post(url, path, body), paths))
        assert [reply.status_code for reply in replies] == [200] * 6
        assert backend.most == 1

        # A client that leaves gives its turn back, and so does a call that is refused.
        backend.reply_with(Stream([role(), text("a"), Sleep(PATIENCE)]), Error(400, "no"), answer)
        with httpx.stream("POST", f"{url}/api/chat", json=body, timeout=PATIENCE, trust_env=False) as reply:
            next(reply.iter_raw())
        assert chat(url, "m").status_code == 400
        assert chat(url, "m").status_code == 200
        assert backend.most == 1


def test_check_says_that_only_the_list_is_refused() -> None:
    def answer(request: web.Request) -> web.Response | None:
        if request.path.endswith("/models"):
            error = {"message": "You have insufficient permissions. Missing scopes: api.model.read."}
            return web.json_response({"error": error}, status=403)
        return web.json_response({"error": {"message": "you must provide a model parameter"}}, status=400)

    with Odd(answer) as backend:
        lines, status = checked(OPENAI_API_BASE_URL=backend.base_url, OPENAI_API_KEY="sk-restricted-key")
    assert status == 0
    assert lines[2].startswith(f"warning  the back end at {backend.base_url} refuses to list its models to this key (403: ")
    assert "Missing scopes: api.model.read" in lines[2]
    assert "each other name that they ask for goes through" in lines[2]


# ── what is known of a model


@pytest.mark.parametrize(
    ("profile", "entry", "thinking"),
    [
        ("openai", {"id": "gpt-5"}, {"values": [False, "low", "medium", "high"], "default": "medium"}),
        ("openai", {"id": "o3-mini"}, {"values": ["low", "medium", "high"], "default": "medium"}),
        ("vllm", {"id": "Qwen/Qwen3-8B"}, {"values": [False, True], "default": True}),
        ("vllm", {"id": "openai/gpt-oss-20b"}, {"values": ["low", "medium", "high"], "default": "medium"}),
        ("mistral", {"id": "magistral", "capabilities": {"reasoning": True}}, {"values": [False, True], "default": False}),
        ("mistral", {"id": "small", "capabilities": {"reasoning": False}}, {"values": [False], "default": False}),
        ("generic", {"id": "some-thinking-model"}, None),
        ("openai", {"id": "gpt-4o"}, None),
    ],
)
def test_the_levels_of_thinking_are_shown(profile: str, entry: dict[str, Any], thinking: Any) -> None:
    with ScriptedBackend(strict=False) as backend:
        backend.models = listing(entry)
        with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, BACKEND_PROFILE=profile) as proxy:
            shown = show(proxy.url, entry["id"])
    assert shown.get("thinking") == thinking
    if thinking is not None:
        assert next(iter(shown)) == "thinking"


def test_the_levels_of_the_models_file_count_and_others_fall_back(tmp_path: Path) -> None:
    file = '[models.gpt-test]\nthink = "low"\nthink_levels = [false, "low", "xhigh"]\n'
    with ScriptedBackend(strict=False) as backend, proxied(tmp_path, file, backend, BACKEND_PROFILE="openai") as url:
        shown = show(url, "gpt-test")
        assert shown["thinking"] == {"values": [False, "low", "xhigh"], "default": "low"}
        assert "thinking" in shown["capabilities"]
        sent = {}
        for think in (None, "xhigh", "medium", False, True, "nonsense"):
            more = {} if think is None else {"think": think}
            assert chat(url, "gpt-test", **more).status_code == 200
            sent[think] = calls(backend)[-1].json.get("reasoning_effort")
        assert sent == {None: "low", "xhigh": "xhigh", "medium": "low", False: "none", True: "low", "nonsense": "low"}
        post(url, "/v1/chat/completions", {"model": "gpt-test", "messages": HELLO})
        assert calls(backend)[-1].json["reasoning_effort"] == "low"
        post(url, "/v1/chat/completions", {"model": "gpt-test", "messages": HELLO, "reasoning_effort": "high"})
        assert calls(backend)[-1].json["reasoning_effort"] == "high"


def test_a_real_ollama_behind_v1_is_asked_what_its_models_can_do() -> None:
    shown = {
        "thinking": {"values": ["low", "medium", "high"], "default": "medium"},
        "details": {"family": "gptoss", "parameter_size": "20.9B", "quantization_level": "MXFP4"},
        "model_info": {"general.architecture": "gptoss", "gptoss.context_length": 131072, "gptoss.embedding_length": 2880},
        "capabilities": ["completion", "tools", "thinking"],
    }

    def answer(request: web.Request) -> web.Response | None:
        return web.json_response(shown) if request.path == "/api/show" else None

    with Odd(answer) as backend:
        backend.models = listing({"id": "gpt-oss:20b", "owned_by": "library"})
        with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
            got = show(proxy.url, "gpt-oss:20b")
            refused = post(proxy.url, "/api/chat", {"model": "gpt-oss:20b", "messages": HELLO, "tools": []})
            listed = httpx.get(f"{proxy.url}/v1/models", timeout=PATIENCE).json()["data"]
    assert got["thinking"] == shown["thinking"]
    assert got["capabilities"] == shown["capabilities"]
    assert got["details"]["parameter_size"] == "20.9B"
    assert (got["model_info"]["gptoss.context_length"], got["model_info"]["gptoss.embedding_length"]) == (131072, 2880)
    assert refused.status_code == 200
    assert listed == [{"id": "gpt-oss:20b", "object": "model", "created": 1_700_000_000, "owned_by": "library"}]


def test_litellm_is_asked_what_its_models_can_do() -> None:
    facts = {"mode": "embedding", "max_input_tokens": 8191, "output_vector_size": 1536}
    info = {"data": [{"model_name": "vectors", "model_info": facts}]}

    def answer(request: web.Request) -> web.Response | None:
        if request.path == "/v1/models":
            data = {"object": "list", "data": listing({"id": "vectors"}, {"id": "m"})}
            return web.json_response(data, headers={"x-litellm-version": "1.80"})
        return web.json_response(info) if request.path == "/v1/model/info" else None

    with Odd(answer) as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        vectors = show(proxy.url, "vectors")
        assert vectors["capabilities"] == ["embedding"]
        assert (vectors["model_info"]["bert.context_length"], vectors["model_info"]["bert.embedding_length"]) == (8191, 1536)
        assert "completion" in show(proxy.url, "m")["capabilities"]


# ── names


def test_an_entry_describes_the_listed_model_with_a_tag(tmp_path: Path) -> None:
    with ScriptedBackend() as backend:
        backend.models = listing({"id": "tiny:latest"})
        with proxied(tmp_path, '[models.tiny]\ncapabilities = ["completion"]\n', backend) as url:
            assert names(url) == ["tiny:latest"]
            assert show(url, "tiny")["capabilities"] == show(url, "tiny:latest")["capabilities"] == ["completion"]


def test_a_pattern_is_a_name_for_many(tmp_path: Path) -> None:
    file = '[models."claude-*"]\ntarget = "gpt-test"\n[models."*-small"]\ncapabilities = ["completion"]\n'
    with ScriptedBackend(everything=True) as backend:
        backend.models += listing({"id": "x-small"})
        with proxied(tmp_path, file, backend) as url:
            assert set(names(url)) == {"gpt-test", "text-embedding-test", "x-small"}
            assert show(url, "x-small")["capabilities"] == ["completion"]
            for name in ("claude-3-5-haiku-20241022", "Claude-Sonnet-4-5:latest"):
                assert chat(url, name).json()["model"] == name
                assert calls(backend)[-1].json["model"] == "gpt-test"
            message = {"model": "claude-haiku-4-5", "messages": HELLO, "max_tokens": 9}
            assert post(url, "/v1/messages", message).status_code == 200
            assert calls(backend)[-1].json["model"] == "gpt-test"
            assert chat(url, "other").status_code == 404


def test_patterns_filter_a_list(tmp_path: Path) -> None:
    with ScriptedBackend() as main, ScriptedBackend() as lab:
        main.models = listing({"id": "gpt-5"}, {"id": "gpt-5-audio"}, {"id": "davinci"})
        lab.models = listing({"id": "big"}, {"id": "big-preview"}, {"id": "small"})
        file = f'[backends.lab]\nurl = "{lab.base_url}"\ninclude = ["big*"]\nexclude = ["*-preview"]\n'
        with proxied(tmp_path, file, main, BACKEND_INCLUDE="gpt-*", BACKEND_EXCLUDE="*audio*,x") as url:
            assert set(names(url)) == {"gpt-5", "big"}
            assert chat(url, "davinci").status_code == 404


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("[models.m]\noptions = {think = 'high'}", "models.m.options.think is no option: write think = … beside options."),
        ("[models.m]\noptions = {temprature = 1}", "models.m.options.temprature is no option of Ollama."),
        (
            "[models.m]\noptions = {seed = 'x'}",
            'models.m.options is wrong: option "seed" must be of type integer.',
        ),
        ("[models.m]\nthink = 'hihg'", "models.m.think is 'hihg', which is no level"),
        ("[models.m]\nthikn = true", "models.m.thikn is no key of a model: write `think`."),
        ("[models.m]\ntarget = 'x*'", "models.m.target is 'x*', which is a pattern"),
        ("[backends.b]\npreset = 'grok'", "backends.b.preset is 'grok', which is none"),
        ("[backends.b]\nurl = 'http://h/v1'\napis = ['chats']", "backends.b.apis is wrong: it must be some of chat,"),
        ("[backends.b]\nurl = 'http://h/v1'\nheaders = {Host = 'x'}", "backends.b.headers is wrong: it must hold headers like"),
        (
            "[backends.b]\nurl = 'http://h/v1'\nheaders = {A = {env = 'NOT_SET_HERE'}}",
            "variable NOT_SET_HERE, which is not set",
        ),
        ("[backends.b]\nurl = 'http://h/v1'\nca_file = 'nowhere.pem'", "nowhere.pem cannot be read"),
        ("[backends.b]\nurl = 'http://h/v1'\ntimeout = -1", "backends.b.timeout is wrong"),
        ("[backends.mistral]\nprefix = 'x'", "MISTRAL_API_KEY is not set: backends.mistral in MODELS_FILE needs it"),
    ],
)
def test_an_unknown_key_or_a_wrong_value_stops_the_start(tmp_path: Path, file: str, complaint: str) -> None:
    settings: dict[str, Any] = {"OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1", "MODELS_FILE": write(tmp_path, file)}
    with ProxyProcess(wait=False, **settings) as proxy:
        assert proxy.exit_code() == 1
    assert complaint in proxy.log
    assert "Traceback" not in proxy.log


def test_check_warns_of_a_pattern_that_fits_nothing(tmp_path: Path) -> None:
    file = '[models."claude-*"]\ncontext_length = 9\n[models."gpt-*"]\ncontext_length = 9\n[models."o*"]\ntarget = "gpt-test"\n'
    with ScriptedBackend() as backend:
        lines, status = checked(OPENAI_API_BASE_URL=backend.base_url, MODELS_FILE=write(tmp_path, file))
    assert status == 0
    assert [line for line in lines if line.startswith("warning")] == [
        "warning  MODELS_FILE: models.claude-* fits no model that is listed, and has no target: correct the pattern, "
        "or add a target"
    ]


@pytest.mark.parametrize("stream", [True, False])
def test_a_model_cannot_be_created_from_files(stream: bool) -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        files = {"model.gguf": f"sha256:{'0' * 64}"}
        reply = post(proxy.url, "/api/create", {"model": "own", "files": files, "stream": stream})
        assert reply.status_code == 400
        assert reply.json()["error"].startswith("a model cannot be created from files")
        assert "own:latest" not in names(proxy.url)


# ── reaching a server


WAYS = """
[backends.lab]
url = "{url}"
headers = {{ "X-Title" = "My app", "x-portkey-api-key" = {{ env = "LAB_PORTKEY" }}, user-agent = "mine" }}
query = {{ "api-version" = "2026-01-01" }}
"""


@pytest.mark.parametrize("by", ["file", "settings"])
def test_headers_and_query_are_on_the_wire_of_every_call(tmp_path: Path, by: str) -> None:
    with ScriptedBackend(everything=True) as backend:
        settings: dict[str, Any] = {"OPENAI_API_BASE_URL": f"http://127.0.0.1:{free_port()}/v1", "LAB_PORTKEY": "pk-secret-key"}
        if by == "file":
            settings["MODELS_FILE"] = write(tmp_path, WAYS.format(url=backend.base_url))
        else:
            headers = {"X-Title": "My app", "x-portkey-api-key": "pk-secret-key", "user-agent": "mine"}
            settings |= {
                "OPENAI_API_BASE_URL": backend.base_url,
                "BACKEND_HEADERS": json.dumps(headers),
                "BACKEND_QUERY": "api-version=2026-01-01",
            }
        with ProxyProcess(**settings) as proxy:
            assert chat(proxy.url, "gpt-test").status_code == 200
            assert post(proxy.url, "/api/embed", {"model": "text-embedding-test", "input": "a"}).status_code == 200
            body = {"model": "gpt-test", "messages": HELLO}
            target = "/v1/chat/completions?a=b&api-version=old"
            assert post(proxy.url, target, body).status_code == 200
            log = proxy.log
    paths = {request.path.partition("?")[0] for request in backend.requests}
    assert paths == {"/v1/models", "/v1/chat/completions", "/v1/embeddings"}
    for request in backend.requests:
        assert request.headers["X-Title"] == "My app"
        assert request.headers["X-Portkey-Api-Key"] == "pk-secret-key"
        assert [value for name, value in request.raw_headers if name.lower() == "user-agent"] == ["mine"]
        assert request.path.endswith("api-version=2026-01-01")
        assert "old" not in request.path
    assert backend.requests[-1].path.endswith("?a=b&api-version=2026-01-01")
    assert "pk-secret-key" not in log


@pytest.mark.parametrize("by", ["file", "settings"])
def test_an_api_that_is_not_used_is_translated(tmp_path: Path, by: str) -> None:
    with ScriptedBackend(everything=True) as backend, ScriptedBackend() as other:
        file = f'[backends.lab]\nurl = "{backend.base_url}"\napis = ["chat", "responses"]\n'
        first = other if by == "file" else backend
        settings: dict[str, Any] = {} if by == "file" else {"BACKEND_APIS": "chat,responses"}
        backend.models = listing({"id": "m"})
        with proxied(tmp_path, file if by == "file" else "", first, **settings) as url:
            assert post(url, "/v1/responses", {"model": "m", "input": "hi"}).status_code == 200
            assert calls(backend)[-1].path == "/v1/responses"
            assert post(url, "/v1/messages", {"model": "m", "messages": HELLO, "max_tokens": 9}).json()["type"] == "message"
            assert calls(backend)[-1].path == "/v1/chat/completions"
            refused = post(url, "/v1/completions", {"model": "m", "prompt": "x"})
            raw = post(url, "/api/generate", {"model": "m", "prompt": "x", "raw": True})
            assert (refused.status_code, raw.status_code) == (501, 501)
            assert "/v1/completions" in refused.json()["error"]["message"]


def test_a_servers_own_timeout_counts(tmp_path: Path) -> None:
    with ScriptedBackend() as main, ScriptedBackend() as lab:
        lab.models = listing({"id": "slow"})
        lab.reply_with(Error(500, before=(Sleep(60),)))
        with proxied(tmp_path, f'[backends.lab]\nurl = "{lab.base_url}"\ntimeout = 1\n', main) as url:
            assert names(url)
            assert chat(url, "slow").status_code == 504
            assert chat(url, "gpt-test").status_code == 200


def test_a_file_of_certificates_is_trusted_for_its_server_alone(tmp_path: Path) -> None:
    with tls_server(tmp_path) as port, ScriptedBackend() as main:
        url = f"https://127.0.0.1:{port}/v1"
        file = f'[backends.a]\nurl = "{url}"\nca_file = "certificate.pem"\n[backends.b]\nurl = "{url}"\nprefix = "b"\n'
        with proxied(tmp_path, file, main) as proxy:
            assert set(names(proxy)) == {"gpt-test", "text-embedding-test", "over-tls"}
        with ProxyProcess(OPENAI_API_BASE_URL=url, BACKEND_CA_FILE=str(tmp_path / "certificate.pem")) as own:
            assert names(own.url) == ["over-tls"]


def test_a_prefix_stands_before_the_names(tmp_path: Path) -> None:
    with ScriptedBackend() as main, ScriptedBackend() as lab:
        lab.models = listing({"id": "m"})
        with proxied(tmp_path, f'[backends.lab]\nurl = "{lab.base_url}"\nprefix = "x"\n', main, BACKEND_PREFIX="own-") as url:
            assert set(names(url)) == {"own-gpt-test", "own-text-embedding-test", "x/m"}
            for name in ("x/m", "lab/m", "m"):
                assert chat(url, name).json()["model"] == name
                assert calls(lab)[-1].json["model"] == "m"
            assert chat(url, "own-gpt-test").status_code == 200
            assert calls(main)[-1].json["model"] == "gpt-test"


def test_models_of_one_name_at_several_servers_are_told_apart(tmp_path: Path) -> None:
    with ScriptedBackend() as main, ScriptedBackend() as lab, ScriptedBackend() as farm:
        for server in (main, lab, farm):
            server.models = listing({"id": "m"})
        farm.models += listing({"id": "only"})
        file = f'[backends.lab]\nurl = "{lab.base_url}"\n[backends.farm]\nurl = "{farm.base_url}"\n'
        with proxied(tmp_path, file, main) as url:
            assert set(names(url)) == {"m", "lab/m", "farm/m", "only"}
            for name, server in (("m", main), ("lab/m", lab), ("farm/m", farm), ("farm/only", farm), ("default/m", main)):
                assert chat(url, name).status_code == 200
                assert calls(server)[-1].json["model"] == name.rpartition("/")[2]


# ── redirects


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_within_the_site_keeps_the_method_and_the_body(status: int) -> None:
    def answer(request: web.Request) -> web.Response | None:
        if request.path.startswith("/old/"):
            return web.Response(status=status, headers={"Location": str(request.rel_url).replace("/old/", "/v1/")})
        return None

    with Odd(answer, everything=True) as backend:
        with ProxyProcess(OPENAI_API_BASE_URL=f"{backend.url}/old", OPENAI_API_KEY="sk-own-key") as proxy:
            assert names(proxy.url)
            body = {"model": "gpt-test", "messages": HELLO}
            assert chat(proxy.url, "gpt-test").status_code == 200
            assert post(proxy.url, "/v1/chat/completions", body).status_code == 200
            assert post(proxy.url, "/api/embed", {"model": "text-embedding-test", "input": ["a"]}).status_code == 200
        posted = [request for request in calls(backend) if request.path.startswith("/v1/")]
        assert len(posted) == 3
        assert all(request.json["model"] for request in posted)
        lines, code = checked(OPENAI_API_BASE_URL=f"{backend.url}/old")
    assert code == 0
    assert lines[2].startswith("warning ")
    assert lines[2].endswith(f"set OPENAI_API_BASE_URL to {backend.base_url}")


def test_a_redirect_that_turns_a_call_into_a_get_announces_no_body() -> None:
    announced: list[tuple[str, str | None, str | None]] = []

    def answer(request: web.Request) -> web.Response | None:
        if request.path.startswith("/old/") and request.method == "POST":
            return web.Response(status=303, headers={"Location": str(request.rel_url).replace("/old/", "/new/")})
        if request.path.startswith("/new/"):
            announced.append((request.method, request.headers.get("Content-Length"), request.headers.get("Content-Type")))
            return web.json_response({"error": {"message": "no such call"}}, status=400)
        return None

    with Odd(answer, everything=True) as backend, ProxyProcess(OPENAI_API_BASE_URL=f"{backend.url}/old") as proxy:
        assert chat(proxy.url, "gpt-test").status_code == 400
        assert post(proxy.url, "/v1/chat/completions", {"model": "gpt-test", "messages": HELLO}).status_code == 400
    assert announced == [("GET", None, None)] * 2


def test_a_redirect_to_another_site_is_told_and_the_key_stays() -> None:
    with ScriptedBackend() as behind:

        def answer(request: web.Request) -> web.Response:
            return web.Response(status=301, headers={"Location": behind.url + str(request.rel_url)})

        with Odd(answer) as front, ProxyProcess(OPENAI_API_BASE_URL=front.base_url, OPENAI_API_KEY="sk-own-key") as proxy:
            for path, body in (
                ("/api/chat", {"model": "m", "messages": HELLO}),
                ("/api/embed", {"model": "m", "input": "a"}),
                ("/v1/chat/completions", {"model": "m", "messages": HELLO}),
            ):
                reply = post(proxy.url, path, body)
                assert reply.status_code == 502
                assert behind.base_url in reply.text
            lines, code = checked(OPENAI_API_BASE_URL=front.base_url)
        assert code == 1
        assert f"set OPENAI_API_BASE_URL to {behind.base_url}" in lines[2]
        assert behind.requests == []


# ── hosted services


def test_one_line_serves_several_services(tmp_path: Path) -> None:
    with (
        ScriptedBackend(strict=False, api_key="k-openai") as first,
        ScriptedBackend(strict=False, api_key="k-groq") as second,
        ScriptedBackend(strict=False, api_key="k-router") as third,
    ):
        first.models, second.models = listing({"id": "gpt-5"}), listing({"id": "llama"}, {"id": "shared"})
        third.models = listing({"id": "shared"})
        urls = {"openai": first, "groq": second, "openrouter": third}
        file = "".join(f'[backends.{name}]\nurl = "{server.base_url}"\n' for name, server in urls.items())
        keys: dict[str, Any] = {"OPENAI_API_KEY": "k-openai", "GROQ_API_KEY": "k-groq", "OPENROUTER_API_KEY": "k-router"}
        with ProxyProcess(BACKENDS="openai,groq,openrouter", MODELS_FILE=write(tmp_path, file), **keys) as proxy:
            assert set(names(proxy.url)) == {"gpt-5", "llama", "groq/shared", "openrouter/shared"}
            for name, server in (("gpt-5", first), ("llama", second), ("openrouter/shared", third), ("shared", second)):
                assert chat(proxy.url, name, think="low").status_code == 200
                assert calls(server)[-1].json["model"] == name.rpartition("/")[2]
            # OpenRouter's own way to say how a model is to think.
            assert calls(third)[-1].json["reasoning"] == {"effort": "low"}
            lines, code = checked(BACKENDS="openai,groq,openrouter", MODELS_FILE=str(tmp_path / "models.toml"), **keys)
    assert code == 0
    assert [line.split(" is of the kind ")[1].split(" ")[0] for line in lines[2:]] == ["openai", "groq", "openrouter"]


@pytest.mark.parametrize("source", ["environment", "file"])
def test_a_services_key_comes_from_its_usual_variable(tmp_path: Path, source: str) -> None:
    with ScriptedBackend(api_key="gsk-key") as backend, ScriptedBackend() as main:
        file = f'[backends.fast]\npreset = "groq"\nurl = "{backend.base_url}"\n'
        backend.models = listing({"id": "llama"})
        settings: dict[str, Any] = {"GROQ_API_KEY": "gsk-key"} if source == "environment" else {}
        if source == "file":
            (tmp_path / ".env").write_text("GROQ_API_KEY=gsk-key\n")
        path = write(tmp_path, file)
        with ProxyProcess(OPENAI_API_BASE_URL=main.base_url, MODELS_FILE=path, cwd=tmp_path, **settings) as proxy:
            assert "llama" in names(proxy.url)
            assert chat(proxy.url, "llama", options={"num_predict": 5}).status_code == 200
            assert calls(backend)[-1].json["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"BACKENDS": "groq"}, "GROQ_API_KEY is not set: BACKENDS needs it as the key of groq."),
        ({"BACKENDS": "grok"}, "BACKENDS is wrong: it must be some of openai, azure, openrouter, "),
        (
            {"BACKENDS": "cloudflare", "CLOUDFLARE_API_KEY": "k"},
            "CLOUDFLARE_ACCOUNT_ID is not set: BACKENDS needs it for the URL",
        ),
        ({"BACKEND_HEADERS": "nonsense"}, "BACKEND_HEADERS is wrong: it must be headers like"),
        ({"BACKEND_QUERY": "{x"}, "BACKEND_QUERY is wrong: it must be parameters like"),
        ({"BACKEND_APIS": "chat,x"}, "BACKEND_APIS is wrong: it must be some of chat,"),
        ({"BACKEND_CA_FILE": "/nowhere.pem"}, "BACKEND_CA_FILE /nowhere.pem cannot be read"),
    ],
)
def test_a_wrong_setting_of_a_server_stops_the_start(settings: dict[str, Any], complaint: str) -> None:
    own: dict[str, Any] = {} if "BACKENDS" in settings else {"OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1"}
    with ProxyProcess(wait=False, **own, **settings) as proxy:
        assert proxy.exit_code() == 1
    assert complaint in proxy.log
    assert "Traceback" not in proxy.log
