"""Answers that pass: whole lines, an error as the last of them, and silences that are filled."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.translate import pass_through
from ollama_openai_proxy.translate.pass_through import EventMachine, LineMachine, RawMachine

BROKEN = ApiError(502, "broke off")
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"no"}}\n\n'


def error_line(error: ApiError) -> bytes:
    return b"<%b>\n" % error.message.encode()


def events(**options: bool | bytes) -> EventMachine:
    return EventMachine(error_line, **options)  # type: ignore[arg-type]


# ── a body of which nothing is known


def test_a_raw_body_passes_and_is_cut_where_it_breaks_off() -> None:
    machine = RawMachine()
    assert machine.begin() + machine.feed(b"a\0b") + machine.keep_alive() == b"a\0b"
    assert (machine.ended, machine.said, machine.usage) == (False, True, None)
    assert machine.fail(BROKEN) == b""
    assert (machine.ended, machine.failure, machine.cut_after_failure) == (True, BROKEN, True)


@pytest.mark.parametrize("framed", [False, True])
def test_the_end_of_a_raw_body_is_its_end(framed: bool) -> None:
    machine = RawMachine()
    assert machine.finish(framed=framed) == b""
    assert (machine.ended, machine.failure) == (True, None)


# ── lines


@given(st.lists(st.integers(0, 12)))
def test_however_lines_are_cut_whole_ones_pass(cuts: list[int]) -> None:
    data = b"one\ntwo\n\nrest"
    machine = LineMachine(error_line)
    bounds = [0, *sorted(cuts), len(data)]
    told = [machine.feed(data[start:end]) for start, end in itertools.pairwise(bounds)]
    assert all(part.endswith(b"\n") for part in told if part)
    assert b"".join(told) == b"one\ntwo\n\n"
    assert machine.finish(framed=True) == b"rest"


def test_an_error_follows_the_last_whole_line() -> None:
    machine = LineMachine(error_line)
    assert machine.feed(b"one\nhal") == b"one\n"
    assert machine.fail(BROKEN) == b"<broke off>\n"
    assert not machine.cut_after_failure


def test_lines_that_have_no_place_for_errors_are_cut() -> None:
    machine = LineMachine(None)
    assert machine.fail(BROKEN) == b""
    assert machine.cut_after_failure


@pytest.mark.parametrize(("filler", "filling"), [(None, b""), (lambda: b"{}\n", b"{}\n")])
def test_a_silence_is_filled_with_a_line(filler: object, filling: bytes) -> None:
    assert LineMachine(error_line, None, filler).keep_alive() == filling  # type: ignore[arg-type]


def test_lines_are_rewritten_the_last_one_too() -> None:
    machine = LineMachine(error_line, bytes.upper)
    assert machine.feed(b"one\ntw") == b"ONE\n"
    assert machine.finish(framed=True) == b"TW"


@pytest.mark.parametrize(
    ("last", "complete"),
    [
        (b'{"response":"a","done":false}\n{"response":"","done": true}\n', True),
        (b'{"response":"","done":true}\n{"response":"","done":false}\n', False),
        (b'{"message":{"tool_calls":[{"function":{"arguments":{"done":true}}}]},"done":false}\n', False),
        (b'["done"]\n', False),
        (b'"done" is no JSON\n', False),
    ],
)
def test_what_breaks_off_behind_the_last_frame_is_complete(last: bytes, complete: bool) -> None:
    machine = LineMachine(error_line)
    machine.feed(last)
    assert machine.fail(BROKEN) == (b"" if complete else b"<broke off>\n")
    assert (machine.ended, machine.failure) == (True, None if complete else BROKEN)


def test_a_body_that_has_no_place_for_errors_is_not_looked_into() -> None:
    machine = LineMachine(None)
    machine.feed(b'{"done":true}\n')
    machine.fail(BROKEN)
    assert machine.failure is BROKEN


# ── events


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (DONE, b""),
        (b"data: [DONE]\r\n", b"\n"),
        (b'data: {"type":"message_stop"}\n\n', b""),
        (b'data: {"type":"response.completed"}\n\n', b""),
        (LAST, b"<broke off>\n"),
        (CHUNK, b"<broke off>\n"),
    ],
)
def test_a_stream_that_breaks_off_behind_its_last_event_is_complete(last: bytes, told: bytes) -> None:
    machine = events(has_end=True, cut_after_failure=True)
    machine.feed(CHUNK)
    machine.feed(last)
    assert machine.fail(BROKEN) == told
    assert (machine.failure is None) == (b"<" not in told)


@pytest.mark.parametrize(
    ("begun", "filling"),
    [
        (b"", b"ping\n\n"),
        (b"data: 1\n\n", b"ping\n\n"),
        (b"data: 1\r\n\r\n", b"ping\n\n"),
        (b"data: 1\n\n\n", b"ping\n\n"),
        (b"event: a\n", b": keep-alive\n"),
        (b"data: 1\n\nevent: a\n", b": keep-alive\n"),
        (b"data: 1\n\nda", b"ping\n\n"),
    ],
)
def test_a_silence_within_an_event_is_filled_with_a_comment(begun: bytes, filling: bytes) -> None:
    machine = events(ping=b"ping\n\n")
    machine.feed(begun)
    assert machine.keep_alive() == filling


def test_without_a_ping_a_comment_fills() -> None:
    assert events().keep_alive() == b": keep-alive\n\n"


def test_an_empty_line_ends_an_event_that_the_error_follows() -> None:
    machine = events()
    machine.feed(b"event: a\n")
    assert machine.fail(BROKEN) == b"\n<broke off>\n"
    machine = events()
    machine.feed(CHUNK)
    assert machine.fail(BROKEN) == b"<broke off>\n"


@pytest.mark.parametrize(
    "last",
    [
        *(DONE, LAST, b"data:[DONE]\n", b"data: [DONE]"),
        b'data: {"type": "message_stop"}\n\n',
        b'data: {"type":"response.completed"}\n\n',
        b'data: {"type":"response.incomplete"}\n\n',
        b'data: {"type":"response.failed"}\n\n',
        b'event: error\ndata: {"type":"error","error":{}}\n\n',
    ],
)
def test_a_stream_without_framing_is_complete_with_its_last_event(last: bytes) -> None:
    machine = events(has_end=True)
    assert machine.feed(CHUNK) == CHUNK
    told = machine.feed(last) + machine.finish(framed=False)
    assert told == last
    assert machine.failure is None


def test_a_stream_without_framing_that_just_stops_is_not_complete() -> None:
    machine = events(has_end=True)
    machine.feed(CHUNK)
    assert machine.finish(framed=False) == b"<the back end broke off its answer>\n"
    assert machine.failure is not None


@pytest.mark.parametrize(("has_end", "framed"), [(True, True), (False, False)])
def test_framing_or_an_unknown_kind_of_stream_is_trusted(has_end: bool, framed: bool) -> None:
    machine = events(has_end=has_end)
    machine.feed(CHUNK)
    assert machine.finish(framed=framed) == b""
    assert machine.failure is None


@pytest.mark.parametrize(
    ("line", "failed"),
    [
        (ERROR, True),
        (b'error: {"error": "no"}\n\n', True),
        (CHUNK + ERROR, True),
        (b'data: {"error":null,"choices":[]}\n\n', False),
        (b'data: {"choices":[{"delta":{"content":"\\"error\\""}}]}\n\n', False),
        (b'data: ["error"]\n\n', False),
        (b'data: "error"}\n\n', False),
        (b': "error"\n\n', False),
    ],
)
def test_the_connection_is_cut_after_an_event_that_tells_an_error(line: bytes, failed: bool) -> None:
    machine = events(cut_after_failure=True)
    assert machine.feed(line) == line
    assert not machine.ended, "what follows passes, too"
    assert machine.finish(framed=True) == b""
    assert (machine.failure is not None, machine.cut_after_failure) == (failed, True)


def test_other_streams_are_not_looked_into() -> None:
    machine = events()
    machine.feed(ERROR)
    assert machine.failure is None


# ── lines that do not end


def test_a_line_that_is_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pass_through, "LONGEST_LINE", 100)
    machine = LineMachine(error_line)
    assert machine.feed(b"x" * 60 + b"\n" + b"y" * 60) == b"x" * 60 + b"\n"
    assert machine.feed(b"y" * 40) == b""
    assert machine.feed(b"y").startswith(b"<the back end sent a line of more than ")
    assert machine.ended
    assert machine.failure is not None


def test_a_body_that_is_one_line_is_left_to_the_limit_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pass_through, "LONGEST_LINE", 100)
    machine = LineMachine(None)
    assert machine.holds
    assert machine.feed(b"x" * 200) + machine.finish(framed=True) == b"x" * 200
    assert not LineMachine(error_line).holds
    assert not RawMachine().holds
