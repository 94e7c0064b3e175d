"""Models in front of clients: where they come from, how they are named, described, refused, copied and removed."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from aiohttp import web
from ollama import Client, ResponseError

from tests.live.proxy import ProxyProcess, free_port
from tests.patience import PATIENCE
from tests.standins import ScriptedBackend, Whole, chat_completion

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "now", "description": "the time", "parameters": {"type": "object"}}}
PULL_STATUSES = ["pulling manifest", "pulling {}", "verifying sha256 digest", "writing manifest", "success"]
MEGABYTE = 1 << 20

MODELS_FILE = """
[backends.lab]
url = "{lab}"
api_key_env = "LAB_API_KEY"

[models.alias]
model = "gpt-test"

[models."big:8b"]
backend = "lab"
model = "Lab/Big-1"
capabilities = ["completion"]
context_length = 4096
embedding_length = 64
family = "bigfam"
parameter_size = "8.2B"
quantization_level = "FP8"

[models.brief]
model = "gpt-test"
system = "Be brief."
options = {{ temperature = 0.25, seed = 7, stop = ["END"] }}

[models.vectors]
model = "text-embedding-test"
capabilities = ["embedding"]

[models.internal]
model = "gpt-test"
hidden = true

[models.unlisted-target]
backend = "lab"
model = "not-in-any-list"
context_length = 2048
"""


class Unlisted(ScriptedBackend):
    """A server that does not tell which models it has."""

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/models":
            return web.json_response({"detail": "Not Found"}, status=404)
        return await super()._serve_any(request)


@pytest.fixture(scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ScriptedBackend, ScriptedBackend, ProxyProcess]]:
    with ScriptedBackend(strict=True, api_key="main-key") as main, ScriptedBackend(strict=True, api_key="lab-key") as lab:
        lab.models = [{"id": "Lab/Big-1", "object": "model", "created": 1_600_000_000, "owned_by": "lab"}]
        lab.models.append(lab.models[0] | {"id": "lab-only", "created": 1_750_000_000})
        path = write(tmp_path_factory.mktemp("models"), MODELS_FILE.format(lab=lab.base_url))
        with ProxyProcess(
            OPENAI_API_BASE_URL=main.base_url, OPENAI_API_KEY="main-key", LAB_API_KEY="lab-key", MODELS_FILE=path
        ) as proxy:
            yield main, lab, proxy


@pytest.fixture
def main(_servers: tuple[ScriptedBackend, ScriptedBackend, ProxyProcess]) -> Iterator[ScriptedBackend]:
    yield from _fresh(_servers[0])


@pytest.fixture
def lab(_servers: tuple[ScriptedBackend, ScriptedBackend, ProxyProcess]) -> Iterator[ScriptedBackend]:
    yield from _fresh(_servers[1])


@pytest.fixture
def proxy(_servers: tuple[ScriptedBackend, ScriptedBackend, ProxyProcess], main: None, lab: None) -> ProxyProcess:
    return _servers[2]


@pytest.fixture
def url(proxy: ProxyProcess) -> str:
    return proxy.url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    yield from _client(url)


def _client(url: str) -> Iterator[Client]:
    client = Client(url)
    yield client
    client.close()


def _fresh(backend: ScriptedBackend) -> Iterator[ScriptedBackend]:
    backend.requests.clear()
    backend.violations.clear()
    yield backend
    assert backend.violations == []


def write(directory: Path, text: str) -> str:
    path = directory / "models.toml"
    path.write_text(text, "utf-8")
    return str(path)


def post(url: str, path: str, body: dict[str, Any] | str, **headers: str) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    return httpx.post(url + path, content=content, headers=headers, timeout=PATIENCE, trust_env=False)


def delete(url: str, body: dict[str, Any] | str) -> httpx.Response:
    content = body if isinstance(body, str) else json.dumps(body)
    return httpx.request("DELETE", f"{url}/api/delete", content=content, timeout=PATIENCE, trust_env=False)


def frames(reply: httpx.Response) -> list[Any]:
    assert reply.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in reply.text.splitlines()]


def asked(backend: ScriptedBackend) -> Any:
    """The body of the last call to a model."""
    return next(request.json for request in reversed(backend.requests) if request.method == "POST")


def names(client: Client) -> list[str | None]:
    return [model.model for model in client.list().models]


# ── where models come from


def test_all_back_ends_models_are_listed_with_the_names_of_the_file(client: Client) -> None:
    assert set(names(client)) == {
        *("gpt-test", "text-embedding-test", "Lab/Big-1", "lab-only"),
        *("alias", "big:8b", "brief", "vectors", "unlisted-target"),
    }


def test_the_newest_is_listed_first(client: Client) -> None:
    dates = [model.modified_at for model in client.list().models]
    assert dates == sorted(dates, key=lambda date: date.timestamp() if date else 0, reverse=True)
    assert names(client)[0] == "lab-only"


@pytest.mark.parametrize(
    ("name", "target", "key"),
    [
        ("gpt-test", "gpt-test", "main-key"),
        ("alias", "gpt-test", "main-key"),
        ("internal", "gpt-test", "main-key"),
        ("lab-only", "lab-only", "lab-key"),
        ("big:8b", "Lab/Big-1", "lab-key"),
        ("Lab/Big-1", "Lab/Big-1", "lab-key"),
        ("unlisted-target", "not-in-any-list", "lab-key"),
        ("Alias:latest", "gpt-test", "main-key"),
        (" registry.ollama.ai/library/ALIAS ", "gpt-test", "main-key"),
        ("lab-only:local", "lab-only", "lab-key"),
    ],
)
def test_a_name_leads_to_its_back_end_and_comes_back_as_it_was_written(
    client: Client, main: ScriptedBackend, lab: ScriptedBackend, name: str, target: str, key: str
) -> None:
    answer = client.chat(name, HELLO)
    assert (answer.model, answer.message.content) == (name, "Hello world!")
    own, other = (main, lab) if key == "main-key" else (lab, main)
    assert asked(own)["model"] == target
    assert own.requests[-1].headers["Authorization"] == f"Bearer {key}"
    assert not [request for request in other.requests if request.method == "POST"]


def test_what_the_file_says_of_a_model_counts(client: Client) -> None:
    shown = client.show("big:8b")
    assert shown.details is not None
    assert (shown.details.family, shown.details.parameter_size, shown.details.quantization_level) == ("bigfam", "8.2B", "FP8")
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo["general.architecture"] == "bigfam"
    assert shown.modelinfo["bigfam.context_length"] == 4096
    assert shown.modelinfo["bigfam.embedding_length"] == 64
    assert shown.modified_at is not None
    assert shown.modified_at.year == 2020


def test_a_hidden_model_can_be_used(client: Client) -> None:
    assert "internal" not in names(client)
    assert client.show("internal").capabilities == ["completion", "tools"]
    assert client.generate("internal", "hi").response == "Hello world!"


def test_hiding_a_listed_model_takes_it_from_the_list(tmp_path: Path) -> None:
    with ScriptedBackend() as backend:
        path = write(tmp_path, "[models.gpt-test]\nhidden = true\n")
        with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, MODELS_FILE=path) as proxy:
            client = Client(proxy.url)
            assert names(client) == ["text-embedding-test"]
            assert client.chat("gpt-test", HELLO).message.content == "Hello world!"


def test_a_back_end_that_is_down_does_not_hide_the_others_models(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    with ScriptedBackend() as backend:
        path = write(tmp_path, f'[backends.lab]\nurl = "{dead}"\n[models.m]\nbackend = "lab"\n')
        with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, MODELS_FILE=path) as proxy:
            client = Client(proxy.url)
            assert set(names(client)) == {"gpt-test", "text-embedding-test", "m"}
            assert client.chat("gpt-test", HELLO).message.content == "Hello world!"
            with pytest.raises(ResponseError) as caught:
                client.chat("m", HELLO)
            assert caught.value.status_code == 502
        assert "back end lab does not list its models" in proxy.log


def test_a_back_end_that_hangs_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with ScriptedBackend() as backend, socket.create_server(("127.0.0.1", 0)) as silent:
        path = write(tmp_path, f'[backends.lab]\nurl = "http://127.0.0.1:{silent.getsockname()[1]}/v1"\n')
        with ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, MODELS_FILE=path) as proxy:
            reply = httpx.get(f"{proxy.url}/api/tags", timeout=PATIENCE)
            assert {model["name"] for model in reply.json()["models"]} == {"gpt-test", "text-embedding-test"}


def test_where_no_back_end_can_be_asked_the_client_is_told(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    path = write(tmp_path, f'[backends.lab]\nurl = "{dead}"\n')
    with ProxyProcess(OPENAI_API_BASE_URL=dead, MODELS_FILE=path) as proxy:
        assert httpx.get(f"{proxy.url}/api/tags", timeout=PATIENCE).status_code == 502
        assert httpx.get(f"{proxy.url}/api/version", timeout=PATIENCE).status_code == 200


def test_a_back_end_without_a_list_is_asked_for_any_name() -> None:
    with Unlisted() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        client = Client(proxy.url)
        assert names(client) == []
        assert client.chat("any/thing:1", HELLO).message.content == "Hello world!"
        assert asked(backend)["model"] == "any/thing:1"
        assert "completion" in (client.show("accounts/x/models/y").capabilities or [])


def test_a_mistake_in_the_file_stops_the_start(tmp_path: Path) -> None:
    path = write(tmp_path, "[models.m]\nbackend = 'nowhere'\n")
    proxy = ProxyProcess(wait=False, OPENAI_API_BASE_URL="http://127.0.0.1:9/v1", MODELS_FILE=path)
    with proxy:
        assert proxy.exit_code() == 1
    assert f"MODELS_FILE {path}: models.m.backend names 'nowhere', which is not in [backends]." in proxy.log
    assert "Traceback" not in proxy.log


# ── settings of a model


def test_a_models_options_and_system_prompt_reach_the_back_end(client: Client, main: ScriptedBackend) -> None:
    client.chat("brief", HELLO)
    body = asked(main)
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, *HELLO]
    assert (body["temperature"], body["seed"], body["stop"]) == (0.25, 7, ["END"])
    client.generate("brief", "hello")
    body = asked(main)
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, *HELLO]
    assert (body["temperature"], body["seed"], body["stop"]) == (0.25, 7, ["END"])


def test_what_a_request_says_counts_more(client: Client, main: ScriptedBackend) -> None:
    client.chat("brief", [{"role": "system", "content": "Be long."}, *HELLO], options={"temperature": 1.5})
    body = asked(main)
    assert body["messages"] == [{"role": "system", "content": "Be long."}, *HELLO]
    assert (body["temperature"], body["seed"]) == (1.5, 7)
    client.generate("brief", "hello", system="Be long.", options={"seed": 8})
    body = asked(main)
    assert body["messages"] == [{"role": "system", "content": "Be long."}, *HELLO]
    assert (body["temperature"], body["seed"]) == (0.25, 8)


def test_a_models_settings_are_shown(client: Client) -> None:
    shown = client.show("brief")
    assert (shown.parameters or "").splitlines()[1:] == [
        "temperature                    0.25",
        "seed                           7",
        'stop                           "END"',
    ]
    assert "\nSYSTEM Be brief.\n" in (shown.modelfile or "")


# ── capabilities


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        pytest.param(
            *("/api/chat", {"model": "big:8b", "messages": HELLO, "tools": [TOOL]}),
            "registry.ollama.ai/library/big:8b does not support tools",
            id="tools",
        ),
        pytest.param(
            *("/api/chat", {"model": "BIG:8b", "messages": HELLO, "think": True}),
            '"BIG:8b" does not support thinking',
            id="thinking in a chat",
        ),
        pytest.param(
            *("/api/generate", {"model": "big:8b", "prompt": "x", "think": "high"}),
            '"big:8b" does not support thinking',
            id="thinking in a generation",
        ),
        pytest.param(
            *("/api/chat", {"model": "big:8b", "messages": HELLO, "think": "xhigh"}),
            'invalid think value: "xhigh" (must be "high", "medium", "low", "max", true, or false)',
            id="an unknown level of thinking",
        ),
        pytest.param(
            *("/api/generate", {"model": "big:8b", "prompt": "x", "think": ""}),
            'invalid think value: "" (must be "high", "medium", "low", "max", true, or false)',
            id="an empty level of thinking",
        ),
        pytest.param(
            *("/api/generate", {"model": "big:8b", "prompt": "x", "suffix": "y"}),
            "registry.ollama.ai/library/big:8b does not support insert",
            id="insert",
        ),
        pytest.param(*("/api/chat", {"model": "vectors", "messages": HELLO}), '"vectors" does not support chat', id="chat"),
        pytest.param(*("/api/chat", {"model": "vectors"}), '"vectors" does not support chat', id="loading for a chat"),
        pytest.param(
            *("/api/generate", {"model": "vectors", "prompt": "x"}), '"vectors" does not support generate', id="generate"
        ),
        pytest.param(
            *("/api/generate", {"model": "vectors", "prompt": "x", "suffix": "y"}),
            '"vectors" does not support generate',
            id="generate with a suffix",
        ),
    ],
)
def test_what_a_model_is_said_to_lack_is_refused_as_ollama_does(
    url: str, main: ScriptedBackend, lab: ScriptedBackend, path: str, body: dict[str, Any], text: str
) -> None:
    reply = post(url, path, body)
    assert (reply.status_code, reply.json()) == (400, {"error": text})
    assert not [request for request in (*main.requests, *lab.requests) if request.method == "POST"]


def test_an_embedding_model_embeds_and_can_be_unloaded(client: Client, url: str) -> None:
    assert len(client.embed("vectors", ["a", "b"]).embeddings) == 2
    assert post(url, "/api/generate", {"model": "vectors", "keep_alive": 0}).json()["done_reason"] == "unload"


@pytest.mark.parametrize(("think", "status"), [("xhigh", 404), (5, 400)])
def test_a_level_is_refused_only_after_the_model_was_looked_up(url: str, think: object, status: int) -> None:
    reply = post(url, "/api/chat", {"model": "nonsense", "messages": HELLO, "think": think})
    text = {400: "think must be a boolean or string", 404: "model 'nonsense' not found"}[status]
    assert (reply.status_code, reply.json()) == (status, {"error": text})


@pytest.mark.parametrize("think", ["xhigh", "", "ultra", "secret", "none"])
def test_a_model_that_may_think_takes_every_name_of_a_level(client: Client, think: Any) -> None:
    assert client.chat("gpt-test", HELLO, think=think).message.content == "Hello world!"


def test_not_to_think_is_never_refused(client: Client) -> None:
    assert client.chat("big:8b", HELLO, think=False).message.content == "Hello world!"


def test_a_model_of_which_nothing_is_known_takes_tools(client: Client, main: ScriptedBackend) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    main.reply_with(Whole(chat_completion(None, finish_reason="tool_calls", tool_calls=[call])))
    answer = client.chat("gpt-test", HELLO, tools=[TOOL])
    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].function.name == "now"
    assert asked(main)["tools"][0]["function"]["name"] == "now"
    assert "tools" in (client.show("gpt-test").capabilities or [])


# ── unknown names


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/api/chat", {"model": "nope", "messages": HELLO}, "model 'nope' not found"),
        ("/api/generate", {"model": "nope", "prompt": "x"}, "model 'nope' not found"),
        ("/api/show", {"model": "nope"}, "model 'nope:latest' not found"),
        ("/api/embed", {"model": "nope", "input": "x"}, 'model "nope" not found, try pulling it first'),
        ("/api/embeddings", {"model": "nope", "prompt": "x"}, 'model "nope" not found, try pulling it first'),
        ("/api/copy", {"source": "nope", "destination": "x"}, 'model "nope" not found'),
        ("/api/create", {"model": "x", "from": "nope"}, "model 'nope' not found"),
        ("/api/generate", {"model": "", "prompt": "x"}, "model '' not found"),
        ("/api/embed", {"input": "x"}, "model '' not found"),
    ],
)
def test_an_unknown_model_is_not_found_in_each_endpoints_words(url: str, path: str, body: dict[str, Any], text: str) -> None:
    reply = post(url, path, body)
    assert (reply.status_code, reply.json()) == (404, {"error": text})


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        *[(f"/api/{name}", {"model": ""}, "model is required") for name in ("chat", "embeddings", "show", "push")],
        *[(f"/api/{name}", {"model": "a b"}, "invalid model name") for name in ("chat", "generate", "show", "pull", "create")],
        *[(f"/api/{name}", {}, "invalid model name") for name in ("pull", "create")],
        ("/api/copy", {"source": "a b", "destination": "x"}, 'source "a b" is invalid'),
        ("/api/copy", {"source": "gpt-test"}, 'destination "" is invalid'),
        ("/api/create", {"model": "x"}, "neither 'from' or 'files' was specified"),
    ],
)
def test_a_name_that_no_model_can_have_is_refused(url: str, path: str, body: dict[str, Any], text: str) -> None:
    reply = post(url, path, body)
    assert (reply.status_code, reply.json()) == (400, {"error": text})


# ── copy, create, delete


def test_a_copy_can_be_shown_used_and_deleted(client: Client, main: ScriptedBackend) -> None:
    assert client.copy("gpt-test", "my-copy").status == "success"
    assert names(client)[0] == "my-copy:latest"
    assert client.show("my-copy:latest").capabilities == client.show("gpt-test").capabilities
    assert client.chat("My-Copy", HELLO).model == "My-Copy"
    assert asked(main)["model"] == "gpt-test"
    assert "My-Copy" not in [model.model for model in client.ps().models]
    assert client.delete("my-copy").status == "success"
    assert "my-copy:latest" not in names(client)
    with pytest.raises(ResponseError, match="model 'my-copy:latest' not found"):
        client.show("my-copy")


def test_a_model_may_be_copied_onto_itself(client: Client) -> None:
    before = names(client)
    assert client.copy("gpt-test", "GPT-test:latest").status == "success"
    assert names(client) == before


def test_a_created_model_has_the_settings_it_was_made_with(client: Client, main: ScriptedBackend) -> None:
    made = client.create(model="mario", from_="brief", system="You are Mario.", parameters={"temperature": 0.75, "stop": ["A"]})
    assert made.status == "success"
    client.chat("mario", HELLO)
    body = asked(main)
    assert body["model"] == "gpt-test"
    assert body["messages"] == [{"role": "system", "content": "You are Mario."}, *HELLO]
    assert (body["temperature"], body["stop"], body["seed"]) == (0.75, ["A"], 7)
    shown = client.show("mario")
    assert "\nSYSTEM You are Mario.\n" in (shown.modelfile or "")
    assert "temperature                    0.75" in (shown.parameters or "")
    client.chat("brief", HELLO)
    assert asked(main)["messages"][0]["content"] == "Be brief."
    client.delete("mario")


def test_creating_tells_its_steps(client: Client) -> None:
    statuses = [step.status or "" for step in client.create(model="toad", from_="gpt-test", system="x", stream=True)]
    digest = hashlib.sha256(b"gpt-test").hexdigest()
    prompt = hashlib.sha256(b"x").hexdigest()
    assert statuses == [
        f"using existing layer sha256:{digest}",
        f"creating new layer sha256:{prompt}",
        "writing manifest",
        "success",
    ]
    client.delete("toad")


@pytest.mark.parametrize("key", ["model", "name"])
@pytest.mark.parametrize("name", ["gpt-test", "GPT-TEST:latest", "lab-only", "internal"])
def test_deleting_a_back_ends_model_succeeds_and_takes_nothing_away(client: Client, url: str, key: str, name: str) -> None:
    reply = delete(url, {key: name})
    assert (reply.status_code, reply.content, reply.headers.get("content-type")) == (200, b"", None)
    assert client.chat(name, HELLO).message.content == "Hello world!"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"model": "nope"}, 404, "model 'nope' not found"),
        ({"name": "nope:8b"}, 404, "model 'nope:8b' not found"),
        ({"model": "a b"}, 400, 'name "a b" is invalid'),
        ({}, 400, "model is required"),
    ],
)
def test_deleting_what_is_not_there_fails(url: str, body: dict[str, Any], status: int, text: str) -> None:
    reply = delete(url, body)
    assert (reply.status_code, reply.json()) == (status, {"error": text})


# ── pull, push, blobs


@pytest.mark.parametrize("name", ["gpt-test", "big:8b", "GPT-test:latest"])
def test_pulling_a_model_that_is_there_succeeds(client: Client, name: str) -> None:
    steps = list(client.pull(name, stream=True))
    digest = next(step.digest for step in steps if step.digest).removeprefix("sha256:")
    assert [step.status for step in steps] == [status.format(digest[:12]) for status in PULL_STATUSES]
    assert [(step.total, step.completed) for step in steps if step.digest] == [(steps[1].total, steps[1].total)]
    assert digest in {model.digest for model in client.list().models}
    assert client.pull(name).status == "success"


def test_pulling_a_model_that_is_not_listed_succeeds_without_a_blob(client: Client, url: str) -> None:
    statuses = ["pulling manifest", "verifying sha256 digest", "writing manifest", "success"]
    assert frames(post(url, "/api/pull", {"model": "nope"})) == [{"status": status} for status in statuses]
    assert client.pull("nope").status == "success"
    assert "nope" not in {model.model for model in client.list().models}
    reply = post(url, "/api/pull", {"model": "a b"})
    assert (reply.status_code, reply.json()) == (400, {"error": "invalid model name"})


def test_pushing_a_model_succeeds_where_it_is_there(client: Client, url: str) -> None:
    statuses = [step.status for step in client.push("gpt-test", stream=True)]
    digest = hashlib.sha256(b"gpt-test").hexdigest()
    assert statuses == ["retrieving manifest", f"pushing {digest[:12]}", "pushing manifest", "success"]
    assert client.push("gpt-test").status == "success"
    error = {"error": "open /models/manifests/registry.ollama.ai/library/nope/latest: no such file or directory"}
    reply = post(url, "/api/push", {"model": "nope"})
    assert frames(reply) == [{"status": "retrieving manifest"}, {"status": "couldn't retrieve manifest"}, error]
    assert post(url, "/api/push", {"model": "nope", "stream": False}).json() == error
    assert frames(post(url, "/api/push", {"model": "a b"}))[-1] == {
        "error": "unqualified name: registry.ollama.ai/library/a b:latest"
    }


def test_a_blob_is_taken_and_not_kept_in_memory(client: Client, proxy: ProxyProcess, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x" * MEGABYTE)
    large.write_bytes(bytes(range(256)) * (20 * MEGABYTE // 256))
    client.create_blob(small)
    before = _peak_memory(proxy.worker)
    digest = client.create_blob(large)
    assert digest == f"sha256:{hashlib.sha256(large.read_bytes()).hexdigest()}"
    assert _peak_memory(proxy.worker) - before < 10 * MEGABYTE


def _peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize("separator", [":", "-"])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_blob_is_created_if_it_is_what_its_digest_says(url: str, separator: str, chunked: bool) -> None:
    data = b"a small blob"
    digest = hashlib.sha256(data).hexdigest()
    content = iter([data[:5], data[5:]]) if chunked else data
    reply = httpx.post(f"{url}/api/blobs/sha256{separator}{digest}", content=content, timeout=PATIENCE)
    assert (reply.status_code, reply.content) == (201, b"")


def test_an_empty_blob_is_a_blob(url: str) -> None:
    assert httpx.post(f"{url}/api/blobs/sha256:{hashlib.sha256().hexdigest()}", timeout=PATIENCE).status_code == 201


def test_a_blob_that_is_something_else_is_refused(url: str) -> None:
    wanted = f"sha256:{'0' * 64}"
    reply = httpx.post(f"{url}/api/blobs/{wanted}", content=b"abc", timeout=PATIENCE)
    got = f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
    assert reply.status_code == 400
    assert reply.json() == {"error": f'digest mismatch, expected "{wanted}", got "{got}"'}


@pytest.mark.parametrize(("digest", "status"), [(f"sha256:{'0' * 64}", 404), (f"sha256-{'a' * 64}", 404), ("xyz", 400)])
def test_no_blob_is_there(url: str, digest: str, status: int) -> None:
    reply = httpx.head(f"{url}/api/blobs/{digest}", timeout=PATIENCE)
    assert (reply.status_code, reply.content) == (status, b"")


# ── the account


@pytest.mark.parametrize(
    ("method", "path", "status", "answer"),
    [
        ("POST", "/api/me", 503, {"error": "account unavailable"}),
        ("GET", "/api/status", 200, {"cloud": {"disabled": False, "source": "none"}}),
        ("POST", "/api/signout", 401, {"error": "you are not currently signed in"}),
        ("DELETE", "/api/user/keys/c3NoLWVk", 401, {"error": "you are not currently signed in"}),
        ("GET", "/api/experimental/model-recommendations", 200, {"recommendations": []}),
        ("POST", "/api/experimental/web_search", 403, {"error": "ollama cloud is disabled: web search is unavailable"}),
    ],
)
def test_there_is_no_account_and_none_is_needed(url: str, method: str, path: str, status: int, answer: Any) -> None:
    reply = httpx.request(method, url + path, timeout=PATIENCE)
    assert (reply.status_code, reply.json()) == (status, answer)


# ── show, as clients ask for it


@pytest.mark.parametrize(
    "body",
    [{"model": "alias"}, {"name": "alias"}, {"model": "", "name": "alias"}, {"model": "alias", "name": ""}, {"NAME": "alias"}],
)
def test_show_takes_a_name_under_either_key(url: str, body: dict[str, Any]) -> None:
    reply = post(url, "/api/show", body)
    assert reply.status_code == 200
    assert reply.json()["model_info"]["general.basename"] == "alias"
    assert "\nFROM gpt-test\n" in reply.json()["modelfile"]


@pytest.mark.parametrize(("agent", "basename"), [("GitHubCopilotChat/0.30", "Alias:latest"), ("ollama-python/0.6", "alias")])
def test_copilot_is_shown_the_name_it_asked_for(url: str, agent: str, basename: str) -> None:
    reply = post(url, "/api/show", {"model": "Alias:latest"}, **{"User-Agent": agent})
    assert reply.json()["model_info"]["general.basename"] == basename


# ── what the `ollama` command sends, to the letter


@pytest.mark.parametrize(
    ("path", "body", "done_reason"),
    [
        pytest.param(
            "/api/generate",
            '{"model":"lab-only","prompt":"","suffix":"","system":"","template":"","options":null,"think":true}',
            "load",
            id="load",
        ),
        pytest.param(
            "/api/generate",
            '{"model":"lab-only","prompt":"","suffix":"","system":"","template":"","keep_alive":"0s","options":null}',
            "unload",
            id="stop",
        ),
        pytest.param(
            "/api/generate",
            '{"model":"lab-only","prompt":"hi","suffix":"","system":"","template":"","options":{},"think":true}',
            "stop",
            id="generate",
        ),
        pytest.param(
            "/api/chat",
            '{"model":"lab-only","messages":[{"role":"user","content":"hi"}],"options":{},"think":true}',
            "stop",
            id="chat",
        ),
    ],
)
def test_the_command_loads_stops_generates_and_chats(url: str, path: str, body: str, done_reason: str) -> None:
    reply = post(url, path, body, Accept="application/x-ndjson", **{"Content-Type": "application/json"})
    assert reply.status_code == 200
    last = json.loads(reply.text.splitlines()[-1])
    assert (last["model"], last["done"], last["done_reason"]) == ("lab-only", True, done_reason)


@pytest.mark.parametrize(
    "body",
    [
        '{"model":"lab-only","system":"","template":"","verbose":false,"options":null,"name":""}',
        '{"model":"","system":"","template":"","verbose":false,"options":null,"name":"lab-only"}',
    ],
)
def test_the_command_shows(url: str, body: str) -> None:
    assert post(url, "/api/show", body).json()["model_info"]["general.basename"] == "lab-only"


def test_the_command_pulls_copies_and_deletes(url: str) -> None:
    pulled = frames(post(url, "/api/pull", '{"model":"","username":"","password":"","name":"lab-only"}'))
    assert pulled[-1] == {"status": "success"}
    copied = post(url, "/api/copy", '{"source":"lab-only","destination":"nn"}')
    assert (copied.status_code, copied.content, copied.headers.get("content-type")) == (200, b"", None)
    assert copied.headers["content-length"] == "0"
    deleted = delete(url, '{"model":"","name":"nn"}')
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert delete(url, '{"model":"","name":"nn"}').status_code == 404


def test_the_command_finds_the_server(url: str) -> None:
    reply = httpx.head(f"{url}/", timeout=PATIENCE)
    assert (reply.status_code, reply.content, reply.headers["content-length"]) == (200, b"", "17")


# ── the OpenAI surface


@pytest.mark.parametrize("key", ["Authorization", "x-api-key", "api-key"])
def test_openai_calls_are_forwarded_with_the_proxys_key(url: str, main: ScriptedBackend, key: str) -> None:
    headers = {key: "Bearer ollama"}
    models = httpx.get(f"{url}/v1/models", headers=headers, timeout=PATIENCE)
    shown = [model["name"] for model in httpx.get(f"{url}/api/tags", timeout=PATIENCE).json()["models"]]
    assert [model["id"] for model in models.json()["data"]] == shown
    body = {"model": "gpt-test", "messages": HELLO}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=PATIENCE)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello world!"
    stream = httpx.post(f"{url}/v1/chat/completions", json=body | {"stream": True}, headers=headers, timeout=PATIENCE)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.text.endswith("data: [DONE]\n\n")
    for request in main.requests:
        assert request.headers["Authorization"] == "Bearer main-key"
        assert "ollama" not in " ".join(value for _, value in request.raw_headers)


def test_openai_calls_reach_a_back_end_under_any_path() -> None:
    with Elsewhere() as backend, ProxyProcess(OPENAI_API_BASE_URL=f"{backend.url}/api/v1") as proxy:
        reply = httpx.post(f"{proxy.url}/v1/chat/completions", json={"model": "gpt-test", "messages": HELLO}, timeout=PATIENCE)
        assert (reply.status_code, reply.json()["choices"][0]["message"]["content"]) == (200, "Hello world!")


class Elsewhere(ScriptedBackend):
    """A server whose API is not at `/v1`."""

    async def _serve_any(self, request: web.Request) -> web.StreamResponse:
        if not request.path.startswith("/api/v1/"):
            return web.json_response({"detail": "Not Found"}, status=404)
        return await super()._serve_any(request.clone(rel_url=request.rel_url.with_path(request.path.removeprefix("/api"))))


# ── web pages


PATHS = ["/api/tags", "/v1/models"]


@pytest.mark.parametrize("path", PATHS)
def test_pages_of_this_machine_may_read_the_replies(url: str, path: str) -> None:
    reply = httpx.get(url + path, headers={"Origin": "http://localhost:3000"}, timeout=PATIENCE)
    assert reply.status_code == 200
    assert reply.headers.get_list("access-control-allow-origin") == ["http://localhost:3000"]
    assert reply.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_foreign_pages_reach_nothing(url: str, main: ScriptedBackend, lab: ScriptedBackend, path: str, method: str) -> None:
    reply = httpx.request(method, url + path, headers={"Origin": "https://evil.example"}, timeout=PATIENCE)
    assert (reply.status_code, reply.content) == (403, b"")
    assert "access-control-allow-origin" not in reply.headers
    assert main.requests == lab.requests == []


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_preflight_is_answered(url: str, main: ScriptedBackend, path: str) -> None:
    headers = {"Origin": "app://obsidian.md", "Access-Control-Request-Method": "POST"}
    reply = httpx.options(url + path, headers=headers, timeout=PATIENCE)
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == "app://obsidian.md"
    assert "POST" in reply.headers["access-control-allow-methods"].split(",")
    assert "Content-Type" in reply.headers["access-control-allow-headers"].split(",")
    assert main.requests == []


@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_host_is_not_served(url: str, main: ScriptedBackend, path: str) -> None:
    reply = httpx.get(url + path, headers={"Host": "evil.example"}, timeout=PATIENCE)
    assert (reply.status_code, reply.content) == (403, b"")
    assert main.requests == []


def test_the_user_may_allow_an_origin() -> None:
    with (
        ScriptedBackend() as backend,
        ProxyProcess(OPENAI_API_BASE_URL=backend.base_url, OLLAMA_ORIGINS="https://*.app.example") as proxy,
    ):
        reply = httpx.get(f"{proxy.url}/api/tags", headers={"Origin": "https://my.app.example"}, timeout=PATIENCE)
        assert reply.headers["access-control-allow-origin"] == "https://my.app.example"
        refused = httpx.get(f"{proxy.url}/api/tags", headers={"Origin": "https://app.example"}, timeout=PATIENCE)
        assert refused.status_code == 403
