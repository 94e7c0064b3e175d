"""What the relay makes of a server that it cannot reach, that is slow, or that breaks off, and of headers on the way."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.errors import ApiError, InvalidRequest
from ollama_openai_proxy.net.body import read_whole
from ollama_openai_proxy.net.forwarding import WHOLE, Relay
from ollama_openai_proxy.net.http_messages import Reply, Request, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

FOREVER = Timeouts(None, None)
SOON = 0.05
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

type Steps = list[bytes | None]


class RawServer:
    """Answers each request of a connection with bytes; `None` stands for silence, and what is left out for the end."""

    def __init__(self, *answers: Steps) -> None:
        self._answers = list(answers)
        self.heads: list[bytes] = []
        self.connections = 0
        self.closed = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self._answers:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                for step in self._answers.pop(0):
                    if step is None:
                        await reader.read()
                        return
                    writer.write(step)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.closed.set()


@asynccontextmanager
async def relayed(*answers: Steps, timeouts: Timeouts = FOREVER) -> AsyncIterator[tuple[Relay, RawServer]]:
    raw = RawServer(*answers)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    relay = Relay(raw.url, "Ollama", timeouts, hint="look there")
    try:
        yield relay, raw
    finally:
        await relay.close()
        server.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(scenario(), 10)

    asyncio.run(limited())


async def whole(reply: Reply) -> bytes:
    return await read_whole(reply.body)


# ── out of reach


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_that_is_not_there_is_said_to_refuse_with_what_to_do(scheme: str, host: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"{scheme}://{host}:{unused.getsockname()[1]}"

        async def scenario() -> None:
            for hint, then in (("", ""), ("start it", "; start it")):
                relay = Relay(url, "Ollama", FOREVER, hint=hint)
                with pytest.raises(ApiError) as raised:
                    await relay.send(Request("GET", "/"), "/")
                assert (raised.value.status, raised.value.message) == (
                    502,
                    f"cannot connect to Ollama at {url}: Connection refused{then}",
                )
                await relay.close()

        run(scenario)


def test_a_name_that_nobody_has_is_told_in_the_systems_words() -> None:
    async def scenario() -> None:
        relay = Relay("http://nobody.invalid", "Ollama", FOREVER)
        with pytest.raises(ApiError, match=r"^cannot connect to Ollama at http://nobody\.invalid: .") as raised:
            await relay.send(Request("GET", "/"), "/")
        assert "Unknown error" not in raised.value.message
        await relay.close()

    run(scenario)


def test_a_server_that_does_not_speak_tls_is_no_server_for_https() -> None:
    async def scenario() -> None:
        async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        relay = Relay(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "Ollama", FOREVER)
        with pytest.raises(ApiError, match=r"^cannot connect to Ollama at https://.*: .*SSL") as raised:
            await relay.send(Request("GET", "/"), "/")
        assert raised.value.status == 502
        await relay.close()
        server.close()

    run(scenario)


def test_without_a_wait_a_refusal_is_final_and_with_one_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollama_openai_proxy.net.forwarding.RETRY_DELAY", 0.01)

    async def scenario() -> None:
        async with relayed([OK]) as (_, raw):
            port = int(raw.url.rpartition(":")[2])
        relay = Relay(raw.url, "Ollama", FOREVER, wait=5)
        asked = asyncio.create_task(relay.send(Request("GET", "/"), "/"))
        await asyncio.sleep(SOON)
        assert not asked.done()
        server = await asyncio.start_server(raw.serve, "127.0.0.1", port)
        assert await whole(await asked) == b"ok"
        await relay.close()
        server.close()
        relay = Relay(raw.url, "Ollama", FOREVER, wait=SOON)
        with pytest.raises(ApiError, match="refused"):
            await relay.send(Request("GET", "/"), "/")
        await relay.close()

    run(scenario)


# ── slow


def test_an_answer_that_does_not_begin_in_time_is_given_up() -> None:
    async def scenario() -> None:
        async with relayed([None], timeouts=Timeouts(SOON, None)) as (relay, raw):
            with pytest.raises(ApiError, match="did not answer in time") as raised:
                await relay.send(Request("GET", "/"), "/")
            assert raised.value.status == 504
            await raw.closed.wait()

    run(scenario)


@pytest.mark.parametrize("length", [b"Content-Length: 10", b"Content-Length: 2000000", b"X: no length"])
def test_an_answer_that_falls_silent_is_given_up(length: bytes) -> None:
    async def scenario() -> None:
        answer = [b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\nhalf", None]
        async with relayed(answer, timeouts=Timeouts(None, SOON)) as (relay, raw):
            with pytest.raises(ApiError, match="fell silent") as raised:
                await whole(await relay.send(Request("GET", "/"), "/"))
            assert raised.value.status == 504
            await raw.closed.wait()

    run(scenario)


# ── broken


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n8\r\nha",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk", "no chunk", "no HTTP"],
)
def test_an_answer_that_breaks_off_or_is_none_is_told_of(answer: bytes) -> None:
    async def scenario() -> None:
        async with relayed([answer]) as (relay, raw):
            with pytest.raises(ApiError, match=rf"^Ollama at {raw.url} broke off its answer \(") as raised:
                await whole(await relay.send(Request("POST", "/"), "/"))
            assert raised.value.status == 502

    run(scenario)


def test_a_request_that_cannot_be_sent_is_refused() -> None:
    async def scenario() -> None:
        async with relayed([OK]) as (relay, raw):
            with pytest.raises(InvalidRequest, match="cannot be sent on"):
                await relay.send(Request("GE T", "/"), "/")
            assert raw.connections == 0

    run(scenario)


@pytest.mark.parametrize("target", ["*", "", "http://elsewhere/", "@elsewhere/"])
def test_a_target_that_is_no_path_leads_nowhere(target: str) -> None:
    async def scenario() -> None:
        async with relayed([OK]) as (relay, raw):
            with pytest.raises(InvalidRequest, match="invalid request target"):
                await relay.send(Request("GET", target), target)
            assert raw.connections == 0

    run(scenario)


# ── connections


def test_a_connection_is_used_again_when_its_answer_was_read_to_its_end() -> None:
    async def scenario() -> None:
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        empty = b"HTTP/1.1 204 No Content\r\n\r\n"
        async with relayed([OK], [chunked], [empty], [OK]) as (relay, raw):
            for body in (b"ok", b"ok", b"", b"ok"):
                assert await whole(await relay.send(Request("GET", "/"), "/")) == body
            assert raw.connections == 1

    run(scenario)


def test_a_connection_is_closed_when_its_answer_is_not_wanted_any_more() -> None:
    async def scenario() -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
        async with relayed([head, None]) as (relay, raw):
            reply = await relay.send(Request("GET", "/"), "/")
            assert not isinstance(reply.body, bytes)
            # Before anything of it was read, too.
            reply.body.close()
            await raw.closed.wait()

    run(scenario)


# ── heads


@pytest.mark.parametrize(
    ("head", "length", "streamed"),
    [
        (b"Content-Length: %d" % WHOLE, None, False),
        (b"Content-Length: %d" % (WHOLE + 1), WHOLE + 1, True),
        (b"Connection: close", None, True),
    ],
)
def test_only_a_large_body_or_one_of_unknown_length_is_streamed(head: bytes, length: int | None, streamed: bool) -> None:
    async def scenario() -> None:
        body = b"x" * (WHOLE + streamed)
        async with relayed([b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body]) as (relay, _):
            reply = await relay.send(Request("GET", "/"), "/")
            assert (isinstance(reply.body, bytes), reply.length) == (not streamed, length)
            assert await whole(reply) == body

    run(scenario)


def test_a_reply_to_head_announces_a_length_and_has_no_body() -> None:
    async def scenario() -> None:
        async with relayed([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nX: 1\r\n\r\n"]) as (relay, _):
            reply = await relay.send(Request("HEAD", "/"), "/")
            assert (reply.body, reply.length, dict(reply.headers)) == (b"", 100, {"X": "1"})

    run(scenario)


def test_headers_of_one_hop_are_left_out_in_both_directions_and_the_rest_passes() -> None:
    async def scenario() -> None:
        answer = (
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
            b"Keep-Alive: 5\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n"
        )
        async with relayed([answer]) as (relay, raw):
            fields = (
                *(("Host", "pod.example"), ("Connection", "close, x-hop, Content-Length"), ("X-Hop", "1"), ("TE", "trailers")),
                *(("Origin", "https://app.example"), ("Content-Length", "99"), ("X-Kept", "grüße"), ("x-kept", "2")),
                ("Authorization", "theirs"),
            )
            headers = {name.lower(): value for name, value in fields}
            request = Request("POST", "/", headers, b"body", fields)
            reply = await relay.send(request, "/path?q=%20", replaced=(("Origin", ""), ("Authorization", "ours")))
            assert list(reply.headers.items()) == [("X-Twice", "1"), ("X-Twice", "2")]
            line, *sent = raw.heads[0].decode().removesuffix("\r\n\r\n").split("\r\n")
            assert line == "POST /path?q=%20 HTTP/1.1"
            assert sorted(sent) == sorted(
                [
                    f"Host: {raw.url.removeprefix('http://')}",
                    *("X-Kept: grüße", "X-Kept: 2", "Authorization: ours", "Content-Length: 4"),
                ]
            )

    run(scenario)


def test_bytes_in_a_header_that_are_no_text_do_not_stop_the_request() -> None:
    async def scenario() -> None:
        async with relayed([OK]) as (relay, raw):
            # As mitmproxy decodes them.
            odd = b"caf\xe9".decode("utf-8", "surrogateescape")
            await relay.send(Request("GET", "/", {"x-odd": odd}, b"", (("X-Odd", odd),)), "/")
            assert "X-Odd: caf\N{REPLACEMENT CHARACTER}" in raw.heads[0].decode()

    run(scenario)


def test_a_body_may_take_the_place_of_the_requests() -> None:
    async def scenario() -> None:
        async with relayed([OK], [OK]) as (relay, raw):
            fields = (("Content-Length", "7"),)
            request = Request("POST", "/", {"content-length": "7"}, b"theirs!", fields)
            await relay.send(request, "/", body=b"ours")
            await relay.send(request, "/", body=b"")
            assert b"Content-Length: 4\r\n" in raw.heads[0]
            assert b"Content-Length: 0\r\n" in raw.heads[1].removeprefix(b"ours")

    run(scenario)


@pytest.mark.parametrize(
    ("headers", "framing"), [({"content-length": "4"}, "Content-Length: 4"), ({}, "Transfer-Encoding: chunked")]
)
def test_a_body_that_still_arrives_keeps_the_length_that_was_announced(headers: dict[str, str], framing: str) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    async def scenario() -> None:
        async with relayed([OK]) as (relay, raw):
            fields = tuple(("Content-Length", value) for value in headers.values())
            await relay.send(Request("POST", "/", headers, b"", fields, parts()), "/")
            assert f"\r\n{framing}\r\n" in raw.heads[0].decode()

    run(scenario)
