"""The events of an answer become the events of a Responses stream, which together make the Response."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.schemas.openai_responses import ResponsesRequest
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.events import Finish, Text, Thinking, ToolCallArguments, ToolCallBegin, ToolCallEnd
from ollama_openai_proxy.translate.writers.openai_responses import ResponseAnswerWriter, ResponseStreamWriter
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from .answers import FAILURE, STATE, answers, batches, call, written
from .sse import events as sse_events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ollama_openai_proxy.translate.events import Event, ReasoningState

type Sent = dict[str, Any]

USAGE = Usage(input_tokens=7, output_tokens=5, cached_tokens=3, reasoning_tokens=2)
STOP = Finish("stop", USAGE)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
LOGPROBS: dict[str, Any] = {"include": ["message.output_text.logprobs"]}
ENCRYPTED: dict[str, Any] = {"include": ["reasoning.encrypted_content"]}
PATCH: dict[str, Any] = {"tools": [{"type": "custom", "name": "patch"}]}


def asking(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate({"model": "alias:latest", "input": "hello", **fields})


class Times:
    """A second later with each look."""

    def __init__(self) -> None:
        self._now = 999.5

    def __call__(self) -> float:
        self._now += 1
        return self._now


def stream_writer(fields: dict[str, Any] | None = None, **more: Any) -> ResponseStreamWriter:
    return ResponseStreamWriter(asking(**fields or {}), response_id="resp_1", unix_time=Times(), **more)


def whole_writer(fields: dict[str, Any] | None = None, **more: Any) -> ResponseAnswerWriter:
    return ResponseAnswerWriter(asking(**fields or {}), response_id="resp_1", unix_time=Times(), **more)


def stream(*events: Event, fields: dict[str, Any] | None = None, **more: Any) -> list[Sent]:
    """The events of a whole answer, checked against the SDK and against the Response that they make."""
    return checked(sse_events(written(stream_writer(fields, **more), list(events))))


def whole(*events: Event, fields: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    body = written(whole_writer(fields, **more), list(events))
    assert body.endswith(b"}\n")
    read: dict[str, Any] = json.loads(body)
    assert Response.model_validate(read).to_dict() == read
    return read


def broken_off(*events: Event) -> list[Sent]:
    writer = stream_writer()
    body = written(writer, list(events)) + writer.fail(ApiError(502, "The back end broke off."))
    *sent, error = sse_events(body)
    assert error == {"error": {"message": "The back end broke off.", "type": "api_error", "param": None, "code": None}}
    return checked(sent)


def checked(events: list[Sent]) -> list[Sent]:
    for event in events:
        read = EVENT.validate_python(event)
        assert type(read).model_fields["type"].annotation.__args__ == (event["type"],)
        assert read.to_dict() == event
        # OpenAI's calls of custom tools have no status.
        assert set(unknown(read)) <= {"status"}
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    last = events[-1]["response"]
    assert last == replayed(events)
    assert Response.model_validate(last).to_dict() == last
    sdk_reads(events)
    return events


def sdk_reads(events: Iterable[Sent]) -> None:
    """Give the events to what the SDK's `responses.stream` is made of; it raises for what it cannot follow."""
    state = ResponseStreamState[Any](input_tools=omit, text_format=omit)
    for event in events:
        state.handle_event(EVENT.validate_python(event))


def unknown(read: Any) -> list[str]:
    """The fields that the SDK's types do not have."""
    match read:
        case BaseModel():
            return [*(read.model_extra or ()), *(name for _, value in read for name in unknown(value))]
        case list():
            return [name for value in read for name in unknown(value)]
    return []


def replayed(events: list[Sent]) -> dict[str, Any]:
    """The Response that a client builds of the events."""
    response: dict[str, Any] = {}
    for event in json.loads(json.dumps(events)):
        output = response.get("output", [])
        index = event.get("output_index")
        item = output[index] if index is not None and index < len(output) else {}
        assert event.get("item_id", item.get("id")) == item.get("id")
        match event["type"].removeprefix("response."):
            case "created" | "in_progress" | "completed" | "incomplete" | "failed":
                if output:
                    assert event["response"]["output"] == output
                response = event["response"]
            case "output_item.added":
                assert index == len(output)
                output.append(event["item"])
            case "output_item.done":
                # Of the status alone, and of what is in no other event, the client hears only here.
                assert item | {"status": 0, "encrypted_content": 0} == event["item"] | {"status": 0, "encrypted_content": 0}
                output[index] = event["item"]
            case "content_part.added":
                assert event["content_index"] == len(item["content"])
                item["content"].append(event["part"])
            case "content_part.done":
                part = item["content"][event["content_index"]]
                assert [without_bytes(entry) for entry in event["part"]["logprobs"]] == part["logprobs"]
                assert event["part"] | {"logprobs": 0} == part | {"logprobs": 0}
                item["content"][event["content_index"]] = event["part"]
            case "output_text.delta":
                part = item["content"][event["content_index"]]
                part["text"] += event["delta"]
                part["logprobs"] += event["logprobs"]
            case "output_text.done":
                part = item["content"][event["content_index"]]
                assert (event["text"], event["logprobs"]) == (part["text"], part["logprobs"])
            case "reasoning_summary_part.added":
                assert event["summary_index"] == len(item["summary"])
                item["summary"].append(event["part"])
            case "reasoning_summary_text.delta":
                item["summary"][event["summary_index"]]["text"] += event["delta"]
            case "reasoning_summary_text.done":
                assert event["text"] == item["summary"][event["summary_index"]]["text"]
            case "reasoning_summary_part.done":
                assert event["part"] == item["summary"][event["summary_index"]]
            case "function_call_arguments.delta":
                item["arguments"] += event["delta"]
            case "function_call_arguments.done":
                assert event["arguments"] == item["arguments"]
            case "custom_tool_call_input.delta":
                item["input"] += event["delta"]
            case "custom_tool_call_input.done":
                assert event["input"] == item["input"]
            case other:
                pytest.fail(other)
    return response


def streamed(response: dict[str, Any]) -> dict[str, Any]:
    """A Response without what a client hears only when an item is closed."""
    items = [{name: value for name, value in item.items() if name != "encrypted_content"} for item in response["output"]]
    for item in items:
        if item["type"] == "message":
            item["content"] = [part | {"logprobs": list(map(without_bytes, part["logprobs"]))} for part in item["content"]]
    return response | {"output": items}


def without_bytes(entry: dict[str, Any]) -> dict[str, Any]:
    tops = [{"token": top["token"], "logprob": top["logprob"]} for top in entry["top_logprobs"]]
    return {"token": entry["token"], "logprob": entry["logprob"], "top_logprobs": tops}


def types(events: list[Sent]) -> list[str]:
    """What comes between the events of the whole Response."""
    return [event["type"].removeprefix("response.") for event in events[2:-1]]


def output(events: list[Sent]) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = events[-1]["response"]["output"]
    return result


def message(text: str, number: int = 0, status: str = "completed", logprobs: Any = ()) -> dict[str, Any]:
    part = {"type": "output_text", "annotations": [], "logprobs": list(logprobs), "text": text}
    return {"id": f"msg_1_{number}", "type": "message", "status": status, "role": "assistant", "content": [part]}


def reasoning(text: str, number: int = 0, status: str = "completed") -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}]
    return {"id": f"rs_1_{number}", "type": "reasoning", "status": status, "summary": summary}


MESSAGE_OPENS = ["output_item.added", "content_part.added"]
MESSAGE_CLOSES = ["output_text.done", "content_part.done", "output_item.done"]
REASONING_OPENS = ["output_item.added", "reasoning_summary_part.added"]
REASONING_CLOSES = ["reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"]


# ── items


def test_text_is_a_message() -> None:
    events = stream(Text("Hel"), Text("lo"), STOP)
    assert types(events) == [*MESSAGE_OPENS, "output_text.delta", "output_text.delta", *MESSAGE_CLOSES]
    assert [event["type"] for event in (*events[:2], events[-1])] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    assert output(events) == [message("Hello")]


def test_thinking_is_a_summary_of_the_reasoning() -> None:
    events = stream(Thinking("h"), Thinking("m"), Text("Hi"), STOP)
    deltas = ["reasoning_summary_text.delta"] * 2
    assert types(events)[:7] == [*REASONING_OPENS, *deltas, *REASONING_CLOSES]
    assert output(events) == [reasoning("hm"), message("Hi", 1)]


def test_thinking_after_text_is_a_new_item() -> None:
    events = stream(Thinking("b"), Text("a"), Thinking("c"), Text("d"), STOP)
    assert output(events) == [reasoning("b"), message("a", 1), reasoning("c", 2), message("d", 3)]


def test_a_client_that_asks_for_it_gets_reasoning_that_it_can_send_back() -> None:
    events = stream(Thinking("hm"), Text("Hi"), STOP, fields=ENCRYPTED)
    assert output(events)[0] == reasoning("hm") | {"encrypted_content": "hm"}


def test_a_call_comes_in_pieces() -> None:
    events = stream(Text("I look."), *call(pieces=3, a="ä", b=[1, 2]), STOP)
    pieces = [event["delta"] for event in events if event["type"] == "response.function_call_arguments.delta"]
    assert types(events)[6:] == [
        *("output_item.added", *["function_call_arguments.delta"] * len(pieces)),
        *("function_call_arguments.done", "output_item.done"),
    ]
    assert len(pieces) >= 3
    assert output(events) == [
        message("I look."),
        {
            "id": "fc_1_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": "read",
            "arguments": '{"a": "ä", "b": [1, 2]}',
        },
    ]


def test_each_piece_of_the_arguments_goes_out_at_once() -> None:
    writer = stream_writer(PATCH)
    writer.begin()
    for name, before, pieces in (("read", "", ["{", '"a"', ":1}"]), ("patch", '{"input":"', ["a", "b", "\\n"])):
        writer.write([ToolCallBegin(0, "A", name), *([ToolCallArguments(before)] if before else [])])
        for piece in pieces:
            (event,) = sse_events(writer.write([ToolCallArguments(piece)]))
            assert event["delta"] == (piece if name == "read" else json.loads(f'"{piece}"'))
        writer.write([ToolCallEnd(None)])


def test_several_calls_are_items_each() -> None:
    events = stream(Text("Hi"), *call(), *call(call_id="call_2", index=1), Text("Done."), STOP)
    assert [item["type"] for item in output(events)] == ["message", "function_call", "function_call", "message"]
    assert [item["id"] for item in output(events)] == ["msg_1_0", "fc_1_1", "fc_1_2", "msg_1_3"]


def test_a_call_without_any_piece_has_the_arguments_that_its_end_tells() -> None:
    for name, field in (("read", "arguments"), ("patch", "input")):
        events = stream(ToolCallBegin(0, "A", name), ToolCallEnd({"a": "b", "c": 1}), STOP, fields=PATCH)
        assert output(events)[0][field] == '{"a":"b","c":1}'


@pytest.mark.parametrize("pieces", [1, 5, 99])
def test_a_custom_tools_call_has_its_free_text(pieces: int) -> None:
    text = '*** "x"\n\\ä\U0001f600'
    events = stream(*call("patch", pieces=pieces, input=text), STOP, fields=PATCH)
    first, *deltas, done, last = types(events)
    assert (first, set(deltas), done, last) == (
        *("output_item.added", {"custom_tool_call_input.delta"}),
        *("custom_tool_call_input.done", "output_item.done"),
    )
    assert output(events) == [
        {"id": "ctc_1_0", "type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": text}
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input": ""}, ""),
        ({"patch": "a"}, "a"),
        ({"input": "a", "more": 1}, "a"),
        ({"more": 1, "input": "a"}, "a"),
        ({"a": 1}, '{"a":1}'),
        ({"input": {"a": "é"}}, '{"input":{"a":"é"}}'),
        ({}, "{}"),
        ({"input": "\ud83d"}, "\ufffd"),
    ],
)
def test_the_free_text_is_found_in_other_arguments_too(arguments: dict[str, Any], text: str) -> None:
    body = json.dumps(arguments)
    events: list[Event] = [ToolCallBegin(0, "A", "patch"), *map(ToolCallArguments, body), ToolCallEnd(arguments), STOP]
    assert output(stream(*events, fields=PATCH))[0]["input"] == text
    assert whole(*events, fields=PATCH)["output"][0]["input"] == text


def test_a_text_that_was_sent_stays_even_if_the_arguments_name_another() -> None:
    events: list[Event] = [ToolCallBegin(0, "A", "patch"), ToolCallArguments('{"input":"a"'), ToolCallEnd({"input": "b"}), STOP]
    assert output(stream(*events, fields=PATCH))[0]["input"] == "a"


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_a_call_names_the_tool_as_the_client_does(kind: str) -> None:
    tools = [{"type": "namespace", "name": "files", "tools": [{"type": kind, "name": "read"}]}]
    (item,) = output(stream(*call("files__read", input="x"), STOP, fields={"tools": tools}))
    assert (item["namespace"], item["name"]) == ("files", "read")


@pytest.mark.parametrize("text", [[], [Text("")]])
def test_an_answer_with_nothing_in_it_is_an_empty_message(text: list[Event]) -> None:
    events = stream(*text, STOP)
    assert types(events) == [*MESSAGE_OPENS, *MESSAGE_CLOSES]
    assert output(events) == [message("")]


# ── opaque state


def seal(state: ReasoningState) -> str:
    return f"sealed {len(state.details)}"


@pytest.mark.parametrize(
    ("before", "sealed"),
    [
        ([Thinking("a"), STATE], [reasoning("a") | {"encrypted_content": "sealed 1"}]),
        ([STATE, Thinking("a")], [reasoning("a") | {"encrypted_content": "sealed 1"}]),
        (
            [Thinking("a"), Text("b"), STATE],
            [
                *(reasoning("a") | {"encrypted_content": "a"}, message("b", 1)),
                {"id": "rs_1_2", "type": "reasoning", "status": "completed", "summary": [], "encrypted_content": "sealed 1"},
            ],
        ),
    ],
)
def test_the_state_of_the_reasoning_is_the_encrypted_content_of_a_reasoning(before: list[Event], sealed: list[Any]) -> None:
    events = [*before, *call("f", "A"), *call("g", "B", 1), STOP]
    for items in (output(stream(*events, fields=ENCRYPTED, seal=seal)), whole(*events, fields=ENCRYPTED, seal=seal)["output"]):
        assert items[: len(sealed)] == sealed
        assert [item["call_id"] for item in items[len(sealed) :]] == ["A", "B"]


def test_a_state_that_no_call_follows_makes_no_item() -> None:
    assert output(stream(Text("a"), STATE, STOP, fields=ENCRYPTED, seal=seal)) == [message("a")]


@pytest.mark.parametrize("before", [[], [Thinking("a")]])
def test_a_state_that_cannot_be_sealed_makes_no_item(before: list[Event]) -> None:
    items = output(stream(*before, STATE, *call(), STOP, fields=ENCRYPTED, seal=lambda _state: ""))
    assert [item.get("encrypted_content") for item in items] == [*(["a"] if before else []), None]


@pytest.mark.parametrize(("fields", "more"), [({}, {"seal": seal}), (ENCRYPTED, {})])
def test_without_encrypted_content_the_ids_of_calls_carry_the_state(fields: dict[str, Any], more: dict[str, Any]) -> None:
    def call_id(begun: ToolCallBegin, state: ReasoningState | None) -> str:
        return f"{begun.id}/{state is STATE}"

    items = output(stream(STATE, *call("f", "A"), *call("g", "B", 1), STOP, fields=fields, call_id=call_id, **more))
    assert [item["call_id"] for item in items] == ["A/True", "B/False"]


# ── logprobs


def logprob(token: str, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": -0.5, "bytes": list(token.encode()), **more}


def test_logprobs_come_with_the_text() -> None:
    top = [logprob("a"), logprob("b")]
    entry = logprob("a", top_logprobs=top)
    events = stream(Text("a", [entry]), Text("", [logprob("")]), Text("b"), STOP, fields=LOGPROBS)
    assert output(events) == [message("ab", logprobs=[entry, logprob("", top_logprobs=[])])]
    assert [event["logprobs"] for event in events if event["type"] == "response.output_text.delta"] == [
        [{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": x, "logprob": -0.5} for x in "ab"]}],
        [{"token": "", "logprob": -0.5, "top_logprobs": []}],
        [],
    ]


def test_logprobs_of_what_was_held_back_come_with_the_text_after_it() -> None:
    events = stream(Text("", [logprob("<")]), Text("<b", [logprob("b")]), STOP, fields=LOGPROBS)
    assert [entry["token"] for entry in output(events)[0]["content"][0]["logprobs"]] == ["<", "b"]


def test_logprobs_of_thinking_are_not_told() -> None:
    thought = Thinking("hm", [logprob("hm")])
    events = stream(Text("", [logprob("<think>")]), thought, Text("a", [logprob("a")]), STOP, fields=LOGPROBS)
    assert output(events) == [reasoning("hm"), message("a", 1, logprobs=[logprob("a", top_logprobs=[])])]


def test_logprobs_that_nobody_asked_for_are_left_out() -> None:
    assert output(stream(Text("a", [logprob("a")]), Text(""), STOP)) == [message("a")]


# ── the end


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_an_answer_is_complete(reason: Any) -> None:
    response = stream(Text("a"), Finish(reason, USAGE))[-1]["response"]
    assert (response["created_at"], response["completed_at"]) == (1000, 1001)
    assert (response["status"], response["incomplete_details"]) == ("completed", None)
    assert response["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 12,
    }
    assert stream(Finish("stop", Usage(1, 1)))[-1]["response"]["usage"]["input_tokens_details"]["cached_tokens"] == 0


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
@pytest.mark.parametrize("said", [[Text("a")], [Thinking("a")], []])
def test_an_answer_that_was_cut_is_incomplete(finish: Any, reason: str, said: list[Event]) -> None:
    *_, done, last = stream(*said, Finish(finish, USAGE))
    assert last["type"] == "response.incomplete"
    assert (last["response"]["status"], last["response"]["completed_at"]) == ("incomplete", None)
    assert last["response"]["incomplete_details"] == {"reason": reason}
    assert done["item"]["status"] == "incomplete"


def test_only_the_last_item_was_cut() -> None:
    items = output(stream(Thinking("b"), Text("a"), Finish("length", USAGE)))
    assert [item["status"] for item in items] == ["completed", "incomplete"]


@pytest.mark.parametrize("name", ["read", "patch"])
@pytest.mark.parametrize(("finish", "reason"), [("stop", "max_output_tokens"), ("content_filter", "content_filter")])
def test_a_call_that_is_not_complete_is_closed_and_the_answer_is_incomplete(name: str, finish: Any, reason: str) -> None:
    events = [Text("Hi"), *call(name, complete=False, input="abc"), Finish(finish, USAGE)]
    sent = stream(*events, fields=PATCH)
    assert [item["status"] for item in output(sent)] == ["completed", "incomplete"]
    assert sent[-2]["type"] == "response.output_item.done"
    read = whole(*events, fields=PATCH)
    assert [item["type"] for item in read["output"]] == ["message"]
    for response in (sent[-1]["response"], read):
        assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": reason})


@pytest.mark.parametrize(
    ("events", "statuses"),
    [([Thinking("b"), Text("a")], ["completed", "incomplete"]), ([Text("a"), *call()], ["completed", "completed"]), ([], [])],
)
def test_an_answer_that_broke_off_says_so(events: list[Event], statuses: list[str]) -> None:
    last = broken_off(*events)[-1]
    assert last["type"] == "response.failed"
    response = last["response"]
    assert response["status"] == "failed"
    assert response["error"] == {"code": "server_error", "message": "The back end broke off."}
    assert response["usage"] is None
    assert [item["status"] for item in response["output"]] == statuses


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ApiError(429, "m"), "rate_limit_exceeded"),
        (ApiError(500, "m", code=7), "server_error"),
        (ApiError(400, "m", code="context_length_exceeded"), "context_length_exceeded"),
    ],
)
def test_a_failure_has_the_servers_code_or_one_of_openais(error: ApiError, code: str) -> None:
    writer = stream_writer()
    writer.begin()
    failed, event = sse_events(writer.fail(error))
    assert failed["response"]["error"]["code"] == code
    assert event["error"]["code"] == error.code


def test_an_answer_that_is_not_streamed_has_nothing_but_its_end() -> None:
    writer = whole_writer()
    assert (writer.begin(), writer.write([Text("a")]), writer.keep_alive(), writer.fail(ApiError(502, ""))) == (b"",) * 4
    assert (stream_writer().cut_after_failure, writer.cut_after_failure) == (False, False)


# ── silence


def test_silence_before_the_answer_is_filled_with_its_beginning() -> None:
    writer = stream_writer()
    first, later, begin = writer.keep_alive(), writer.keep_alive(), writer.begin()
    assert first == stream_writer().begin()
    assert begin == b""
    (again,) = sse_events(later)
    assert (again["type"], again["sequence_number"]) == ("response.in_progress", 2)
    checked(sse_events(first + later + writer.write([Text("a"), STOP])))


@given(events=answers(), silent=st.sets(st.integers(0, 20)), custom=st.booleans())
def test_silence_within_an_answer_tells_the_response_as_it_stands(events: list[Event], silent: set[int], custom: bool) -> None:
    writer = stream_writer(PATCH if custom else {})
    body = writer.begin()
    for number, event in enumerate(events):
        body += writer.keep_alive() if number in silent else b""
        body += writer.write([event])
    # Who replays the events checks each such Response.
    read = checked(sse_events(body))
    assert read[-1]["response"] == stream(*events, fields=PATCH if custom else {})[-1]["response"]


@pytest.mark.parametrize("make", [stream_writer, whole_writer])
def test_a_failure_or_an_end_without_a_beginning_adds_nothing(make: Any) -> None:
    assert make().write([FAILURE]) == b""
    assert make().write([ToolCallEnd({})]) == b""


# ── any answer


@pytest.mark.parametrize("make", [stream_writer, whole_writer])
@given(events=answers(), sizes=st.lists(st.integers(0, 3), max_size=5), more=st.booleans())
def test_however_the_events_come_the_bytes_are_the_same(make: Any, events: list[Event], sizes: list[int], more: bool) -> None:
    given_too: dict[str, Any] = {"fields": PATCH | ENCRYPTED, "seal": seal} if more else {}
    assert written(make(**given_too), *batches(events, sizes)) == written(make(**given_too), events)


@given(events=answers(complete=True), more=st.booleans())
def test_the_whole_response_is_that_of_the_stream(events: list[Event], more: bool) -> None:
    given_too: dict[str, Any] = {"fields": LOGPROBS | PATCH, "seal": seal} if more else {}
    sent = stream(*events, **given_too)
    assert whole(*events, **given_too) == sent[-1]["response"]
    items = output(sent)
    said = [part["text"] for item in items if item["type"] == "message" for part in item["content"]]
    thought = [part["text"] for item in items if item["type"] == "reasoning" for part in item["summary"]]
    assert "".join(said) == "".join(event.text for event in events if isinstance(event, Text))
    assert "".join(thought) == "".join(event.text for event in events if isinstance(event, Thinking))
    calls = [item for item in items if item["type"].endswith("_call")]
    assert len(calls) == sum(isinstance(event, ToolCallBegin) for event in events)


@given(events=answers())
def test_any_answer_may_break_off(events: list[Event]) -> None:
    broken_off(*events[:-1])


# ── a search for tools

SEARCH: dict[str, Any] = {"tools": [{"type": "tool_search", "execution": "client"}]}


def test_a_search_for_tools_is_an_item_of_its_own_without_pieces() -> None:
    events = stream(*call("tool_search", query="mail"), STOP, fields=SEARCH)
    added, done = (event for event in events if event["type"].startswith("response.output_item."))
    assert not [event for event in events if ".delta" in event["type"]]
    # The SDKs keep the arguments of the first event.
    assert added["item"] == done["item"] | {"status": "in_progress"}
    assert done["item"]["id"].startswith("tsc_")
    assert {name: done["item"][name] for name in ("type", "execution", "status", "arguments")} == {
        "type": "tool_search_call",
        "execution": "client",
        "status": "completed",
        "arguments": {"query": "mail"},
    }
    assert whole(*call("tool_search", query="mail"), STOP, fields=SEARCH)["output"] == [done["item"]]


@pytest.mark.parametrize("text", ["[1]", '{"query":"ma', ""], ids=["a list", "cut", "nothing"])
def test_arguments_of_a_search_that_are_no_object_are_empty(text: str) -> None:
    from ollama_openai_proxy.translate.writers.responses_items import ToolSearchCallItem

    item = ToolSearchCallItem("tsc_1", 0, "1")
    item.add(text)
    assert item.snapshot("completed")["arguments"] == {}
