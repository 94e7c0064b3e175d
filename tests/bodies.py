"""Bodies for tests, made by generators, and sinks that keep what they get."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from ollama_openai_proxy.net.body import Body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ollama_openai_proxy.errors import ApiError
    from ollama_openai_proxy.net.body import Sink


class GeneratedBody(Body):
    """A body that a task takes from an asynchronous generator; `pause` stops the task between two parts."""

    def __init__(self, parts: AsyncGenerator[bytes, None]) -> None:
        self._parts = parts
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self.closed = False
        self.failed_with: ApiError | None = None

    def start(self, sink: Sink) -> None:
        self._sink = sink
        self._task = asyncio.get_running_loop().create_task(self._push())

    def pause(self) -> None:
        self._room.clear()

    def resume(self) -> None:
        self._room.set()

    def close(self) -> None:
        self.closed = True
        if self._task is not None:
            self._task.cancel()

    def fail(self, error: ApiError) -> None:
        self.failed_with = error
        self.close()
        self._sink.end(error)

    async def _push(self) -> None:
        error: Exception | None = None
        try:
            async for part in self._parts:
                self._sink.write(part)
                await self._room.wait()
        except Exception as caught:
            error = caught
        finally:
            await self._parts.aclose()
        if not self.closed:
            self._sink.end(error)


class Kept:
    """A sink that keeps the parts and the end."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.ends: list[Exception | None] = []
        self._ended = asyncio.Event()

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)

    def write(self, part: bytes) -> None:
        assert part
        assert not self.ends, "a part came after the end"
        self.parts.append(part)

    def end(self, error: Exception | None) -> None:
        self.ends.append(error)
        self._ended.set()

    async def ended(self) -> None:
        """Wait for the end, which comes once."""
        await self._ended.wait()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert len(self.ends) == 1


class PushedBody(Body):
    """A body that a test pushes by hand."""

    def __init__(self) -> None:
        self.sink: Sink | None = None
        self.calls: list[str] = []
        self.error: ApiError | None = None

    def start(self, sink: Sink) -> None:
        self.calls.append("start")
        self.sink = sink

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def close(self) -> None:
        self.calls.append("close")

    def fail(self, error: ApiError) -> None:
        self.calls.append("fail")
        self.error = error

    def write(self, part: bytes) -> None:
        assert self.sink is not None
        self.sink.write(part)

    def end(self, error: Exception | None = None) -> None:
        assert self.sink is not None
        self.sink.end(error)
