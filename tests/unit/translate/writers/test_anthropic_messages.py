"""The events of an answer become events that Anthropic's own SDK reads, and the message that it makes of them."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.events import Finish, Text, Thinking, ToolCallArguments, ToolCallBegin, ToolCallEnd
from ollama_openai_proxy.translate.writers.anthropic_messages import UNSIGNED, MessageAnswerWriter, MessageStreamWriter
from ollama_openai_proxy.translate.writers.error_objects import anthropic_error
from pydantic import TypeAdapter

from .answers import FAILURE, STATE, STOP, USAGE, answers, batches, call, written
from .sse import events as sse_events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ollama_openai_proxy.translate.events import Event, ReasoningState

type Sent = dict[str, Any]

EVENT = TypeAdapter[RawMessageStreamEvent](RawMessageStreamEvent)
COUNTS = {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 5}


def stream(**more: Any) -> MessageStreamWriter:
    return MessageStreamWriter("M:latest", message_id="msg_1", input_tokens=7, **more)


def whole(**more: Any) -> MessageAnswerWriter:
    return MessageAnswerWriter("M:latest", message_id="msg_1", input_tokens=7, **more)


def sent(*events: Event, **more: Any) -> list[Sent]:
    """The events behind the beginning."""
    writer = stream(**more)
    writer.begin()
    return sse_events(writer.write(events))


def message(*events: Event, **more: Any) -> dict[str, Any]:
    body = written(whole(**more), list(events))
    assert body.endswith(b"}\n")
    read: dict[str, Any] = json.loads(body)
    assert Message.model_validate(read).model_dump(exclude_unset=True) == read
    return read


def replayed(events: Iterable[Sent]) -> dict[str, Any]:
    """The message that the SDK makes of a stream."""
    snapshot, buffers = None, dict[int, bytes]()
    for event in events:
        # The SDK leaves pings out, and has no type for them.
        if event["type"] != "ping":
            read = EVENT.validate_python(event)
            assert read.model_dump(exclude_unset=True) == event
            snapshot = accumulate_event(event=read, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot is not None
    return snapshot.model_dump(warnings=False)


def start(index: int, **block: Any) -> Sent:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int, **delta: Any) -> Sent:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index: int) -> Sent:
    return {"type": "content_block_stop", "index": index}


def end(stop_reason: str, stop_sequence: str | None = None) -> list[Sent]:
    change = {"stop_reason": stop_reason, "stop_sequence": stop_sequence}
    return [{"type": "message_delta", "delta": change, "usage": COUNTS}, {"type": "message_stop"}]


# ── blocks


def test_a_stream_begins_with_an_empty_message_and_about_its_tokens() -> None:
    assert sse_events(stream().begin()) == [
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
                "usage": COUNTS | {"input_tokens": 7, "output_tokens": 0},
            },
        },
        {"type": "ping"},
    ]


def test_thinking_text_and_a_call_are_a_block_each() -> None:
    called: list[Event] = [
        ToolCallBegin(0, "call_1", "f"),
        ToolCallArguments('{"x": '),
        ToolCallArguments('"é"}'),
        ToolCallEnd({"x": "é"}),
    ]
    answer: list[Event] = [Thinking("th"), Thinking("ink"), Text("te"), Text("xt"), *called, STOP]
    assert sent(*answer) == [
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
        piece(2, type="input_json_delta", partial_json='{"x": '),
        piece(2, type="input_json_delta", partial_json='"é"}'),
        stop(2),
        *end("tool_use"),
    ]
    assert message(*answer) == {
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


def test_each_piece_of_the_arguments_goes_out_at_once() -> None:
    writer = stream()
    writer.begin()
    writer.write(call()[:1])
    pieces = [f"{number}," for number in range(1000)]
    for text in pieces:
        assert sse_events(writer.write([ToolCallArguments(text)])) == [piece(0, type="input_json_delta", partial_json=text)]


def test_arguments_of_any_length_stream_with_flat_memory() -> None:
    writer = stream()
    writer.write(call()[:1])
    for _ in range(10_000):
        writer.write([ToolCallArguments("xxxxx")])
    kept = {name: value for name, value in vars(writer).items() if isinstance(value, str | list | dict)}
    assert len(repr(kept)) < 1000


def test_a_thinking_block_is_never_without_a_signature() -> None:
    """Claude Code is reported to drop an answer whose thinking is not signed."""
    assert UNSIGNED


def test_thinking_after_text_opens_a_new_block() -> None:
    answer: list[Event] = [Text("a"), Thinking("b"), Text("c"), STOP]
    assert [block["type"] for block in message(*answer)["content"]] == ["text", "thinking", "text"]
    assert [event["content_block"]["type"] for event in sent(*answer) if "content_block" in event] == [
        *("text", "thinking", "text")
    ]


def test_half_a_character_in_a_call_does_no_harm() -> None:
    """It cannot be encoded, so that the SDK could not read the arguments."""
    events: list[Event] = [
        ToolCallBegin(0, "A", "f"),
        ToolCallArguments('{"x":"\\ud8'),
        ToolCallArguments('3d"}'),
        ToolCallEnd({"x": "\ud83d"}),
        STOP,
    ]
    assert message(*events)["content"][0]["input"] == {"x": "\ufffd"}
    assert replayed([*sse_events(stream().begin()), *sent(*events)])["content"][0]["input"] == {"x": "\ufffd"}


def test_a_call_without_any_piece_has_the_arguments_that_its_end_tells() -> None:
    answer: list[Event] = [ToolCallBegin(0, "A", "f"), ToolCallEnd({"a": 1}), STOP]
    assert sent(*answer)[1] == piece(0, type="input_json_delta", partial_json='{"a":1}')


def test_an_answer_with_nothing_in_it_has_no_content() -> None:
    assert sent(Text(""), STOP) == end("end_turn")
    assert message(Text(""), STOP)["content"] == []


# ── opaque state


def signature(state: ReasoningState) -> str:
    return f"signed {len(state.details)}"


@pytest.mark.parametrize(
    ("before", "blocks"),
    [
        ([Thinking("a"), STATE], [("thinking", "a", "signed 1")]),
        ([STATE, Thinking("a")], [("thinking", "a", "signed 1")]),
        ([STATE, Text("b"), Thinking("a")], [("text", "b", None), ("thinking", "a", "signed 1")]),
        ([Thinking("a"), Text("b"), STATE], [("thinking", "a", UNSIGNED), ("text", "b", None), ("thinking", "", "signed 1")]),
        ([STATE], [("thinking", "", "signed 1")]),
    ],
)
def test_the_state_of_the_reasoning_is_the_signature_of_a_thinking_block(before: list[Event], blocks: list[Any]) -> None:
    events = [*before, *call("f", "A"), *call("g", "B", 1), STOP]
    for read in (
        message(*events, signature=signature),
        replayed([*sse_events(stream().begin()), *sent(*events, signature=signature)]),
    ):
        content = [*read["content"]]
        assert [block["id"] for block in content[-2:]] == ["A", "B"]
        assert [(b["type"], b.get(b["type"]), b.get("signature")) for b in content[:-2]] == blocks


def test_a_state_that_no_call_follows_makes_no_block() -> None:
    assert [block["type"] for block in message(Text("a"), STATE, STOP, signature=signature)["content"]] == ["text"]
    assert sent(Text("a"), STATE, STOP, signature=signature)[-3:] == [stop(0), *end("end_turn")]


def test_a_state_that_cannot_be_carried_leaves_the_thinking_unsigned() -> None:
    assert message(Thinking("a"), STATE, STOP, signature=lambda _state: "")["content"][0]["signature"] == UNSIGNED


def test_without_thinking_blocks_the_ids_of_calls_carry_the_state() -> None:
    def call_id(begun: ToolCallBegin, state: ReasoningState | None) -> str:
        return f"{begun.id}/{state is STATE}"

    events = [STATE, *call("f", "A"), *call("g", "B", 1), STOP]
    assert [block["id"] for block in message(*events, call_id=call_id)["content"]] == ["A/True", "B/False"]
    starts = [event["content_block"] for event in sent(*events, call_id=call_id) if "content_block" in event]
    assert [block["id"] for block in starts] == ["A/True", "B/False"]


# ── the end


@pytest.mark.parametrize(
    ("reason", "stop_reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), ("tool_calls", "end_turn")],
)
@pytest.mark.parametrize("called", [False, True])
def test_the_reason_of_the_end_is_put_in_anthropics_words(reason: Any, stop_reason: str, called: bool) -> None:
    events = [Text("a"), *(call() if called else []), Finish(reason, USAGE)]
    # An answer that was cut is not one to act on, even if it had begun to call a tool.
    expected = "tool_use" if called and stop_reason == "end_turn" else stop_reason
    assert message(*events)["stop_reason"] == expected
    assert sent(*events)[-2:] == end(expected)


def test_a_stop_sequence_that_was_met_is_told() -> None:
    finish = Finish("stop", USAGE, "END")
    told = message(Text("a"), finish)
    assert (told["stop_reason"], told["stop_sequence"]) == ("stop_sequence", "END")
    assert sent(Text("a"), finish)[-2:] == end("stop_sequence", "END")
    assert message(*call(), finish)["stop_reason"] == "tool_use"


@pytest.mark.parametrize(("reason", "stop_reason"), [("stop", "max_tokens"), ("content_filter", "refusal")])
def test_a_call_that_is_not_complete_closes_its_block_and_the_answer_was_cut(reason: Any, stop_reason: str) -> None:
    events = [Text("Hi"), *call(complete=False, path="a"), Finish(reason, USAGE)]
    assert sent(*events)[-3:] == [stop(1), *end(stop_reason)]
    assert [block["type"] for block in message(*events)["content"]] == ["text"]
    assert message(*events)["stop_reason"] == stop_reason


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
    assert message(Text("a"), Finish("stop", usage))["usage"] == COUNTS | counts
    assert sent(Text("a"), Finish("stop", usage))[-2]["usage"] == COUNTS | counts


# ── silence and failure


def test_silence_is_filled_with_pings_behind_the_beginning_of_the_message() -> None:
    writer = stream()
    first, later, begin = writer.keep_alive(), writer.keep_alive(), writer.begin()
    assert first == stream().begin()
    assert (sse_events(later), begin) == ([{"type": "ping"}], b"")
    assert sse_events(writer.write([Text("a"), STOP])) == sent(Text("a"), STOP)


def test_a_stream_that_fails_ends_with_an_error() -> None:
    (error,) = sse_events(stream().fail(ApiError(529, "m")))
    assert error == {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}
    assert (stream().cut_after_failure, whole().cut_after_failure) == (False, False)


def test_an_answer_that_is_not_streamed_has_nothing_but_its_end() -> None:
    writer = whole()
    assert (writer.begin(), writer.write([Text("a")]), writer.keep_alive(), writer.fail(ApiError(502, ""))) == (b"",) * 4


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
    error = anthropic_error(ApiError(status, "m"), "req_1")
    assert error == {"type": "error", "error": {"type": kind, "message": "m"}, "request_id": "req_1"}
    assert ErrorResponse.model_validate(error).model_dump(exclude_unset=True) == error


@pytest.mark.parametrize(("status", "kind"), [(409, "conflict_error"), (413, "request_too_large")])
def test_two_types_of_error_are_only_in_anthropics_documentation(status: int, kind: str) -> None:
    assert anthropic_error(ApiError(status, "m")) == {"type": "error", "error": {"type": kind, "message": "m"}}


@pytest.mark.parametrize("make", [stream, whole])
def test_a_failure_adds_nothing_by_itself(make: Any) -> None:
    assert make().write([FAILURE]) == b""


# ── any answer


@pytest.mark.parametrize("make", [stream, whole])
@given(events=answers(), sizes=st.lists(st.integers(0, 3), max_size=5), signed=st.booleans())
def test_however_the_events_come_the_bytes_are_the_same(make: Any, events: list[Event], sizes: list[int], signed: bool) -> None:
    more = {"signature": signature} if signed else {}
    assert written(make(**more), *batches(events, sizes)) == written(make(**more), events)


@given(events=answers(complete=True), signed=st.booleans())
def test_the_sdk_makes_the_whole_message_of_the_stream(events: list[Event], signed: bool) -> None:
    more = {"signature": signature} if signed else {}
    read = replayed(sse_events(written(stream(**more), events)))
    assert read == Message.model_validate(message(*events, **more)).model_dump()


@given(events=answers())
def test_each_block_is_begun_told_and_ended_before_the_next(events: list[Event]) -> None:
    told = [event for event in sse_events(written(stream(), events)) if "index" in event]
    for number, (index, block) in enumerate(groupby(told, lambda event: event["index"])):
        assert index == number
        first, *pieces, last = [event["type"].removeprefix("content_block_") for event in block]
        assert (first, set(pieces) <= {"delta"}, last) == ("start", True, "stop")
    read = replayed(sse_events(written(stream(), events)))
    for kind, texts in (("text", Text), ("thinking", Thinking)):
        said = "".join(event.text for event in events if isinstance(event, texts))
        assert "".join(block[kind] for block in read["content"] if block["type"] == kind) == said
