"""The server behind the proxy, an OpenAI-compatible one and an Ollama in one: it does what the case in each prompt says.

A separate program (`python -m scripts.soaking.backend`), so that its work is not the clients'. It prints its ports on
standard output and ends with its standard input. What the soak asks of it itself is below `/soak`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cases import case_in
from .delivery import delivery_of
from .wire import Cut, Incoming, Nonsense

if TYPE_CHECKING:
    from .cases import Case
    from .delivery import Delivery
    from .wire import Head

MODELS = {"object": "list", "data": [{"id": "soak", "object": "model", "created": 1, "owned_by": "soak"}]}
TAGS = {"models": [{"name": "soak:latest", "model": "soak:latest", "modified_at": "2026-01-01T00:00:00Z", "size": 1}]}
PATHS = {
    "chat": "/api/chat",
    "generate": "/api/generate",
    "pull": "/api/pull",
    "v1": "/v1/chat/completions",
    "raw": "/v1/completions",
}
RESET = struct.pack("ii", 1, 0)


class Server:
    """Answers.

    Attributes:
        answering: how many requests are being answered.
        idle: connections that wait for a request.
    """

    def __init__(self) -> None:
        self.answering = 0
        self.idle: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self._returning: asyncio.Task[None] | None = None
        self._port = 0

    async def listen(self, certificate: Path | None) -> tuple[int, int]:
        """Open a port, and another one for TLS with a certificate that nobody trusts; gives both."""
        self._listener = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=2048)
        self._port = self._listener.sockets[0].getsockname()[1]
        if certificate is None:
            return self._port, 0
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        encrypted = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context)
        return self._port, encrypted.sockets[0].getsockname()[1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming = Incoming(lambda: reader.read(1 << 16))
        try:
            self.idle.add(writer)
            while head := await incoming.head():
                self.idle.discard(writer)
                self.answering += 1
                try:
                    await incoming.read_body(head, otherwise="none")
                    goes_on = await self._respond(head, bytes(incoming.body), reader, writer)
                finally:
                    self.answering -= 1
                if not goes_on:
                    break
                self.idle.add(writer)
        except Nonsense:
            writer.write(_reply(400, {"error": "this is no HTTP"}))
        except (Cut, OSError):
            pass
        finally:
            self.idle.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _respond(self, head: Head, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        method, target, _ = head.start.split(" ", 2)
        if target.startswith("/soak/"):
            answer = await self._control(target)
        elif target == "/v1/models":
            answer = _reply(200, MODELS)
        elif target == "/api/version":
            answer = _reply(200, {"version": "0.24.0"})
        elif target == "/api/tags":
            answer = _reply(200, TAGS)
        elif target == "/v1/messages":
            answer = _reply(404, {"detail": "Not Found"})
        elif case := case_in(body):
            if trouble := _trouble(case, method, target, body):
                answer = _reply(418, {"error": trouble})
            else:
                return await _deliver(delivery_of(case, target), reader, writer)
        else:
            answer = _reply(404, {"error": {"message": f"there is no {method} {target}", "type": "soak_error"}})
        writer.write(answer)
        await writer.drain()
        return True

    async def _control(self, target: str) -> bytes:
        action, _, argument = target.removeprefix("/soak/").partition("?")
        if action == "rest":
            for writer in self.idle:
                writer.close()
        elif action == "away":
            assert self._listener is not None
            self._listener.close()
            self._returning = asyncio.create_task(self._return(float(argument)))
        return _reply(200, {"answering": self.answering - 1, "idle": len(self.idle)})

    async def _return(self, seconds: float) -> None:
        for writer in self.idle:
            writer.close()
        await asyncio.sleep(seconds)
        self._listener = await asyncio.start_server(self.serve, "127.0.0.1", self._port, backlog=2048)


async def _deliver(delivery: Delivery, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send an answer; returns whether the connection goes on."""
    last = 0
    for end in [*(place for place in delivery.breaks if place < delivery.stop), delivery.stop]:
        if pause := delivery.pauses.get(last):
            await asyncio.sleep(pause)
        writer.write(delivery.wire[last:end])
        await writer.drain()
        if writer.is_closing() or reader.at_eof():
            raise Cut
        last = end
    match delivery.ending:
        case "keep":
            return True
        case "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        case "stall":
            await reader.read(1)
    return False


def _trouble(case: Case, method: str, target: str, body: bytes) -> str:
    """What is wrong with a request, if anything."""
    path = target.partition("?")[0]
    kind = case.call.removesuffix("-whole")
    wanted = PATHS.get(kind, PATHS["v1"]) if case.mode == "fix" or kind == "raw" else PATHS["v1"]
    if (method, path) != ("POST", wanted):
        return f"it came as {method} {path}"
    try:
        request = json.loads(body)
    except ValueError:
        return "it is no JSON"
    got = _prompt(request)
    if got != case.prompt:
        return f"its prompt of {len(case.prompt)} characters came as {len(got)}: {got[:200]!r}"
    return ""


def _prompt(request: dict[str, Any]) -> str:
    if "messages" not in request:
        return str(request.get("prompt", ""))
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _reply(status: int, answer: object) -> bytes:
    content = json.dumps(answer).encode()
    head = f"HTTP/1.1 {status} Soak\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


async def _serve(certificate: Path | None) -> None:
    server = Server()
    print(*await server.listen(certificate), flush=True)
    # With whoever started it gone, there is nobody to serve.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="scripts.soaking.backend", description=__doc__)
    parser.add_argument("--certificate", type=Path)
    asyncio.run(_serve(parser.parse_args().certificate))


if __name__ == "__main__":
    main()
