"""What `check` finds out: each cause has its own sentence, which says what to do, and no sentence holds a key."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from ollama_openai_proxy.checkup import Finding, check, report
from ollama_openai_proxy.net.http_messages import Timeouts
from ollama_openai_proxy.settings import Settings, load_settings

from tests.live.proxy import free_port
from tests.standins import ScriptedBackend, StrictOllama
from tests.standins._thread import ThreadedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "sk-a-key-of-the-tests"


class Odd(ThreadedServer):
    """A server that is no OpenAI-compatible one: it gives everyone the same answer."""

    def __init__(self, answer: Callable[[web.Request], web.Response]) -> None:
        super().__init__()
        self._answer = answer

    def add_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self._give)

    async def _give(self, request: web.Request) -> web.StreamResponse:
        return self._answer(request)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)


async def found(**given: str) -> list[Finding]:
    given.setdefault("proxy_port", str(free_port()))
    return await check(load_settings(given))


async def behind(**given: str) -> list[Finding]:
    """What is found beside the port and who may call."""
    return (await found(**given))[2:]


async def only(**given: str) -> tuple[str, str]:
    (finding,) = await behind(**given)
    return finding


# ── the proxy itself


async def test_a_free_port_of_this_machine_is_all_right() -> None:
    port = free_port()
    with ScriptedBackend() as backend:
        listening, exposure, _ = await found(proxy_port=str(port), openai_api_base_url=backend.base_url)
    assert listening == ("ok", f"the proxy can listen on http://127.0.0.1:{port}")
    assert exposure == ("ok", "only this machine reaches 127.0.0.1, and clients need no key")


async def test_any_free_port_is_all_right_and_not_called_0() -> None:
    with ScriptedBackend() as backend:
        listening = (await found(proxy_port="0", openai_api_base_url=backend.base_url))[0]
    assert listening == ("ok", "the proxy can listen on a free port of 127.0.0.1")


async def test_a_port_of_another_program_is_a_problem() -> None:
    with StrictOllama() as other, ScriptedBackend() as backend:
        listening = (await found(proxy_port=str(other.port), openai_api_base_url=backend.base_url))[0]
    assert listening.level == "problem"
    assert listening.text.startswith(f"Port {other.port} is in use by another program")


async def test_a_port_of_something_that_is_silent_or_speaks_no_http_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollama_openai_proxy.checkup.probe.PATIENCE", Timeouts(0.1, 0.1))
    with socket.create_server(("127.0.0.1", 0)) as silent, ScriptedBackend() as backend:
        listening = (await found(proxy_port=str(silent.getsockname()[1]), openai_api_base_url=backend.base_url))[0]
    assert listening.level == "problem"


async def test_a_url_that_is_the_proxys_own_is_a_problem() -> None:
    port = free_port()
    listening = (await found(proxy_port=str(port), openai_api_base_url=f"http://127.0.0.1:{port}/v1"))[0]
    assert listening.level == "problem"
    assert "which is this proxy itself" in listening.text


@pytest.mark.parametrize(
    ("given", "level", "words"),
    [
        ({"proxy_host": "0.0.0.0"}, "warning", "set PROXY_API_KEYS"),
        ({"proxy_host": "0.0.0.0", "proxy_api_keys": KEY}, "ok", "clients must bring a key"),
        ({"proxy_api_keys": "short"}, "problem", "PROXY_API_KEYS is wrong"),
        ({"rate_limit": "often"}, "problem", "RATE_LIMIT is wrong"),
    ],
)
async def test_who_may_call_is_said(given: dict[str, str], level: str, words: str) -> None:
    with ScriptedBackend() as backend:
        exposure = (await found(openai_api_base_url=backend.base_url, **given))[1]
    assert exposure.level == level
    assert words in exposure.text


# ── translate mode


async def test_a_good_back_end_is_described() -> None:
    with ScriptedBackend() as backend:
        backend.models += [{"id": f"m{number}", "object": "model", "created": 1, "owned_by": "tests"} for number in range(5)]
        level, text = await only(openai_api_base_url=backend.base_url)
    assert level == "ok"
    names = "gpt-test, text-embedding-test, m0, m1, m2, …"
    assert text == f"the back end at {backend.base_url} is of the kind generic and lists 7 models: {names}"


async def test_the_kind_of_a_back_end_is_recognised() -> None:
    with ScriptedBackend() as backend:
        backend.models = [{"id": "llama", "object": "model", "created": 1, "owned_by": "vllm"}]
        level, text = await only(openai_api_base_url=backend.base_url)
    assert (level, text) == ("ok", f"the back end at {backend.base_url} is of the kind vllm and lists 1 model: llama")


async def test_a_back_end_without_models_is_doubtful() -> None:
    with ScriptedBackend() as backend:
        backend.models = []
        level, text = await only(openai_api_base_url=backend.base_url)
    assert level == "warning"
    assert "lists no models" in text


async def test_a_back_end_that_is_not_there_refuses_connections() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    level, text = await only(openai_api_base_url=url)
    assert level == "problem"
    assert text == f"the back end at {url} refuses connections: start it, or correct OPENAI_API_BASE_URL"


async def test_a_name_that_is_none_cannot_be_resolved() -> None:
    level, text = await only(openai_api_base_url="http://no-such-host.invalid/v1")
    assert level == "problem"
    assert text.startswith("the name of the back end at http://no-such-host.invalid/v1 cannot be resolved")


async def test_https_where_there_is_none_is_said() -> None:
    with ScriptedBackend() as backend:
        level, text = await only(openai_api_base_url=backend.base_url.replace("http:", "https:"))
    assert level == "problem"
    assert "does not speak TLS" in text
    assert "correct OPENAI_API_BASE_URL, perhaps to http://" in text


async def test_a_missing_key_is_asked_for() -> None:
    with ScriptedBackend(api_key=KEY) as backend:
        level, text = await only(openai_api_base_url=backend.base_url)
    assert (level, text) == ("problem", f"the back end at {backend.base_url} wants a key (401): set OPENAI_API_KEY")


async def test_a_wrong_key_is_not_quoted() -> None:
    with ScriptedBackend(api_key="another") as backend:
        level, text = await only(openai_api_base_url=backend.base_url, openai_api_key=KEY)
    assert (level, text) == ("problem", f"the back end at {backend.base_url} refuses the key (401): correct OPENAI_API_KEY")


async def test_a_key_that_clients_bring_is_not_missed() -> None:
    with ScriptedBackend(api_key=KEY) as backend:
        level, text = await only(openai_api_base_url=backend.base_url, openai_api_key_passthrough="true")
    assert level == "ok"
    assert "which clients bring" in text


@pytest.mark.parametrize("wrong", ["", "/chat/completions", "/v1/chat/completions", "/v1/models", "/api"])
async def test_the_right_path_of_the_url_is_found(wrong: str) -> None:
    with ScriptedBackend() as backend:
        level, text = await only(openai_api_base_url=backend.url + wrong)
    assert level == "problem"
    assert text.endswith(f"set it to {backend.base_url}, where there is a list of models")
    assert ("lacks /v1 at its end" in text) == (wrong == "")


async def test_the_right_path_is_found_where_a_key_is_wanted() -> None:
    def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/v1/"):
            return web.json_response({"error": {"message": "no key"}}, status=401)
        return web.Response(status=404)

    with Odd(answer) as server:
        level, text = await only(openai_api_base_url=server.url)
    assert level == "problem"
    assert f"set it to {server.url}/v1" in text


async def test_a_web_page_is_no_back_end() -> None:
    with Odd(lambda _: web.Response(text="<!doctype html><p>Welcome</p>", content_type="text/html")) as server:
        level, text = await only(openai_api_base_url=f"{server.url}/v1")
    assert level == "problem"
    assert (
        text
        == f"the back end at {server.url}/v1 answers with a web page instead of a list of models: correct OPENAI_API_BASE_URL; "
        "until then clients see only the names of MODELS_FILE, and each other name that they ask for goes through"
    )


@pytest.mark.parametrize("answer", ['["a"]', "3", '{"data": ["a"]}', "data", ""])
async def test_what_is_no_list_of_models_is_said(answer: str) -> None:
    with Odd(lambda _: web.Response(text=answer, content_type="application/json")) as server:
        level, text = await only(openai_api_base_url=f"{server.url}/v1")
    assert level == "problem"
    assert "answers with something else instead of a list of models" in text


async def test_a_back_end_may_have_no_list() -> None:
    with Odd(lambda _: web.json_response({"error": "not found"}, status=404)) as server:
        level, text = await only(openai_api_base_url=f"{server.url}/v1")
    assert level == "warning"
    assert "has no list of models" in text


async def test_a_page_that_says_404_is_no_back_end() -> None:
    with Odd(lambda _: web.Response(status=404, text="<html>404</html>", content_type="text/html")) as server:
        level, text = await only(openai_api_base_url=f"{server.url}/v1")
    assert level == "problem"
    assert "a web page that says 404" in text


async def test_where_a_redirect_leads_is_said() -> None:
    with Odd(lambda _: web.Response(status=308, headers={"Location": "https://new.example/v1/models"})) as server:
        level, text = await only(openai_api_base_url=f"{server.url}/v1")
    assert level == "problem"
    assert "redirects to https://new.example/v1, where the proxy does not follow: set OPENAI_API_BASE_URL to https" in text


@pytest.mark.parametrize(("status", "level"), [(429, "warning"), (500, "problem"), (503, "problem")])
async def test_what_a_failing_back_end_says_is_told_without_the_key(status: int, level: str) -> None:
    with Odd(lambda _: web.json_response({"error": {"message": f"{KEY}\nis\nweary"}}, status=status)) as server:
        told, text = await only(openai_api_base_url=f"{server.url}/v1", openai_api_key=KEY)
    assert told == level
    assert text.startswith(f"the back end at {server.url}/v1 answers {status}: {'*' * len(KEY)} is weary")


# ── the models file


@pytest.mark.parametrize(
    ("names", "unknown"),
    [
        (["nowhere"], ["nowhere"]),
        (["gpt-test", "nowhere", "elsewhere"], ["nowhere", "elsewhere"]),
        (["gpt-test:latest", "other", "default/gpt-test", "claude-3-haiku", "hidden"], []),
    ],
)
async def test_a_fallback_that_is_no_model_is_doubtful(tmp_path: Path, names: list[str], unknown: list[str]) -> None:
    file = tmp_path / "models.toml"
    file.write_text(
        f"""
        [models.a]
        target = "gpt-test"
        fallback = {names}

        [models.other]
        target = "gpt-test"

        [models.hidden]
        target = "gpt-test"
        hidden = true

        [models."claude-*"]
        target = "gpt-test"
        """
    )
    with ScriptedBackend() as backend:
        findings = await behind(openai_api_base_url=backend.base_url, models_file=str(file))
    assert findings[1:] == [
        ("warning", f"MODELS_FILE: models.a.fallback names {name!r}, which is no model: correct the name") for name in unknown
    ]


async def test_a_fallback_may_be_any_name_where_a_server_has_no_list(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text("[models.a]\ntarget = 'b'\nfallback = ['nowhere']\n")
    with Odd(lambda _: web.json_response({"error": "not found"}, status=404)) as server:
        findings = await behind(openai_api_base_url=f"{server.url}/v1", models_file=str(file))
    assert not [text for _, text in findings if "fallback" in text]


async def test_every_back_end_of_the_models_file_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", KEY)
    monkeypatch.delenv("FARM_KEY", raising=False)
    with ScriptedBackend() as backend, ScriptedBackend(api_key=KEY) as lab, ScriptedBackend(api_key=KEY) as farm:
        (tmp_path / "models.toml").write_text(
            f"""
            [backends.lab]
            url = "{lab.base_url}"
            api_key_env = "LAB_KEY"

            [backends.farm]
            url = "{farm.base_url}"
            api_key_env = "FARM_KEY"

            [backends.gone]
            url = "http://127.0.0.1:{free_port()}/v1"

            [models.known]
            model = "gpt-test"

            [models."unknown"]
            backend = "lab"
            model = "gpt-missing"

            [models.unsure]
            backend = "farm"
            """
        )
        findings = await behind(openai_api_base_url=backend.base_url, models_file=str(tmp_path / "models.toml"))
    levels = [finding.level for finding in findings]
    assert levels == ["ok", "ok", "problem", "problem", "warning"]
    assert findings[1].text.startswith(f"the back end lab at {lab.base_url} is of the kind")
    assert findings[2].text.startswith("FARM_KEY is not set: backends.farm in MODELS_FILE names it as its key; set it")
    assert findings[3].text.endswith("refuses connections: start it, or correct backends.gone.url in MODELS_FILE")
    assert findings[4].text.startswith("MODELS_FILE: models.unknown is 'gpt-missing' of the back end lab, which lists no such")


async def test_a_models_file_that_is_wrong_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text("[backends.x]\n")
    level, text = await only(openai_api_base_url="http://127.0.0.1:1/v1", models_file=str(tmp_path / "models.toml"))
    assert level == "problem"
    assert text.startswith("MODELS_FILE")


# ── fix mode


async def test_ollama_is_described() -> None:
    with StrictOllama() as ollama:
        level, text = await only(proxy_mode="fix", ollama_upstream_url=ollama.url)
        assert (level, text) == ("ok", f"Ollama 0.0.0 answers at {ollama.url} and has 2 models: tiny:latest, tinytools:latest")
        ollama.models.clear()
        level, text = await only(proxy_mode="fix", ollama_upstream_url=ollama.url)
        assert level == "warning"
        assert "ollama pull" in text


async def test_an_ollama_that_is_not_there_refuses_connections() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    level, text = await only(proxy_mode="fix", ollama_upstream_url=url)
    assert (level, text) == ("problem", f"Ollama at {url} refuses connections: start it, or correct OLLAMA_UPSTREAM_URL")


async def test_what_is_no_ollama_is_said() -> None:
    with ScriptedBackend() as other:
        level, text = await only(proxy_mode="fix", ollama_upstream_url=other.url)
    assert (level, text) == ("problem", f"what answers at {other.url} is no Ollama: correct OLLAMA_UPSTREAM_URL")


async def test_a_proxy_is_no_ollama() -> None:
    def answer(request: web.Request) -> web.Response:
        assert request.path == "/healthz"
        return web.json_response({"status": "ok"}, headers={"X-Request-Id": "1"})

    with Odd(answer) as proxy:
        level, text = await only(proxy_mode="fix", ollama_upstream_url=proxy.url)
    assert level == "problem"
    assert "is a proxy like this one" in text


# ── where calls are counted


async def test_calls_can_be_counted_in_memory() -> None:
    with ScriptedBackend() as backend:
        level, text = (await behind(openai_api_base_url=backend.base_url, rate_limit="1/minute"))[1]
    assert level == "ok"
    assert "in this process's memory" in text


async def test_a_redis_that_is_not_there_is_a_problem_and_its_password_is_not_told() -> None:
    port = free_port()
    storage = {"rate_limit": "1/minute", "rate_limit_storage": f"redis://:{KEY}@127.0.0.1:{port}"}
    with ScriptedBackend() as backend:
        level, text = (await behind(openai_api_base_url=backend.base_url, **storage))[1]
    assert level == "problem"
    assert text.startswith(f"RATE_LIMIT_STORAGE at 127.0.0.1:{port} cannot be used (ConnectionError)")
    assert KEY not in text


# ── the report


def test_each_finding_is_a_line() -> None:
    assert report([Finding("ok", "a"), Finding("warning", "b")]) == ("ok       a\nwarning  b\n", 0)
    assert report([Finding("ok", "a"), Finding("problem", "b")]) == ("ok       a\nproblem  b\n", 1)
