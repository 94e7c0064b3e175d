"""Server-sent events are read however they are written and however the network cuts them."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.backend.sse import SseReader
from ollama_openai_proxy.translate.answer_reader import AnswerReader, join_deltas

A, B = {"n": 1}, {"n": 2}


def read(*reads: bytes) -> tuple[list[dict[str, Any]], bool]:
    reader = SseReader()
    chunks = [chunk for data in reads for chunk in reader.feed(data)]
    return chunks + reader.finish(), reader.done


@pytest.mark.parametrize(
    ("stream", "chunks", "done"),
    [
        pytest.param(b'data: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n', [A, B], True, id="as OpenAI writes it"),
        pytest.param(b'data:{"n":1}\n\ndata:{"n":2}\n\ndata:[DONE]\n\n', [A, B], True, id="no space"),
        pytest.param(b'data:  {"n":1} \n\n', [A], False, id="much space"),
        pytest.param(b'data: {"n":1}\r\n\r\ndata: {"n":2}\r\n\r\ndata: [DONE]\r\n\r\n', [A, B], True, id="CRLF"),
        pytest.param(b'data: {"n":1}\ndata: {"n":2}\n', [A, B], False, id="no blank lines"),
        pytest.param(b'\n\n\ndata: {"n":1}\n\n\n\n', [A], False, id="many blank lines"),
        pytest.param(b': hi\n\ndata: {"n":1}\n: keep-alive\n\n:\n', [A], False, id="comments"),
        pytest.param(b'id: 5\nevent: message\nretry: 3\ndata: {"n":1}\n\n', [A], False, id="other fields"),
        pytest.param(b'data: {"n":1}', [A], False, id="no end of line"),
        pytest.param(b'data: {"n":1}\r', [A], False, id="half an end of line"),
        pytest.param(b"data: [DONE]", [], True, id="the end without an end of line"),
        pytest.param(b'data: [DONE]\n\ndata: {"n":1}\n\ndata: {', [], True, id="something after the end"),
        pytest.param(b'data: {"n":\ndata: 1}\n\ndata: {"n":2}\n\n', [A, B], False, id="several lines"),
        pytest.param(b'data: {\ndata:\ndata: "n":\ndata: 1\ndata: }\n\n', [A], False, id="many lines"),
        pytest.param(b"data:\n\ndata: \n\n", [], False, id="no data"),
        pytest.param(b"data: 5\n\ndata: [1]\n\ndata: null\n\n", [], False, id="no objects"),
        pytest.param(b'event: error\ndata: {"message":"x"}\n\n', [{"error": {"message": "x"}}], False, id="an error event"),
        pytest.param(b'event: error\ndata: {"error":"x"}\n\n', [{"error": "x"}], False, id="an error event with the key"),
        pytest.param(b'event: error\n\ndata: {"n":1}\n\n', [A], False, id="an event ends at its blank line"),
        pytest.param(b'event: error\r\n\r\ndata: {"n":1}\r\n\r\n', [A], False, id="an event ends at its blank line, CRLF"),
        pytest.param(b'error: {"message":"x"}\n\n', [{"error": {"message": "x"}}], False, id="an error field"),
        pytest.param(b'data: {"n":"\\ud83d"}\n\n', [{"n": "\ud83d"}], False, id="half a character"),
        pytest.param('data: {"n":"é\u2028\x85"}\n\n'.encode(), [{"n": "é\u2028\x85"}], False, id="odd line ends in a text"),
        pytest.param(b"", [], False, id="nothing"),
    ],
)
def test_a_stream_is_read(stream: bytes, chunks: list[dict[str, Any]], done: bool) -> None:
    assert read(stream) == (chunks, done)
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == (chunks, done)


@pytest.mark.parametrize(
    "stream",
    [b'data: {"n":\n\n', b"data: oops\n\n", b'data: {"n":', b"data: \xff\n\n", b"data: " + b"[" * 100_000 + b"\n\n"],
    ids=["cut", "no JSON", "cut at the end", "no UTF-8", "nests without end"],
)
def test_what_is_no_chunk_breaks_the_stream_behind_what_came_before(stream: bytes) -> None:
    reader = SseReader()
    chunks = reader.feed(b'data: {"n":1}\n\n' + stream) + reader.finish()
    assert chunks == [A]
    assert reader.broken
    assert reader.feed(b'data: {"n":2}\n\n') == []
    assert not reader.done


def test_a_chunk_is_given_out_with_its_line() -> None:
    reader = SseReader()
    assert reader.feed(b'data: {"n":1}') == []
    assert reader.feed(b"\n") == [A]
    assert reader.feed(b'\ndata: {"n"') == []
    assert reader.feed(b':2}\n\ndata: {"n":1}\n') == [B, A]
    assert not reader.done
    assert reader.feed(b"data: [DONE]\n") == []
    assert reader.done


_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=8) | st.sampled_from(
    ["<think>", "</think>", "😀", "\u2028"]
)


@given(
    pieces=st.lists(_TEXT, max_size=6),
    ends=st.sampled_from(["\n", "\r\n"]),
    space=st.sampled_from(["", " "]),
    between=st.sampled_from(["", ": ping{e}{e}", "id: 1{e}", "event: x{e}"]),
    one_chunk=st.booleans(),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
)
def test_any_cut_of_the_bytes_gives_the_same_answer(
    pieces: list[str], ends: str, space: str, between: str, one_chunk: bool, cuts: list[int]
) -> None:
    texts = ["".join(pieces)] if one_chunk else pieces
    stream = "".join(
        f"{between.format(e=ends)}data:{space}{json.dumps({'choices': [{'delta': {'content': text}}]})}{ends}{ends}"
        for text in texts
    ).encode()
    stream += f"data:{space}[DONE]{ends}{ends}".encode()
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    chunks, done = read(*(stream[start:end] for start, end in itertools.pairwise(edges)))
    assert done
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == texts
    reader = AnswerReader(split_thinking=False)
    answer = join_deltas(delta for delta in [*map(reader.feed, chunks), reader.finish()] if delta)
    whole = "".join(texts).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert answer.content == whole


@given(st.lists(_TEXT.filter(str.isprintable)), st.lists(st.integers(0, 2000), max_size=12))
def test_any_cut_of_raw_utf8_gives_the_same_chunks(texts: list[str], cuts: list[int]) -> None:
    stream = "".join(f"data: {json.dumps({'text': text}, ensure_ascii=False)}\n\n" for text in texts).encode()
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    chunks, _ = read(*(stream[start:end] for start, end in itertools.pairwise(edges)))
    assert [chunk["text"] for chunk in chunks] == texts
