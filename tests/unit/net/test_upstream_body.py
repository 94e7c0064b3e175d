"""A response's body as it comes from a real connection."""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from ollama_openai_proxy.errors import ApiError
from ollama_openai_proxy.net.connection_pool import Connections
from ollama_openai_proxy.net.upstream_body import PushingProtocol, ServerBody

from tests.bodies import Kept

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
WHO = contextvars.ContextVar("who", default="nobody")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Server:
    """Sends what the test says, on the connections that come."""

    def __init__(self) -> None:
        self.connections = 0
        self.gone = 0
        self.requests = 0
        self._writer: asyncio.StreamWriter
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writer = writer
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone += 1
        finally:
            writer.close()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    def reset(self) -> None:
        self._writer.transport.abort()

    def end(self) -> None:
        self._writer.close()


class Line:
    def __init__(self, server: Server, pool: Connections) -> None:
        self.server = server
        self._pool = pool

    async def ask(self, answer: bytes) -> tuple[ServerBody, aiohttp.ClientResponse]:
        asked = self.server.requests

        async def respond() -> None:
            while self.server.requests == asked:
                await asyncio.sleep(0)
            self.server.send(answer)

        responding = asyncio.create_task(respond())
        response = await self._pool.session().get(self.server.url)
        await responding
        return ServerBody(response), response


@asynccontextmanager
async def line() -> AsyncGenerator[Line]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    pool = Connections(server.url, environment=False)
    try:
        yield Line(server, pool)
    finally:
        await pool.close()
        listening.close()


async def until(condition: object) -> None:
    while not condition():  # type: ignore[operator]
        await asyncio.sleep(0)


async def test_each_network_read_is_pushed_as_it_comes() -> None:
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED + chunk(b"a") + chunk(b"b"))
        sink = Kept()
        body.start(sink)
        await until(lambda: sink.data == b"ab")
        wire.server.send(chunk(b"c") + chunk(b"d"))
        await until(lambda: sink.data == b"abcd")
        assert not sink.ends
        wire.server.send(END)
        await sink.ended()
        assert sink.ends == [None]


async def test_a_connection_is_used_again_after_the_end_and_pushes_the_next_body() -> None:
    async with line() as wire:
        for answer in (
            CHUNKED + chunk(b"ab") + END,
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
            CHUNKED + chunk(b"ab") + END,
        ):
            body, _ = await wire.ask(answer)
            sink = Kept()
            body.start(sink)
            await sink.ended()
            body.close()
            assert (sink.data, sink.ends) == (b"ab", [None])
        assert wire.server.connections == 1


@pytest.mark.parametrize("when", ["with the end", "after the end"])
async def test_bytes_that_no_request_asked_for_close_the_connection_and_are_no_answer_to_the_next_one(when: str) -> None:
    unasked = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED + chunk(b"a"))
        sink = Kept()
        body.start(sink)
        await until(lambda: sink.data)
        wire.server.send(END + (unasked if when == "with the end" else b""))
        await sink.ended()
        if when == "after the end":
            wire.server.send(unasked)
        # aiohttp closes any connection that nobody uses, after 15 seconds.
        async with asyncio.timeout(5):
            await until(lambda: wire.server.gone)
        assert (sink.data, sink.ends) == (b"a", [None])
        body, _ = await wire.ask(CHUNKED + chunk(b"b") + END)
        sink = Kept()
        body.start(sink)
        await sink.ended()
        assert (sink.data, sink.ends) == (b"b", [None])
        assert wire.server.connections == 2


async def test_bytes_that_nobody_asked_for_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    monkeypatch.setattr(ResponseHandler, "data_received", lambda _, data: parsed.append(data))
    protocol = PushingProtocol(asyncio.get_running_loop())
    protocol.take()
    protocol.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    protocol.rest()
    assert (len(parsed), protocol.is_clean()) == (1, True)
    protocol.data_received(b"HTTP/1.1 200 OK\r\n")
    assert (len(parsed), protocol.is_clean()) == (1, False)


async def test_bytes_that_the_event_loop_has_not_seen_are_no_answer_to_the_next_request() -> None:
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED + chunk(b"a") + END)
        sink = Kept()
        body.start(sink)
        await sink.ended()
        # They are in the socket when this returns, and the loop has no turn before the pool is asked for a connection.
        wire.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        body, _ = await wire.ask(CHUNKED + chunk(b"b") + END)
        sink = Kept()
        body.start(sink)
        await sink.ended()
        assert (sink.data, wire.server.connections) == (b"b", 2)


async def test_a_body_that_was_not_read_is_whole_even_if_the_connection_serves_another_call() -> None:
    async with line() as wire:
        first, _ = await wire.ask(CHUNKED + chunk(b"first") + END)
        second, _ = await wire.ask(CHUNKED + chunk(b"second"))
        sinks = Kept(), Kept()
        second.start(sinks[1])
        first.start(sinks[0])
        first.close()
        wire.server.send(END)
        await sinks[1].ended()
        assert [sink.data for sink in sinks] == [b"first", b"second"]
        assert wire.server.connections == 1


@pytest.mark.parametrize("started", [False, True])
async def test_closing_frees_the_server_at_once(started: bool) -> None:
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED + chunk(b"a"))
        sink = Kept()
        if started:
            body.start(sink)
        for _ in range(2):
            body.close()
        await until(lambda: wire.server.gone)
        assert not sink.ends


@pytest.mark.parametrize("how", ["reset", "end", "malformed"])
async def test_a_body_that_breaks_off_ends_with_the_reason_behind_what_came(how: str) -> None:
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED + chunk(b"a"))
        sink = Kept()
        body.start(sink)
        await until(lambda: sink.data)
        if how == "malformed":
            wire.server.send(b"nonsense\r\n")
        else:
            getattr(wire.server, how)()
        await sink.ended()
        assert sink.data == b"a"
        assert isinstance(sink.ends[0], Exception)


async def test_a_body_without_framing_ends_with_the_connection() -> None:
    async with line() as wire:
        body, _ = await wire.ask(b"HTTP/1.1 200 OK\r\n\r\na")
        sink = Kept()
        body.start(sink)
        wire.server.send(b"b")
        wire.server.end()
        await sink.ended()
        assert (sink.data, sink.ends) == (b"ab", [None])


async def test_a_sink_that_closes_in_the_middle_is_told_nothing_more() -> None:
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED + chunk(b"a") + END)

        class Leaving(Kept):
            def write(self, part: bytes) -> None:
                super().write(part)
                body.close()

        sink = Leaving()
        body.start(sink)
        await until(lambda: sink.data)
        assert not sink.ends


async def test_a_paused_body_makes_the_server_wait_and_goes_on_after() -> None:
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED)
        sink = Kept()
        body.start(sink)
        body.pause()
        size, piece = 0, b"x" * 65536
        stuck = False
        while not stuck:
            wire.server.send(chunk(piece))
            size += len(piece)
            try:
                await asyncio.wait_for(wire.server.drain(), 0.2)
            except TimeoutError:
                stuck = True
        assert sink.data == b""
        body.resume()
        wire.server.send(END)
        await sink.ended()
        assert len(sink.data) == size


async def test_what_comes_in_one_read_after_a_pause_is_pushed_whole() -> None:
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED + chunk(b"a"))
        sink = Kept()
        body.start(sink)
        await until(lambda: sink.data == b"a")
        body.pause()
        body.resume()
        wire.server.send(chunk(b"b") + chunk(b"c") + END)
        await asyncio.wait_for(sink.ended(), 20)
        assert sink.data == b"abc"


async def test_failing_ends_it_early_once() -> None:
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED + chunk(b"a"))
        sink = Kept()
        body.start(sink)
        error = ApiError(503, "stop")
        for _ in range(2):
            body.fail(error)
        assert sink.ends == [error]
        await until(lambda: wire.server.gone)


async def test_it_runs_in_the_context_of_whoever_started_it() -> None:
    seen: list[str] = []

    class Seeing(Kept):
        def write(self, part: bytes) -> None:
            super().write(part)
            seen.append(WHO.get())

    async with line() as wire:
        body, _ = await wire.ask(CHUNKED)
        sink = Seeing()
        WHO.set("somebody")
        body.start(sink)
        WHO.set("somebody else")
        wire.server.send(chunk(b"a") + END)
        await sink.ended()
    assert seen == ["somebody"]


async def test_only_connections_of_the_pool_are_taken() -> None:
    async with line() as wire, aiohttp.ClientSession() as session:
        asking = asyncio.create_task(session.get(wire.server.url).__aenter__())
        await until(lambda: wire.server.requests)
        wire.server.send(CHUNKED)
        response = await asking
        with pytest.raises(TypeError, match="another pool"):
            ServerBody(response).start(Kept())
        response.close()


async def test_pausing_and_resuming_a_body_that_has_come_whole_loses_nothing() -> None:
    async with line() as wire:
        body, _ = await wire.ask(CHUNKED + chunk(b"a") + END)
        sink = Kept()
        body.resume()
        body.pause()
        body.start(sink)
        assert not sink.data
        body.resume()
        await sink.ended()
        assert (sink.data, sink.ends) == (b"a", [None])
