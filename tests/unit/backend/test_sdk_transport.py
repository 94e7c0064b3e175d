"""The SDK's HTTP library over aiohttp: connections are kept and given up, and errors are told apart."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import httpx2
import pytest
from ollama_openai_proxy.backend.sdk_transport import Client, HttpClient, Transport
from ollama_openai_proxy.net.connection_pool import Connections

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def serving(serve: Serve) -> AsyncGenerator[str]:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def client(url: str, *, environment: bool = False) -> AsyncGenerator[httpx2.AsyncClient]:
    connections = Connections(url, environment=environment)
    async with httpx2.AsyncClient(transport=Transport(connections), base_url=url, timeout=None) as opened:
        yield opened
    await connections.close()


async def test_a_connection_is_used_again_and_a_request_arrives_as_it_is() -> None:
    heads: list[bytes] = []
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError):  # the client has gone
            while head := await reader.readuntil(b"\r\n\r\n"):
                heads.append(head + await reader.readexactly(4))
                writer.write(HEAD + b"2\r\nok\r\n0\r\n\r\n")

    async with serving(serve) as url, client(url) as opened:
        for _ in range(2):
            reply = await opened.post("/v1/x?a=%2F", content=b"body", headers={"X-Own": "1"})
            assert (reply.status_code, reply.text, reply.reason_phrase) == (200, "ok", "OK")
            assert reply.headers["content-type"] == "text/plain"
    assert connections == 1
    assert heads[0].startswith(b"POST /v1/x?a=%2F HTTP/1.1\r\n")
    assert b"x-own: 1\r\n" in heads[0].lower()
    assert heads[0].lower().count(b"content-length: 4\r\n") == heads[0].lower().count(b"user-agent: ") == 1


async def test_the_sdk_tells_a_server_nothing_about_the_machine() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HEAD + b"2\r\n{}\r\n0\r\n\r\n")

    async with serving(serve) as url:
        connections = Connections(url, environment=False)
        opened = Client(base_url=f"{url}/v1", api_key="k", http_client=HttpClient(Transport(connections)))
        await opened.post("/chat/completions", cast_to=httpx2.Response, body={})
        await opened.close()
        await connections.close()
    assert heads[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"authorization: bearer k\r\n" in heads[0].lower()
    for told in (b"os", b"arch", b"runtime"):
        assert b"x-stainless-" + told not in heads[0].lower()


async def test_what_has_arrived_comes_together_and_leaving_frees_the_server() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n")
        assert await reader.read() == b""
        left.set()

    async with serving(serve) as url, client(url) as opened:
        async with opened.stream("GET", "/") as reply:
            assert await anext(reply.aiter_bytes()) == b"abc"
        async with asyncio.timeout(5):
            await left.wait()


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (b"", httpx2.ReadError, "closed the connection"),
        (HEAD + b"5\r\nab", httpx2.ReadError, "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", httpx2.ReadError, "closed the connection"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", httpx2.RemoteProtocolError, "does not speak HTTP"),
    ],
    ids=["no answer", "a cut chunk", "a cut body", "another protocol"],
)
async def test_errors_are_told_apart(answer: bytes, error: type[Exception], text: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with serving(serve) as url, client(url) as opened:
        with pytest.raises(error, match=text):
            await opened.get("/")


async def test_a_server_that_is_not_there_is_told_in_the_systems_words() -> None:
    async with client("http://127.0.0.1:1") as opened:
        with pytest.raises(httpx2.ConnectError, match="Connection refused"):
            await opened.get("/")


async def test_the_proxy_of_the_environment_is_used_unless_it_is_to_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HEAD + b"2\r\nok\r\n0\r\n\r\n")
        await writer.drain()

    async with serving(serve) as url:
        monkeypatch.setenv("http_proxy", url.replace("//", "//user:word@"))
        async with client("http://nobody.invalid", environment=True) as opened:
            assert (await opened.get("/v1/models")).text == "ok"
        assert heads[0].startswith(b"GET http://nobody.invalid/v1/models HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in heads[0]
        async with client("http://nobody.invalid") as opened:
            with pytest.raises(httpx2.ConnectError):
                await opened.get("/")
        monkeypatch.setenv("no_proxy", "nobody.invalid")
        async with client("http://nobody.invalid", environment=True) as opened:
            with pytest.raises(httpx2.ConnectError):
                await opened.get("/")
