"""The pieces of an answer become the events of a Responses stream, which together make the Response."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.schemas.ollama.frames import Delta
from ollama_openai_proxy.schemas.openai_responses import ResponsesRequest
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.openai_responses.event_writer import ResponseWriter
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

type Event = dict[str, Any]

USAGE = Usage(input_tokens=7, output_tokens=5, cached_tokens=3, reasoning_tokens=2)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
LOGPROBS: dict[str, Any] = {"include": ["message.output_text.logprobs"]}


def asking(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate({"model": "alias:latest", "input": "hello", **fields})


def call(name: str = "read", call_id: str = "call_1", **arguments: Any) -> Delta:
    return Delta(tool_calls=[{"id": call_id, "function": {"index": 0, "name": name, "arguments": arguments}}])


def stream(*deltas: Delta, finish_reason: str = "stop", **fields: Any) -> list[Event]:
    """The events of a whole answer, checked against the SDK and against the Response that they make."""
    writer = ResponseWriter(asking(**fields), response_id="resp_1", created_at=1000)
    events = writer.begin()
    for delta in deltas:
        events += writer.delta(delta)
        assert streamed(replayed(events)) == streamed(writer.response())
    events += writer.end(finish_reason=finish_reason, usage=USAGE, completed_at=1001)
    return checked(events, writer)


def broken_off(*deltas: Delta) -> list[Event]:
    writer = ResponseWriter(asking(), response_id="resp_1", created_at=1000)
    events = writer.begin()
    for delta in deltas:
        events += writer.delta(delta)
    return checked(events + writer.failed("The back end broke off.", "server_error"), writer)


def checked(events: list[Event], writer: ResponseWriter) -> list[Event]:
    for event in events:
        read = EVENT.validate_python(event)
        assert type(read).model_fields["type"].annotation.__args__ == (event["type"],)
        assert read.to_dict() == event
        assert unknown(read) == []
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    last = events[-1]["response"]
    assert last == writer.response() == replayed(events)
    assert Response.model_validate(last).to_dict() == last
    json.dumps(events, allow_nan=False)
    return events


def unknown(read: Any) -> list[str]:
    """The fields that the SDK's types do not have."""
    match read:
        case BaseModel():
            return [*(read.model_extra or ()), *(name for _, value in read for name in unknown(value))]
        case list():
            return [name for value in read for name in unknown(value)]
    return []


def replayed(events: list[Event]) -> dict[str, Any]:
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


def types(events: list[Event]) -> list[str]:
    """What comes between the events of the whole Response."""
    return [event["type"].removeprefix("response.") for event in events[2:-1]]


def output(events: list[Event]) -> list[dict[str, Any]]:
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
    events = stream(Delta("Hel"), Delta("lo"))
    assert types(events) == [*MESSAGE_OPENS, "output_text.delta", "output_text.delta", *MESSAGE_CLOSES]
    assert [event["type"] for event in (*events[:2], events[-1])] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    assert output(events) == [message("Hello")]


def test_thinking_is_a_summary_of_the_reasoning() -> None:
    events = stream(Delta(thinking="h"), Delta(thinking="m"), Delta("Hi"))
    deltas = ["reasoning_summary_text.delta"] * 2
    assert types(events)[:7] == [*REASONING_OPENS, *deltas, *REASONING_CLOSES]
    assert output(events) == [reasoning("hm"), message("Hi", 1)]


def test_thinking_after_text_is_a_new_item() -> None:
    events = stream(Delta("a", "b"), Delta("", "c"), Delta("d"))
    assert output(events) == [reasoning("b"), message("a", 1), reasoning("c", 2), message("d", 3)]


def test_a_client_that_asks_for_it_gets_reasoning_that_it_can_send_back() -> None:
    events = stream(Delta(thinking="hm"), Delta("Hi"), include=["reasoning.encrypted_content"])
    assert output(events)[0] == reasoning("hm") | {"encrypted_content": "hm"}


def test_a_call_comes_whole() -> None:
    events = stream(Delta("I look."), call(a="ä", b=[1, 2]))
    assert types(events)[6:] == [
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done")
    ]
    assert output(events) == [
        message("I look."),
        {
            "id": "fc_1_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": "read",
            "arguments": '{"a":"ä","b":[1,2]}',
        },
    ]


def test_several_calls_are_items_each() -> None:
    two = Delta("Hi", tool_calls=[*call().tool_calls, *call(call_id="call_2").tool_calls])
    events = stream(two, Delta("Done."))
    assert [item["type"] for item in output(events)] == ["message", "function_call", "function_call", "message"]
    assert [item["id"] for item in output(events)] == ["msg_1_0", "fc_1_1", "fc_1_2", "msg_1_3"]


def test_a_custom_tools_call_has_its_free_text() -> None:
    tools = [{"type": "custom", "name": "patch"}]
    events = stream(call("patch", input='*** "x"\n'), tools=tools)
    assert types(events) == [
        *("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done")
    ]
    assert output(events) == [
        {"id": "ctc_1_0", "type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": '*** "x"\n'}
    ]


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_a_call_names_the_tool_as_the_client_does(kind: str) -> None:
    tools = [{"type": "namespace", "name": "files", "tools": [{"type": kind, "name": "read"}]}]
    (item,) = output(stream(call("files__read", input="x"), tools=tools))
    assert (item["namespace"], item["name"]) == ("files", "read")


def test_an_answer_with_nothing_in_it_is_an_empty_message() -> None:
    events = stream(Delta())
    assert types(events) == [*MESSAGE_OPENS, *MESSAGE_CLOSES]
    assert output(events) == [message("")]


# ── logprobs


def logprob(token: str, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": -0.5, "bytes": list(token.encode()), **more}


def test_logprobs_come_with_the_text() -> None:
    top = [logprob("a"), logprob("b")]
    entry = logprob("a", top_logprobs=top)
    events = stream(Delta("a", logprobs=[entry]), Delta("", logprobs=[logprob("")]), **LOGPROBS)
    assert output(events) == [message("a", logprobs=[entry, logprob("", top_logprobs=[])])]
    assert [event["logprobs"] for event in events if event["type"] == "response.output_text.delta"] == [
        [{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": x, "logprob": -0.5} for x in "ab"]}],
        [{"token": "", "logprob": -0.5, "top_logprobs": []}],
    ]


def test_logprobs_of_what_was_held_back_come_with_the_text_after_it() -> None:
    events = stream(Delta("", logprobs=[logprob("<")]), Delta("<b", logprobs=[logprob("b")]), **LOGPROBS)
    assert [entry["token"] for entry in output(events)[0]["content"][0]["logprobs"]] == ["<", "b"]


def test_logprobs_of_thinking_are_not_told() -> None:
    thought = Delta("", "hm", logprobs=[logprob("hm")])
    events = stream(Delta("", logprobs=[logprob("<think>")]), thought, Delta("a", logprobs=[logprob("a")]), **LOGPROBS)
    assert output(events) == [reasoning("hm"), message("a", 1, logprobs=[logprob("a", top_logprobs=[])])]


def test_logprobs_that_nobody_asked_for_are_left_out() -> None:
    assert output(stream(Delta("a", logprobs=[logprob("a")]))) == [message("a")]


# ── the end


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "other"])
def test_an_answer_is_complete(reason: str) -> None:
    response = stream(Delta("a"), finish_reason=reason)[-1]["response"]
    assert (response["status"], response["completed_at"], response["incomplete_details"]) == ("completed", 1001, None)
    assert response["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 12,
    }


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
@pytest.mark.parametrize("delta", [Delta("a"), Delta(thinking="a"), Delta()])
def test_an_answer_that_was_cut_is_incomplete(finish: str, reason: str, delta: Delta) -> None:
    *_, done, last = stream(delta, finish_reason=finish)
    assert last["type"] == "response.incomplete"
    assert (last["response"]["status"], last["response"]["completed_at"]) == ("incomplete", None)
    assert last["response"]["incomplete_details"] == {"reason": reason}
    assert done["item"]["status"] == "incomplete"


def test_only_the_last_item_was_cut() -> None:
    assert [item["status"] for item in output(stream(Delta("a", "b"), finish_reason="length"))] == ["completed", "incomplete"]


@pytest.mark.parametrize(
    ("deltas", "statuses"),
    [([Delta("a", "b")], ["completed", "incomplete"]), ([Delta("a"), call()], ["completed", "completed"]), ([], [])],
)
def test_an_answer_that_broke_off_says_so(deltas: list[Delta], statuses: list[str]) -> None:
    events = broken_off(*deltas)
    response = events[-1]["response"]
    assert events[-1]["type"] == "response.failed"
    assert response["status"] == "failed"
    assert response["error"] == {"code": "server_error", "message": "The back end broke off."}
    assert response["usage"] is None
    assert [item["status"] for item in response["output"]] == statuses


# ── any answer


TEXT = st.text(max_size=3)
DELTAS = st.one_of(
    st.builds(Delta, TEXT, TEXT, logprobs=st.lists(st.builds(logprob, TEXT), max_size=1)),
    st.builds(call, st.sampled_from(["read", "patch"]), input=TEXT),
)


@given(st.lists(DELTAS, max_size=8), st.sampled_from(["stop", "length"]), st.booleans())
def test_any_answer_gives_valid_events_with_the_same_text(deltas: list[Delta], reason: str, wanted: bool) -> None:
    fields = LOGPROBS if wanted else {}
    events = stream(*deltas, finish_reason=reason, tools=[{"type": "custom", "name": "patch"}], **fields)
    items = output(events)
    said = [part["text"] for item in items if item["type"] == "message" for part in item["content"]]
    thought = [part["text"] for item in items if item["type"] == "reasoning" for part in item["summary"]]
    assert "".join(said) == "".join(delta.content for delta in deltas)
    assert "".join(thought) == "".join(delta.thinking for delta in deltas)
    assert sum(item["type"].endswith("_call") for item in items) == sum(len(delta.tool_calls) for delta in deltas)


@given(st.lists(DELTAS, max_size=8))
def test_any_answer_may_break_off(deltas: list[Delta]) -> None:
    broken_off(*deltas)
