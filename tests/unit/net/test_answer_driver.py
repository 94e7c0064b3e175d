"""The driver between a server's body and a client, with a machine that makes its steps visible."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.net.answer_driver import AnswerDriver, ServerAnswer
from ollama_openai_proxy.net.body import HIGH_WATER
from ollama_openai_proxy.net.http_messages import Timeouts
from ollama_openai_proxy.net.request_context import Record, begin_record
from ollama_openai_proxy.schemas.usage import Usage

from tests.bodies import Kept, PushedBody
from tests.unit.jumping_time import jumping_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FOREVER = Timeouts(None, None)
SOON = 0.01
LATE = 3600.0


class Marking:
    """Marks what it does: `<` begins, `x` is content, `.` ends, `!` fails, `_` says nothing, `~` crashes."""

    def __init__(self, *, cuts: bool = False, holds: bool = False) -> None:
        self.holds = holds
        self.ended = self.said = False
        self.failure: ApiError | None = None
        self.usage: Usage | None = None
        self.cut_after_failure = cuts
        self.framed: bool | None = None

    def begin(self) -> bytes:
        return b"<"

    def feed(self, data: bytes) -> bytes:
        if data == b"~":
            raise RuntimeError("a secret")
        if data.endswith(b"!"):
            self.said = self.said or len(data) > 1
            return data[:-1] + self.fail(ApiError(429, "server says no", kind="backend_refused"))
        if data == b"_":
            return b""
        self.said = True
        if data.endswith(b"."):
            self.ended, self.usage = True, Usage(1, 2)
        return data

    def finish(self, *, framed: bool) -> bytes:
        self.framed, self.ended = framed, True
        return b")"

    def fail(self, error: ApiError) -> bytes:
        self.ended, self.failure = True, error
        return f"[{error.message}]".encode()

    def keep_alive(self) -> bytes:
        return b"*"


def explain(error: Exception) -> ApiError:
    return ApiError(504 if isinstance(error, TimeoutError) else 502, type(error).__name__, kind="explained")


class Stage:
    """A driver, the server's body, and the record of the request."""

    def __init__(
        self,
        timeouts: Timeouts = FOREVER,
        *,
        keep_alive: float = 0,
        cuts: bool = False,
        holds: bool = False,
        limit: int | None = None,
    ) -> None:
        self.record = Record("1")
        begin_record(self.record)
        self.machine = Marking(cuts=cuts, holds=holds)
        self.server = PushedBody()
        self.told: list[str] = []
        self.driver = AnswerDriver(
            self.machine,
            timeouts,
            explain,
            keep_alive=keep_alive,
            began=lambda: self.told.append("began"),
            ended=lambda: self.told.append("ended"),
            limit=limit,
        )
        self.sink = Kept()

    def opening(self, *, whole: bool = False, machine: Marking | None = None) -> asyncio.Task[None]:
        async def call() -> ServerAnswer:
            return ServerAnswer(200, self.server, framed=True)

        self.machine = machine or Marking(cuts=self.machine.cut_after_failure, holds=self.machine.holds)
        return asyncio.create_task(self.driver.open(call, self.machine, whole=whole))

    async def opened(self, first: bytes = b"a") -> None:
        opening = self.opening()
        await self.reached(lambda: self.server.sink)
        self.server.write(first)
        await opening

    async def reached(self, condition: Callable[[], object]) -> None:
        while not condition():
            await asyncio.sleep(SOON / 1000)


@pytest.fixture(autouse=True)
async def _no_waiting() -> AsyncIterator[None]:
    with jumping_time():
        yield


# ── the beginning


async def test_open_returns_with_the_first_output_which_the_beginning_precedes() -> None:
    stage = Stage()
    opening = stage.opening()
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"_")
    await asyncio.sleep(0)
    assert not opening.done()
    stage.server.write(b"a")
    await opening
    stage.server.write(b"b")
    stage.driver.start(stage.sink)
    stage.server.write(b"c")
    assert stage.sink.parts == [b"<ab", b"c"]
    assert stage.told == ["began"]


async def test_an_error_before_the_first_output_is_raised() -> None:
    stage = Stage()
    opening = stage.opening()
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"!")
    with pytest.raises(ApiError, match="server says no") as raised:
        await opening
    assert raised.value.status == 429
    assert stage.server.calls == ["start", "close"]
    assert stage.record.error == ""


async def test_after_an_error_a_further_attempt_can_succeed() -> None:
    stage = Stage()
    failed = stage.opening()
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"!")
    with pytest.raises(ApiError):
        await failed
    stage.server = PushedBody()
    await stage.opened()
    stage.driver.start(stage.sink)
    assert stage.sink.data == b"<<a", "the writer of both attempts decides whether it begins twice"


async def test_an_error_in_one_read_with_content_is_told_in_the_stream() -> None:
    stage = Stage()
    await stage.opened(b"a!")
    stage.driver.start(stage.sink)
    assert (stage.sink.data, stage.sink.ends) == (b"<a[server says no]", [None])
    assert stage.record.error == "backend_refused"


async def test_a_call_that_raises_is_raised() -> None:
    stage = Stage()

    async def call() -> ServerAnswer:
        raise ApiError(404, "no such model")

    with pytest.raises(ApiError, match="no such model"):
        await stage.driver.open(call, Marking())


@pytest.mark.parametrize("answers", [False, True], ids=["no head", "a head"])
async def test_a_server_that_does_not_begin_is_given_up(answers: bool) -> None:
    stage = Stage(Timeouts(SOON, None))

    async def never() -> ServerAnswer:
        await asyncio.sleep(LATE)
        raise AssertionError

    if answers:
        opening = stage.opening()
        await stage.reached(lambda: stage.server.sink)
        stage.server.write(b"_")
    else:
        opening = asyncio.create_task(stage.driver.open(never, Marking()))
    with pytest.raises(TimeoutError):
        await opening
    assert stage.server.calls == (["start", "close"] if answers else [])


async def test_once_there_is_content_the_limit_is_that_of_silence() -> None:
    class Silent(Marking):
        def feed(self, data: bytes) -> bytes:
            super().feed(data)
            return b""

    stage = Stage(Timeouts(SOON, None))
    opening = stage.opening(whole=True, machine=Silent())
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"a")
    await asyncio.sleep(3 * SOON)
    assert not opening.done()
    stage.server.end()
    await opening
    assert stage.driver.collected() == b"<)"


async def test_a_whole_answer_is_collected() -> None:
    stage = Stage()
    opening = stage.opening(whole=True)
    await stage.reached(lambda: stage.server.sink)
    for _ in range(3):
        stage.server.write(b"x" * HIGH_WATER)
    stage.server.end()
    await opening
    assert stage.driver.collected() == b"<" + b"x" * 3 * HIGH_WATER + b")"
    assert stage.machine.framed is True
    assert "pause" not in stage.server.calls


async def test_a_whole_answer_that_fails_in_the_middle_is_raised() -> None:
    stage = Stage()
    opening = stage.opening(whole=True)
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"a")
    stage.server.write(b"b!")
    with pytest.raises(ApiError, match="server says no"):
        await opening


async def test_cancelling_open_frees_the_server() -> None:
    stage = Stage()
    opening = stage.opening()
    await stage.reached(lambda: stage.server.sink)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert stage.server.calls == ["start", "close"]


# ── the end


async def test_an_answer_that_is_complete_waits_for_the_end_of_the_servers_body() -> None:
    stage = Stage()
    await stage.opened()
    stage.driver.start(stage.sink)
    stage.server.write(b"b.")
    assert stage.sink.data == b"<ab."
    assert not stage.sink.ends
    stage.server.write(b"ignored")
    stage.server.end()
    assert (stage.sink.data, stage.sink.ends) == (b"<ab.", [None])
    assert (stage.record.prompt_tokens, stage.record.completion_tokens) == (1, 2)
    assert stage.told == ["began", "ended"]


async def test_it_does_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollama_openai_proxy.net.answer_driver.DRAIN_TIMEOUT", SOON)
    stage = Stage()
    await stage.opened()
    stage.driver.start(stage.sink)
    stage.server.write(b"b.")
    await stage.sink.ended()
    assert stage.server.calls[-1] == "close"
    stage.server.end()
    assert stage.sink.ends == [None]


@pytest.mark.parametrize("before_start", [False, True])
async def test_an_answer_whose_body_ends_is_finished(before_start: bool) -> None:
    stage = Stage()
    await stage.opened()
    if not before_start:
        stage.driver.start(stage.sink)
    stage.server.end()
    if before_start:
        stage.driver.start(stage.sink)
    assert (stage.sink.data, stage.sink.ends) == (b"<a)", [None])


async def test_an_answer_without_any_output_still_ends() -> None:
    class Mute(Marking):
        def finish(self, *, framed: bool) -> bytes:
            super().finish(framed=framed)
            return b""

    stage = Stage()
    opening = stage.opening(machine=Mute())
    await stage.reached(lambda: stage.server.sink)
    stage.server.end()
    await opening
    stage.driver.start(stage.sink)
    assert (stage.sink.parts, stage.sink.ends) == ([], [None])


@pytest.mark.parametrize("cuts", [False, True])
async def test_a_body_that_breaks_off_is_explained_and_cut_where_clients_would_not_notice(cuts: bool) -> None:
    stage = Stage(cuts=cuts)
    await stage.opened()
    stage.driver.start(stage.sink)
    stage.server.end(OSError("reset"))
    assert stage.sink.data == b"<a[OSError]"
    assert [getattr(end, "message", None) for end in stage.sink.ends] == ["OSError" if cuts else None]
    assert stage.record.error == "explained"


@pytest.mark.parametrize("place", ["feed", "finish"])
async def test_a_mistake_of_the_machine_ends_the_answer(place: str, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Marking):
        def finish(self, *, framed: bool) -> bytes:
            raise RuntimeError("a secret")

    stage = Stage()
    opening = stage.opening(machine=Broken())
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"a")
    await opening
    stage.driver.start(stage.sink)
    if place == "feed":
        stage.server.write(b"~")
    else:
        stage.server.end()
    assert (stage.sink.data, stage.sink.ends) == (b"<a[the proxy failed]", [None])
    assert stage.record.error == "crash"
    assert "RuntimeError" in caplog.text
    assert "a secret" not in caplog.text


async def test_shutting_down_ends_the_answer_in_its_form() -> None:
    stage = Stage()
    await stage.opened()
    stage.driver.start(stage.sink)
    for _ in range(2):
        stage.driver.fail(ApiError(503, "shutting down", kind="shutdown"))
    assert (stage.sink.data, stage.sink.ends) == (b"<a[shutting down]", [None])
    assert stage.server.calls[-1] == "close"
    assert stage.record.error == "shutdown"


async def test_shutting_down_while_a_complete_answer_waits_just_ends_it() -> None:
    stage = Stage()
    await stage.opened(b"a.")
    stage.driver.start(stage.sink)
    stage.driver.fail(ApiError(503, "shutting down"))
    assert (stage.sink.data, stage.sink.ends) == (b"<a.", [None])


async def test_a_client_that_leaves_frees_the_server_at_once() -> None:
    stage = Stage(Timeouts(None, SOON), keep_alive=SOON)
    await stage.opened()
    stage.driver.start(stage.sink)
    for _ in range(2):
        stage.driver.close()
    assert stage.server.calls == ["start", "close"]
    stage.server.end(OSError("closed"))
    await asyncio.sleep(3 * SOON)
    assert (stage.sink.data, stage.sink.ends) == (b"<a", [])


# ── pace


async def test_a_slow_client_pauses_the_server() -> None:
    stage = Stage()
    await stage.opened()
    stage.driver.start(stage.sink)
    stage.driver.pause()
    stage.driver.resume()
    assert stage.server.calls == ["start", "pause", "resume"]


async def test_what_is_held_before_the_start_is_bounded() -> None:
    stage = Stage()
    await stage.opened(b"x" * HIGH_WATER)
    stage.server.write(b"x")
    assert stage.server.calls == ["start", "pause"]
    stage.driver.start(stage.sink)
    assert stage.server.calls == ["start", "pause", "resume"]
    assert stage.sink.parts == [b"<" + b"x" * (HIGH_WATER + 1)]


async def test_a_client_that_pauses_before_the_server_answers_is_heeded() -> None:
    stage = Stage()
    stage.driver.pause()
    stage.driver.read_from(ServerAnswer(200, stage.server, framed=False))
    assert stage.server.calls == ["start", "pause"]
    stage.driver.close()
    stage.driver.pause()
    stage.driver.resume()
    assert stage.server.calls == ["start", "pause", "close"]


# ── silence


async def test_a_server_that_falls_silent_is_given_up() -> None:
    stage = Stage(Timeouts(None, SOON))
    await stage.opened()
    stage.driver.start(stage.sink)
    await stage.sink.ended()
    assert stage.sink.data == b"<a[TimeoutError]"
    assert stage.server.calls[-1] == "close"


async def test_one_that_goes_on_is_not() -> None:
    stage = Stage(Timeouts(None, SOON))
    await stage.opened()
    stage.driver.start(stage.sink)
    for _ in range(20):
        await asyncio.sleep(SOON / 5)
        stage.server.write(b"_")
    assert stage.sink.data == b"<a"
    stage.driver.close()


async def test_a_silence_is_filled_and_counted() -> None:
    stage = Stage(keep_alive=SOON)
    await stage.opened()
    stage.driver.start(stage.sink)
    await stage.reached(lambda: stage.sink.data.count(b"*") >= 2)
    stage.server.write(b"b")
    stage.driver.close()
    assert stage.sink.data.startswith(b"<a**")
    assert stage.record.heartbeats == stage.sink.data.count(b"*")


async def test_a_server_that_says_nothing_for_the_client_is_silent_for_the_client() -> None:
    stage = Stage(Timeouts(None, LATE), keep_alive=SOON)
    await stage.opened()
    stage.driver.start(stage.sink)

    async def comments() -> None:
        while True:
            stage.server.write(b"_")
            await asyncio.sleep(SOON / 5)

    commenting = asyncio.create_task(comments())
    await stage.reached(lambda: b"*" in stage.sink.data)
    commenting.cancel()
    stage.driver.close()


async def test_a_client_that_does_not_read_gets_no_fillers_and_its_server_time() -> None:
    stage = Stage(Timeouts(None, SOON), keep_alive=SOON)
    await stage.opened()
    stage.driver.start(stage.sink)
    stage.driver.pause()
    await asyncio.sleep(5 * SOON)
    assert (stage.sink.data, stage.sink.ends) == (b"<a", [])
    stage.driver.close()


async def test_before_the_first_output_only_fill_keeps_the_client_waiting() -> None:
    stage = Stage(Timeouts(None, SOON), keep_alive=SOON)
    opening = stage.opening()
    await stage.reached(lambda: stage.server.sink)
    await asyncio.sleep(5 * SOON)
    assert not opening.done(), "the limit for silence holds only within an answer"
    assert stage.driver.fill() == b"<*"
    assert stage.driver.fill() == b"*"
    stage.server.write(b"a")
    await opening
    stage.driver.start(stage.sink)
    stage.driver.close()
    assert stage.sink.data == b"a"


async def test_a_refusal_after_fill_is_told_in_the_form_of_the_api() -> None:
    stage = Stage()
    assert stage.driver.refuse(ApiError(404, "no such model")) == b"[no such model]"


# ── who watches


class Watching:
    def __init__(self) -> None:
        self.received_parts: list[tuple[int, bytes]] = []

    def received(self, status: int, data: bytes) -> None:
        self.received_parts.append((status, data))


async def test_a_watcher_sees_what_the_server_sends() -> None:
    watcher = Watching()
    driver = AnswerDriver(Marking(), FOREVER, explain, watcher=watcher)  # type: ignore[arg-type]
    server = PushedBody()
    driver.read_from(ServerAnswer(201, server, framed=False))
    server.write(b"a")
    driver.close()
    assert watcher.received_parts == [(201, b""), (201, b"a")]


async def test_a_machine_that_cannot_fill_a_silence_leaves_it() -> None:
    class Mute(Marking):
        def keep_alive(self) -> bytes:
            return b""

    stage = Stage(keep_alive=SOON)
    opening = stage.opening(machine=Mute())
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"a")
    await opening
    stage.driver.start(stage.sink)
    await asyncio.sleep(5 * SOON)
    stage.driver.close()
    assert (stage.sink.data, stage.record.heartbeats) == (b"<a", 0)


async def test_a_client_that_leaves_as_its_silence_is_filled_is_filled_no_more() -> None:
    stage = Stage(keep_alive=SOON)

    class Leaving(Kept):
        def write(self, part: bytes) -> None:
            super().write(part)
            if b"*" in part:
                stage.driver.close()

    sink = Leaving()
    await stage.opened()
    stage.driver.start(sink)
    await stage.reached(lambda: b"*" in sink.data)
    await asyncio.sleep(5 * SOON)
    assert sink.data == b"<a*"


async def test_a_client_that_leaves_with_the_last_part_gets_no_end() -> None:
    stage = Stage()

    class Leaving(Kept):
        def write(self, part: bytes) -> None:
            super().write(part)
            stage.driver.close()

    sink = Leaving()
    opening = stage.opening()
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"a")
    await opening
    stage.driver.start(Kept())
    stage.driver.start(sink)
    server = stage.server
    server.end()
    assert (sink.data, sink.ends) == (b")", [])


async def test_shutting_down_an_answer_whose_error_has_no_words_just_ends_it() -> None:
    class Wordless(Marking):
        def fail(self, error: ApiError) -> bytes:
            super().fail(error)
            return b""

    stage = Stage()
    opening = stage.opening(machine=Wordless())
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"a")
    await opening
    stage.driver.start(stage.sink)
    stage.driver.fail(ApiError(503, "shutting down"))
    assert (stage.sink.data, stage.sink.ends) == (b"<a", [None])


# ── the size


async def test_an_answer_that_is_held_has_a_limit() -> None:
    stage = Stage(holds=True, limit=5)
    await stage.opened(b"ab")
    stage.driver.start(stage.sink)
    stage.server.write(b"cde")
    stage.server.write(b"f")
    assert stage.sink.data == b"<abcde[the server sent an answer of more than 5 bytes, see MAX_ANSWER_SIZE]"
    assert stage.server.calls[-1] == "close"
    assert stage.record.error == "answer_too_large"


async def test_an_answer_in_one_piece_has_a_limit() -> None:
    stage = Stage(limit=5)
    opening = stage.opening(whole=True)
    await stage.reached(lambda: stage.server.sink)
    stage.server.write(b"abc")
    stage.server.write(b"def")
    with pytest.raises(ApiError, match="more than 5 bytes"):
        await opening


async def test_an_answer_that_passes_has_none() -> None:
    stage = Stage(limit=5)
    await stage.opened(b"abc")
    stage.driver.start(stage.sink)
    stage.server.write(b"defghi")
    assert stage.sink.data == b"<abcdefghi"
