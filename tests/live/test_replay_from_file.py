"""A saved session in a back end's place: mitmdump's `--server-replay` answers, and nothing else is there to answer."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from mitmproxy import contentviews
from mitmproxy.http import HTTPFlow
from mitmproxy.io import FlowReader
from mitmproxy.test import taddons
from ollama import Client, ResponseError
from ollama_openai_proxy.mitm.views.content_views import register, unregister

from tests.live.example_session import CALLS, SAVE, SESSION
from tests.live.proxy import BIN, ROOT, ProxyProcess
from tests.standins import ScriptedBackend, Stream, finish, role, text, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

NOWHERE = "http://127.0.0.1:9/v1"
KEY = "sk-never-to-be-saved"
QUESTION = [{"role": "user", "content": "Who are you?"}]
# What a request must be alike in; the two proxies differ in their ports. Each answer may be asked for again.
REPLAY = [
    "--set",
    "server_replay_ignore_host=true",
    "--set",
    "server_replay_ignore_port=true",
    "--set",
    "server_replay_reuse=true",
]


def replaying(file: Path, *arguments: str) -> ProxyProcess:
    return ProxyProcess(
        door="mitmdump", arguments=["--server-replay", str(file), *REPLAY, *arguments], OPENAI_API_BASE_URL=NOWHERE
    )


def flows(file: Path) -> list[HTTPFlow]:
    with file.open("rb") as saved:
        return [flow for flow in FlowReader(saved).stream() if isinstance(flow, HTTPFlow)]


def ask(url: str, *, stream: bool) -> tuple[str, str | None]:
    client = Client(url)
    try:
        if not stream:
            whole = client.chat(model="gpt-test", messages=QUESTION)
            return whole.message.content or "", whole.done_reason
        parts = list(client.chat(model="gpt-test", messages=QUESTION, stream=True))
        return "".join(part.message.content or "" for part in parts), parts[-1].done_reason
    finally:
        client.close()


# -- A session saved here ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str | None]]]:
    """A file, and what the client was told while it was written."""
    file = tmp_path_factory.mktemp("saved") / "session.mitm"
    with ScriptedBackend() as backend:
        backend.reply_with(*[Stream([role(), text("A "), text("proxy."), finish(), usage(4, 2)])] * 2)
        settings: dict[str, Any] = {"OPENAI_API_BASE_URL": backend.base_url, "OPENAI_API_KEY": KEY}
        with ProxyProcess(door="mitmdump", arguments=["-w", str(file), *SAVE], **settings) as proxy:
            answers = [ask(proxy.url, stream=stream) for stream in (True, False)]
    return file, answers


@pytest.fixture(scope="module")
def replay(recorded: tuple[Path, list[tuple[str, str | None]]]) -> Iterator[ProxyProcess]:
    with replaying(recorded[0]) as proxy:
        yield proxy


def test_a_saved_session_answers_without_any_back_end(
    recorded: tuple[Path, list[tuple[str, str | None]]], replay: ProxyProcess
) -> None:
    for _ in range(2):
        assert [ask(replay.url, stream=stream) for stream in (True, False)] == recorded[1] == [("A proxy.", "stop")] * 2
    assert replay.log.count("[replay]") >= 4


def test_a_request_that_a_proxy_mangled_is_mended_before_it_is_looked_up(replay: ProxyProcess) -> None:
    body = {"model": "gpt-test", "messages": QUESTION, "stream": True, "options": {}}
    asked = next(flow.request for flow in flows_of(replay) if flow.request.path == "/api/chat")
    assert json.loads(asked.content or b"")["messages"] == body["messages"]
    answer = httpx.request("GET", f"{replay.url}/api/chat", content=asked.content, headers=json_type(), trust_env=False)
    assert "A proxy." in "".join(json.loads(line)["message"]["content"] for line in answer.text.splitlines())


def flows_of(proxy: ProxyProcess) -> list[HTTPFlow]:
    return flows(Path(proxy._command[proxy._command.index("--server-replay") + 1]))


def json_type() -> dict[str, str]:
    return {"Content-Type": "application/json"}


def test_what_is_not_in_the_file_goes_to_the_back_end(replay: ProxyProcess) -> None:
    with pytest.raises(ResponseError, match="cannot connect to the back end") as refused:
        Client(replay.url).chat(model="gpt-test", messages=[{"role": "user", "content": "Something else"}])
    assert refused.value.status_code == 502


def test_the_proxys_key_is_not_in_the_file(recorded: tuple[Path, list[tuple[str, str | None]]]) -> None:
    assert KEY.encode() not in recorded[0].read_bytes()


# -- Without settings --------------------------------------------------------------------------------------------------

DOORS: dict[str, list[str]] = {
    "script": [str(BIN / "mitmdump"), "-s", str(ROOT / "addons/ollama.py")],
    "package": [str(BIN / "ollama-openai-proxy"), "dump"],
}
UNSET: dict[str, Any] = {"OPENAI_API_KEY": "", "OPENAI_API_BASE_URL": "", "LOG_FORMAT": "text"}


@pytest.mark.parametrize("settings", [{}, {"BACKENDS": "groq", "GROQ_API_KEY": ""}])
@pytest.mark.parametrize("door", DOORS)
def test_a_file_is_shown_without_a_key(tmp_path: Path, door: str, settings: dict[str, Any]) -> None:
    command = [*DOORS[door], "-nr", str(SESSION), "--set", "flow_detail=3"]
    with ProxyProcess(command=command, cwd=tmp_path, wait=False, HOME=str(tmp_path), **UNSET, **settings) as shown:
        assert shown.exit_code() == 0, shown.log
    assert "is not set" not in shown.log
    assert shown.log.count("/api/chat") >= 2


@pytest.mark.parametrize("door", DOORS)
def test_a_session_is_replayed_without_a_key(tmp_path: Path, example: list[HTTPFlow], door: str) -> None:
    command = [*DOORS[door], "--server-replay", str(SESSION), *REPLAY, "--set", "server_replay_extra=404"]
    with ProxyProcess(command=command, cwd=tmp_path, HOME=str(tmp_path), **UNSET) as proxy:
        request = example[0].request
        answer = httpx.post(f"{proxy.url}{request.path}", content=request.content, headers=json_type(), trust_env=False)
        assert example[0].response is not None
        assert (answer.status_code, answer.content) == (example[0].response.status_code, example[0].response.content)


def test_to_serve_needs_a_key(tmp_path: Path) -> None:
    with ProxyProcess(command=DOORS["script"], cwd=tmp_path, wait=False, HOME=str(tmp_path), **UNSET) as proxy:
        assert proxy.exit_code() == 1
    assert "OPENAI_API_KEY is not set" in proxy.log


# -- The example -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example() -> list[HTTPFlow]:
    return flows(SESSION)


def test_the_example_answers_its_own_requests(example: list[HTTPFlow]) -> None:
    with ExitStack() as stack:
        proxy = stack.enter_context(replaying(SESSION, "--set", "server_replay_extra=404"))
        client = stack.enter_context(httpx.Client(base_url=proxy.url, trust_env=False))
        for flow in example:
            assert flow.response is not None
            answer = client.post(flow.request.path, content=flow.request.content, headers=json_type())
            assert (answer.status_code, answer.content) == (flow.response.status_code, flow.response.content)
        assert client.post("/api/chat", json={"model": "gpt-test"}).status_code == 404
    assert "Traceback" not in proxy.log


def test_the_example_is_made_of_the_calls_that_its_maker_names(example: list[HTTPFlow]) -> None:
    assert [(flow.request.path, json.loads(flow.request.content or b"")) for flow in example] == [call[:2] for call in CALLS]


def test_the_example_tells_nothing_of_the_machine_it_was_made_on(example: list[HTTPFlow]) -> None:
    data = SESSION.read_bytes().lower()
    for word in (b"authorization", b"api-key", b"bearer", b"/home", b"/root", b"/tmp", str(ROOT).encode().lower()):
        assert word not in data
    for flow in example:
        assert (flow.request.host, flow.request.port) == ("127.0.0.1", 11434)
        assert flow.client_conn.peername is not None
        assert flow.client_conn.peername[0] == "127.0.0.1"


def test_every_flow_of_the_example_has_its_views(example: list[HTTPFlow]) -> None:
    register()
    try:
        with taddons.context():
            shown: list[tuple[Any, Any]] = []
            for flow in example:
                assert flow.response is not None
                views = [contentviews.prettify_message(message, flow) for message in (flow.request, flow.response)]
                shown.append((views[0].view_name, views[1].view_name))
                if flow.metadata.get("ollama_backend"):
                    other = contentviews.prettify_message(flow.request, flow, "back end").text
                    assert "POST http://127.0.0.1:8080/v1/chat/completions" in other
                    assert "── received ──" in other
            assert [view for view, _ in shown] == ["Ollama request"] * 5
            assert [view for _, view in shown] == ["Ollama answer"] * 4 + ["OpenAI answer"]
            other = contentviews.prettify_message(example[1].request, example[1], "back end").text
            assert '→ weather(city: "Paris")' in other
    finally:
        unregister()
