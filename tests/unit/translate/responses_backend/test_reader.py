"""An answer of Responses becomes neutral events, however its bytes are cut, and whatever the server leaves out."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.events import Failure, Finish, Text, ToolCallArguments, ToolCallBegin, ToolCallEnd
from ollama_openai_proxy.translate.reader.server_errors import ModelNames
from ollama_openai_proxy.translate.responses_backend.reader import ResponsesReader

from tests.unit.translate.reader.bodies import brief, check_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ollama_openai_proxy.translate.events import Event

USAGE = {
    "input_tokens": 7,
    "output_tokens": 9,
    "input_tokens_details": {"cached_tokens": 2},
    "output_tokens_details": {"reasoning_tokens": 4},
}
REASONING = {"type": "reasoning", "id": "rs", "encrypted_content": "abc", "summary": [{"type": "summary_text", "text": "Hm."}]}
DETAIL = {"type": "responses.item", "item": {"type": "reasoning", "id": "rs", "encrypted_content": "abc", "summary": []}}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
CALL = {"type": "function_call", "id": "fc", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}'}
CUSTOM = {"type": "custom_tool_call", "id": "ct", "call_id": "call_2", "name": "g", "input": "free"}


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **more}


def text(piece: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return event("output_text.delta", item_id="msg", output_index=index, content_index=0, delta=piece, **more)


def thought(piece: str, part: int = 0) -> dict[str, Any]:
    return event("reasoning_summary_text.delta", item_id="rs", output_index=0, summary_index=part, delta=piece)


def added(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return event("output_item.added", output_index=index, item=item | {"arguments": "", "input": ""})


def arguments(piece: str, index: int = 0) -> dict[str, Any]:
    return event("function_call_arguments.delta", item_id="fc", output_index=index, delta=piece)


def done(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return event("output_item.done", output_index=index, item=item)


def completed(*output: Any, kind: str = "completed", **more: Any) -> dict[str, Any]:
    return event(kind, response={"object": "response", "status": kind, "output": list(output), "usage": USAGE, **more})


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in events)


def read(body: bytes, *, framed: bool = True, cuts: Sequence[int] = (), **options: Any) -> list[Event]:
    reader = ResponsesReader(**options)
    places = [0, *sorted({at for at in cuts if 0 < at < len(body)}), len(body)]
    events: list[Event] = []
    for start, end in pairwise(places):
        events += reader.feed(body[start:end])
    events += reader.finish(framed=framed)
    assert reader.feed(b"more") == reader.finish(framed=framed) == []
    check_order(events)
    return events


FINISH = ("finish", "stop")
BODIES = {
    "text": (sse(event("created"), text("Hel"), text("lo"), completed(MESSAGE)), [("text", "Hello"), FINISH]),
    "what follows the end": (sse(added(MESSAGE), text("Hi"), completed(), text("more")), [("text", "Hi"), FINISH]),
    "arguments that are told otherwise": (
        sse(added(CALL), arguments('{"b": 1}'), done(CALL), completed()),
        [("call", "f", {"b": 1}), ("finish", "tool_calls")],
    ),
    "text in one piece": (sse(event("created"), done(MESSAGE), completed(MESSAGE)), [("text", "Hello"), FINISH]),
    "text at the end": (sse(event("created"), completed(MESSAGE)), [("text", "Hello"), FINISH]),
    "whole": (
        json.dumps(completed(REASONING, MESSAGE)["response"]).encode(),
        [("thinking", "Hm."), ("text", "Hello"), ("state", [DETAIL]), FINISH],
    ),
    "refusal": (sse(event("refusal.delta", output_index=0, delta="No."), completed()), [("text", "No."), FINISH]),
    "refusal at the end": (
        sse(completed({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]})),
        [("text", "No."), FINISH],
    ),
    "thinking": (
        sse(thought("Hm."), thought("So.", 1), done(REASONING), text("Hi", 1), completed(REASONING)),
        [("thinking", "Hm.\n\nSo."), ("text", "Hi"), ("state", [DETAIL]), FINISH],
    ),
    "raw thinking": (
        sse(event("reasoning_text.delta", output_index=0, content_index=0, delta="Hm."), text("Hi", 1), completed()),
        [("thinking", "Hm."), ("text", "Hi"), FINISH],
    ),
    "a call": (
        sse(
            done(REASONING),
            added(CALL, 1),
            arguments('{"a"', 1),
            arguments(": 1}", 1),
            done(CALL, 1),
            completed(REASONING, CALL),
        ),
        [("thinking", "Hm."), ("state", [DETAIL]), ("call", "f", {"a": 1}), ("finish", "tool_calls")],
    ),
    "a call without pieces": (sse(done(CALL), completed(CALL)), [("call", "f", {"a": 1}), ("finish", "tool_calls")]),
    "a call at the end": (
        sse(text("Hi"), completed(MESSAGE, CALL)),
        [("text", "Hi"), ("call", "f", {"a": 1}), ("finish", "tool_calls")],
    ),
    "a call whose arguments are told last": (
        sse(
            added(CALL), event("function_call_arguments.done", item_id="fc", output_index=0, arguments='{"a": 1}'), completed()
        ),
        [("call", "f", {"a": 1}), ("finish", "tool_calls")],
    ),
    "a call without arguments": (
        sse(done(CALL | {"arguments": ""}), completed()),
        [("call", "f", {}), ("finish", "tool_calls")],
    ),
    "a broken call": (sse(done(CALL | {"arguments": '{"a"'}), completed()), [("call", "f", None), ("finish", "tool_calls")]),
    "mixed calls": (
        sse(
            added(CALL),
            added(CALL | {"name": "h"}, 1),
            arguments('{"b": 2}', 1),
            arguments('{"a": 1}'),
            done(CALL),
            done(CALL | {"arguments": '{"b": 2}'}, 1),
            completed(),
        ),
        [("call", "f", {"a": 1}), ("call", "h", {"b": 2}), ("finish", "tool_calls")],
    ),
    "text within a call": (
        sse(added(CALL), text("Hi", 1), arguments('{"a": 1}'), done(CALL), completed()),
        [("call", "f", {"a": 1}), ("text", "Hi"), ("finish", "tool_calls")],
    ),
    "a custom call": (
        sse(
            added(CUSTOM),
            event("custom_tool_call_input.delta", item_id="ct", output_index=0, delta="fr"),
            done(CUSTOM),
            completed(),
        ),
        [("call", "g", {"input": "free"}), ("finish", "tool_calls")],
    ),
    "cut": (
        sse(added(CALL), arguments('{"a"'), completed(kind="incomplete", incomplete_details={"reason": "max_output_tokens"})),
        [("call", "f", None), ("finish", "length")],
    ),
    "filtered": (
        sse(text("Hi"), completed(kind="incomplete", incomplete_details={"reason": "content_filter"})),
        [("text", "Hi"), ("finish", "content_filter")],
    ),
    "failed": (
        sse(text("Hi"), completed(kind="failed", error={"code": "server_error", "message": "boom"})),
        [("text", "Hi"), ("failure", 500, "boom")],
    ),
    "cancelled": (sse(completed(kind="cancelled")), [("failure", 500, "the back end's answer is cancelled")]),
    "an error event": (sse({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}), [("failure", 429, "slow")]),
    "an error of a gateway": (b'data: {"error": {"message": "boom", "code": 503}}\n\n', [("failure", 503, "boom")]),
    "an error as an answer": (b'{"error": {"message": "boom", "code": 503}}', [("failure", 503, "boom")]),
    "no answer": (b'{"a": 1}', [("failure", 502, "the back end sent an answer that cannot be understood")]),
    "half an object": (
        b'{"output": [',
        [("failure", 502, 'the back end sent an answer that cannot be understood: {"output": [')],
    ),
    "a page": (b"<html><title>Bad Gateway</title></html>", [("failure", 502, "the back end sent a web page: Bad Gateway")]),
    "broken": (b"data: {nonsense\n\n", [("failure", 502, "the back end sent an answer that cannot be understood")]),
    "no end": (sse(event("created"), text("Hi")), [("text", "Hi"), ("failure", 502, "the back end broke off its answer")]),
    "the end without a line's end": (sse(text("Hi"), completed())[:-2], [("text", "Hi"), FINISH]),
    "what is not known": (
        sse(
            event("web_search_call.searching"),
            event("output_item.added"),
            event("output_item.done"),
            event("completed"),
            {"type": "odd"},
            text("Hi"),
            completed("odd", {"type": "web_search_call"}),
        ),
        [("text", "Hi"), FINISH],
    ),
    "odd pieces": (
        sse(
            text(""),
            event("output_text.delta", delta=5),
            thought(""),
            event("function_call_arguments.delta", delta="x"),
            event("function_call_arguments.done"),
            text("Hi"),
            completed(
                {"type": "message", "content": 5}, {"type": "reasoning", "summary": [{"text": 5}]}, incomplete_details="odd"
            ),
        ),
        [("text", "Hi"), FINISH],
    ),
    "no places": (
        sse(
            event("output_text.delta", item_id="m", delta="Hi"),
            completed({"type": "message", "content": [{"text": "Hi"}]}, REASONING),
        ),
        [("text", "Hi"), ("thinking", "Hm."), ("state", [DETAIL]), FINISH],
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_each_body(name: str) -> None:
    body, events = BODIES[name]
    assert brief(read(body)) == events


@given(name=st.sampled_from(sorted(BODIES)), cuts=st.lists(st.integers(1, 2000), max_size=6))
def test_however_a_body_is_cut_it_says_the_same(name: str, cuts: list[int]) -> None:
    body, events = BODIES[name]
    assert brief(read(body, cuts=cuts)) == events
    assert brief(read(body, cuts=range(len(body)))) == events


def test_pieces_are_given_out_at_once() -> None:
    reader = ResponsesReader()
    assert reader.feed(b"\n") == []
    assert reader.feed(sse(event("created"))) == []
    assert reader.feed(sse(text("Hi"))) == [Text("Hi")]
    begun, piece = reader.feed(sse(added(CALL, 1)) + sse(arguments('{"a"', 1)))
    assert (begun, piece) == (ToolCallBegin(0, "call_1", "f"), ToolCallArguments('{"a"'))
    assert reader.feed(sse(arguments(": 1}", 1))) == [ToolCallArguments(": 1}")]
    assert reader.feed(sse(done(CALL, 1))) == [ToolCallEnd({"a": 1})]
    assert reader.feed(sse(arguments("more", 1), done(CALL, 1))) == []


def test_the_counts_are_the_servers() -> None:
    finish = read(BODIES["text"][0])[-1]
    assert isinstance(finish, Finish)
    usage = finish.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (7, 9, 2, 4)


def test_log_probabilities() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    first = read(sse(text("Hi", logprobs=[entry]), completed()))[0]
    assert first == Text("Hi", [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}])


def test_what_the_client_did_not_ask_for_is_left_out() -> None:
    assert brief(read(BODIES["thinking"][0], drop_thinking=True)) == [("text", "Hi"), ("state", [DETAIL]), FINISH]


def test_the_text_ends_at_a_stop_text() -> None:
    events = read(sse(text("one t"), text("wo three"), completed()), stop_texts=("two",))
    assert brief(events) == [("text", "one "), FINISH]
    assert isinstance(events[-1], Finish)
    assert events[-1].stop_sequence == "two"
    assert brief(read(sse(text("one t"), completed()), stop_texts=("two",))) == [("text", "one t"), FINISH]


def test_names_of_tools_and_models_are_the_clients() -> None:
    body = sse(done(CALL), completed(kind="failed", error={"message": "m-1 is unwell"}))
    call, failure = brief(read(body, original_tool_name=str.upper, names=ModelNames("mine", "m-1")))
    assert call == ("call", "F", {"a": 1})
    assert failure == ("failure", 500, "mine is unwell")


def test_calls_get_ids_of_their_own() -> None:
    bare = {"type": "function_call", "name": "f", "arguments": "{}"}
    events = read(sse(done(bare), done(bare | {"call_id": "x"}, 1), done(bare | {"call_id": "x"}, 2), completed()))
    assert [each.id for each in events if isinstance(each, ToolCallBegin)] == ["call_0", "x", "x_1"]


def test_a_filter_fails_an_answer_for_an_api_that_has_no_word_for_it() -> None:
    last = read(BODIES["filtered"][0], content_filter_fails=True)[-1]
    assert isinstance(last, Failure)
    assert (last.error.status, last.error.kind) == (400, "content_filter")


@pytest.mark.parametrize(("framed", "text"), [(False, "broke off"), (True, "cannot be understood")])
def test_an_empty_body(framed: bool, text: str) -> None:
    for body in (b"", b": ping\n\n"):
        last = read(body, framed=framed)[-1]
        assert isinstance(last, Failure)
        assert text in last.error.message


def test_a_long_page_is_not_kept_whole() -> None:
    reader = ResponsesReader()
    for _ in range(20):
        assert reader.feed(b"<p>" + b"x" * 10000) == []
    assert len(reader._buffer) <= 65536
