"""Reads server-sent events as OpenAI-compatible servers write them, without I/O.

The contract: feed each network read, get the chunks that it completed; after the last one ask `finish`. Whether the stream is
broken or done is told beside the chunks, so that none of the chunks before is lost. Comments, event ids, blank lines, CRLF and
a missing space after the colon do not matter. A chunk is given out as soon as its `data` line is whole; a chunk that is spread
over several `data` lines, as the standard allows, with the last of them. A line that is a JSON object without a field's name
before it counts as data: some servers write errors so, and some whole streams.
"""

from __future__ import annotations

import re
from typing import Any

from ..bounded_json import read_odd_json

type Chunk = dict[str, Any]

LONGEST_LINE = 1 << 25
"""Bytes of the longest line, and of the longest event: one with a picture in it for instance."""
MOST_LINES = 1 << 16
"""Lines of data of one event; each takes many times its length in memory."""

_LONGEST_TEXT = 2000
_LINES_TRIED = 64
"""Lines of an event after each of which the event may be whole. An event of more is read when it ends, in linear time."""
_BROKEN_ERROR = re.compile(rb"""\{\s*"error"\s*:\s*(?:\{(?:[^{}]{0,200}[,\s])?"message"\s*:\s*)?"(.*)""", re.DOTALL)
"""An error whose text was put between quotation marks without escaping the text."""
_DONE = frozenset({b"DONE]", b"done]", b'ONE]"', b"DONE"})


class SseReader:
    """Reads one stream.

    Attributes:
        done: the server has said `[DONE]`.
        broken: there was an event that is JSON in part only. What follows either is ignored.
        text: what was no event, and events that are plain text, up to 2,000 characters: perhaps an error.
        idle: nothing of an event is held back.
        too_long: a line or an event is longer than `LONGEST_LINE`, or has more than `MOST_LINES`; `broken`, too.
    """

    __slots__ = (
        *("_event", "_pending", "_pending_size", "_rest", "_rest_size", "_stray", "_stray_size"),
        *("broken", "done", "idle", "text", "too_long"),
    )

    def __init__(self) -> None:
        self.done = False
        self.broken = False
        self.text = ""
        self.idle = True
        self.too_long = False
        # The pieces of a line without an end: to join them with each read would take quadratic time.
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._event = b""
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._stray: list[bytes] = []
        self._stray_size = 0

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that are complete now."""
        if b"\n" not in data:
            self._hold(data)
            return []
        if self._rest:
            data = b"".join((*self._rest, data))
            self._rest.clear()
            self._rest_size = 0
        lines = data.split(b"\n")
        if last := lines.pop():
            self._hold(last)
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

    def _hold(self, data: bytes) -> None:
        """Keep a piece of a line, the end of which is still to come."""
        self.idle = False
        self._rest.append(data)
        self._rest_size += len(data)
        if self._rest_size > LONGEST_LINE:
            self._rest.clear()
            self.broken = self.too_long = True

    def _line(self, line: bytes, chunks: list[Chunk]) -> None:
        if line.startswith(b"data:"):
            data = line[5:].strip()
            # Gateways add the name of the field to what has one.
            self._data(data[5:].strip() if data.startswith(b"data:") else data, chunks)
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
        # Nearly all events are one line with one object.
        if data[:1] == b"{" and not (self._pending or self._event) and len(data) <= LONGEST_LINE:
            chunk = parse_json(data)
            if isinstance(chunk, dict):
                chunks.append(chunk)
                return
        if data[-5:] in _DONE and data.strip(b'"').upper() in (b"[DONE]", b"DONE"):
            self.done = True
            return
        if data:
            self._pending.append(data)
            self._pending_size += len(data)
            if self._pending_size > LONGEST_LINE or len(self._pending) > MOST_LINES:
                self.broken = self.too_long = True
                self._clear_pending()
        if 0 < len(self._pending) <= _LINES_TRIED:
            self._take_event(chunks)

    def _take_event(self, chunks: list[Chunk]) -> None:
        """Read the lines of an event, if they are JSON; otherwise the next line may complete them."""
        chunk = parse_json(self._pending[0] if len(self._pending) == 1 else b"\n".join(self._pending))
        if chunk is _NO_JSON:
            return
        self._clear_pending()
        if isinstance(chunk, dict):
            chunks.append({"error": chunk} if self._event == b"error" and "error" not in chunk else chunk)
        elif self._event == b"error" or isinstance(chunk, str):
            self._plain_text(str(chunk), chunks)

    def _clear_pending(self) -> None:
        self._pending.clear()
        self._pending_size = 0

    def _end_event(self, chunks: list[Chunk]) -> None:
        """End an event whose data are no JSON so far: part of a chunk, which is lost, or words."""
        if len(self._pending) > _LINES_TRIED:
            self._take_event(chunks)
            if not self._pending:
                return
        data = b"\n".join(self._pending)
        self._clear_pending()
        if data.startswith((b"{", b"[")) and data[:6].upper() != b"[ERROR":
            if (error := _BROKEN_ERROR.match(data[: 4 * _LONGEST_TEXT])) and (text := error[1].rstrip(b'"} \t\n')):
                # Some servers write errors without a JSON library, and a line end in the text ends the line of data.
                chunks.append({"error": text.decode("utf-8", "replace")})
                return
            self.broken = True
            self._add_text(data)
        else:
            self._plain_text(data.decode("utf-8", "replace"), chunks)

    def _plain_text(self, text: str, chunks: list[Chunk]) -> None:
        if self._event == b"error" or text.lstrip("[")[:5].lower() == "error":
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
            text = data[: 4 * _LONGEST_TEXT].decode("utf-8", "replace")
            self.text = f"{self.text}\n{text}"[:_LONGEST_TEXT] if self.text else text[:_LONGEST_TEXT]


_NO_JSON = object()


def parse_json(data: bytes) -> Any:
    """The value of a JSON text; a marker that is no value of JSON, nor a mapping, where it is none, or too much."""
    try:
        return read_odd_json(data)
    except ValueError:
        return _NO_JSON
