"""An aiohttp application that listens on loopback, in a thread and an event loop of its own.

The contract every stand-in keeps: entering the context returns once the socket accepts; leaving it returns once the
thread has ended, whatever the handlers were doing. A handler is cancelled as soon as its client closes the
connection, so it needs no code to find that out; `wait_for_disconnect` tells the test.
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from types import TracebackType
from typing import NoReturn, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.standins._record import Journal

_START_TIMEOUT = 10
_STOP_TIMEOUT = 10
# Handlers are cancelled after this; whoever leaves the context no longer wants their answers.
_GRACE = 0.05

_cut = web.RequestKey("cut", bool)


class ThreadedServer(Journal, ABC):
    """A server that runs while its context is open; `port` 0 takes a free one, which stays known after the end."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__()
        self.port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._stopping = False

    @property
    def url(self) -> str:
        """The server's root, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def add_routes(self, app: web.Application) -> None:
        """Register handlers, signals and what else the application needs; runs inside the event loop."""

    def __enter__(self) -> Self:
        started: Future[None] = Future()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, args=(started,), name=type(self).__name__, daemon=True)
        self._thread.start()
        started.result(_START_TIMEOUT)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._thread is not None
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError(f"{type(self).__name__} did not stop within {_STOP_TIMEOUT} s")

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _serve(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        app = web.Application(middlewares=[self._observe], client_max_size=0)
        self.add_routes(app)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            started.set_result(None)
            await self._stop.wait()
        finally:
            # Cancelling the handlers that are left must not look like clients going away.
            self._stopping = True
            await runner.cleanup()

    @web.middleware
    async def _observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        client_left = False
        self._note_begin()
        try:
            return await handler(request)
        except (asyncio.CancelledError, ConnectionError):
            client_left = not (self._stopping or request.get(_cut, False))
            raise
        finally:
            self._note_end(client_left=client_left)

    async def write(self, response: web.StreamResponse, data: bytes) -> None:
        """Write and flush a piece of a streamed reply, and note when."""
        self._note_write(data)
        await response.write(data)

    async def cut(self, request: web.Request) -> NoReturn:
        """Drop the connection in the middle of an answer. Does not return: the handler is cancelled."""
        request[_cut] = True
        transport = request.transport
        if transport is not None:
            # Aborting throws away what the kernel has not taken yet; the client is to get all that was written.
            while transport.get_write_buffer_size():
                await asyncio.sleep(0.001)
            transport.abort()
        await asyncio.Event().wait()
        raise AssertionError("a cut connection cancels its handler")
