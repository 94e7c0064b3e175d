"""A streamed call that takes long is filled, and is otherwise as if it had not been."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.api.heartbeats import Silence, Waiting, WriterFiller, error_of, kept_waiting, silence_limits
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.net.body import Body, KnownParts
from ollama_openai_proxy.net.http_messages import Reply
from ollama_openai_proxy.net.request_context import Record, begin_record

from tests.bodies import Kept, PushedBody

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT = 0.01
NEVER = 3600.0
HEADERS = {"Content-Type": "application/x-ndjson"}


class Filler:
    def fill(self) -> bytes:
        return b"*"

    def refuse(self, error: ApiError) -> bytes:
        return f"[{error.status} {error.message}]\n".encode()


class Call:
    """A call whose reply the test gives when it likes."""

    def __init__(self) -> None:
        self.cancelled = False
        self.waiting: Waiting | None = None
        self._answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    async def answer(self, waiting: Waiting) -> Reply:
        self.waiting = waiting
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    def reply(self, reply: Reply) -> None:
        self._answer.set_result(reply)

    def fail(self, error: Exception) -> None:
        self._answer.set_exception(error)


class Late:
    """A call that has not been answered in time, and the client of it."""

    def __init__(self, call: Call, reply: Reply, record: Record) -> None:
        assert isinstance(reply.body, Body)
        assert (reply.status, reply.headers, reply.length) == (200, HEADERS, None)
        self.call = call
        self.body = reply.body
        self.record = record
        self.sink = Kept()
        self.body.start(self.sink)

    @property
    def told(self) -> bytes:
        """What came behind the fillers."""
        return self.sink.data.lstrip(b"*")

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await asyncio.sleep(0)


async def late() -> Late:
    record = Record("1")
    begin_record(record)
    call = Call()
    return Late(call, await kept_waiting(call.answer, Filler(), HEADERS, BEAT), record)


# ── the limits


@pytest.mark.parametrize(
    ("path", "heartbeat", "silence"),
    [
        *((path, None, Silence(10, 10)) for path in ("/v1/messages", "/v1/responses")),
        *((path, None, Silence(0, 15)) for path in ("/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions")),
        *((path, 3.0, Silence(3, 3)) for path in ("/v1/messages", "/api/chat", "/v1/completions")),
        *((path, 0.0, Silence(0, 0)) for path in ("/v1/messages", "/api/chat", "/v1/completions")),
    ],
)
def test_how_long_a_client_may_wait_in_silence(path: str, heartbeat: float | None, silence: Silence) -> None:
    assert silence_limits(path, heartbeat) == silence


# ── an answer in time


@pytest.mark.parametrize("seconds", [0, NEVER])
async def test_a_reply_in_time_passes_untouched(seconds: float) -> None:
    call, reply = Call(), Reply(200, HEADERS, KnownParts([b"x"]))
    call.reply(reply)
    assert await kept_waiting(call.answer, Filler(), HEADERS, seconds) is reply


@pytest.mark.parametrize("seconds", [0, NEVER])
async def test_an_error_in_time_has_its_status(seconds: float) -> None:
    call = Call()
    call.fail(ApiError(404, "no such model"))
    with pytest.raises(ApiError, match="no such model"):
        await kept_waiting(call.answer, Filler(), HEADERS, seconds)


async def test_a_client_that_leaves_before_the_first_filler_cancels_the_call() -> None:
    call = Call()
    waiting = asyncio.create_task(kept_waiting(call.answer, Filler(), HEADERS, NEVER))
    while call.waiting is None:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    while not call.cancelled:
        await asyncio.sleep(0)


# ── a late one


async def test_fillers_come_until_the_answer_does() -> None:
    client = await late()
    await client.until(lambda: client.sink.data.count(b"*") >= 3)
    body = PushedBody()
    client.call.reply(Reply(200, {"X": "not sent any more"}, body))
    await client.until(lambda: body.sink)
    fillers = client.sink.data.count(b"*")
    body.write(b"a")
    body.end()
    assert (client.told, client.sink.ends) == (b"a", [None])
    assert client.record.heartbeats == fillers


async def test_the_filler_may_change_meanwhile() -> None:
    class Other(Filler):
        def fill(self) -> bytes:
            return b"+"

    client = await late()
    assert client.call.waiting is not None
    client.call.waiting.filler = Other()
    await client.until(lambda: b"+" in client.sink.data)
    client.body.close()


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(200, {}, b'{"done":true}'), b'{"done":true}\n'),
        (Reply(404, {}, b'{"error":"no such model"}'), b"[404 no such model]\n"),
        (Reply(503, {}, KnownParts([b'{"error":', b'{"message":"busy"}}'])), b"[503 busy]\n"),
        (Reply(500, {}, b""), b"[500 the server answered with status 500]\n"),
    ],
)
async def test_a_late_reply_that_is_no_stream_is_told_within_the_stream(reply: Reply, told: bytes) -> None:
    client = await late()
    client.call.reply(reply)
    await client.sink.ended()
    assert (client.told, client.sink.ends) == (told, [None])
    assert client.record.error == ("" if reply.status == 200 else "backend_refused")


@pytest.mark.parametrize(
    ("error", "told"),
    [(ApiError(429, "slow down"), b"[429 slow down]\n"), (RuntimeError("a secret"), b"[500 the proxy failed]\n")],
)
async def test_a_late_error_is_told_within_the_stream(error: Exception, told: bytes) -> None:
    client = await late()
    client.call.fail(error)
    await client.sink.ended()
    assert client.told == told


async def test_an_error_reply_that_breaks_off_is_an_error_too() -> None:
    class Broken(KnownParts):
        def start(self, sink: object) -> None:
            sink.end(ApiError(502, "broke off"))  # type: ignore[attr-defined]

    client = await late()
    client.call.reply(Reply(500, {}, Broken([])))
    await client.sink.ended()
    assert client.told == b"[502 broke off]\n"


# ── the client's side


async def test_a_client_that_leaves_during_the_silence_cancels_the_call() -> None:
    client = await late()
    client.body.close()
    await client.until(lambda: client.call.cancelled)
    await asyncio.sleep(3 * BEAT)
    assert (client.told, client.sink.ends) == (b"", [])


async def test_a_reply_that_comes_as_the_client_leaves_is_closed() -> None:
    client = await late()
    body = PushedBody()
    client.call.reply(Reply(200, {}, body))
    await asyncio.sleep(0)  # the call has returned, of which the client's side does not know yet
    assert not body.calls
    client.body.close()
    await client.until(lambda: body.calls)
    assert body.calls == ["close"]


async def test_once_the_answer_comes_the_client_deals_with_it() -> None:
    client = await late()
    body = PushedBody()
    client.body.pause()
    client.call.reply(Reply(200, {}, body))
    await client.until(lambda: body.sink)
    client.body.resume()
    client.body.pause()
    client.body.fail(ApiError(503, "shutting down"))
    client.body.close()
    assert body.calls == ["start", "pause", "resume", "pause", "fail", "close"]


async def test_a_client_that_does_not_read_gets_no_fillers() -> None:
    client = await late()
    client.body.pause()
    told = client.sink.data
    await asyncio.sleep(5 * BEAT)
    assert client.sink.data == told
    client.body.resume()
    await client.until(lambda: client.sink.data != told)
    client.body.close()


async def test_shutting_down_during_the_silence_is_told() -> None:
    client = await late()
    client.body.fail(ApiError(503, "shutting down"))
    assert (client.told, client.sink.ends) == (b"[503 shutting down]\n", [None])
    await client.until(lambda: client.call.cancelled)
    client.body.fail(ApiError(503, "again"))
    assert client.sink.ends == [None]


# ── what is told


def test_a_writer_is_a_filler() -> None:
    class Writer:
        def keep_alive(self) -> bytes:
            return b"*"

        def fail(self, error: ApiError) -> bytes:
            return error.message.encode()

    filler = WriterFiller(Writer())  # type: ignore[arg-type]
    assert (filler.fill(), filler.refuse(ApiError(500, "no"))) == (b"*", b"no")


def test_a_page_tells_no_error_text() -> None:
    assert error_of(502, b"<html>no</html>").message == "the server answered with status 502"
    assert error_of(502, b"just text\n").message == "just text"
