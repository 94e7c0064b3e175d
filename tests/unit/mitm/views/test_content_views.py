"""The content views as mitmproxy uses them: which one is chosen, and what it shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import mitmproxy_rs.syntax_highlight
import pytest
from mitmproxy import contentviews, http
from mitmproxy.test import taddons, tflow
from ollama_openai_proxy.mitm.views.content_views import VIEWS, register, unregister

from tests.unit.mitm.views.samples import sample

if TYPE_CHECKING:
    from collections.abc import Iterator

NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"
JSON = "application/json; charset=utf-8"
BACKEND = {"backend": "default", "url": "http://b/v1", "request": {"messages": []}, "answer": sample("chat.sse").decode()}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register()
    with taddons.context():
        yield
    unregister()


def call(path: str, answer: bytes = b"{}", content_type: str = JSON, asked: bytes = b'{"model":"m"}') -> http.HTTPFlow:
    flow = tflow.tflow(resp=True)
    assert flow.response is not None
    flow.request.method, flow.request.path, flow.request.content = "POST", path, asked
    flow.response.headers["Content-Type"], flow.response.content = content_type, answer
    return flow


def shown(message: http.Message | None, flow: http.HTTPFlow, view: str = "auto") -> contentviews.ContentviewResult:
    assert message is not None
    return contentviews.prettify_message(message, flow, view)


@pytest.mark.parametrize(
    ("path", "content_type", "answer", "view"),
    [
        # Streams
        ("/api/chat", NDJSON, sample("chat.ndjson"), "Ollama answer"),
        ("/api/pull", NDJSON, sample("pull.ndjson"), "Ollama answer"),
        ("/anything", NDJSON, sample("chat.ndjson"), "Ollama answer"),
        ("/v1/chat/completions", EVENTS, sample("chat.sse"), "OpenAI answer"),
        ("/v1/responses", EVENTS + "; charset=utf-8", sample("responses.sse"), "OpenAI answer"),
        ("/v1/messages?beta=true", EVENTS, sample("messages.sse"), "OpenAI answer"),
        ("/api/chat", NDJSON, b"\xff\x00", "Ollama answer"),
        # Objects
        ("/api/chat", JSON, b'{"error":"x"}', "Ollama answer"),
        ("/api/generate?x=1", JSON, b"{", "Ollama answer"),
        ("/v1/embeddings", "application/json", b"{}", "OpenAI answer"),
        # What mitmproxy shows better
        ("/api/tags", JSON, b"{}", "JSON"),
        ("/api/show", JSON, b"{}", "JSON"),
        ("/v1/models", JSON, b"{}", "JSON"),
        ("/elsewhere", JSON, b"{}", "JSON"),
        ("/api/chat", "text/plain", b"404 page not found", "Raw"),
        ("/api/chat", NDJSON, b"", "Raw"),
    ],
)
def test_each_answer_gets_the_view_that_suits_it(path: str, content_type: str, answer: bytes, view: str) -> None:
    flow = call(path, answer, content_type)
    assert shown(flow.response, flow).view_name == view


@pytest.mark.parametrize(
    ("path", "asked", "content_type", "view"),
    [
        ("/api/chat", b'{"model":"m"}', JSON, "Ollama request"),
        ("/api/show", b'{"model":"m"}', "application/x-www-form-urlencoded", "Ollama request"),
        ("/v1/messages?beta=true", b"{", JSON, "Ollama request"),
        ("/api/chat", b"", JSON, "Raw"),
        ("/elsewhere", b"{}", JSON, "JSON"),
    ],
)
def test_each_request_gets_the_view_that_suits_it(path: str, asked: bytes, content_type: str, view: str) -> None:
    flow = call(path, asked=asked)
    flow.request.headers["Content-Type"] = content_type
    if view == "Raw":
        assert shown(flow.request, flow).view_name != "Ollama request"
    else:
        assert shown(flow.request, flow).view_name == view


def test_an_answer_is_put_together_with_what_was_measured() -> None:
    flow = call("/api/chat", sample("chat.ndjson"), NDJSON)
    flow.metadata["ollama"] = {"first_part": 0.156}
    text = shown(flow.response, flow).text
    assert "I look it up: ü✓" in text
    assert "156 ms" in text


def test_a_request_is_a_conversation() -> None:
    flow = call("/api/chat", asked=b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}')
    assert shown(flow.request, flow).text.startswith("POST /api/chat · m · streamed\n\nuser\n  Hi\n")


def test_the_other_side_is_shown_from_the_flow_when_it_is_chosen() -> None:
    flow = call("/api/chat", sample("chat.ndjson"), NDJSON)
    assert "went to no back end" in shown(flow.response, flow, "back end").text
    flow.metadata["ollama_backend"] = json.loads(json.dumps(BACKEND))
    for message in (flow.request, flow.response):
        assert shown(message, flow).view_name != "Back end"
        text = shown(message, flow, "back end").text
        assert "http://b/v1/chat/completions" in text
        assert "Let me think." in text


@pytest.mark.parametrize("view", [view().name for view in VIEWS])
def test_any_view_may_be_chosen_for_anything(view: str) -> None:
    for flow in (call("/api/chat", b"\xff\x00\x1b[31m"), call("/", sample("chat.sse"), EVENTS), call("/v1/models")):
        for message in (flow.request, flow.response):
            result = shown(message, flow, view)
            assert result.view_name == view
            assert "\x1b" not in result.text
            mitmproxy_rs.syntax_highlight.highlight(result.text, result.syntax_highlight)
    websocket = tflow.twebsocketflow()
    assert websocket.websocket is not None
    for each in websocket.websocket.messages:
        assert contentviews.prettify_message(each, websocket, view).view_name == view
    tcp = tflow.ttcpflow()
    assert contentviews.prettify_message(tcp.messages[0], tcp, view).view_name == view
    assert contentviews.prettify_message(tcp.messages[0], tcp).view_name != view


def test_registering_twice_is_as_good_as_once_and_unregistering_undoes_it(caplog: pytest.LogCaptureFixture) -> None:
    before = contentviews.registry.available_views()
    told = []

    def tell(view: contentviews.Contentview) -> None:
        told.append(view.name)

    contentviews.registry.on_change.connect(tell)
    register()
    assert contentviews.registry.available_views() == before
    assert told == []
    unregister()
    unregister()
    assert set(before) - set(contentviews.registry.available_views()) == {view().name.lower() for view in VIEWS}
    register()
    assert contentviews.registry.available_views() == before
    assert sorted(told) == sorted([view().name for view in VIEWS] * 2)
    assert caplog.records == []
