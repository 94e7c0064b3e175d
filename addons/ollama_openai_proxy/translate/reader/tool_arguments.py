"""Makes the text of one JSON object of the pieces in which a server sends the arguments of a tool call.

The contract: feed each piece, send on what comes back, which cannot be taken back; joined, it is the text of one JSON object
once `complete` is true. After the last piece ask `finish`. What servers do differently is undone on the way:

* `{}`, `""` or `null` before the arguments is held back until it is known whether more follows (openai-agents-js#712);
* a string that holds the object is unwrapped (vllm#54964);
* control characters within strings are escaped, and so are backslashes that escape nothing (kimi-cli#1378);
* a piece that holds all that came before, and more, adds only what is new; what follows the object is ignored (cogito#66);
* a comma behind the last value is left out;
* Python's notation, and what stands in a fence or alone in a list, is read where the whole is there at once, or at the end.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

from ..surrogate_pairs import HalfJoiner
from .lenient_json import read_lenient, read_object

if TYPE_CHECKING:
    from collections.abc import Sequence

# What may come before the arguments.
_TRIVIAL = re.compile(r'(?:\s+|\{\s*\}|null|"")*+')
_UNDECIDED = re.compile(r'(?:n|nu|nul|\{\s*|")?')
_OBJECT = re.compile(r'\{\s*"')
_STRUCTURE = re.compile(r'["{}\[\]]')
_PLAIN = re.compile(r'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+')
_ENCODED = re.compile(r'(?:[^"\\]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+')
_BEGUN_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_FENCED = re.compile(r"\s*+```[a-z]*+\s*+([^`]*+)```\s*+")
_CLOSERS = {"{": "}", "[": "]"}
_LONGEST_UNDECIDED = 64
"""Characters before the arguments that are kept as they came."""


class ArgumentText:
    """The arguments of one call.

    Attributes:
        complete: the object is whole; nothing can change it.
        broken: what came is no JSON object and cannot become one.
        value: the object, where it is complete.
    """

    __slots__ = (
        "_closers",
        "_held",
        "_in_string",
        "_inner",
        "_joiner",
        "_last",
        "_mode",
        "_sent",
        "_size",
        "_spaces",
        "broken",
        "complete",
        "value",
    )

    def __init__(self) -> None:
        self.complete = False
        self.broken = False
        self.value: dict[str, Any] | None = None
        self._mode: Literal["held", "object", "string", "whole"] = "held"
        self._held = ""
        self._sent: list[str] = []
        self._size = 0
        self._last = ""
        """The last character that was given out and is no white space."""
        self._spaces: list[str] = []
        """White space behind a comma that is held back: put together once, and not with each piece."""
        self._closers: list[str] = []
        self._in_string = False
        self._inner: ArgumentText | None = None
        self._joiner = HalfJoiner()

    @property
    def blank(self) -> bool:
        """Whether nothing has come, or only what may come before the arguments."""
        if self._inner is not None:
            return self._inner.blank
        return self._mode == "held" and _TRIVIAL.fullmatch(self._held) is not None

    @property
    def empty_object(self) -> bool:
        """Whether all that came is an empty object."""
        return self._inner.empty_object if self._inner is not None else self.blank and "{" in self._held

    @property
    def text(self) -> str:
        """All that was given out so far."""
        return self._inner.text if self._inner is not None else "".join(self._sent)

    @property
    def pieces(self) -> Sequence[str]:
        """What was given out so far, in pieces."""
        return self._inner.pieces if self._inner is not None else self._sent

    @property
    def size(self) -> int:
        """Characters that were given out so far."""
        return self._inner.size if self._inner is not None else self._size

    def is_beginning_of(self, text: str) -> bool:
        """Whether a text begins with all that was given out so far."""
        return self.size <= len(text) and text.startswith(self.text)

    @property
    def at_value(self) -> bool:
        """Whether the object goes on with a value, which may be an object."""
        if self._inner is not None:
            return self._inner.at_value
        return self._in_string or "," in self._held or self._last in (":", "[")

    def feed(self, piece: str) -> str:
        """The text that is certain now."""
        if self.complete or self.broken or not piece:
            return ""
        if self._mode == "object":
            return self._object(piece)
        if self._mode == "string":
            return self._string(piece)
        if self._mode == "held" and self._held.strip() == "{" and piece.lstrip().startswith("{"):
            # The beginning, and all of it again with more.
            self._held = ""
        self._held += piece
        return self._decide() if self._mode == "held" else ""

    def finish(self, *, said_complete: bool) -> str:
        """The rest of the text, when no more pieces come. The object is `complete` then, or the call was cut.

        Args:
            said_complete: whether the server ended the answer, other than at a limit. Then no arguments at all are those of a
                tool without parameters, and brackets that were left open are closed.
        """
        if self.complete or self.broken:
            return ""
        if self._inner is not None:
            rest = self._inner.finish(said_complete=said_complete)
            self._take_over(self._inner)
            return rest
        if self._mode == "object":
            return self._close() if said_complete else ""
        if not said_complete and self._mode == "held":
            return ""
        if self.blank:
            return self._settle({}, "{}")
        return self._settle_lenient(self._held)

    def _decide(self) -> str:
        end = _TRIVIAL.match(self._held).end()  # type: ignore[union-attr]  # matches everywhere
        rest = self._held[end:]
        if _UNDECIDED.fullmatch(rest):
            if len(self._held) > _LONGEST_UNDECIDED:
                # All of it is looked at with each piece.
                self._held = ("{}" if "{" in self._held[:end] else "") + rest.rstrip()
            return ""
        if _OBJECT.match(rest):
            self._mode, self._held = "object", ""
            return self._object(rest)
        if rest.startswith('"'):
            self._mode, self._held = "string", ""
            self._inner = ArgumentText()
            return self._string(rest[1:])
        self._mode, self._held = "whole", rest
        return ""

    def _object(self, piece: str) -> str:
        if self._held.startswith(",") and piece.isspace():
            self._spaces.append(piece)
            return ""
        first = not self._sent
        if not first and piece.startswith(self._sent[0][:2]) and self._repeats(piece):
            piece = piece[len(self.text) :]
        text, self._held = "".join([self._held, *self._spaces, piece]), ""
        self._spaces.clear()
        made = self._scan(text)
        if self._closers and not self._in_string and (rest := made.rstrip()).endswith(","):
            # Perhaps one too many.
            made, self._held = rest[:-1], made[len(rest) - 1 :]
        if made:
            self._give(made)
        if self._closers:
            return made
        self.value = read_object(self.text)
        if self.value is not None:
            self.complete = True
            return made
        if first:
            # Nothing was sent: there is time to read it in another notation.
            self._sent.clear()
            self._size = 0
            return self._settle_lenient(text)
        self.broken = True
        return made

    def _repeats(self, piece: str) -> bool:
        """Whether a piece is the whole text so far and more, and no object within the object."""
        return (self._in_string or not self.at_value) and self.is_beginning_of(piece)

    def _scan(self, text: str) -> str:
        """The text up to the end of the object, with what is wrong within strings put right.

        Sets `_in_string` and `_closers`, which are empty at the end of the object, and holds a begun escape back.
        """
        made: list[str] = []
        at, length = 0, len(text)
        while at < length:
            if self._in_string:
                end = _PLAIN.match(text, at).end()  # type: ignore[union-attr]  # matches everywhere
                made.append(text[at:end])
                if end == length:
                    break
                at = end + 1
                if (character := text[end]) == '"':
                    made.append(character)
                    self._in_string = False
                elif character != "\\":
                    made.append(json.dumps(character)[1:-1])
                elif _BEGUN_ESCAPE.fullmatch(text, end):
                    self._held = text[end:]
                    break
                elif text[at] == "'":
                    made.append("'")
                    at += 1
                else:
                    made.append("\\\\")
                continue
            found = _STRUCTURE.search(text, at)
            if found is None:
                made.append(text[at:])
                break
            made.append(text[at : found.end()])
            at = found.end()
            match found.group():
                case '"':
                    self._in_string = True
                case ("{" | "[") as opening:
                    self._closers.append(_CLOSERS[opening])
                case closing:
                    self._closers.pop()
                    if (rest := made[-1][:-1].rstrip()).endswith(","):
                        made[-1] = rest[:-1] + closing
                    if not self._closers:
                        break
        return "".join(made)

    def _string(self, piece: str) -> str:
        inner = self._inner
        assert inner is not None  # noqa: S101  # the mode says so
        text, self._held = self._held + piece, ""
        made: list[str] = []
        at = 0
        while True:
            end = _ENCODED.match(text, at).end()  # type: ignore[union-attr]  # matches everywhere
            made.append(_decoded(text[at:end]))
            if end == len(text) or text[end] == '"':
                break
            if _BEGUN_ESCAPE.fullmatch(text, end):
                self._held = text[end:]
                break
            made.append("\\")
            at = end + 1
        result = inner.feed(self._joiner.feed("".join(made)))
        self._take_over(inner)
        return result

    def _take_over(self, inner: ArgumentText) -> None:
        self.complete, self.broken, self.value = inner.complete, inner.broken, inner.value

    def _close(self) -> str:
        """Close the brackets that were left open, where all values are whole."""
        closers = "".join(reversed(self._closers))
        if self._in_string or (value := read_object(self.text + closers)) is None:
            self.broken = True
            return ""
        return self._settle(value, closers)

    def _settle_lenient(self, text: str) -> str:
        if fenced := _FENCED.fullmatch(text):
            text = fenced[1]
        try:
            value = read_lenient(text)
        except ValueError:
            value = False
        if value is None or value == []:
            # What some languages make of an object without keys.
            value = {}
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, dict):
            self.broken = True
            return ""
        return self._settle(value, json.dumps(value, separators=(",", ":")))

    def _settle(self, value: dict[str, Any], rest: str) -> str:
        self.complete, self.value = True, value
        self._give(rest)
        return rest

    def _give(self, text: str) -> None:
        """Note what is given out."""
        self._sent.append(text)
        self._size += len(text)
        self._last = text.rstrip()[-1:] or self._last


def _decoded(text: str) -> str:
    if "\\" not in text:
        return text
    decoded = json.loads(f'"{text}"', strict=False)
    assert isinstance(decoded, str)  # noqa: S101  # it stands in quotes
    return decoded
