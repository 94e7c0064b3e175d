"""The machine of an answer that passes fits its path and its content type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ollama_openai_proxy.api.passed_answers import make_early_machine, make_passed_machine, stream_headers
from ollama_openai_proxy.errors import ApiError

if TYPE_CHECKING:
    from ollama_openai_proxy.net.answer_driver import Machine

NDJSON = {"Content-Type": "application/x-ndjson"}
SSE = {"Content-Type": "text/event-stream; charset=utf-8"}
BROKEN = ApiError(502, "broke off", code="x")


def passed(path: str, headers: dict[str, str], model: str = "tiny") -> Machine:
    machine = make_passed_machine(path, headers, model)
    assert machine is not None
    return machine


def event(data: bytes) -> Any:
    return json.loads(data.partition(b"data: ")[2])


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "audio/wav"}, {"Content-Type": "application/json"}])
def test_other_bodies_pass_untouched(headers: dict[str, str]) -> None:
    assert make_passed_machine("/v1/audio/speech", headers, "tiny") is None


@pytest.mark.parametrize("headers", [NDJSON, SSE, {"Content-Type": "application/json"}])
def test_what_is_encoded_passes_untouched(headers: dict[str, str]) -> None:
    for coding in ("gzip", " GZIP", "br", "gzip, br"):
        assert make_passed_machine("/v1/chat/completions", {**headers, "Content-Encoding": coding}, "tiny", bytes.upper) is None
    for coding in ("identity", " Identity", ""):
        assert make_passed_machine("/v1/chat/completions", {**headers, "Content-Encoding": coding}, "tiny", bytes.upper)


def test_json_in_which_something_changes_is_read_by_lines_and_cut_where_it_breaks() -> None:
    machine = make_passed_machine("/v1/embeddings", {"Content-Type": "application/json"}, "tiny", bytes.upper)
    assert machine is not None
    assert machine.feed(b"a\n") + machine.keep_alive() + machine.fail(BROKEN) == b"A\n"
    assert machine.cut_after_failure


@pytest.mark.parametrize(
    ("path", "says"),
    [("/api/chat", {"message": {"role": "assistant", "content": ""}}), ("/api/generate", {"response": ""})],
)
def test_ollamas_frames_are_filled_with_an_empty_frame_and_end_with_an_error(path: str, says: dict[str, Any]) -> None:
    machine = passed(path, NDJSON)
    frame = json.loads(machine.keep_alive())
    assert {**frame, "created_at": ""} == {"model": "tiny", "created_at": "", "done": False, **says}
    assert json.loads(machine.fail(BROKEN)) == {"error": "broke off"}
    assert not machine.cut_after_failure


@pytest.mark.parametrize(("path", "model"), [("/api/pull", "tiny"), ("/api/chat", "")])
def test_other_lines_are_not_filled(path: str, model: str) -> None:
    assert passed(path, NDJSON, model).keep_alive() == b""


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_completions_are_filled_with_a_comment_and_cut_behind_an_error(path: str) -> None:
    machine = passed(path, SSE)
    assert machine.keep_alive() == b": keep-alive\n\n"
    assert event(machine.fail(BROKEN)) == {"error": {"message": "broke off", "type": "api_error", "param": None, "code": "x"}}
    assert machine.cut_after_failure


def test_messages_are_filled_with_pings() -> None:
    machine = passed("/v1/messages", SSE)
    assert machine.keep_alive() == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert event(machine.fail(BROKEN))["error"]["message"] == "broke off"
    assert not machine.cut_after_failure


def test_responses_are_filled_with_an_event_that_counts_but_not_before_they_have_begun() -> None:
    assert event(passed("/v1/responses", SSE).keep_alive()) == {"type": "keepalive"}
    assert make_early_machine("/v1/responses", "tiny").keep_alive().startswith(b":")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
def test_their_streams_have_an_end(path: str) -> None:
    machine = passed(path, SSE)
    assert b"broke off" in machine.feed(b"data: {}\n\n") + machine.finish(framed=False)


def test_another_stream_of_events_may_just_stop() -> None:
    machine = passed("/v1/audio/transcriptions", SSE)
    machine.feed(b"data: {}\n\n")
    assert machine.finish(framed=False) == b""


@pytest.mark.parametrize(
    ("path", "content_type", "filling"),
    [
        ("/api/chat", "application/x-ndjson", b'"content":""'),
        ("/api/generate", "application/x-ndjson", b'"response":""'),
        ("/v1/messages", "text/event-stream", b"event: ping\n"),
        ("/v1/chat/completions", "text/event-stream", b": keep-alive\n"),
    ],
)
def test_a_stream_can_begin_before_its_server_answers(path: str, content_type: str, filling: bytes) -> None:
    assert stream_headers(path)["Content-Type"] == content_type
    assert filling in make_early_machine(path, "tiny").keep_alive()
