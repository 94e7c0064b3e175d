"""The pieces of an answer become events that Anthropic's own SDK reads, and the message that it makes of them."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.schemas.anthropic import parse_messages_request
from ollama_openai_proxy.schemas.ollama.frames import Delta, encode_json
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.anthropic.event_writer import UNSIGNED, Event, MessageWriter, error_object
from pydantic import TypeAdapter

ASKED = parse_messages_request(
    encode_json({"model": "M:latest", "max_tokens": 9, "messages": [{"role": "user", "content": ""}]})
)
USAGE = Usage(input_tokens=10, output_tokens=5)
EVENT = TypeAdapter[RawMessageStreamEvent](RawMessageStreamEvent)
COUNTS = {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 5}


class Written(NamedTuple):
    begin: list[Event]
    pieces: list[Event]
    end: list[Event]
    message: dict[str, Any]


def write(*deltas: Delta, finish_reason: str = "stop", usage: Usage = USAGE) -> Written:
    """An answer, of which each event and the whole are of the SDK's types, and the SDK makes the whole of the events."""
    writer = MessageWriter(ASKED, message_id="msg_1", input_tokens=7)
    begin = writer.begin()
    pieces = [event for delta in deltas for event in writer.delta(delta)]
    message = writer.message()
    assert Message.model_validate(message).stop_reason is None
    end = writer.end(finish_reason=finish_reason, usage=usage)
    message = writer.message()
    events = [*begin, *pieces, *end]
    assert Message.model_validate(message).model_dump(exclude_unset=True) == message
    assert replayed(events).model_dump() == Message.model_validate(message).model_dump()
    return Written(begin, pieces, end, message)


def replayed(events: Iterable[Event]) -> Message:
    snapshot, buffers = None, dict[int, bytes]()
    for event in events:
        # The SDK leaves pings out, and has no type for them.
        if event["type"] != "ping":
            read = EVENT.validate_python(event)
            assert read.model_dump(exclude_unset=True) == event
            snapshot = accumulate_event(event=read, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot is not None
    return Message.model_validate(snapshot.model_dump(warnings=False))


def call(name: str, call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "function": {"index": 0, "name": name, "arguments": arguments}}


def start(index: int, **block: Any) -> Event:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int, **delta: Any) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index: int) -> Event:
    return {"type": "content_block_stop", "index": index}


def test_an_answer_begins_with_an_empty_message_and_about_its_tokens() -> None:
    assert write(Delta("a")).begin == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "M:latest",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 7,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                },
            },
        },
        {"type": "ping"},
    ]


def test_thinking_text_and_a_call_are_a_block_each() -> None:
    written = write(Delta(thinking="th"), Delta("te", "ink"), Delta("xt"), Delta(tool_calls=[call("f", "call_1", x="é")]))
    assert written.pieces == [
        start(0, type="thinking", thinking="", signature=""),
        piece(0, type="thinking_delta", thinking="th"),
        piece(0, type="thinking_delta", thinking="ink"),
        piece(0, type="signature_delta", signature=UNSIGNED),
        stop(0),
        start(1, type="text", text=""),
        piece(1, type="text_delta", text="te"),
        piece(1, type="text_delta", text="xt"),
        stop(1),
        start(2, type="tool_use", id="call_1", name="f", input={}),
        piece(2, type="input_json_delta", partial_json='{"x": "é"}'),
        stop(2),
    ]
    assert written.end == [
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": COUNTS},
        {"type": "message_stop"},
    ]
    assert written.message == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "M:latest",
        "content": [
            {"type": "thinking", "thinking": "think", "signature": UNSIGNED},
            {"type": "text", "text": "text"},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": "é"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": COUNTS,
    }


def test_the_end_closes_the_open_block() -> None:
    assert write(Delta("a")).end[0] == stop(0)
    assert write(Delta(thinking="a")).end[:2] == [piece(0, type="signature_delta", signature=UNSIGNED), stop(0)]


def test_a_thinking_block_is_never_without_a_signature() -> None:
    """Claude Code is reported to drop an answer whose thinking is not signed."""
    assert UNSIGNED


def test_thinking_after_text_opens_a_new_block() -> None:
    content = write(Delta("a"), Delta(thinking="b"), Delta("c")).message["content"]
    assert [block["type"] for block in content] == ["text", "thinking", "text"]


def test_calls_have_blocks_of_their_own_and_text_may_follow() -> None:
    content = write(Delta(tool_calls=[call("f", "A"), call("g", "B", n=[1])]), Delta("a")).message["content"]
    assert [(block["type"], block.get("id"), block.get("input")) for block in content] == [
        ("tool_use", "A", {}),
        ("tool_use", "B", {"n": [1]}),
        ("text", None, None),
    ]


def test_half_a_character_in_a_call_does_no_harm() -> None:
    """It cannot be encoded, so that the SDK could not read the arguments."""
    assert write(Delta(tool_calls=[call("f", "A", x="\ud83d")])).message["content"][0]["input"] == {"x": "\ufffd"}


def test_an_answer_with_nothing_in_it_has_no_content() -> None:
    written = write(Delta())
    assert written.pieces == []
    assert [event["type"] for event in written.end] == ["message_delta", "message_stop"]
    assert (written.message["content"], written.message["stop_reason"]) == ([], "end_turn")


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("tool_calls", "end_turn"),
        ("unheard of", "end_turn"),
    ],
)
def test_the_reason_of_the_end_is_put_in_anthropics_words(finish_reason: str, stop_reason: str) -> None:
    assert write(Delta("a"), finish_reason=finish_reason).message["stop_reason"] == stop_reason
    called = write(Delta(tool_calls=[call("f", "A")]), finish_reason=finish_reason)
    # An answer that was cut is not one to act on, even if it had begun to call a tool.
    assert called.message["stop_reason"] == ("tool_use" if stop_reason == "end_turn" else stop_reason)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (Usage(10, 5), {}),
        (Usage(10, 5, cached_tokens=8), {"input_tokens": 2, "cache_read_input_tokens": 8}),
        (Usage(10, 5, cached_tokens=11), {"input_tokens": 0, "cache_read_input_tokens": 11}),
        (Usage(10, 5, reasoning_tokens=3), {"output_tokens_details": {"thinking_tokens": 3}}),
    ],
)
def test_tokens_are_counted_as_anthropic_does(usage: Usage, counts: dict[str, Any]) -> None:
    written = write(Delta("a"), usage=usage)
    assert written.end[-2]["usage"] == written.message["usage"] == COUNTS | counts


def test_an_event_does_not_change_when_the_answer_goes_on() -> None:
    writer = MessageWriter(ASKED, message_id="msg_1", input_tokens=7)
    first, _ = writer.begin()
    before = encode_json(first)
    writer.delta(Delta("a", tool_calls=[call("f", "A")]))
    writer.end(finish_reason="stop", usage=USAGE)
    assert encode_json(first) == before


NAMES = st.text("abc", min_size=1, max_size=3)
ARGUMENTS = st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()))
CALLS = st.builds(lambda name, call_id, arguments: call(name, call_id, **arguments), NAMES, NAMES, ARGUMENTS)
DELTAS = st.builds(Delta, st.text(max_size=3), st.text(max_size=3), st.lists(CALLS, max_size=2))


@given(st.lists(DELTAS, max_size=8), st.sampled_from(["stop", "length", "content_filter"]))
def test_any_answer_is_told_whole(deltas: list[Delta], finish_reason: str) -> None:
    written = write(*deltas, finish_reason=finish_reason)
    content = written.message["content"]
    for kind, texts in (("text", [delta.content for delta in deltas]), ("thinking", [delta.thinking for delta in deltas])):
        assert "".join(block[kind] for block in content if block["type"] == kind) == "".join(texts)
    calls = [each for delta in deltas for each in delta.tool_calls]
    assert [(block["id"], block["input"]) for block in content if block["type"] == "tool_use"] == [
        (each["id"], each["function"]["arguments"]) for each in calls
    ]
    # Each block is begun, told and ended before the next one.
    events = [event for event in [*written.pieces, *written.end] if "index" in event]
    assert [index for index, _ in groupby(events, _index)] == list(range(len(content)))
    for _, block in groupby(events, _index):
        first, *told, last = [event["type"].removeprefix("content_block_") for event in block]
        assert (first, set(told), last) == ("start", {"delta"}, "stop")


def _index(event: Event) -> int:
    index = event["index"]
    assert isinstance(index, int)
    return index


# ── errors


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "invalid_request_error") for status in (400, 405, 422)),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        *((status, "api_error") for status in (500, 502)),
        *((status, "overloaded_error") for status in (503, 529)),
        *((status, "timeout_error") for status in (408, 504)),
    ],
)
def test_an_error_is_of_the_type_that_goes_with_its_status(status: int, kind: str) -> None:
    error = error_object(status, "m")
    assert error == {"type": "error", "error": {"type": kind, "message": "m"}}
    assert ErrorResponse.model_validate(error).model_dump(exclude_unset=True) == error


@pytest.mark.parametrize(("status", "kind"), [(409, "conflict_error"), (413, "request_too_large")])
def test_two_types_of_error_are_only_in_anthropics_documentation(status: int, kind: str) -> None:
    assert error_object(status, "m")["error"]["type"] == kind


def test_an_error_may_name_its_request() -> None:
    error = error_object(500, "m", "req_1")
    assert ErrorResponse.model_validate(error).model_dump(exclude_unset=True) == error
    assert error["request_id"] == "req_1"
