"""The server behind the proxy, an OpenAI-compatible one and an Ollama in one: it does what the case in each prompt says.

A separate program (`python -m scripts.soaking.backend CERTIFICATE`), so that its work is not the clients'. It prints its ports
on standard output and ends with its standard input. What the soak asks of it itself is below `/soak`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .cases import PATHS, case_in
from .delivery import delivery_of
from .wire import Nonsense, read_body, read_head, reset

if TYPE_CHECKING:
    from .cases import Case
    from .delivery import Delivery
    from .wire import Message

MODELS = {"object": "list", "data": [{"id": "soak", "object": "model", "created": 1, "owned_by": "soak"}]}


class Server:
    """Answers.

    Attributes:
        answering: how many requests are being answered.
        idle: connections that wait for a request.
    """

    def __init__(self) -> None:
        self.answering = 0
        self.idle: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server
        self._returning: asyncio.Task[None] | None = None

    async def listen(self, port: int = 0) -> int:
        """Open a port, and give it."""
        self._listener = await asyncio.start_server(self.serve, "127.0.0.1", port, backlog=2048)
        opened: int = self._listener.sockets[0].getsockname()[1]
        return opened

    async def listen_encrypted(self, certificate: str) -> int:
        """Open another one for TLS, with a certificate that nobody trusts, and give it."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        listener = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context)
        opened: int = listener.sockets[0].getsockname()[1]
        return opened

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection."""
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.idle.add(writer)
        try:
            while message := await read_head(reader):
                self.idle.discard(writer)
                self.answering += 1
                try:
                    await read_body(reader, message)
                    goes_on = await self._respond(message, reader, writer)
                finally:
                    self.answering -= 1
                if not goes_on:
                    break
                self.idle.add(writer)
        except Nonsense:
            writer.write(_reply(400, {"error": "this is no HTTP"}))
        except (EOFError, OSError):
            pass
        finally:
            self.idle.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _respond(self, message: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        method, target, _ = message.start.split(" ", 2)
        body = bytes(message.body)
        if target.startswith("/soak/"):
            answer = await self._control(target)
        elif target == "/v1/models":
            answer = _reply(200, MODELS)
        elif target == "/api/version":
            answer = _reply(200, {"version": "0.24.0"})
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
        if action in ("rest", "away"):
            for writer in self.idle:
                writer.close()
        if action == "away":
            port = self._listener.sockets[0].getsockname()[1]
            self._listener.close()
            self._returning = asyncio.create_task(self._return(port, float(argument)))
        return _reply(200, {"answering": self.answering - 1})

    async def _return(self, port: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.listen(port)


async def _deliver(delivery: Delivery, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send an answer; returns whether the connection goes on."""
    begin = 0
    for end in [*(place for place in delivery.writes if place < delivery.stop), delivery.stop]:
        await asyncio.sleep(delivery.writes.get(begin, 0))
        writer.write(delivery.wire[begin:end])
        await writer.drain()
        if writer.is_closing() or reader.at_eof():
            raise EOFError
        begin = end
    match delivery.ending:
        case "keep":
            return True
        case "reset":
            reset(writer)
        case "stall":
            await reader.read(1)
    return False


def _trouble(case: Case, method: str, target: str, body: bytes) -> str:
    """What is wrong with a request, if anything."""
    path = target.partition("?")[0]
    translated = "/v1/completions" if case.kind == "raw" else PATHS["v1"]
    if (method, path) != ("POST", case.path if case.mode == "fix" else translated):
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


async def main() -> None:
    """Serve."""
    server = Server()
    print(await server.listen(), await server.listen_encrypted(sys.argv[1]), flush=True)
    # With whoever started it gone, there is nobody to serve.
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
