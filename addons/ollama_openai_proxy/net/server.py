"""The HTTP server of the console command: uvicorn, with bounds and with a shutdown that loses no request.

`Server.serve` serves an ASGI application on sockets that are bound already, until `Server.stop`. Where the sockets come from,
and how many processes share them, is for the caller.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from uvicorn.config import Config
from uvicorn.server import Server as UvicornServer

from .bounds import FLOOD_SECONDS, TOO_MANY_CONNECTIONS
from .http1_protocol import BoundedProtocol
from .shutdown import goodbye

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from .bounds import Bounds
    from .http1_protocol import ErrorResponse

LOOKS_PER_SECOND = 2
"""How often time-outs are looked at."""
TICKS_PER_SECOND = 10
"""How often uvicorn calls `on_tick`."""
FLUSH_SECONDS = 1.0
"""How long the last bytes of closed connections may take when the server ends."""
RETIRED_IDLE_SECONDS = 5.0
"""How long a client may still begin a request on a kept connection when another process serves the port."""
MOST_HELD = 8 << 20
"""Bytes of incomplete heads that are held over all connections."""
BACKLOG = 2048

logger = logging.getLogger(__name__)


class Application(Protocol):
    """What the server needs of an ASGI application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""

    async def drain(self, is_busy: Callable[[], bool]) -> None:
        """Wait for running responses, and for whatever `is_busy` tells of; then end them."""

    def retire(self) -> None:
        """Have clients connect anew for their next requests."""

    def hurry(self) -> None:
        """End a `drain` at once."""


class Server(UvicornServer):
    """Serves an application.

    Args:
        application: is called for each request.
        bounds: of requests, waits and connections.
        error_response: makes the responses to requests that the application does not get to see.
    """

    def __init__(self, application: Application, bounds: Bounds, error_response: ErrorResponse) -> None:
        config = Config(
            application,
            http=functools.partial(BoundedProtocol, self),  # type: ignore[arg-type]  # a class, with an argument
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
        )
        super().__init__(config)
        self.bounds = bounds
        self.error_response = error_response
        self.farewell = goodbye().message
        self._application = application
        self._waiting: dict[BoundedProtocol, None] = {}
        self._held = 0
        self._quiet_until = 0.0
        self._ticks = 0
        self._retiring = False

    def stop(self) -> None:
        """Let no new clients in, and end when running responses have ended; a second call ends them."""
        if self.should_exit and not self._retiring:
            self._application.hurry()
        self._retiring = False
        self.should_exit = True

    def retire(self) -> None:
        """Let no new clients in, and end when no client uses a connection any more; another process serves the port."""
        if not self.should_exit:
            self._retiring = self.should_exit = True
            self._application.retire()

    # -- Connections without a request that the application has seen, the oldest first

    def waits(self, connection: BoundedProtocol) -> None:
        """Note that a connection can be closed when there are too many. A new connection may be one too many."""
        self._waiting[connection] = None
        if len(self.server_state.connections) > self.bounds.max_connections:
            self._close_one(TOO_MANY_CONNECTIONS, self.bounds.max_connections)

    def waits_no_more(self, connection: BoundedProtocol) -> None:
        """Note that a connection is needed, or gone."""
        self._waiting.pop(connection, None)

    def holds(self, change: int) -> None:
        """Note that a connection holds so many bytes more; when all hold too many, the oldest are closed."""
        self._held += change
        while change > 0 and self._held > MOST_HELD and len(self._waiting) > 1:
            self._close_one("incomplete heads take %d bytes: connections without a request are closed.", MOST_HELD)

    def _close_one(self, reason: str, limit: int) -> None:
        now = asyncio.get_running_loop().time()
        if now > self._quiet_until:
            logger.warning(reason, limit)
        self._quiet_until = now + FLOOD_SECONDS
        connection = next(iter(self._waiting))
        del self._waiting[connection]
        if not self._waiting:  # the new one itself
            connection.write(self.error_response(503, "too many connections: try again", log=False))
            connection.transport.close()
        else:
            connection.give_up()
        self.server_state.connections.discard(connection)

    def _is_busy(self) -> bool:
        return any(connection.is_busy() for connection in self._connections())

    def _is_in_use(self) -> bool:
        now = asyncio.get_running_loop().time()
        return any(each.is_busy() or now - each.idle_since < RETIRED_IDLE_SECONDS for each in self._connections())

    def _connections(self) -> list[BoundedProtocol]:
        return [each for each in self.server_state.connections if isinstance(each, BoundedProtocol)]

    # -- What uvicorn calls

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Look at the time-outs; returns whether the server is to end."""
        if counter % (TICKS_PER_SECOND // LOOKS_PER_SECOND) == 0:
            now = asyncio.get_running_loop().time()
            for connection in self._connections():
                connection.check_time(now)
        return self.should_exit

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Let nobody in any more, wait for running responses, and close all connections."""
        self._application.retire()  # a request may come while those are let in who wait at the port
        await self._stop_listening(sockets or ())
        looking = asyncio.get_running_loop().create_task(self._look_on())
        try:
            while self._retiring and self._is_in_use():  # noqa: ASYNC110  # connections tell nobody
                await asyncio.sleep(1 / TICKS_PER_SECOND)
            await self._application.drain(self._is_busy)
            for connection in self._connections():
                connection.shutdown()
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    while self.server_state.connections:  # noqa: ASYNC110  # uvicorn keeps them
                        await asyncio.sleep(0.01)
        finally:
            looking.cancel()
        for connection in self._connections():
            connection.transport.abort()

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(1 / LOOKS_PER_SECOND)
            await self.on_tick(0)

    async def _stop_listening(self, sockets: Sequence[socket.socket]) -> None:
        """Close the sockets; whoever has connected by then is let in."""
        # A second handle of each socket keeps it open until those who wait there have been accepted.
        handles = [] if self._retiring else [each.dup() for each in sockets]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for handle in handles:
            with handle, suppress(OSError):  # nobody waits any more, or there are no more files
                handle.setblocking(False)
                while True:
                    client, _ = handle.accept()
                    client.setblocking(False)
                    await loop.connect_accepted_socket(self._protocol, client)
        for each in sockets:
            each.close()

    def _protocol(self) -> asyncio.Protocol:
        return BoundedProtocol(self, config=self.config, server_state=self.server_state, app_state={})
