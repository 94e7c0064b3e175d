"""Server-sent events are read however they are written and however the network cuts them."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_openai_proxy.translate.reader import sse
from ollama_openai_proxy.translate.reader.sse import SseReader, parse_json

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
        pytest.param(b'data: "[DONE]"\n\n', [], True, id="the end in quotes"),
        pytest.param(b"data: [done]\n\n", [], True, id="the end in lower case"),
        pytest.param(b"data: DONE\n\n", [], True, id="the end without brackets"),
        pytest.param(b'data: [DONE]\n\ndata: {"n":1}\n\ndata: {', [], True, id="something after the end"),
        pytest.param(b'data: {"n":\ndata: 1}\n\ndata: {"n":2}\n\n', [A, B], False, id="several lines"),
        pytest.param(b'data: {\ndata:\ndata: "n":\ndata: 1\ndata: }\n\n', [A], False, id="many lines"),
        pytest.param(b"data: {\n" + b"data:\ndata: \n" * 99 + b'data: "n": 1}\n\n', [A], False, id="lines without data"),
        pytest.param(
            b"data: {\n" + b'data: "x":0,\n' * 99 + b'data: "n":1}\n\n', [{"x": 0, "n": 1}], False, id="a hundred lines"
        ),
        pytest.param(b"data:\n\ndata: \n\n", [], False, id="no data"),
        pytest.param(b"data: 5\n\ndata: [1]\n\ndata: null\n\n", [], False, id="no objects"),
        pytest.param(b'event: error\ndata: {"message":"x"}\n\n', [{"error": {"message": "x"}}], False, id="an error event"),
        pytest.param(b'event: error\ndata: {"error":"x"}\n\n', [{"error": "x"}], False, id="an error event with the key"),
        pytest.param(b"event: error\ndata: it broke\n\n", [{"error": "it broke"}], False, id="an error event of plain text"),
        pytest.param(
            b'event: error\ndata: "it broke"\n\n', [{"error": "it broke"}], False, id="an error event that is a string"
        ),
        pytest.param(
            b'data: {"error": "no JSON.\nContent: \'\n{"name": "x"}}\n\'\nError: extra"}\n\n',
            [{"error": "no JSON."}],
            False,
            id="an error with line ends that are not escaped",
        ),
        pytest.param(
            b'data: {"error": "no "x" here"}\n\n',
            [{"error": 'no "x" here'}],
            False,
            id="an error with quotes that are not escaped",
        ),
        pytest.param(
            b'data: {"error": {"type": "t", "message": "no "x" here"}}\n\n',
            [{"error": 'no "x" here'}],
            False,
            id="an error object with quotes that are not escaped",
        ),
        pytest.param(b'data: {"error": ""}}\n\n', [], False, id="an error without a text that is no JSON"),
        pytest.param(b"data: Error: it broke\n\n", [{"error": "Error: it broke"}], False, id="an error of plain text"),
        pytest.param(b'event: error\n\ndata: {"n":1}\n\n', [A], False, id="an event ends at its blank line"),
        pytest.param(b'event: error\r\n\r\ndata: {"n":1}\r\n\r\n', [A], False, id="an event ends at its blank line, CRLF"),
        pytest.param(b'error: {"message":"x"}\n\n', [{"error": {"message": "x"}}], False, id="an error field"),
        pytest.param(b'{"n":1}\n{"n":2}\n', [A, B], False, id="lines of JSON"),
        pytest.param(b'data: {"n":1}\n\n{"error":\n"x"}\n', [A, {"error": "x"}], False, id="JSON over several lines"),
        pytest.param(b'data: {"n":1}\n\nkeep-alive\n\ndata: waiting\n\ndata: {"n":2}\n\n', [A, B], False, id="words between"),
        pytest.param(b'data: {"n":"\\ud83d"}\n\n', [{"n": "\ud83d"}], False, id="half a character"),
        pytest.param(b'data: {"n":"\t"}\n\n', [{"n": "\t"}], False, id="a raw control character"),
        pytest.param(b'data: {"n":"\xff"}\n\n', [{"n": "\ufffd"}], False, id="no UTF-8"),
        pytest.param('data: {"n":"é\u2028\x85"}\n\n'.encode(), [{"n": "é\u2028\x85"}], False, id="odd line ends in a text"),
        pytest.param(b"", [], False, id="nothing"),
    ],
)
def test_a_stream_is_read(stream: bytes, chunks: list[dict[str, Any]], done: bool) -> None:
    assert read(stream) == (chunks, done)
    assert read(*(stream[at : at + 1] for at in range(len(stream)))) == (chunks, done)


@pytest.mark.parametrize(
    "stream",
    [b'data: {"n":\n\n', b'data: {"n":', b"data: " + b"[" * 100_000 + b"\n\n"],
    ids=["cut", "cut at the end", "nests without end"],
)
def test_half_a_chunk_breaks_the_stream_behind_what_came_before(stream: bytes) -> None:
    reader = SseReader()
    chunks = reader.feed(b'data: {"n":1}\n\n' + stream) + reader.finish()
    assert chunks == [A]
    assert reader.broken
    assert reader.text
    assert reader.feed(b'data: {"n":2}\n\n') == []
    assert not reader.done


def test_a_chunk_is_given_out_with_its_line() -> None:
    reader = SseReader()
    assert reader.feed(b'data: {"n":1}') == []
    assert not reader.idle
    assert reader.feed(b"\n") == [A]
    assert reader.idle
    assert reader.feed(b'\ndata: {"n"') == []
    assert reader.feed(b':2}\n\ndata: {"n":1}\n') == [B, A]
    assert not reader.done
    assert reader.feed(b"data: [DONE]\n") == []
    assert reader.done


def test_words_are_kept_up_to_a_length() -> None:
    reader = SseReader()
    for _ in range(3000):
        reader.feed(b"it broke again\n")
    assert reader.text.startswith("it broke again\nit broke again")
    assert len(reader.text) == 2000
    assert reader.finish() == []


def test_an_error_event_of_very_many_lines_is_an_error() -> None:
    lines = [b"event: error", b'data: {"message":"no"', *[b"data: ", b'data: ,"a":1'] * 90, b"data: }", b"", b""]
    chunks, _ = read(b"\n".join(lines))
    assert chunks == [{"error": {"message": "no", "a": 1}}]


@pytest.mark.parametrize(
    "reads", [[b"data: " + b"x" * 120], [b"data: ", *[b"x" * 10] * 12], [b"data: " + b"x" * 60 + b"\n"] * 3, [b"data: x\n" * 6]]
)
def test_a_line_or_an_event_that_is_too_long_breaks_the_stream(reads: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST_LINE", 100)
    monkeypatch.setattr(sse, "MOST_LINES", 5)
    reader = SseReader()
    assert [reader.feed(data) for data in reads] == [[]] * len(reads)
    assert reader.broken
    assert reader.too_long
    assert reader.feed(b'data: {"n":1}\n\n') == []
    assert reader.finish() == []


def test_an_event_of_many_lines_is_not_read_again_with_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []

    def counted(data: bytes) -> Any:
        tried.append(data)
        return parse_json(data)

    monkeypatch.setattr(sse, "parse_json", counted)
    reader = SseReader()
    assert reader.feed(b"data: {\n" * 5_000 + b"\n") == []
    assert reader.broken
    assert len(tried) < 100


def test_stray_lines_are_kept_up_to_a_size() -> None:
    lines = b"{\n" + b'"x": 0,\n' * 1_000 + b'"n": 1\n}\n'
    assert read(lines) == ([{"x": 0, "n": 1}], False)
    assert read(lines * 3) == ([], False)
