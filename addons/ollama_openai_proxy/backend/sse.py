"""Reads server-sent events as OpenAI-compatible servers write them, without I/O.

The contract: feed each network read, get the chunks that it completed; after the last one ask `finish`. Whether the stream is
broken or done is told beside the chunks, so that none of those before is lost. Comments, event ids, blank lines, CRLF and a
missing space after the colon do not matter. A chunk is given out as soon as its `data` line is whole; one that is spread over
several `data` lines, as the standard allows, with the last of them.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

type Chunk = dict[str, Any]


class SseReader:
    """Reads one stream.

    Attributes:
        done: the back end has said `[DONE]`.
        broken: there was an event that is neither JSON nor `[DONE]`. What follows either is ignored.
    """

    def __init__(self) -> None:
        self.done = False
        self.broken = False
        self._rest = b""
        self._event = b""
        self._pending: list[bytes] = []

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that are complete now."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        chunks: list[Chunk] = []
        for line in lines:
            self._line(line.removesuffix(b"\r"), chunks)
        return chunks

    def finish(self) -> list[Chunk]:
        """The chunks of a last line without an end, when the stream has ended."""
        return self.feed(b"\n\n")

    def _line(self, line: bytes, chunks: list[Chunk]) -> None:
        if self.done or self.broken:
            return
        if not line:
            self.broken = bool(self._pending)
            self._event = b""
        elif line.startswith(b"data:"):
            self._data(line[5:].strip(), chunks)
        elif line.startswith(b"event:"):
            self._event = line[6:].strip()
        elif line.startswith(b"error:"):
            # Older llama.cpp servers name the field so.
            self._event = b"error"
            self._data(line[6:].strip(), chunks)

    def _data(self, data: bytes, chunks: list[Chunk]) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        if data:
            self._pending.append(data)
        if not self._pending:
            return
        try:
            chunk = _parse(b"\n".join(self._pending))
        except (ValueError, RecursionError):
            # The next line may complete it.
            return
        self._pending.clear()
        if isinstance(chunk, dict):
            chunks.append({"error": chunk} if self._event == b"error" and "error" not in chunk else chunk)


def _parse(data: bytes) -> Any:
    try:
        return from_json(data)
    except ValueError:
        # The fast parser refuses halves of a character in escapes, which some back ends send.
        return json.loads(data)
