"""mitmweb as the desk at which calls are watched: with the official SDK on one side and a headless Chromium on the other."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from ollama import ChatResponse, Client, ResponseError
from playwright.sync_api import expect

from tests.live.mitmweb import Chromium, Mitmweb, body, edit_option, menu, need_chromium, rows, run_command, show
from tests.patience import PATIENCE
from tests.standins import (
    Cut,
    Error,
    Gate,
    ScriptedBackend,
    Sleep,
    Stream,
    StrictOllama,
    error_body,
    finish,
    reasoning,
    role,
    text,
    tool_delta,
    usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.standins import Step

MODEL, OTHER = "gpt-test", "text-embedding-test"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}
OPTIONS = {"temperature": 0, "num_gpu": 1}
REFUSED = "Unsupported value: 'temperature' does not support 0 with this model."
REFUSAL = Error(400, error_body(REFUSED, param="temperature", code="unsupported_value"))
BETWEEN_TOKENS = 0.1


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with Chromium(need_chromium()) as browser:
        yield browser


@pytest.fixture(scope="module")
def backend() -> Iterator[ScriptedBackend]:
    with ScriptedBackend() as server:
        yield server


@pytest.fixture(scope="module")
def running(chromium: Chromium, backend: ScriptedBackend) -> Iterator[Mitmweb]:
    with Mitmweb(OPENAI_API_BASE_URL=backend.base_url) as web:
        yield web


@pytest.fixture
def web(running: Mitmweb) -> Mitmweb:
    """The one of all tests, with an empty list."""
    running.clear()
    return running


@pytest.fixture
def page(web: Mitmweb, chromium: Chromium) -> Iterator[Page]:
    page = web.open(chromium)
    yield page
    page.close()


def ask(web: Mitmweb, model: str = MODEL, **further: Any) -> ChatResponse:
    client = Client(web.proxy.url)
    try:
        return client.chat(model=model, messages=further.pop("messages", MESSAGES), **further)
    finally:
        client.close()


def read_stream(web: Mitmweb, **further: Any) -> str:
    client = Client(web.proxy.url)
    try:
        parts = list(client.chat(model=MODEL, messages=MESSAGES, stream=True, **further))
    finally:
        client.close()
    return "".join(part.message.content or "" for part in parts)


# -- While an answer is made, and afterwards ---------------------------------------------------------------------------


def test_a_chat_is_seen_while_it_streams_and_as_a_whole_in_the_end(web: Mitmweb, page: Page, backend: ScriptedBackend) -> None:
    go_on = threading.Event()
    steps: list[Step] = [role(), reasoning("They want the weather. ")]
    steps += [step for word in ("I ", "shall ", "ask ") for step in (Sleep(BETWEEN_TOKENS), text(word))]
    steps += [Gate(go_on), text("for it.")]
    steps += [tool_delta(0, "call_1", "weather", ""), tool_delta(0, arguments='{"city": "Paris"}')]
    backend.reply_with(REFUSAL, Stream([*steps, finish("tool_calls"), usage(31, 12)]))
    with ThreadPoolExecutor() as pool:
        said = pool.submit(read_stream, web, tools=[WEATHER], options=OPTIONS)
        try:
            rows(page).click()
            answer = show(page, "Response")
            expect(answer).to_contain_text("I shall ask")
            expect(answer).to_contain_text("unfinished")
            expect(answer).to_contain_text("They want the weather.")
            expect(answer).not_to_contain_text("counters")
            assert not said.done()
        finally:
            go_on.set()
        assert said.result(10) == "I shall ask for it."

    expect(answer).to_contain_text("I shall ask for it.")
    shown = answer.inner_text()
    for part in ("Ollama answer", '→ weather(city: "Paris")', "prompt tokens", "tokens/s", "frames ("):
        assert part in shown
    assert "unfinished" not in shown
    expect(rows(page)).to_have_count(1)
    expect(rows(page).locator(".col-comment")).to_contain_text("gpt-test · 31→12 tokens")

    asked = show(page, "Request")
    for part in ("Ollama request", "Be brief.", "What is the weather in Paris?", "weather(city", "num_gpu 1"):
        expect(asked).to_contain_text(part)

    other = show(page, "Response", "back end")
    expect(other).to_contain_text("what was changed, and why")
    both = other.inner_text()
    assert f"POST {backend.base_url}/chat/completions" in both
    assert "num_gpu" in both.partition("sent: body")[0]
    assert REFUSED in " ".join(both.partition("sent: body")[0].replace("\n", " ").split())
    sent, _, received = both.partition("sent: body")[2].partition("received")
    assert '"role": "user"' in sent
    assert '"temperature"' not in sent
    assert "I shall ask for it." in received
    assert "tool_calls" in received


def test_a_stream_that_breaks_off_is_shown_as_far_as_it_came(web: Mitmweb, page: Page, backend: ScriptedBackend) -> None:
    backend.reply_with(Stream([role(), text("So far"), Cut()]))
    with pytest.raises(ResponseError):
        read_stream(web)
    row = rows(page)
    expect(row.locator(".marker")).to_have_text("🔴")
    expect(row.locator(".col-comment")).to_contain_text("error:")
    row.click()
    expect(show(page, "Response")).to_contain_text("So far")
    assert "error" in body(page).inner_text()


def test_failed_calls_are_found_by_a_filter(web: Mitmweb, page: Page) -> None:
    ask(web)
    with pytest.raises(ResponseError):
        ask(web, "gpt-unknown")
    expect(rows(page)).to_have_count(2)
    menu(page, "Flow List")
    for expression, comment in {
        "~comment error:": "gpt-unknown · error: model_not_found · translate",
        "~comment gpt-test": "gpt-test · 5→3 tokens",
        "~marker red_circle": "gpt-unknown",
        "~meta gpt-unknown": "gpt-unknown",
    }.items():
        page.get_by_placeholder("Search").fill(expression)
        expect(rows(page).locator(".col-comment")).to_contain_text([comment])
        expect(rows(page)).to_have_count(1)


# -- Changed settings --------------------------------------------------------------------------------------------------


def test_a_setting_changed_on_the_options_page_counts_from_the_next_request_on(
    web: Mitmweb, page: Page, backend: ScriptedBackend
) -> None:
    with ScriptedBackend() as other:
        other.reply_with(Stream([role(), text("from the other one"), finish(), usage(1, 4)]))
        place = edit_option(page, "openai_api_base_url", other.base_url)
        try:
            # mitmweb names the default of what has been changed.
            expect(place).to_contain_text("Default:")
            assert ask(web).message.content == "from the other one"

            place = edit_option(page, "openai_api_base_url", "nonsense")
            expect(place.locator(".has-error")).to_be_visible()
            assert any("OPENAI_API_BASE_URL is wrong: it must be" in event for event in web.events())
            assert ask(web).message.content == "Hello world!"
            assert len([call for call in other.requests if call.method == "POST"]) == 2

            place = edit_option(page, "proxy_port", "11500")
            expect(place.locator(".has-error")).to_be_visible()
            assert any("proxy_port is read at the start only: restart" in event for event in web.events())
            assert ask(web).message.content == "Hello world!"
        finally:
            web.set_options(openai_api_base_url=backend.base_url)
    assert ask(web).message.content == "Hello world!"


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("openai_api_base_url", "nonsense", "OPENAI_API_BASE_URL is wrong: it must be"),
        ("proxy_mode", "sideways", "PROXY_MODE"),
        ("proxy_port", "11500", "proxy_port is read at the start only: restart with the new value."),
        ("models_file", "/nowhere/models.toml", "MODELS_FILE"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_sentence_and_nothing_breaks(
    web: Mitmweb, option: str, value: str, sentence: str
) -> None:
    status, said = web.set_options(**{option: value})
    assert (status, sentence in said) == (400, True), said
    assert ask(web).message.content == "Hello world!"


# -- Which flows are kept ----------------------------------------------------------------------------------------------


def test_the_oldest_flows_go_unless_they_are_marked(backend: ScriptedBackend, chromium: Chromium) -> None:
    with Mitmweb(OPENAI_API_BASE_URL=backend.base_url, KEEP_FLOWS="5") as web:
        for number in range(12):
            ask(web, messages=[{"role": "user", "content": f"Question {number}"}])
            if number == 1:
                web.mark(web.flows()[-1])
        page = web.open(chromium)
        expect(rows(page)).to_have_count(5)
        kept = [web.view(flow, "request")[1].split()[-1] for flow in web.flows()]
    assert kept == ["1", "8", "9", "10", "11"]


# -- Fix mode ----------------------------------------------------------------------------------------------------------


def test_fix_mode_shows_how_a_request_arrived(chromium: Chromium) -> None:
    with StrictOllama() as upstream, Mitmweb(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=upstream.url) as web:
        payload = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]})
        answer = httpx.request("GET", f"{web.proxy.url}/api/chat", content=payload, timeout=PATIENCE, trust_env=False)
        assert answer.status_code == 200
        page = web.open(chromium)
        row = rows(page)
        expect(row.locator(".col-comment")).to_contain_text("fix · came as GET")
        expect(row.locator(".marker")).to_have_text("🔧")
        expect(row.locator(".col-method")).to_have_text("POST")
        row.click()
        expect(show(page, "Response")).to_contain_text("tiny · length · 6 tokens")
        expect(show(page, "Request")).to_contain_text("Hello")


# -- Commands ----------------------------------------------------------------------------------------------------------


def test_commands_are_run_from_the_command_bar(web: Mitmweb, page: Page) -> None:
    ask(web)
    rows(page).click()
    run_command(page, "ollama.models")
    page.get_by_label("Display Event Log").check()
    expect(page.locator(".eventlog pre")).to_contain_text("2 models: gpt-test, text-embedding-test")
    results = run_command(page, "ollama.conversation @all")
    expect(results).to_contain_text("What is the weather in Paris?")
    expect(results).to_contain_text("Hello world!")
    expect(run_command(page, "ollama.stats @all")).to_contain_text("median first part")
    expect(run_command(page, "ollama.diff @all")).to_contain_text("ollama.diff compares two flows, but one was chosen")


def test_a_call_is_written_as_curl_for_either_side(web: Mitmweb, backend: ScriptedBackend) -> None:
    ask(web, options={"temperature": 0.5})
    ollama, openai = (web.command(name, "@all")["value"] for name in ("ollama.curl", "ollama.openai"))
    assert ollama.startswith(f"curl -sN {web.proxy.url}/api/chat ")
    assert openai.startswith(f"curl -sN {backend.base_url}/chat/completions ")
    assert '"temperature": 0.5' in openai


def test_a_call_is_repeated_with_another_model_beside_the_original(web: Mitmweb, page: Page, backend: ScriptedBackend) -> None:
    backend.reply_with(
        Stream([role(), text("Sunny."), finish(), usage(9, 2)]), Stream([role(), text("Rainy."), finish(), usage(9, 2)])
    )
    ask(web)
    assert web.command("ollama.replay", "@all", f"model={OTHER}") == {"value": None}
    expect(rows(page)).to_have_count(2)
    expect(rows(page).nth(1).locator(".col-comment")).to_contain_text(f"{OTHER} instead of {MODEL} · {OTHER} · 9→2 tokens")
    rows(page).nth(1).click()
    expect(show(page, "Response")).to_contain_text("Rainy.")
    first, second = web.flows()
    assert "Sunny." in web.view(first, "response")[1]
    assert OTHER in web.view(second, "request")[1]

    difference = web.command("ollama.diff", "@all")["value"]
    assert "Sunny." in difference
    assert "Rainy." in difference
    counted = web.command("ollama.stats", "@all")["value"].splitlines()
    assert [line.split()[:3] for line in counted[1:]] == [[MODEL, "1", "0"], [OTHER, "1", "0"]]


def test_a_command_for_the_wrong_flows_says_so(web: Mitmweb) -> None:
    for name in ("conversation", "curl", "openai"):
        assert web.command(f"ollama.{name}", "@all")["error"] == f"ollama.{name} takes one flow, but none was chosen."
    assert web.command("ollama.replay", "@all", "model=")["error"].startswith("ollama.replay needs a model")
