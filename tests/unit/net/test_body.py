"""The contract of bodies and sinks, and the bodies that only pass something on."""

from __future__ import annotations

import asyncio

import pytest
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.net.body import HIGH_WATER, BodyReader, KnownParts, ReleasingBody, WrappedBody, read_whole

from tests.bodies import Kept, PushedBody


def test_known_parts_come_at_once_and_end() -> None:
    sink = Kept.__new__(Kept)
    sink.parts, sink.ends = [], []

    class Sink:
        def write(self, part: bytes) -> None:
            sink.parts.append(part)

        def end(self, error: Exception | None) -> None:
            sink.ends.append(error)

    body = KnownParts([b"a", b"b"])
    body.pause()
    body.resume()
    body.fail(ApiError(503, "the proxy stops"))
    body.start(Sink())
    body.close()
    assert (sink.parts, sink.ends) == ([b"a", b"b"], [None])


async def test_a_wrapped_body_passes_everything_on() -> None:
    inner, sink, error = PushedBody(), Kept(), ApiError(503, "stop")
    body = WrappedBody(inner)
    body.start(sink)
    inner.write(b"a")
    body.pause()
    body.resume()
    body.fail(error)
    inner.end(error)
    body.close()
    assert inner.calls == ["start", "pause", "resume", "fail", "close"]
    assert inner.error is error
    assert (sink.parts, sink.ends) == ([b"a"], [error])


@pytest.mark.parametrize("how", ["end", "close", "both"])
async def test_a_releasing_body_releases_once(how: str) -> None:
    released: list[str] = []
    inner, sink = PushedBody(), Kept()
    body = ReleasingBody(inner, lambda: released.append("now"))
    if how in ("end", "both"):
        body.start(sink)
        inner.write(b"a")
        assert not released
        inner.end()
        assert sink.ends == [None]
    if how in ("close", "both"):
        body.close()
        assert inner.calls[-1] == "close"
    assert released == ["now"]


# ── reading


async def test_a_body_is_read_part_by_part_and_started_by_the_first_read() -> None:
    body = PushedBody()
    reader = BodyReader(body)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    assert body.calls == ["start"]
    body.write(b"a")
    body.write(b"b")
    body.end()
    assert await reading == b"a"
    assert [part async for part in reader] == [b"b"]
    assert await reader.read() == b""


async def test_what_came_before_an_error_is_read_first() -> None:
    body = PushedBody()
    reader = BodyReader(body)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    body.write(b"a")
    body.end(ApiError(502, "broke off"))
    assert await reading == b"a"
    with pytest.raises(ApiError, match="broke off"):
        await reader.read()


async def test_a_slow_reader_pauses_the_body() -> None:
    body = PushedBody()
    reader = BodyReader(body)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    body.write(b"x")
    await reading
    for _ in range(3):
        body.write(b"x" * HIGH_WATER)
    assert body.calls == ["start", "pause"]
    await reader.read()
    assert body.calls == ["start", "pause"]
    await reader.read()
    assert body.calls == ["start", "pause", "resume"]


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    body = PushedBody()
    reader = BodyReader(body)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    body.write(b"a")
    assert await reader.read() == b"a"


@pytest.mark.parametrize(("most", "read"), [(None, b"abc"), (3, b"abc"), (1, b"ab")])
async def test_a_body_is_read_whole_or_as_far_as_it_may_be_and_closed(most: int | None, read: bytes) -> None:
    closed: list[bool] = []

    class Parts(KnownParts):
        def close(self) -> None:
            closed.append(True)

    assert await read_whole(Parts([b"a", b"b", b"c"]), most) == read
    assert closed == [True]
    assert await read_whole(b"whole") == b"whole"
