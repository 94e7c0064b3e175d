"""A stream that its server breaks off ends with an error that its client understands."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.api.paths import Surface
from ollama_openai_proxy.api.stream_errors import explained
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.net.messages import Reply

NDJSON = {"Content-Type": "application/x-ndjson"}
EVENTS = {"Content-Type": "text/event-stream; charset=utf-8"}
CUT = ApiError(502, "Ollama broke off its answer")
ERROR_FRAME = b'{"error":"Ollama broke off its answer"}\n'


async def body_of(parts: Iterable[bytes], error: Exception | None = None) -> AsyncGenerator[bytes, None]:
    for part in parts:
        yield part
    if error is not None:
        raise error


def told(headers: Mapping[str, str], *parts: bytes, error: Exception | None = None, surface: Surface = "ollama") -> list[bytes]:
    """What the client gets of a body that comes in these parts."""

    async def collect() -> list[bytes]:
        body = explained(Reply(200, headers, body_of(parts, error)), surface).body
        assert not isinstance(body, bytes)
        return [part async for part in body]

    return asyncio.run(collect())


# ── frames


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/x-ndjson; charset=utf-8"])
def test_frames_that_arrive_whole_pass_one_by_one(kind: str) -> None:
    frames = [b'{"a":1}\n', b'{"b":2}\n{"c":3}\n', b'{"d":4}\n']
    assert told({"Content-Type": kind}, *frames) == frames


def test_of_frames_that_arrive_in_pieces_only_whole_lines_are_passed_on() -> None:
    assert told(NDJSON, b'{"a"', b":1", b'}\n{"b":2}\n{"c', b'":3}\n') == [b'{"a":1}\n{"b":2}\n', b'{"c":3}\n']


def test_a_last_line_without_an_end_is_not_lost() -> None:
    assert told(NDJSON, b'{"a":1}\n{"b"', b":2}") == [b'{"a":1}\n', b'{"b":2}']


@pytest.mark.parametrize(
    ("parts", "intact"),
    [
        ([], b""),
        ([b'{"a":1}\n'], b'{"a":1}\n'),
        ([b'{"a":1}\n', b'{"b":'], b'{"a":1}\n'),
        ([b'{"a":1}\n{"b":', b"2"], b'{"a":1}\n'),
        ([b'{"b":'], b""),
    ],
)
def test_frames_that_break_off_end_with_an_error_frame_and_without_half_a_line(parts: list[bytes], intact: bytes) -> None:
    assert b"".join(told(NDJSON, *parts, error=CUT)) == intact + ERROR_FRAME


@given(st.lists(st.binary(max_size=4) | st.sampled_from([b"\n", b"a\nb", b"\n\n"])), st.booleans())
def test_however_frames_are_split_the_same_bytes_pass(parts: list[bytes], cut: bool) -> None:
    whole = b"".join(parts)
    out = told(NDJSON, *parts, error=CUT if cut else None)
    if cut:
        assert b"".join(out) == whole[: whole.rfind(b"\n") + 1] + ERROR_FRAME
    else:
        assert b"".join(out) == whole
        assert all(part.endswith(b"\n") for part in out[:-1])
    assert b"" not in out


# ── events


@pytest.mark.parametrize("kind", ["text/event-stream", "text/event-stream; charset=utf-8"])
def test_events_pass_in_whole_lines(kind: str) -> None:
    parts = [b"data: {", b"}\n", b"\ndata: [DONE]\n\n", b": bye"]
    assert told({"Content-Type": kind}, *parts, surface="openai") == [b"data: {}\n", b"\ndata: [DONE]\n\n", b": bye"]


@pytest.mark.parametrize("surface", ["openai", "ollama"])
def test_events_that_break_off_end_with_an_error_event(surface: Surface) -> None:
    *passed, last = told(EVENTS, b"data: {}\n\n", b"data: {", error=CUT, surface=surface)
    assert passed == [b"data: {}\n\n"]
    # An event whose end is missing is ended first.
    assert last.startswith(b"\ndata: {")
    assert last.endswith(b"}\n\n")
    error = json.loads(last.strip().removeprefix(b"data: "))["error"]
    assert (error["message"], error["type"]) == ("Ollama broke off its answer", "api_error")


def test_so_do_anthropics_with_its_own() -> None:
    last = told(EVENTS, error=CUT, surface="anthropic")[-1]
    assert last.startswith(b"\nevent: error\ndata: {")
    assert last.endswith(b"}\n\n")
    data = json.loads(last.partition(b"data: ")[2])
    assert data == {"type": "error", "error": {"type": "api_error", "message": "Ollama broke off its answer"}}


# ── what stays as it is


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, NDJSON, b"{}\n"),
        Reply(200, EVENTS, b""),
        Reply(200, NDJSON, body_of([]), length=3),
        Reply(200, {"Content-Type": "application/octet-stream"}, body_of([])),
        Reply(200, {"Content-Type": "application/json"}, body_of([])),
        Reply(200, {}, body_of([])),
    ],
    ids=["whole frames", "whole events", "of known length", "bytes", "JSON", "untyped"],
)
def test_other_replies_stay_as_they_are(reply: Reply) -> None:
    assert explained(reply, "ollama") is reply


def test_a_reply_keeps_all_but_its_body() -> None:
    async def scenario() -> None:
        reply = explained(Reply(500, {**NDJSON, "X": "1"}, body_of([]), head_first=True), "ollama")
        assert (reply.status, reply.headers, reply.head_first, reply.length) == (500, {**NDJSON, "X": "1"}, True, None)
        assert not isinstance(reply.body, bytes)
        await reply.body.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("headers", [NDJSON, EVENTS], ids=["frames", "events"])
def test_what_is_no_error_of_the_api_still_breaks_the_stream_off(headers: Mapping[str, str]) -> None:
    with pytest.raises(RuntimeError):
        told(headers, b"a\n\n", error=RuntimeError("a bug"))


@pytest.mark.parametrize("headers", [NDJSON, EVENTS], ids=["frames", "events"])
def test_a_client_that_leaves_closes_the_stream_behind(headers: Mapping[str, str]) -> None:
    closed = []

    async def frames() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"data: {}\n\n"
        finally:
            closed.append(True)

    async def scenario() -> None:
        body = explained(Reply(200, headers, frames()), "openai").body
        assert not isinstance(body, bytes)
        await anext(body)
        await body.aclose()
        assert closed == [True]

    asyncio.run(scenario())
