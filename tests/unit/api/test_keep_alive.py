"""A streamed call that takes long is filled with empty frames, and is otherwise as if it had not."""

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from ollama_openai_proxy.api.keep_alive import with_heartbeat
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.net.messages import Reply
from ollama_openai_proxy.schemas.ollama.frames import ChatFrames, Frames, GenerateFrames

BEAT = 0.01
NEVER = 3600.0
FRAMES = ChatFrames("tiny")
NDJSON = {"Content-Type": "application/x-ndjson"}


class Call:
    """A call whose reply the test gives when it likes."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = False
        self._answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    async def answer(self) -> Reply:
        self.begun.set()
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    def reply(self, reply: Reply) -> None:
        self._answer.set_result(reply)

    def fail(self, error: Exception) -> None:
        self._answer.set_exception(error)


class Parts:
    """The body of a reply, which knows whether it was closed."""

    def __init__(self, *parts: bytes, error: Exception | None = None) -> None:
        self.closed = False
        self.body = self._produce(parts, error)

    async def begun(self) -> "Parts":
        """As the relay hands one out: inside, so that closing it ends it properly."""
        await anext(self.body)
        return self

    async def _produce(self, parts: tuple[bytes, ...], error: Exception | None) -> AsyncGenerator[bytes, None]:
        try:
            yield b""
            for part in parts:
                yield part
            if error is not None:
                raise error
        finally:
            self.closed = True


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def nothing_left_behind() -> None:
        await scenario
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(asyncio.wait_for(nothing_left_behind(), 10))


async def late(call: Call, frames: Frames = FRAMES) -> AsyncGenerator[bytes, None]:
    """The body of a call that has not been answered yet, after its first empty frame."""
    reply = await with_heartbeat(call.answer(), frames, BEAT)
    assert (reply.status, reply.headers, reply.length) == (200, NDJSON, None)
    assert not isinstance(reply.body, bytes)
    assert is_empty(await anext(reply.body))
    return reply.body


async def rest(body: AsyncGenerator[bytes, None]) -> bytes:
    """What comes behind the empty frames."""
    parts = [part async for part in body]
    while parts and is_empty(parts[0]):
        del parts[0]
    return b"".join(parts)


def is_empty(frame: bytes) -> bool:
    with suppress(ValueError):
        data = json.loads(frame)
        return bool(data.get("done") is False and data["message"]["content"] == "")
    return False


# ── an answer in time


@pytest.mark.parametrize("seconds", [0, NEVER])
def test_a_reply_in_time_passes_untouched(seconds: float) -> None:
    async def scenario() -> None:
        call = Call()
        reply = Reply(200, NDJSON, Parts(b"x").body, head_first=True)
        call.reply(reply)
        assert await with_heartbeat(call.answer(), FRAMES, seconds) is reply
        assert not isinstance(reply.body, bytes)
        await reply.body.aclose()

    run(scenario())


@pytest.mark.parametrize("seconds", [0, NEVER])
def test_an_error_in_time_is_one_with_a_status(seconds: float) -> None:
    async def scenario() -> None:
        call = Call()
        call.fail(ApiError(404, "no such model"))
        with pytest.raises(ApiError, match="no such model") as raised:
            await with_heartbeat(call.answer(), FRAMES, seconds)
        assert raised.value.status == 404

    run(scenario())


# ── a late one


@pytest.mark.parametrize(
    ("frames", "silence"),
    [
        (ChatFrames('a "name"'), {"message": {"role": "assistant", "content": ""}}),
        (GenerateFrames('a "name"', None), {"response": ""}),
    ],
    ids=["chat", "generate"],
)
def test_during_the_silence_empty_frames_come_and_then_the_answer(frames: Frames, silence: dict[str, object]) -> None:
    async def scenario() -> None:
        call = Call()
        reply = await with_heartbeat(call.answer(), frames, BEAT)
        assert not isinstance(reply.body, bytes)
        beats = [await anext(reply.body) for _ in range(3)]
        parts = await Parts(b'{"a":1}\n', b'{"b":', b"2}\n").begun()
        call.reply(Reply(200, NDJSON, parts.body))
        assert [part async for part in reply.body] == [b'{"a":1}\n', b'{"b":', b"2}\n"]
        assert parts.closed
        for beat in beats:
            assert beat.endswith(b"\n")
            frame = json.loads(beat)
            assert frame.pop("created_at").endswith("Z")
            assert frame == {"model": 'a "name"', "done": False} | silence

    run(scenario())


@pytest.mark.parametrize("whole", [b'{"done":true}', b'{"done":true}\n'])
def test_a_late_answer_that_is_whole_becomes_the_last_frame(whole: bytes) -> None:
    async def scenario() -> None:
        call = Call()
        body = await late(call)
        call.reply(Reply(200, {"Content-Type": "application/json"}, whole))
        assert await rest(body) == b'{"done":true}\n'

    run(scenario())


@pytest.mark.parametrize(
    ("error", "frame"),
    [
        (b'{"error":"out of memory"}', b'{"error":"out of memory"}\n'),
        (b'{"error":"out of memory","code":1}\n', b'{"error":"out of memory","code":1}\n'),
        (b"404 page not found", b'{"error":"404 page not found"}\n'),
        (b' {"detail":"no"}\n', b'{"error":"{\\"detail\\":\\"no\\"}"}\n'),
        (b'["error"]', b'{"error":"[\\"error\\"]"}\n'),
        (b"\xff", b'{"error":"\\ufffd"}\n'),
        (b"[" * 100_000, b'{"error":"' + b"[" * 100_000 + b'"}\n'),
        (b"", b'{"error":""}\n'),
    ],
    ids=["JSON", "JSON with a line end", "text", "other JSON", "a list", "bytes", "deep", "nothing"],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "in parts"])
def test_a_late_error_becomes_an_error_frame(error: bytes, frame: bytes, streamed: bool) -> None:
    async def scenario() -> None:
        call, parts = Call(), await Parts(error[:3], error[3:]).begun()
        body = await late(call)
        call.reply(Reply(500, {}, parts.body if streamed else error))
        assert await rest(body) == frame
        assert parts.closed is streamed
        await parts.body.aclose()

    run(scenario())


def test_a_call_that_fails_late_ends_with_an_error_frame() -> None:
    async def scenario() -> None:
        call = Call()
        body = await late(call)
        call.fail(ApiError(502, "cannot connect"))
        assert await rest(body) == b'{"error":"cannot connect"}\n'

    run(scenario())


@pytest.mark.parametrize("status", [200, 500])
def test_a_late_answer_that_breaks_off_ends_with_an_error_frame(status: int) -> None:
    async def scenario() -> None:
        call, parts = Call(), await Parts(b'{"a":1}\n', error=ApiError(502, "broke off")).begun()
        body = await late(call)
        call.reply(Reply(status, NDJSON, parts.body))
        assert await rest(body) == (b'{"a":1}\n' if status == 200 else b"") + b'{"error":"broke off"}\n'
        assert parts.closed

    run(scenario())


def test_what_is_no_error_of_the_api_breaks_the_answer_off() -> None:
    async def scenario() -> None:
        call = Call()
        body = await late(call)
        call.fail(RuntimeError("a bug"))
        with pytest.raises(RuntimeError):
            await rest(body)

    run(scenario())


# ── a client that leaves


def test_who_stops_waiting_stops_the_call() -> None:
    async def scenario() -> None:
        call = Call()
        waiting = asyncio.create_task(with_heartbeat(call.answer(), FRAMES, NEVER))
        await call.begun.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert call.cancelled

    run(scenario())


def test_who_stops_waiting_when_the_reply_has_just_come_closes_it() -> None:
    async def scenario() -> None:
        call, parts = Call(), await Parts(b"x").begun()
        waiting = asyncio.create_task(with_heartbeat(call.answer(), FRAMES, NEVER))
        await call.begun.wait()
        call.reply(Reply(200, NDJSON, parts.body))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert parts.closed

    run(scenario())


@pytest.mark.parametrize("reply", [Reply(200, {}, b"{}"), ApiError(500, "no")], ids=["whole", "error"])
def test_who_stops_waiting_just_then_is_not_disturbed_by_what_needs_no_closing(reply: Reply | ApiError) -> None:
    async def scenario() -> None:
        call = Call()
        waiting = asyncio.create_task(with_heartbeat(call.answer(), FRAMES, NEVER))
        await call.begun.wait()
        call.reply(reply) if isinstance(reply, Reply) else call.fail(reply)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(scenario())


def test_who_leaves_between_two_beats_stops_the_call() -> None:
    async def scenario() -> None:
        call = Call()
        body = await late(call)
        await body.aclose()
        assert call.cancelled

    run(scenario())


def test_who_leaves_while_the_next_beat_is_awaited_stops_the_call() -> None:
    async def scenario() -> None:
        call = Call()
        body = await late(call)
        beats = asyncio.create_task(rest(body))
        await asyncio.sleep(0)
        beats.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beats
        assert call.cancelled

    run(scenario())


def test_who_leaves_between_two_beats_when_the_reply_has_just_come_closes_it() -> None:
    async def scenario() -> None:
        call, parts = Call(), await Parts(b"x").begun()
        body = await late(call)
        call.reply(Reply(200, NDJSON, parts.body))
        await asyncio.sleep(0)
        await body.aclose()
        assert parts.closed

    run(scenario())


def test_who_leaves_in_the_middle_of_a_late_answer_closes_it() -> None:
    async def scenario() -> None:
        call, parts = Call(), await Parts(b"one\n", b"two\n").begun()
        body = await late(call)
        call.reply(Reply(200, NDJSON, parts.body))
        assert await anext(body) == b"one\n"
        assert not parts.closed
        await body.aclose()
        assert parts.closed

    run(scenario())
