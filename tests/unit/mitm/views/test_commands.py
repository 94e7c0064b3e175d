"""The commands, called as mitmproxy's prompt calls them."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from mitmproxy import exceptions, http
from mitmproxy.addons.clientplayback import ClientPlayback
from mitmproxy.addons.eventstore import EventStore
from mitmproxy.addons.next_layer import NextLayer
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.view import View
from mitmproxy.hooks import DoneHook, RunningHook
from mitmproxy.test import taddons, tflow
from ollama_openai_proxy.mitm.views.commands import Commands

from tests.unit.mitm.views.samples import sample

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HERE = "http://127.0.0.1:11434"
ASKED = {"model": "llama3.2", "messages": [{"role": "user", "content": "Hi"}]}
CALL = {
    "mode": "translate",
    "model": "llama3.2",
    "prompt_tokens": 26,
    "completion_tokens": 298,
    "first_part": 0.5,
    "duration": 5.5,
}


class Answering:
    """Stands for the proxy: answers in the `request` hook, and comments."""

    def request(self, flow: http.HTTPFlow) -> None:
        flow.response = http.Response.make(200, sample("generate.ndjson"), {"Content-Type": "application/x-ndjson"})
        flow.comment = "the proxy's comment"


class Desk:
    """mitmproxy with the commands."""

    def __init__(self) -> None:
        self.names: list[str] | Exception = ["llama3.2", "qwen3"]
        self.view, self.events = View(), EventStore()
        # The server never runs; replay reads its options.
        addons = (
            Proxyserver(),
            NextLayer(),
            self.view,
            self.events,
            ClientPlayback(),
            Answering(),
            Commands(self.models, lambda: HERE),
        )
        self.context = taddons.context(*addons)
        self.context.options.server = False

    async def models(self) -> list[str]:
        if isinstance(self.names, Exception):
            raise self.names
        return self.names

    def run(self, name: str, *arguments: str) -> Any:
        return self.context.master.commands.call_strings(name, list(arguments))

    def refusal(self, name: str, *arguments: str) -> str:
        with pytest.raises(exceptions.CommandError) as caught:
            self.run(name, *arguments)
        return str(caught.value)

    def call(
        self,
        asked: dict[str, Any] | bytes = ASKED,
        answer: bytes | None = sample("chat.ndjson"),
        path: str = "/api/chat",
        **metadata: Any,
    ) -> http.HTTPFlow:
        flow = tflow.tflow(resp=answer is not None)
        flow.request = http.Request.make(
            "POST", f"http://proxy.example:1234{path}", asked if isinstance(asked, bytes) else json.dumps(asked)
        )
        flow.request.headers["Host"] = "proxy.example:1234"
        if flow.response is not None:
            flow.response.content = answer
        flow.metadata |= metadata
        self.view.add([flow])
        self.view.focus.flow = flow
        return flow


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    with desk.context:
        await desk.context.master.addons.trigger_event(RunningHook())
        yield desk
        await desk.context.master.addons.trigger_event(DoneHook())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


# -- Models ------------------------------------------------------------------------------------------------------------


async def test_models_are_listed_in_the_event_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk.run("ollama.models")
    await until(lambda: caplog.messages)
    assert caplog.messages == ["2 models: llama3.2, qwen3"]


async def test_a_back_end_that_cannot_be_asked_gives_a_sentence(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.names = RuntimeError("the back end is away")
    desk.run("ollama.models")
    await until(lambda: caplog.messages)
    assert caplog.messages == ["The models cannot be listed: the back end is away"]


# -- One call ----------------------------------------------------------------------------------------------------------


async def test_a_conversation_has_question_and_answer(desk: Desk) -> None:
    desk.call(ollama=CALL)
    text = desk.run("ollama.conversation", "@focus")
    assert text.startswith("POST /api/chat · llama3.2 · streamed\n\nuser\n  Hi\n")
    assert "I look it up" in text
    assert "500 ms" in text
    assert text.index("user\n") < text.index("── text")


async def test_a_call_without_an_answer_has_a_conversation_too(desk: Desk) -> None:
    desk.call(b"\xff", answer=None)
    assert "(no answer yet)" in desk.run("ollama.conversation", "@focus")


async def test_nothing_in_a_text_can_command_a_terminal(desk: Desk) -> None:
    desk.call({"model": "m", "prompt": "\x1b[2J"}, b'{"response":"\x1b[2J","done":true}\n')
    assert "\x1b" not in desk.run("ollama.conversation", "@focus")


async def test_what_a_command_shows_is_in_the_event_log_but_not_in_the_programs_log(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    desk.call()
    text = desk.run("ollama.conversation", "@focus")
    assert [entry.msg for entry in desk.events.data] == [text]
    assert caplog.messages == []


async def test_curl_calls_this_proxy_and_names_no_key(desk: Desk) -> None:
    flow = desk.call()
    flow.request.headers["Authorization"] = "Bearer secret"
    command = desk.run("ollama.curl", "@focus")
    assert command.startswith(f'curl -sN {HERE}/api/chat -H "Authorization: Bearer $OLLAMA_API_KEY"')
    assert json.dumps(ASKED) in command
    assert "secret" not in command


async def test_openai_calls_the_back_end(desk: Desk) -> None:
    desk.call(ollama_backend={"url": "http://b/v1", "request": {"model": "m", "messages": []}})
    command = desk.run("ollama.openai", "@focus")
    assert command.startswith('curl -sN http://b/v1/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY"')


# -- Replay ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["model=qwen3", "qwen3"])
async def test_a_call_is_made_again_with_another_model(desk: Desk, argument: str) -> None:
    first = desk.call(ASKED | {"name": "older clients"}, ollama=CALL, ollama_backend={}, ollama_arrived_as="GET")
    desk.run("ollama.replay", "@focus", argument)
    [kept, again] = desk.view
    assert kept is first
    await until(lambda: again.response)
    await until(lambda: " · " in again.comment)
    assert again.comment == "qwen3 instead of llama3.2 · the proxy's comment"
    assert json.loads(again.request.content or b"") == ASKED | {"model": "qwen3"}
    assert (again.request.url, again.request.headers["Host"]) == (f"{HERE}/api/chat", "127.0.0.1:11434")
    assert again.is_replay == "request"
    assert "ollama" not in again.metadata
    assert (first.comment, first.metadata["ollama"]) == ("", CALL)
    assert json.loads(first.request.content or b"")["model"] == "llama3.2"


async def test_several_calls_are_made_again_at_once(desk: Desk) -> None:
    desk.call()
    desk.call()
    desk.run("ollama.replay", "@all", "model=qwen3")
    await until(lambda: len([flow for flow in desk.view if flow.is_replay and flow.response]) == 2)


# -- Several calls -----------------------------------------------------------------------------------------------------


async def test_two_answers_are_compared(desk: Desk) -> None:
    for name in ("chat.ndjson", "generate.ndjson"):
        desk.call(answer=sample(name), ollama=CALL).marked = ":default:"
    text = desk.run("ollama.diff", "@marked")
    assert "-I look it up" in text
    assert "+Hello" in text
    assert text.startswith("- llama3.2  POST /api/chat  at ")


async def test_flows_that_the_proxy_marked_do_not_count(desk: Desk) -> None:
    desk.call().marked = ":red_circle:"
    for _ in range(2):
        desk.call().marked = ":default:"
    assert "They say the same." in desk.run("ollama.diff", "@marked")


async def test_statistics_count_every_call_of_either_api(desk: Desk) -> None:
    desk.call(ollama=CALL)
    desk.call(ollama=CALL | {"error": "backend_failed"})
    desk.call()  # from another proxy's file
    desk.call(path="/elsewhere")
    desk.view.add([tflow.ttcpflow()])
    lines = desk.run("ollama.stats", "@all").splitlines()
    assert [line.split() for line in lines[1:]] == [["llama3.2", "3", "1", "78", "894", "59.6", "500", "ms"]]


# -- Refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ollama.conversation", "ollama.curl", "ollama.openai"])
async def test_commands_for_one_call_say_so(desk: Desk, name: str) -> None:
    assert desk.refusal(name, "@focus") == f"{name} takes one flow, but none was chosen."
    desk.call()
    desk.call()
    assert desk.refusal(name, "@all") == f"{name} takes one flow, but 2 were chosen."
    desk.call(path="/elsewhere")
    assert desk.refusal(name, "@focus") == f"{name} is for calls of the Ollama API or the OpenAI API, which this flow is not."


async def test_what_a_flow_does_not_have_is_told(desk: Desk) -> None:
    desk.call(b"no json")
    assert "has another body" in desk.refusal("ollama.curl", "@focus")
    assert "went to no back end" in desk.refusal("ollama.openai", "@focus")
    assert "names no model" in desk.refusal("ollama.replay", "@focus", "model=m")
    desk.call(ollama_backend={"url": "http://b/v1", "request": "cut o"})
    assert "not kept whole" in desk.refusal("ollama.openai", "@focus")
    desk.call().request.content = None
    assert "was not kept" in desk.refusal("ollama.replay", "@focus", "model=m")


async def test_replay_without_a_model_or_a_call_is_refused(desk: Desk) -> None:
    assert "needs a call" in desk.refusal("ollama.replay", "@focus", "model=m")
    desk.call()
    assert "needs a model" in desk.refusal("ollama.replay", "@focus", "model=")
    assert len(desk.view) == 1


async def test_diff_takes_two_answers(desk: Desk) -> None:
    assert desk.refusal("ollama.diff", "@marked") == "ollama.diff compares two flows, but none was chosen: mark two of them."
    desk.call()
    assert "but one was chosen" in desk.refusal("ollama.diff", "@all")
    desk.call(answer=None)
    assert "one of the two flows has none" in desk.refusal("ollama.diff", "@all")
    desk.call()
    assert "but 3 were chosen" in desk.refusal("ollama.diff", "@all")
