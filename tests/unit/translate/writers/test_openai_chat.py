"""The events of an answer become chunks that OpenAI's own SDK reads, and the completion that it makes of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.events import Finish, Text, Thinking, ToolCallArguments, ToolCallBegin, ToolCallEnd
from ollama_openai_proxy.translate.writers.error_objects import openai_error
from ollama_openai_proxy.translate.writers.openai_chat import CompletionAnswerWriter, CompletionStreamWriter
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from .answers import FAILURE, LOGPROB, STATE, STOP, USAGE, answers, batches, call, written
from .sse import events as sse_events

if TYPE_CHECKING:
    from ollama_openai_proxy.translate.events import Event, ReasoningState

HEAD = {"created": 1000, "model": "M:latest", "system_fingerprint": "fp_ollama"}
CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", **HEAD}
LOGPROBS = {"content": [LOGPROB | {"top_logprobs": []}]}


def stream(**more: Any) -> CompletionStreamWriter:
    return CompletionStreamWriter("M:latest", completion_id="chatcmpl-1", unix_time=lambda: 1000.9, **more)


def whole(**more: Any) -> CompletionAnswerWriter:
    return CompletionAnswerWriter("M:latest", completion_id="chatcmpl-1", unix_time=lambda: 1000.9, **more)


def choices(*events: Event, **more: Any) -> list[dict[str, Any]]:
    """The choices of a stream behind the role."""
    body = written(stream(**more), list(events))
    assert body.endswith(b"data: [DONE]\n\n")
    first, *rest = sse_events(body)
    assert first == {**CHUNK, "choices": [chosen(role="assistant", content="")]}
    assert all({**CHUNK, "choices": chunk["choices"]} == chunk for chunk in rest)
    return [choice for chunk in rest for choice in chunk["choices"]]


def completion(*events: Event, **more: Any) -> dict[str, Any]:
    body = written(whole(**more), list(events))
    assert body.endswith(b"}\n")
    read: dict[str, Any] = json.loads(body)
    assert ChatCompletion.model_validate(read).to_dict() == read
    return read


def chosen(finish_reason: str | None = None, logprobs: Any = None, **delta: Any) -> dict[str, Any]:
    told = {"logprobs": logprobs} if logprobs else {}
    return {"index": 0, "delta": delta, "finish_reason": finish_reason, **told}


def sdk_completion(body: bytes) -> ChatCompletion:
    """What the SDK makes of a stream."""
    state = ChatCompletionStreamState[None]()
    for event in sse_events(body):
        chunk = ChatCompletionChunk.model_validate(event)
        assert chunk.to_dict() == event
        state.handle_chunk(chunk)
    return state.current_completion_snapshot


def test_the_chunks_of_an_answer() -> None:
    answer = [Thinking("Hm"), Text("Hi", [LOGPROB]), *call(pieces=2, a=1), *call("f", "B", 1), STOP]
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "read", "arguments": ""}}
    second = {"index": 1, "id": "B", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert choices(*answer) == [
        chosen(reasoning="Hm"),
        chosen(content="Hi", logprobs=LOGPROBS),
        chosen(tool_calls=[first]),
        chosen(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}]),
        chosen(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        chosen(tool_calls=[second]),
        chosen(tool_calls=[{"index": 1, "function": {"arguments": "{}"}}]),
        chosen(finish_reason="tool_calls"),
    ]
    first["function"] = {"name": "read", "arguments": '{"a":1}'}
    second["function"] = {"name": "f", "arguments": "{}"}
    message = {"role": "assistant", "content": "Hi", "reasoning": "Hm", "tool_calls": [first, second]}
    assert completion(*answer) == {
        **CHUNK,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": LOGPROBS}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def test_each_piece_of_the_arguments_goes_out_at_once() -> None:
    writer = stream()
    writer.write(call()[:1])
    for number in range(100):
        (chunk,) = sse_events(writer.write([ToolCallArguments(f"{number},")]))
        assert chunk["choices"][0]["delta"]["tool_calls"][0]["function"] == {"arguments": f"{number},"}


def test_a_call_without_any_piece_has_the_arguments_that_its_end_tells() -> None:
    _, arguments, _ = choices(ToolCallBegin(0, "A", "f"), ToolCallEnd({"a": 1}), STOP)
    assert arguments["delta"]["tool_calls"][0]["function"]["arguments"] == '{"a":1}'


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (Usage(10, 5), {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}),
        (
            Usage(10, 5, 0, 2),
            {
                "prompt_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 2},
                "total_tokens": 15,
            },
        ),
    ],
)
def test_tokens_are_counted_where_they_are_asked_for(usage: Usage, counts: dict[str, Any]) -> None:
    finish = Finish("stop", usage)
    told = sse_events(written(stream(include_usage=True), [Text("a"), finish]))[-1]
    assert told == {**CHUNK, "choices": [], "usage": counts}
    assert not any("usage" in chunk for chunk in sse_events(written(stream(), [Text("a"), finish])))
    assert list(completion(finish)["usage"].items()) == list(counts.items())


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("reason", ["stop", "tool_calls", "length", "content_filter"])
def test_the_reason_of_the_end_says_that_a_tool_is_called(reason: Any, called: bool) -> None:
    events = [*(call() if called else [Text("a")]), Finish(reason, USAGE)]
    ended_by_itself = "tool_calls" if called else "stop"
    expected = ended_by_itself if reason in ("stop", "tool_calls") else reason
    assert choices(*events)[-1] == chosen(finish_reason=expected)
    assert completion(*events)["choices"][0]["finish_reason"] == expected


@pytest.mark.parametrize(("reason", "expected"), [("stop", "length"), ("content_filter", "content_filter")])
def test_an_answer_with_a_call_that_is_not_complete_was_cut(reason: Any, expected: str) -> None:
    events = [*call(complete=False, path="a"), Finish(reason, USAGE)]
    assert choices(*events)[-1] == chosen(finish_reason=expected)
    (choice,) = completion(*events)["choices"]
    assert (choice["finish_reason"], choice["message"]) == (expected, {"role": "assistant", "content": ""})


def test_the_ids_of_calls_carry_opaque_state() -> None:
    def call_id(begun: ToolCallBegin, state: ReasoningState | None) -> str:
        return f"{begun.id}/{state is STATE}"

    events = [STATE, *call("f", "A"), *call("g", "B", 1), STOP]
    begun = [choice["delta"]["tool_calls"][0] for choice in choices(*events, call_id=call_id)[:-1]]
    assert [each["id"] for each in begun if "id" in each] == ["A/True", "B/False"]
    (choice,) = completion(*events, call_id=call_id)["choices"]
    assert [each["id"] for each in choice["message"]["tool_calls"]] == ["A/True", "B/False"]


def test_silence_is_filled_with_comments() -> None:
    writer = stream()
    assert writer.keep_alive() == b": keep-alive\n\n"
    assert sse_events(writer.keep_alive() + writer.begin() + writer.begin())[0]["choices"][0]["delta"]["role"] == "assistant"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        *((ApiError(status, "m"), kind) for status, kind in ((400, "invalid_request_error"), (401, "authentication_error"))),
        *((ApiError(status, "m"), kind) for status, kind in ((403, "permission_error"), (404, "not_found_error"))),
        *((ApiError(status, "m"), kind) for status, kind in ((429, "rate_limit_error"), (502, "api_error"))),
        (ApiError(502, "m", error_type="server", code=3, param="p"), "server"),
    ],
)
def test_a_stream_that_fails_ends_with_an_error_and_a_cut(error: ApiError, kind: str) -> None:
    assert openai_error(error) == {"error": {"message": "m", "type": kind, "param": error.param, "code": error.code}}
    assert sse_events(stream().fail(error)) == [openai_error(error)]
    assert (stream().cut_after_failure, whole().cut_after_failure) == (True, False)


def test_an_answer_that_is_not_streamed_has_nothing_but_its_end() -> None:
    writer = whole()
    assert (writer.begin(), writer.write([Text("a")]), writer.keep_alive(), writer.fail(ApiError(502, ""))) == (b"",) * 4


@pytest.mark.parametrize("make", [stream, whole])
def test_a_failure_adds_nothing_by_itself(make: Any) -> None:
    assert make().write([FAILURE]) == b""


@pytest.mark.parametrize("make", [stream, whole])
@given(events=answers(), sizes=st.lists(st.integers(0, 3), max_size=5))
def test_however_the_events_come_the_bytes_are_the_same(make: Any, events: list[Event], sizes: list[int]) -> None:
    assert written(make(), *batches(events, sizes)) == written(make(), events)


@given(events=answers(complete=True))
def test_the_sdk_makes_the_whole_completion_of_the_stream(events: list[Event]) -> None:
    read = sdk_completion(written(stream(include_usage=True), events))
    expected = ChatCompletion.model_validate(completion(*events))
    got, told = read.choices[0].message, expected.choices[0].message
    assert (got.content, (got.model_extra or {}).get("reasoning")) == (
        told.content,
        (told.model_extra or {}).get("reasoning"),
    )
    assert [json.loads(each.function.arguments) for each in got.tool_calls or () if each.type == "function"] == [
        json.loads(each.function.arguments) for each in told.tool_calls or () if each.type == "function"
    ]
    assert (read.choices[0].finish_reason, read.usage) == (expected.choices[0].finish_reason, expected.usage)
