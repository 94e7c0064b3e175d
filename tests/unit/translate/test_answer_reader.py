"""Chunks of an OpenAI answer become the pieces of an Ollama answer."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import BackendError
from ollama_openai_proxy.schemas.ollama.frames import Delta, encode_json
from ollama_openai_proxy.schemas.usage import Usage
from ollama_openai_proxy.translate.answer_reader import AnswerReader, join_deltas


def chunk(finish_reason: str | None = None, logprobs: Any = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}]}


def read(*chunks: dict[str, Any], **how: bool) -> tuple[Delta, AnswerReader]:
    """The whole answer and its reader, which then knows the reason and the counts."""
    reader = AnswerReader(**how)
    deltas = [*map(reader.feed, chunks), reader.finish()]
    return join_deltas(delta for delta in deltas if delta is not None), reader


def content(*chunks: dict[str, Any]) -> str:
    return read(*chunks)[0].content


def thinking(*chunks: dict[str, Any]) -> str:
    return read(*chunks)[0].thinking


# ── text


@pytest.mark.parametrize(
    "empty",
    [
        chunk(role="assistant"),
        chunk(role="assistant", content=""),
        chunk(content=None),
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [{"index": 1, "delta": {"content": "another choice"}}]},
        {"choices": [], "usage": {"prompt_tokens": 1}},
        {"choices": None},
        {"id": "x"},
        {},
    ],
)
def test_a_chunk_that_adds_nothing_makes_no_piece(empty: dict[str, Any]) -> None:
    assert AnswerReader().feed(empty) is None


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"delta": {"content": "a"}}, "a"),
        ({"delta": {"content": [{"type": "text", "text": "a"}, {"type": "x"}, "?", {"text": "b"}]}}, "ab"),
        ({"delta": {"refusal": "no"}}, "no"),
        ({"message": {"content": "a"}}, "a"),
        ({"delta": {}, "message": {"content": "a"}}, "a"),
        ({"text": "a"}, "a"),
        ({"delta": {"content": 5}}, ""),
    ],
    ids=["delta", "parts", "refusal", "message", "empty delta", "completion", "no text"],
)
def test_content_is_found_where_back_ends_put_it(choice: dict[str, Any], text: str) -> None:
    assert content({"choices": [choice]}) == text


def test_only_the_first_choice_counts() -> None:
    choices = [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]
    assert content({"choices": choices}) == "a"


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        ({"reasoning_content": "hm"}, "hm"),
        ({"reasoning": "hm"}, "hm"),
        ({"thinking": "hm"}, "hm"),
        ({"reasoning_content": "hm", "reasoning": "hm"}, "hm"),
        ({"reasoning_content": None, "reasoning": "hm"}, "hm"),
        ({"reasoning": "hm", "reasoning_details": [{"text": "hm"}]}, "hm"),
        ({"reasoning_details": [{"text": "h"}, {"summary": "m"}, {"type": "reasoning.encrypted", "data": "x"}, "?"]}, "hm"),
        ({"reasoning_details": None}, ""),
    ],
)
def test_thinking_is_found_where_back_ends_put_it(delta: dict[str, Any], text: str) -> None:
    assert thinking(chunk(**delta)) == text


def test_thinking_between_tags_is_told_from_content() -> None:
    answer, _ = read(chunk(content="<think>hm"), chunk(content="</think>"), chunk(content="Hi"))
    assert (answer.thinking, answer.content) == ("hm", "Hi")


def test_a_raw_completion_keeps_its_tags() -> None:
    answer, _ = read(chunk(content="<think>hm</think>Hi"), split_thinking=False)
    assert (answer.thinking, answer.content) == ("", "<think>hm</think>Hi")


def test_unwanted_thinking_is_dropped() -> None:
    reader = AnswerReader(drop_thinking=True)
    assert reader.feed(chunk(reasoning="hm")) is None
    assert reader.feed(chunk(reasoning="hm", content="Hi")) == Delta("Hi", "", (), [])
    kept = reader.feed(chunk(reasoning="hm", logprobs={"content": [{"token": "hm", "logprob": -1}]}))
    assert kept is not None
    assert (kept.thinking, len(kept.logprobs)) == ("", 1)


def test_text_that_might_have_become_a_tag_comes_at_the_end() -> None:
    reader = AnswerReader()
    assert reader.feed(chunk(content="<thi")) is None
    assert reader.finish() == Delta("<thi", "", (), [])


def test_a_thought_that_is_never_closed_is_a_thought_to_its_end() -> None:
    answer, _ = read(chunk(reasoning="first "), chunk(content="<think>hm </th"))
    assert (answer.thinking, answer.content) == ("first hm </th", "")


@pytest.mark.parametrize("key", ["content", "reasoning_content"])
def test_a_character_cut_in_half_between_two_chunks_is_whole(key: str) -> None:
    answer, _ = read(chunk(**{key: "a\ud83d"}), chunk(**{key: "\ude00b"}))
    assert answer.content + answer.thinking == "a😀b"


@pytest.mark.parametrize("how", [{"split_thinking": True}, {"split_thinking": False}])
def test_a_half_that_stays_alone_is_replaced(how: dict[str, bool]) -> None:
    assert read(chunk(content="a\ud83d"), **how)[0].content == "a\ufffd"
    assert read(chunk(reasoning="a\ud83d"), **how)[0].thinking == "a\ufffd"


def test_a_half_at_the_end_of_a_thought_is_a_thought() -> None:
    answer, _ = read(chunk(content="<think>a\ud83d"))
    assert (answer.thinking, answer.content) == ("a\ufffd", "")


def utf16_units(text: str) -> list[str]:
    data = text.encode("utf-16-le", "surrogatepass")
    return [data[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(data), 2)]


_TEXTS = st.lists(st.sampled_from(["<think>", "</think>", "<", "😀", " ", "\n", "é", "abc"])).map("".join) | st.text()


@given(text=_TEXTS, reasoning=_TEXTS, cuts=st.lists(st.integers(0, 40)), split=st.booleans())
def test_any_cut_gives_what_the_whole_text_gives(text: str, reasoning: str, cuts: list[int], split: bool) -> None:
    def pieces(whole: str) -> list[str]:
        units = utf16_units(whole)
        edges = [0, *sorted(cut for cut in cuts if cut <= len(units)), len(units)]
        return ["".join(units[start:end]) for start, end in itertools.pairwise(edges)]

    chunks = [chunk(reasoning=piece) for piece in pieces(reasoning)] + [chunk(content=piece) for piece in pieces(text)]
    cut, _ = read(*chunks, split_thinking=split)
    whole, _ = read(chunk(reasoning=reasoning), chunk(content=text), split_thinking=split)
    assert (cut.content, cut.thinking) == (whole.content, whole.thinking)
    if not split:
        assert (cut.content, cut.thinking) == (text, reasoning)


# ── tool calls

CALLS = [{"index": 0, "id": "A", "function": {"name": "f", "arguments": '{"x":1}'}}]
WHOLE_CALLS = [{"id": "A", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}]


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        pytest.param([chunk(tool_calls=CALLS)], "", id="alone"),
        pytest.param([chunk(content="Hi"), chunk(tool_calls=CALLS)], "Hi", id="after text"),
        pytest.param([chunk(tool_calls=CALLS, content="<th")], "<th", id="with text held back"),
        pytest.param([chunk("stop", tool_calls=CALLS)], "", id="with the reason stop"),
    ],
)
def test_tool_calls_come_whole_at_the_end(chunks: list[dict[str, Any]], text: str) -> None:
    reader = AnswerReader()
    assert not any(delta.tool_calls for delta in map(reader.feed, chunks) if delta)
    answer, reader = read(*chunks)
    assert (answer.tool_calls, answer.content) == (WHOLE_CALLS, text)
    assert reader.done_reason == "stop"


def test_a_legacy_function_call_is_a_tool_call() -> None:
    answer, _ = read(
        chunk(function_call={"name": "f", "arguments": ""}),
        chunk(function_call={"arguments": '{"x"'}),
        chunk("function_call", function_call={"arguments": ":1}"}),
    )
    [call] = answer.tool_calls
    assert call["function"] == {"index": 0, "name": "f", "arguments": {"x": 1}}


def test_broken_arguments_are_an_error() -> None:
    reader = AnswerReader()
    reader.feed(chunk(tool_calls=[{"function": {"name": "f", "arguments": "{"}}]))
    with pytest.raises(BackendError):
        reader.finish()


# ── the end


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "stop"),
        ("content_filter", "stop"),
        ("eos", "stop"),
        (None, "stop"),
    ],
)
def test_the_reason_is_length_or_stop(reason: str | None, told: str) -> None:
    _, reader = read(chunk(content="a"), chunk(reason), chunk())
    assert reader.done_reason == told
    assert reader.ended == (reason is not None)


@pytest.mark.parametrize(
    ("usage", "prompt", "completion"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 8}, 7, 8),
        ({"prompt_tokens": 7.0, "completion_tokens": 8.0}, 7, 8),
        ({"prompt_tokens": 0, "completion_tokens": 0}, 5, 2),
        ({"prompt_tokens": None, "completion_tokens": "8"}, 5, 2),
        (None, 5, 2),
    ],
)
def test_tokens_are_counted_by_the_back_end_or_estimated(usage: Any, prompt: int, completion: int) -> None:
    _, reader = read(chunk(content="a"), chunk(content="b"), {"choices": [], "usage": usage}, {"choices": [], "usage": None})
    assert (reader.prompt_tokens(5), reader.completion_tokens) == (prompt, completion)


def test_usage_in_each_chunk_ends_nothing() -> None:
    _, reader = read(
        chunk(content="a") | {"usage": {"completion_tokens": 1}}, chunk(content="b") | {"usage": {"completion_tokens": 2}}
    )
    assert not reader.ended
    assert reader.completion_tokens == 2


def test_counts_are_at_least_one() -> None:
    _, reader = read()
    assert (reader.prompt_tokens(0), reader.completion_tokens) == (1, 1)
    _, reader = read(chunk(tool_calls=CALLS))
    assert reader.completion_tokens == 1


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        ({"message": "too long", "code": 400}, 400, "too long"),
        ({"message": "busy", "code": 503}, 503, "busy"),
        ({"message": "bad", "code": "invalid"}, 500, "bad"),
        *(({"message": "odd", "code": code}, 500, "odd") for code in (200, 399, 600)),
        ({"message": "far", "code": 599}, 599, "far"),
        ("plain", 500, "plain"),
    ],
)
def test_an_error_in_the_stream_is_raised_with_its_text(error: Any, status: int, text: str) -> None:
    with pytest.raises(BackendError) as caught:
        AnswerReader().feed({"error": error})
    assert (caught.value.status, caught.value.message) == (status, text)


# ── logprobs


def test_logprobs_of_a_chat_have_ollamas_form() -> None:
    tops = [{"token": "a", "logprob": -0.5, "bytes": [97]}, {"token": "é", "logprob": -1.5, "bytes": None}]
    entries = [
        {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": tops},
        {"token": "b", "logprob": -2, "top_logprobs": []},
    ]
    answer, _ = read(chunk(content="ab", logprobs={"content": entries}))
    assert answer.logprobs == [
        {
            "token": "a",
            "logprob": -0.5,
            "bytes": [97],
            "top_logprobs": [
                {"token": "a", "logprob": -0.5, "bytes": [97]},
                {"token": "é", "logprob": -1.5, "bytes": [195, 169]},
            ],
        },
        {"token": "b", "logprob": -2, "bytes": [98]},
    ]


def test_logprobs_of_a_completion_have_ollamas_form() -> None:
    logprobs = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [None, {"b": -1.0, "c": -2.0}]}
    answer, _ = read({"choices": [{"text": "ab", "logprobs": logprobs}]})
    assert answer.logprobs == [
        {"token": "a", "logprob": 0.0, "bytes": [97]},
        {
            "token": "b",
            "logprob": -1.0,
            "bytes": [98],
            "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": [98]}, {"token": "c", "logprob": -2.0, "bytes": [99]}],
        },
    ]


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}, {"tokens": None}])
def test_no_logprobs_are_none(logprobs: Any) -> None:
    assert AnswerReader().feed(chunk(logprobs=logprobs)) is None


def test_impossible_tokens_and_half_characters_can_be_sent() -> None:
    entries = [{"token": "\ud83d", "logprob": float("-inf")}, {"token": None, "logprob": None}]
    answer, _ = read(chunk(content="x", logprobs={"content": entries}))
    assert json.loads(encode_json(answer.logprobs)) == [
        {"token": "\ufffd", "logprob": -9999.0, "bytes": [239, 191, 189]},
        {"token": "", "logprob": 0.0, "bytes": []},
    ]


def test_pieces_are_joined() -> None:
    pieces = [Delta("a", "x", [1], [2]), Delta("b"), Delta("", "y", [3], [4])]  # type: ignore[list-item]
    assert join_deltas(pieces) == Delta("ab", "xy", [1, 3], [2, 4])  # type: ignore[list-item]
    assert join_deltas([]) == Delta("", "", [], [])


def test_an_error_without_a_text_is_a_sentence_all_the_same() -> None:
    with pytest.raises(BackendError, match="the back end reported an error"):
        AnswerReader().feed({"error": {"code": 500}})


# ── the end, as OpenAI and Anthropic tell it


@pytest.mark.parametrize(
    ("reasons", "reason"),
    [
        *(([], "stop"), ([None], "stop"), (["stop"], "stop"), (["length"], "length"), (["tool_calls"], "tool_calls")),
        *((["content_filter", None], "content_filter"), (["stop", "length"], "length")),
    ],
)
def test_the_reason_for_the_end_is_the_back_ends(reasons: list[str | None], reason: str) -> None:
    assert read(*(chunk(reason, content="a") for reason in reasons))[1].finish_reason == reason


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 4}, Usage(7, 4)),
        (
            {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 5}}
            | {"completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(7, 4, 5, 3),
        ),
        ({"prompt_tokens": 7.0, "prompt_tokens_details": None, "completion_tokens_details": {}}, Usage(7, 2)),
        ({"prompt_tokens": None, "completion_tokens_details": {"reasoning_tokens": None}}, Usage(50, 2)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": "x"}}, Usage(50, 2)),
        (None, Usage(50, 2)),
    ],
)
def test_the_tokens_are_counted_by_the_back_end_or_else_guessed(usage: Any, counted: Usage) -> None:
    _, reader = read(chunk(content="a"), chunk(content="b"), {"choices": [], "usage": usage})
    assert reader.usage(50) == counted


NAN, HUGE = float("nan"), float("inf")


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def any_of(*values: Any) -> tuple[Any, ...]:
    return values


ODD: list[dict[str, Any]] = [
    *[{"choices": value} for value in any_of([None], {}, [[]], "text", 5, [5])],
    *[{"choices": [{"index": 0, "delta": value}]} for value in any_of([], "text", 5, None)],
    *[delta(content=value) for value in any_of(5, [None], {"text": 1}, [{"text": 5}])],
    *[delta(reasoning_details=value) for value in any_of([None], 5, [{"text": 5}])],
    delta(refusal=5),
    *[delta(tool_calls=value) for value in any_of([None], 5, [{"index": None, "function": None}], [{"function": "text"}])],
    *[delta(tool_calls=[{"index": index, "id": 5, "function": {"name": 5, "arguments": 5}}]) for index in any_of("0", [], 0)],
    *[{"choices": [{"delta": {}, "logprobs": value}]} for value in any_of([], 5, {"content": [None]}, {"tokens": 5})],
    {"choices": [{"delta": {}, "logprobs": {"content": [{"token": 5, "logprob": "x"}]}}]},
    {"choices": [{"text": 5}]},
    *[{"choices": [], "usage": value} for value in any_of([], "text", 5)],
    {"usage": {"prompt_tokens": -5, "completion_tokens": 1e308}},
    {"usage": {"prompt_tokens": NAN, "completion_tokens": HUGE}},
    {"usage": {"prompt_tokens": "7", "prompt_tokens_details": [], "completion_tokens_details": 5}},
    *[{"error": value} for value in any_of(5, [None], {"message": {"deep": 1}, "code": 999}, {"message": None, "code": "x"})],
]


@pytest.mark.parametrize("chunk", ODD, ids=str)
def test_another_type_than_there_should_be_is_ignored_or_an_error(chunk: dict[str, Any]) -> None:
    reader = AnswerReader()
    try:
        pieces = [reader.feed(chunk), reader.feed(delta(content="text")), reader.finish()]
    except BackendError:
        pass
    else:
        whole = join_deltas(piece for piece in pieces if piece)
        assert whole.content == "text"
        assert all(isinstance(call["function"]["name"], str) for call in whole.tool_calls)
    usage = reader.usage(3)
    assert usage.input_tokens == 3
    assert usage.output_tokens in (1, 2)
