"""Reads server-sent events as OpenAI-compatible servers write them, without I/O.

The contract: feed each network read, get the chunks that it completed; after the last one ask `finish`. Whether the stream is
broken or done is told beside the chunks, so that none of the chunks before is lost. Comments, event ids, blank lines, CRLF and
a missing space after the colon do not matter. A chunk is given out as soon as its `data` line is whole; a chunk that is spread
over several `data` lines, as the standard allows, with the last of them. A line that is a JSON object without a field's name
before it counts as data: some servers write errors so, and some whole streams.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

type Chunk = dict[str, Any]

_LONGEST_TEXT = 2000
_LINES_TRIED = 64
"""Lines of an event after each of which the event may be whole. An event of more is read when it ends, in linear time."""
_DONE = frozenset({b"DONE]", b"done]", b'ONE]"', b"DONE"})


class SseReader:
    """Reads one stream.

    Attributes:
        done: the server has said `[DONE]`.
        broken: there was an event that is JSON in part only. What follows either is ignored.
        text: what was no event, and events that are plain text, up to 2,000 characters: perhaps an error.
        idle: nothing of an event is held back.
    """

    __slots__ = ("_event", "_pending", "_rest", "_stray", "_stray_size", "broken", "done", "idle", "text")

    def __init__(self) -> None:
        self.done = False
        self.broken = False
        self.text = ""
        self.idle = True
        self._rest = b""
        self._event = b""
        self._pending: list[bytes] = []
        self._stray: list[bytes] = []
        self._stray_size = 0

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that are complete now."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        chunks: list[Chunk] = []
        for line in lines:
            if self.done or self.broken:
                break
            self._line(line.removesuffix(b"\r"), chunks)
        self.idle = not (self._rest or self._pending or self._event or self._stray)
        return chunks

    def finish(self) -> list[Chunk]:
        """The chunks of a last line without an end, when the stream has ended."""
        chunks = self.feed(b"\n\n")
        if not self.done and isinstance(stray := parse_json(b"\n".join(self._stray)), dict):
            chunks.append(stray)
            self.broken = False
        return chunks

    def _line(self, line: bytes, chunks: list[Chunk]) -> None:
        if line.startswith(b"data:"):
            self._data(line[5:].strip(), chunks)
        elif not line:
            if self._pending:
                self._end_event(chunks)
            self._event = b""
        elif line.startswith(b"event:"):
            self._event = line[6:].strip()
        elif line.startswith(b"error:"):
            # Older llama.cpp servers name the field so.
            self._event = b"error"
            self._data(line[6:].strip(), chunks)
        elif not line.startswith((b":", b"id:", b"retry:")):
            self._stray_line(line, chunks)

    def _data(self, data: bytes, chunks: list[Chunk]) -> None:
        if data[-5:] in _DONE and data.strip(b'"').upper() in (b"[DONE]", b"DONE"):
            self.done = True
            return
        if data:
            self._pending.append(data)
        if 0 < len(self._pending) <= _LINES_TRIED:
            self._take_event(chunks)

    def _take_event(self, chunks: list[Chunk]) -> None:
        """Read the lines of an event, if they are JSON; otherwise the next line may complete them."""
        chunk = parse_json(self._pending[0] if len(self._pending) == 1 else b"\n".join(self._pending))
        if chunk is _NO_JSON:
            return
        self._pending.clear()
        if isinstance(chunk, dict):
            chunks.append({"error": chunk} if self._event == b"error" and "error" not in chunk else chunk)
        elif self._event == b"error" or isinstance(chunk, str):
            self._plain_text(str(chunk), chunks)

    def _end_event(self, chunks: list[Chunk]) -> None:
        """End an event whose data are no JSON so far: part of a chunk, which is lost, or words."""
        if len(self._pending) > _LINES_TRIED:
            self._take_event(chunks)
            if not self._pending:
                return
        data = b"\n".join(self._pending)
        self._pending.clear()
        if data.startswith((b"{", b"[")):
            self.broken = True
            self._add_text(data)
        else:
            self._plain_text(data.decode("utf-8", "replace"), chunks)

    def _plain_text(self, text: str, chunks: list[Chunk]) -> None:
        if self._event == b"error" or text[:5].lower() == "error":
            chunks.append({"error": text})
        else:
            self._add_text(text.encode("utf-8", "replace"))

    def _stray_line(self, line: bytes, chunks: list[Chunk]) -> None:
        if line.startswith(b"{") and isinstance(chunk := parse_json(line), dict):
            chunks.append(chunk)
            return
        if self._stray_size < 8 * _LONGEST_TEXT:
            self._stray.append(line)
            self._stray_size += len(line) + 1
        self._add_text(line)

    def _add_text(self, data: bytes) -> None:
        if len(self.text) < _LONGEST_TEXT:
            text = data.decode("utf-8", "replace")
            self.text = f"{self.text}\n{text}"[:_LONGEST_TEXT] if self.text else text[:_LONGEST_TEXT]


_NO_JSON = object()


def parse_json(data: bytes) -> Any:
    """The value of a JSON text; a marker that is no value of JSON, nor a mapping, where it is none."""
    try:
        return from_json(data)
    except ValueError:
        pass
    try:
        # The fast parser refuses halves of a character in escapes, raw control characters and broken UTF-8.
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return _NO_JSON
