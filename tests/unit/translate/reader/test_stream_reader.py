"""An answer is read to its end, piece by piece, and ends as what it is."""

# ruff: noqa: E501  # texts of servers, each in one line

from __future__ import annotations

import json
from typing import Any

import pytest
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.events import Failure, Finish, ReasoningState, Text, Thinking, ToolCallBegin, ToolCallEnd
from ollama_openai_proxy.translate.reader import sse as sse_module
from ollama_openai_proxy.translate.reader import stream_reader
from ollama_openai_proxy.translate.reader.stream_reader import StreamReader

from tests.unit.translate.reader.bodies import brief, called, chunk, fragment, read, said, sse, whole
from tests.unit.translate.reader.corpus import PARIS, TOOLS

SO = [{"content": "So"}, {"content": " it"}, {"content": " is"}]
LOGPROBS = {"content": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}]}


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def finish_of(body: bytes, **options: Any) -> Finish:
    last = read(body, **options)[-1]
    assert isinstance(last, Finish)
    return last


def failure_of(body: bytes, **options: Any) -> str:
    last = read(body, **options)[-1]
    assert isinstance(last, Failure)
    return last.error.message


def test_each_chunk_is_read_at_once() -> None:
    reader = StreamReader(tools=TOOLS)
    assert reader.feed(event(chunk({"role": "assistant", "content": ""}))) == []
    assert reader.feed(event(said("One")[0])) == [Text("One")]
    assert reader.feed(event(said(" two")[0])) == [Text(" two")]
    assert reader.feed(event(chunk({"role": "assistant", "content": " three"}))) == [Text(" three")]
    assert reader.feed(event(said(" <b>")[0])) == [Text(" <b>")]
    assert reader.feed(event(said(" <")[0])) == [Text(" ")]
    assert reader.feed(event(said("b>")[0])) == [Text("<b>")]
    assert reader.feed(event(said("a")[0]) + event(said("b")[0])) == [Text("a"), Text("b")]
    assert reader.feed(event(chunk({"reasoning": "Hm"}))) == [Thinking("Hm")]
    assert reader.feed(event(said("\n")[0])) == []
    assert reader.feed(event(said("\nfour")[0])) == [Text("four")]
    assert reader.feed(event(chunk({}, "stop"))) == []
    assert reader.feed(b"data: [DONE]\n\n") == [Finish("stop", Usage(1, 11))]
    assert reader.feed(event(said("more")[0])) == []
    assert reader.finish(framed=True) == []


@pytest.mark.parametrize(
    "odd",
    [
        b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n',
        event({"choices": [{"index": 1, "delta": {"content": "another choice"}}]}),
        event({"choices": [{"delta": {"content": 5}}]}),
        event({"choices": [{"delta": {"content": ""}}]}),
        event({"choices": [{"delta": None}]}),
        event({"choices": [1]}),
        event({"x": 1}),
    ],
)
def test_a_chunk_without_text_in_the_midst_adds_none(odd: bytes) -> None:
    reader = StreamReader()
    reader.feed(event(said("One")[0]))
    assert reader.feed(odd) == []


def test_a_character_that_comes_in_halves_is_whole() -> None:
    body = b'data: {"choices": [{"delta": {"%s": "a\\ud83d"}}]}\n\ndata: {"choices": [{"delta": {"%s": "\\ude00"}}]}\n\n'
    assert brief(read(body % (b"content", b"content") + sse()))[0] == ("text", "a😀")
    assert brief(read(body % (b"reasoning", b"reasoning") + sse()))[0] == ("thinking", "a😀")


@pytest.mark.parametrize("split", [True, False])
def test_half_a_character_at_the_end_is_replaced(split: bool) -> None:
    body = b'data: {"choices": [{"delta": {"%s": "a\\ud83d"}}]}\n\n' + sse()
    assert brief(read(body % b"content", split_thinking=split))[0] == ("text", "a\ufffd")
    assert brief(read(body % b"reasoning", split_thinking=split))[0] == ("thinking", "a\ufffd")


def test_a_raw_completion_is_left_as_it_is() -> None:
    body = sse({"choices": [{"text": "\n <think>"}]}, {"choices": [{"text": "hm</think> x", "finish_reason": "stop"}]})
    assert brief(read(body, split_thinking=False)) == [("text", "\n <think>hm</think> x"), ("finish", "stop")]


def test_unwanted_thinking_is_dropped() -> None:
    body = sse(chunk({"reasoning": "hm", "content": "\nHi"}), *said(" you"), chunk({}, "stop"))
    assert brief(read(body, drop_thinking=True)) == [("text", "Hi you"), ("finish", "stop")]


def test_white_space_is_content_where_nothing_else_is() -> None:
    assert brief(read(sse(*said("\n", "  Hi "), chunk({}, "stop")))) == [("text", "\n  Hi "), ("finish", "stop")]
    assert brief(read(sse(*said("\n"), chunk({}, "stop")))) == [("text", "\n"), ("finish", "stop")]
    assert brief(read(sse(chunk({"reasoning": "\n"}), *said("\n"), chunk({}, "stop")))) == [("finish", "stop")]


def test_thinking_may_come_again() -> None:
    body = sse(chunk({"reasoning": "a \n"}), *said("\nb"), chunk({"reasoning": "\nc"}), *said(" d"), chunk({}, "stop"))
    assert brief(read(body)) == [("thinking", "a"), ("text", "b"), ("thinking", "c"), ("text", "d"), ("finish", "stop")]


def test_geminis_thoughts_are_thinking() -> None:
    thought = {"extra_content": {"google": {"thought": True}}}
    body = sse(chunk({"content": "<thought>Hm"} | thought), *said("</thought>Hi"), chunk({}, "stop"))
    assert brief(read(body))[0] == ("thinking", "Hm")
    body = sse(chunk({"content": "Hm"} | thought), *said("Hi"), chunk({}, "stop"))
    assert brief(read(body)) == [("thinking", "Hm"), ("text", "Hi"), ("finish", "stop")]


def test_logprobs_beside_a_call_alone_come_with_an_empty_text() -> None:
    reader = StreamReader(tools=TOOLS)
    call = {"index": 0, "id": "call_1", "function": {"name": next(iter(TOOLS)), "arguments": '{"city": "Par'}}
    beside = chunk({"tool_calls": [call]})
    beside["choices"][0]["logprobs"] = LOGPROBS
    events = reader.feed(event(beside)) + reader.feed(
        event(chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'is"}'}}]}))
    )
    events += reader.feed(event(chunk({}, "tool_calls")) + b"data: [DONE]\n\n")
    assert [item.logprobs for item in events if isinstance(item, Text)] == [LOGPROBS["content"]]
    assert isinstance(events[0], ToolCallBegin)


def test_logprobs_come_with_their_text() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}
    with_logprobs = chunk({"content": "Hi"})
    with_logprobs["choices"][0]["logprobs"] = LOGPROBS
    reader = StreamReader()
    assert reader.feed(event(with_logprobs)) == [Text("Hi", [entry])]
    assert reader.feed(event(with_logprobs)) == [Text("Hi", [entry])]
    with_logprobs["choices"][0]["delta"] = {"reasoning": "Hi"}
    assert reader.feed(event(with_logprobs)) == [Thinking("Hi", [entry])]
    with_logprobs["choices"][0]["delta"] = {"content": "<"}
    assert reader.feed(event(with_logprobs)) == [Text("", [entry])]
    with_logprobs["choices"][0]["delta"] = {}
    assert reader.feed(event(with_logprobs)) == [Text("", [entry])]
    with_logprobs["choices"][0]["logprobs"] = {"content": []}
    assert reader.feed(event(with_logprobs)) == []


def test_logprobs_of_a_call_come_behind_it() -> None:
    with_logprobs = chunk(fragment(0, "get_weather", PARIS, "a"))
    with_logprobs["choices"][0]["logprobs"] = LOGPROBS
    events = read(sse(with_logprobs), tools=TOOLS)
    assert [type(each) for each in events[2:4]] == [ToolCallEnd, Text]


def test_logprobs_of_a_completion_come_without_text() -> None:
    logprobs = {"tokens": ["Hi"], "token_logprobs": [-0.5]}
    events = read(
        sse({"choices": [{"index": 0, "text": "", "logprobs": logprobs, "finish_reason": "stop"}]}), split_thinking=False
    )
    assert events[0] == Text("", [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}])


def test_a_closing_tag_alone_is_told() -> None:
    reader = StreamReader()
    reader.feed(sse(*said("hm", "</think>Hi"), chunk({}, "stop")))
    assert reader.closed_alone
    assert not StreamReader(split_thinking=False).closed_alone


def test_a_model_that_is_known_for_it_begins_with_thinking() -> None:
    reader = StreamReader(thinking_opened=True)
    assert reader.feed(event(said("Hm")[0])) == [Thinking("Hm")]
    assert reader.feed(event(said("</think>\n\nHi")[0])) == [Text("Hi")]


def test_a_text_that_is_held_back_for_thinking_is_given_out_at_the_end_or_a_call() -> None:
    assert brief(read(sse(*said("Hi"), chunk({}, "stop")), thinking_opened=None)) == [("text", "Hi"), ("finish", "stop")]
    body = called({"content": "Hi"}, fragment(0, "get_weather", PARIS, "a"))
    assert brief(read(body, tools=TOOLS, thinking_opened=None))[:2] == [("text", "Hi"), ("call", "get_weather", PARIS)]


def test_text_within_a_call_comes_behind_it() -> None:
    body = called(fragment(0, "get_weather", '{"city": ', "a"), *SO, fragment(0, None, '"Paris"}'), {"content": "!"})
    assert brief(read(body, tools=TOOLS)) == [("call", "get_weather", PARIS), ("text", "So it is!"), ("finish", "tool_calls")]
    body = called(fragment(0, "get_weather", '{"city": ', "a"), {"content": "So"}, finish="error")
    assert brief(read(body, tools=TOOLS))[:2] == [("call", "get_weather", None), ("text", "So")]


def test_a_whole_call_comes_before_what_follows_it() -> None:
    call = fragment(0, "get_weather", PARIS, "a")
    body = called({"content": "So"}, call, {"content": " it"}, {"content": " is"})
    assert brief(read(body, tools=TOOLS))[:3] == [("text", "So"), ("call", "get_weather", PARIS), ("text", "it is")]
    body = sse(chunk(call), {"error": {"message": "out of memory", "code": 503}})
    assert brief(read(body, tools=TOOLS)) == [("call", "get_weather", PARIS), ("failure", 503, "out of memory")]


def test_the_state_of_reasoning_comes_before_the_first_call_or_the_end() -> None:
    details = [{"type": "reasoning.text", "text": "Hm", "index": 0}]
    body = called({"reasoning_details": details}, fragment(0, "get_weather", PARIS, "a"), {"reasoning_details": details})
    events = read(body, tools=TOOLS)
    assert [type(each) for each in events if not isinstance(each, Thinking)][:2] == [ReasoningState, ToolCallBegin]
    body = called({"reasoning_details": details}, fragment(0, "get_weather", PARIS, "a"), *SO, {"reasoning_details": details})
    assert read(body, tools=TOOLS)[-2] == ReasoningState(details)
    events = read(sse(chunk({"reasoning_details": details}), *said("Hi"), chunk({}, "stop")))
    assert events[-2] == ReasoningState(details)
    body = called({"reasoning_details": details}, {"content": '{"name": "get_time", "arguments": {}}'})
    assert [type(each) for each in read(body, tools=TOOLS)][:3] == [Thinking, ReasoningState, ToolCallBegin]


def test_a_call_written_as_text_is_text_where_no_tool_was_offered() -> None:
    text = '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'
    assert brief(read(sse(*said(text), chunk({}, "stop")))) == [("text", text), ("finish", "stop")]


def test_nothing_comes_behind_a_stop_text() -> None:
    body = sse(*said("one ST", "OP", " two"), chunk({}, "stop"))
    assert brief(read(body, stop_texts=["STOP"])) == [("text", "one "), ("finish", "stop")]


def test_thinking_that_is_never_closed_is_thinking_to_its_end() -> None:
    body = sse(*said("<think>hm", "</thi"), chunk({}, "length"))
    assert brief(read(body)) == [("thinking", "hm</thi"), ("finish", "length")]


def test_stop_texts_and_calls_as_text_go_together() -> None:
    text = '<tool_call>{"name": "get_time", "arguments": {}}</tool_call> STOP x'
    events = read(sse(*said(text), chunk({}, "length")), tools=TOOLS, stop_texts=["STOP"])
    assert brief(events) == [("call", "get_time", {}), ("finish", "tool_calls")]
    assert brief(read(sse(*said("one ST"), chunk({}, "stop")), tools=TOOLS, stop_texts=["STOP"]))[0] == ("text", "one ST")
    assert brief(read(sse(*said("one ST"), chunk({}, "stop")), stop_texts=["STOP"]))[0] == ("text", "one ST")


@pytest.mark.parametrize(
    ("choice", "stop_sequence"),
    [
        ({"stop_reason": "STOP"}, "STOP"),
        ({"matched_stop": "STOP"}, "STOP"),
        ({"matched_stop": 151645}, None),
        ({"stop_reason": None}, None),
        ({"stop_reason": "stop"}, None),
    ],
)
def test_a_stop_text_that_the_server_tells(choice: dict[str, Any], stop_sequence: str | None) -> None:
    last = chunk({}, "stop")
    last["choices"][0] |= choice
    assert finish_of(sse(*said("Hi"), last)).stop_sequence == stop_sequence


def test_a_stop_text_in_the_answer_is_the_one_that_was_met() -> None:
    finish = finish_of(sse(*said("Hi STOP"), chunk({}, "length")), stop_texts=["STOP"])
    assert (finish.reason, finish.stop_sequence) == ("stop", "STOP")


@pytest.mark.parametrize(
    ("reasons", "reason"),
    [
        (["stop", None, ""], "stop"),
        (["length", "stop"], "length"),
        (["stop", "length"], "length"),
        (["stop", "content_filter", "length"], "content_filter"),
        (["strange"], "stop"),
        (["strange", "length"], "length"),
    ],
)
def test_the_gravest_reason_counts(reasons: list[Any], reason: str) -> None:
    assert finish_of(sse(*said("Hi"), *(chunk({}, each) for each in reasons))).reason == reason


def test_a_word_that_nobody_knows_is_told() -> None:
    reader = StreamReader()
    reader.feed(sse(*said("Hi"), chunk({}, "Strange")))
    assert reader.unknown_finish_reason == "strange"


def test_a_content_filter_fails_where_the_client_has_no_word_for_it() -> None:
    body = sse(*said("Hi"), chunk({}, "SAFETY"))
    assert failure_of(body, content_filter_fails=True) == "the back end's content filter stopped the answer (safety)"


def test_an_answer_whose_only_call_is_broken_lacks_its_end() -> None:
    assert brief(read(called(fragment(0, "get_weather", "Paris", "a")), tools=TOOLS)) == [("finish", "length")]


@pytest.mark.parametrize(
    ("body", "framed", "end"),
    [
        (b"", True, "the back end sent an answer that cannot be understood"),
        (b"", False, "the back end broke off its answer"),
        (b"  \n", False, "the back end broke off its answer"),
        (b"\xef\xbb", True, "the back end sent an answer that cannot be understood: \ufffd"),
        (b'{"choices": [', True, "the back end sent an answer that cannot be understood"),
        (b'{"choices": [', False, "the back end broke off its answer"),
        (b"{}", True, "the back end sent an answer that cannot be understood"),
        (b"[]", True, "the back end sent an answer that cannot be understood"),
        (b"[1]", True, "the back end sent an answer that cannot be understood"),
        (b': ping\n\ndata: {"type": "ping"}\n\n', True, "the back end sent an answer that cannot be understood"),
        (b': ping\n\ndata: {"type": "ping"}\n\n', False, "the back end broke off its answer"),
        (b"Service Unavailable", False, "the back end sent an answer that cannot be understood: Service Unavailable"),
        (sse(*said("Hi"), b"Internal Server Error\n", done=False), False, "the back end broke off its answer: Internal Server Error"),
        (b"<p>" + b"x" * 100_000, True, "the back end sent a web page instead of an answer"),
        (b"< x", True, "the back end sent an answer that cannot be understood: < x"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_answer(body: bytes, framed: bool, end: str) -> None:
    assert failure_of(body, framed=framed) == end
    assert failure_of(body, framed=framed, cuts=range(0, len(body), max(len(body) // 50, 1))) == end


@pytest.mark.parametrize(
    ("body", "framed", "reason"),
    [
        (b"data: [DONE]\n\n", False, None),
        (sse(*said("Hi"), done=False), True, "stop"),
        (sse(*said("Hi"), chunk({}, "stop"), done=False), False, "stop"),
        (sse(*said("Hi")), False, "stop"),
        (b"[" + json.dumps(said("Hi")[0]).encode() + b"]", True, "stop"),
        (b"\n " + whole("Hi"), False, "stop"),
        (whole("Hi") + b"\n\ndata: [DONE]\n\n", False, "stop"),
        (json.dumps({"data": json.loads(whole("Hi")), "code": 200}).encode(), True, "stop"),
        (json.dumps({"choices": {"message": {"content": "Hi"}}}).encode(), True, "stop"),
        (json.dumps(said("Hi")[0]).encode(), True, "stop"),
        (json.dumps(json.loads(whole("Hi")), indent=1).encode() + b"\n", False, "stop"),
    ],
)
def test_an_answer_that_is_complete(body: bytes, framed: bool, reason: str | None) -> None:
    expected = [("text", "Hi")] * bool(reason) + [("finish", "stop")]
    assert brief(read(body, framed=framed)) == expected
    assert brief(read(body, framed=framed, cuts=range(len(body)))) == expected


def test_a_message_behind_deltas_repeats_them() -> None:
    last = {"choices": [{"index": 0, "delta": {}, "message": {"content": "Hi you"}, "finish_reason": "stop"}]}
    assert brief(read(sse(*said("Hi", " you"), last))) == [("text", "Hi you"), ("finish", "stop")]
    pieces = [{"choices": [{"index": 0, "message": {"content": text}}]} for text in ("Hi", " you")]
    assert brief(read(sse(*pieces))) == [("text", "Hi you"), ("finish", "stop")]


def test_an_error_in_a_list_ends_the_answer() -> None:
    assert failure_of(b'[{"error": {"message": "x", "code": 400}}, {"choices": []}]') == "x"


def test_the_error_names_the_model_as_the_client_wrote_it() -> None:
    body = json.dumps({"error": {"message": "org/m is busy"}}).encode()
    assert failure_of(body, model="mine", server_model="org/m") == "mine is busy"


def test_what_was_held_back_comes_before_the_failure() -> None:
    assert brief(read(sse(*said("Hi <thi"), {"error": "x"}), tools=TOOLS))[0] == ("text", "Hi <thi")
    assert len(read(sse(*said("\n"), {"error": "x"}))) == 1


def test_calls_end_with_the_failure() -> None:
    events = read(sse(chunk(fragment(0, "get_weather", '{"city": ', "a")), {"error": "x"}), tools=TOOLS)
    assert events[-2] == ToolCallEnd(None)


def test_tokens_are_estimated_for_a_server_that_does_not_count() -> None:
    assert finish_of(sse(*said("a", "b", "c"), chunk({}, "stop")), prompt_tokens=9).usage == Usage(9, 3)


# ── limits


@pytest.mark.parametrize(
    "piece",
    [
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": '{"city":"' + "x" * 60}}]},
        {"function_call": {"name": "get_weather", "arguments": '{"city":"' + "x" * 60}},
        {"content": '<tool_call>{"name":"get_weather","arguments":{"city":"' + "x" * 60},
    ],
)
def test_a_call_that_does_not_end_fails(piece: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_reader, "LONGEST_CALL", 100)
    reader = StreamReader(tools=TOOLS)
    events = [each for _ in range(4) for each in reader.feed(event(chunk(piece)))]
    assert isinstance(events[-1], Failure)
    assert events[-1].error.message == stream_reader.TOO_LONG_CALL
    assert sum(isinstance(each, Failure) for each in events) == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_long_text_that_waits_for_a_closing_tag_comes_out_whole(size: int) -> None:
    text = "It may be. " * 20 + "</think>So it is."
    reader = StreamReader(thinking_opened=None)
    events: list[Any] = []
    for at in range(0, len(text), size):
        events += reader.feed(event(chunk({"content": text[at : at + size]})))
    events += reader.finish(framed=True)
    assert "".join(each.text for each in events if isinstance(each, Thinking)) == ("It may be. " * 20).strip()
    assert "".join(each.text for each in events if isinstance(each, Text)) == "So it is."


def test_a_line_that_does_not_end_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_module, "LONGEST_LINE", 100)
    reader = StreamReader()
    reader.feed(b"data: ")
    events = reader.feed(b"x" * 200)
    assert isinstance(events[-1], Failure)
    assert "a line of more than" in events[-1].error.message
