"""Makes neutral events of whatever bytes an OpenAI-compatible server answers with.

The contract is that of `answer_machine.Reader`: feed each network read, send on the events, ask `finish` when the body has
ended. However the bytes are cut, the events say the same. What kind of body it is shows in its first bytes, not in its content
type: server-sent events, one JSON object, lines of JSON, a page of HTML, or plain text.

An answer that is not complete ends with `Failure`: the server said so, its words cannot be read, or its stream stopped without
`[DONE]`, reason or framing. What was said before is given out first. What is odd in a chunk costs no more than itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import from_json

from ...errors import BackendError, EmptyAnswer
from ..error_text import is_markup
from ..events import Failure, Finish, ReasoningState, Text, Thinking
from ..surrogate_pairs import HalfJoiner
from .finish_reasons import ending_of, read_finish_reason
from .infill_chunks import infill_choice
from .logprobs import read_logprobs
from .message_text import content_of, is_thought, reasoning_of
from .offered_tools import OfferedTools
from .reasoning_state import ReasoningDetails
from .server_errors import NOT_UNDERSTOOD, ModelNames, error_in_chunk, not_understood, server_error
from .sse import LONGEST_LINE, SseReader, parse_json
from .stop_texts import StopTexts
from .think_tags import ThinkTags
from .token_counts import TokenCounts
from .tool_call_text import ToolCallText
from .tool_calls import ToolCallAssembly

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ..events import Event, FinishReason

_BOM = b"\xef\xbb\xbf"
_HALF = re.compile("[\ud800-\udfff]")
LONGEST_CALL = 1 << 22
"""Characters of the arguments of all calls of an answer, and of a call that stands in the text."""
TOO_LONG_CALL = f"the back end sent a tool call of more than {LONGEST_CALL} characters"
_LONGEST_PAGE = 65536
_SHORT = 65536
# What it comes to, wherever in a chunk there is something else than should be.
_WRONG_TYPES = (AttributeError, KeyError, TypeError, ValueError)
_BROKE_OFF = "the back end broke off its answer"


class StreamReader:
    """Reads one answer, of a chat or of a completion, streamed or whole.

    Args:
        tools: the tools that were offered, by the names that the server was sent; a mapping gives the JSON schemas of their
            parameters too. Where there are none, text is never taken for a call.
        original_tool_name: maps a name that was shortened for the server back to that of the client.
        split_thinking: whether text between think tags is thinking, and white space around it no content; not so for a raw
            completion, whose text is left as it is.
        thinking_opened: whether the model's template opened the thinking, so that the text begins with it: False for no, or
            where the client cannot wait; True for yes; None to hold the text back until it is known, for a client that gets
            the answer whole.
        drop_thinking: whether the client asked for an answer without thinking.
        stop_texts: that the client named; the text ends at the first, even if the server goes on.
        prompt_tokens: an estimate, for servers that do not count.
        model: its name as the client wrote it, for the text of errors.
        server_model: its name as the server was told it.
        content_filter_fails: whether the client's API has no word for an answer that a content filter stopped.

    Attributes:
        closed_alone: whether a closing think tag came without an opening one: for this model `thinking_opened` is True.
        unknown_finish_reason: the server's word for the end, where it is none that is known.
    """

    __slots__ = (
        *(
            "_assembly",
            "_begun",
            "_behind",
            "_buffer",
            "_looked_at",
            "_call_size",
            "_called",
            "_choices",
            "_content_halves",
            "_counts",
            "_deltas",
            "_details",
            "_drop_thinking",
        ),
        *(
            "_ended",
            "_fast",
            "_filter_fails",
            "_idle",
            "_kind",
            "_last_space",
            "_last_text",
            "_lead",
            "_line_end",
            "_names",
            "_pieces",
            "_prompt_tokens",
        ),
        *(
            "_reason",
            "_said",
            "_searched",
            "_sse",
            "_stop_sequence",
            "_stops",
            "_tags",
            "_text_came",
            "_thinking_begun",
            "_thinking_halves",
            "_thought",
        ),
        *("_tool_text", "_trims", "_unsure", "unknown_finish_reason"),
    )

    def __init__(
        self,
        *,
        tools: Collection[str] | Mapping[str, Mapping[str, Any]] = (),
        original_tool_name: Callable[[str], str] = str,
        split_thinking: bool = True,
        thinking_opened: bool | None = False,
        drop_thinking: bool = False,
        stop_texts: Sequence[str] = (),
        prompt_tokens: int = 0,
        model: str = "",
        server_model: str = "",
        content_filter_fails: bool = False,
    ) -> None:
        self.unknown_finish_reason = ""
        offered = OfferedTools(frozenset(tools))
        schemas = tools if isinstance(tools, Mapping) else {}
        self._assembly = ToolCallAssembly(offered, original_tool_name)
        self._tool_text = ToolCallText(offered, schemas) if tools else None
        self._tags = ThinkTags(opened=thinking_opened) if split_thinking else None
        self._stops = StopTexts(stop_texts) if stop_texts else None
        self._names = ModelNames(model, server_model)
        self._drop_thinking = drop_thinking
        self._prompt_tokens = prompt_tokens
        self._filter_fails = content_filter_fails

        self._kind: Literal["", "sse", "json", "page"] = ""
        self._buffer = bytearray()
        # Bytes that were looked at in vain for a whole JSON value, or for a first line.
        self._looked_at = 0
        # Where the first line ends, and how far this was looked for.
        self._line_end = -1
        self._searched = 0
        self._sse = SseReader()
        # Whether nothing of an event is held back, so that a read may hold one chunk.
        self._idle = False
        # Whether a piece of text may be given out as it is.
        self._fast = False
        # Whether a piece of text may be held back as it is.
        self._unsure = False
        self._ended = False

        self._content_halves = HalfJoiner()
        self._thinking_halves = HalfJoiner()
        self._details = ReasoningDetails()
        self._counts = TokenCounts()
        self._choices = False
        self._deltas = False
        self._pieces = 0
        self._reason = ""
        self._stop_sequence: str | None = None

        self._trims = split_thinking
        self._begun = not split_thinking
        self._lead = ""
        # Text that came while a call was open.
        self._behind: list[Event] = []
        self._said = False
        self._text_came = False
        self._call_size = 0
        self._called = False
        self._thought = False
        self._thinking_begun = False
        self._last_space = ""
        # The last piece that was given out without a look for tags.
        self._last_text = ""

    @property
    def closed_alone(self) -> bool:
        """Whether a closing think tag came without an opening one."""
        return self._tags is not None and self._tags.closed_alone

    def feed(self, data: bytes) -> list[Event]:
        """The events that are certain now; the last may be `Finish` or `Failure`, after which nothing is read."""
        if self._idle and data.endswith(b"\n\n") and data.startswith(b"data: {") and data.find(b"\n") == len(data) - 2:
            # One chunk in one read, as of a stream whose tokens come one by one.
            try:
                chunk = from_json(data[6:-2])
            except ValueError:
                return self._feed(data)
            if self._fast and (text := _plain_text(chunk)):
                self._pieces += 1
                self._last_text = text
                return [Text(text)]
            events: list[Event] = []
            self._read_chunks((chunk,), events)
            return events
        if self._ended:
            return []
        return self._feed(data)

    def finish(self, *, framed: bool) -> list[Event]:
        """The events that were held back until the end of the server's body, with `Finish` or `Failure` as the last.

        Args:
            framed: whether HTTP's framing marked the end of the body, so that a body that was cut would have been an error.
        """
        events: list[Event] = []
        if self._ended:
            return events
        self._idle = self._fast = False
        match self._kind:
            case "json":
                self._read_json(events, last=True)
            case "sse":
                self._read_chunks(self._sse.finish(), events)
            case _:
                self._fail_without_answer(self._buffer.decode("utf-8", "replace"), events, framed=framed)
        if not self._ended:
            self._end_stream(events, framed=framed)
        return events

    # -- bytes to chunks

    def _feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        if self._kind == "sse":
            self._read_chunks(self._sse.feed(data), events)
        elif self._kind != "page" or len(self._buffer) < _LONGEST_PAGE:
            self._buffer += data
            if not self._kind:
                self._recognise(events)
            elif self._kind == "json":
                self._read_json(events)
        return events

    def _recognise(self, events: list[Event]) -> None:
        """Tell what kind of body it is by the first byte that is no white space."""
        body = self._buffer
        if len(body) < len(_BOM) and _BOM.startswith(body):
            return
        if body.startswith(_BOM):
            del body[: len(_BOM)]
        del body[: len(body) - len(body.lstrip())]
        if not body:
            return
        if body[:1] in b"{[":
            self._kind = "json"
            self._read_json(events)
        elif body[:1] == b"<":
            self._kind = "page"
        else:
            self._become_lines(events)

    def _become_lines(self, events: list[Event]) -> None:
        body, self._buffer, self._kind = bytes(self._buffer), bytearray(), "sse"
        self._read_chunks(self._sse.feed(body), events)

    def _read_json(self, events: list[Event], *, last: bool = False) -> None:
        """Read a body that is one JSON value, once it is complete; switch to JSON lines if each line is a value.

        Args:
            events: to add to.
            last: whether the body has ended.
        """
        body = self._buffer
        # To look at each read would take quadratic time.
        if not last and (not body[-8:].rstrip().endswith((b"}", b"]")) or self._looked_at > 4 * len(body) + _SHORT):
            return self._try_lines(events)
        self._looked_at += len(body)
        value = parse_json(bytes(body))
        chunks = value if isinstance(value, list) else [value]
        if not all(isinstance(chunk, dict) for chunk in chunks) or not chunks:
            return self._try_lines(events)
        if isinstance(value, dict) and isinstance(choice := _first_choice(value), dict) and "delta" in choice:
            return self._become_lines(events)
        for chunk in chunks:
            self._read_chunk(chunk, events)
            if self._ended:
                return None
        if not self._choices:
            self._fail(not_understood("", self._names), events)
        else:
            self._complete(events, said_complete=True)
        return None

    def _try_lines(self, events: list[Event]) -> None:
        """Switch to JSON lines, if the first line is a chunk of a stream."""
        if self._line_end < 0:
            self._line_end = self._buffer.find(b"\n", self._searched)
            self._searched = len(self._buffer)
            if self._line_end < 0:
                return
            line = bytes(self._buffer[: self._line_end])
            if line.startswith(b"{") and isinstance(chunk := parse_json(line), dict) and "choices" in chunk:
                self._become_lines(events)

    def _read_chunks(self, chunks: Sequence[dict[str, Any]], events: list[Event]) -> None:
        for chunk in chunks:
            if (self._fast or self._unsure) and (text := _plain_text(chunk)) and (text.isascii() or not _HALF.search(text)):
                if self._fast:
                    self._pieces += 1
                    self._last_text = text
                    events.append(Text(text))
                    continue
                if self._tags is not None and self._tags.hold(text):
                    self._pieces += 1
                    continue
            self._read_chunk(chunk, events)
            if self._ended:
                return
            self._fast = self._begun and self._is_fast()
            self._unsure = not self._fast and self._is_unsure()
        if self._sse.too_long:
            self._fail(BackendError(502, f"the back end sent a line of more than {LONGEST_LINE} bytes"), events)
        elif self._sse.broken:
            self._fail(not_understood("", self._names), events)
        elif self._sse.done:
            self._complete(events, said_complete=True)
        else:
            self._idle = self._sse.idle

    def _end_stream(self, events: list[Event], *, framed: bool) -> None:
        """End a stream that stopped without `[DONE]`."""
        whole = framed and self._choices and self._pieces and not _tells_error(self._sse.text)
        if self._reason or whole:
            self._complete(events, said_complete=bool(self._reason))
        elif self._choices:
            said = self._sse.text.strip()
            self._fail(BackendError(502, f"{_BROKE_OFF}: {said}" if said else _BROKE_OFF), events)
        else:
            self._fail_without_answer(self._sse.text, events, framed=framed)

    def _fail_without_answer(self, said: str, events: list[Event], *, framed: bool) -> None:
        if said.strip():
            self._fail(not_understood(said, self._names), events)
        else:
            self._fail(EmptyAnswer(502, NOT_UNDERSTOOD) if framed else BackendError(502, _BROKE_OFF), events)

    def _is_unsure(self) -> bool:
        return self._tags is not None and self._tags.unsure and self._content_halves.empty

    def _is_fast(self) -> bool:
        return (
            self._said
            and self._stops is None
            and (self._tags is None or self._tags.free)
            and (self._tool_text is None or self._tool_text.free)
            and self._content_halves.empty
            and not self._assembly.open
            and not self._assembly.holds
        )

    # -- chunks to events

    def _read_chunk(self, chunk: Mapping[str, Any], events: list[Event]) -> None:
        """Read a chunk of a stream, or a whole answer."""
        choice = _first_choice(chunk)
        if choice is None:
            inner = chunk.get("data")
            if isinstance(inner, dict) and "choices" in inner:
                # A gateway's envelope.
                chunk, choice = inner, _first_choice(inner)
            elif "content" in chunk:
                choice = infill_choice(chunk)
        self._counts.read_chunk(chunk, choice)
        if choice is not None:
            self._choices = True
            if reason := read_finish_reason(choice.get("finish_reason")):
                self._note_reason(reason, choice)
            message = choice.get("delta")
            if message:
                self._deltas = True
            elif not self._deltas:
                # A server that does not stream sends a message where a delta is expected; behind deltas it repeats them.
                message = choice.get("message")
            if isinstance(message, dict):
                self._read_message(message, choice, events)
            elif text := message or choice.get("text"):
                self._read_message({"content": text}, choice, events)
            elif logprobs := choice.get("logprobs"):
                self._add_logprobs(read_logprobs(logprobs), events, len(events))
        elif "choices" in chunk or "usage" in chunk:
            self._choices = True
        if choice is None or "error" in chunk or "error" in choice or "base_resp" in chunk:
            error = error_in_chunk(chunk, choice)
            if error is not None:
                self._fail(server_error(error, self._names), events)
                return
        held = self._call_size if self._tool_text is None else max(self._call_size, self._tool_text.held_size)
        if held > LONGEST_CALL:
            self._fail(BackendError(502, TOO_LONG_CALL), events)

    def _note_reason(self, reason: str, choice: Mapping[str, Any]) -> None:
        """Note why the answer ended: a failure outweighs a cut, and a cut all else."""
        ranks = {"failed": 3, "filtered": 2, "cut": 1}
        if not self._reason or ranks.get(ending_of(reason), 0) >= ranks.get(ending_of(self._reason), 0):
            self._reason = reason
        for key in ("stop_reason", "matched_stop", "stopping_word"):
            if isinstance(stop := choice.get(key), str) and stop and ending_of(stop) == "unknown":
                self._stop_sequence = stop

    def _read_message(self, message: Mapping[str, Any], choice: Mapping[str, Any], events: list[Event]) -> None:
        before = len(events)
        if details := message.get("reasoning_details"):
            self._details.feed(details)
        reasoning = reasoning_of(message)
        content = message.get("content")
        parts = [(False, content)] if isinstance(content, str) and content and "extra_content" not in message else None
        if parts is None and (content or "refusal" in message or is_thought(message)):
            parts = content_of(message)
        calls = message.get("tool_calls") or message.get("function_call")
        if reasoning or parts or calls:
            self._pieces += 1
        if reasoning or parts:
            self._release_call(events)
        if reasoning:
            self._text_came = True
            if self._tags is not None:
                self._tags.not_opened()
            self._think(self._thinking_halves.feed(reasoning), events)
        if parts:
            self._text_came = True
        for is_thinking, text in parts or ():
            if is_thinking and self._tags is not None and self._tags.state_is_start:
                text = text.removeprefix("<thought>").removesuffix("</thought>")
            if is_thinking:
                self._think(self._thinking_halves.feed(text), events)
            else:
                self._read_content(self._content_halves.feed(text), events)
        if calls:
            self._read_calls(calls, events)
        if logprobs := choice.get("logprobs"):
            self._add_logprobs(read_logprobs(logprobs), events, before)

    def _read_calls(self, calls: object, events: list[Event]) -> None:
        self._call_size += _size_of(calls)
        if self._text_came:
            self._flush_text(events, cut=False)
        made: list[Event] = []
        self._assembly.feed(calls, made)
        self._add_calls(made, events)

    def _release_call(self, events: list[Event]) -> None:
        """Add a whole call that was held back, before something else."""
        if self._assembly.holds:
            made: list[Event] = []
            self._assembly.release(made)
            self._add_calls(made, events)

    def _add_calls(self, made: list[Event], events: list[Event]) -> None:
        """Add events of calls; the state of the reasoning comes before the first of them."""
        if made and not self._called and (state := self._details.take()):
            events.append(ReasoningState(state))
        events += made
        if self._behind and not self._assembly.open:
            events += self._behind
            self._behind.clear()
        if self._assembly.started:
            self._note_call(sent=bool(made))

    def _note_call(self, *, sent: bool) -> None:
        """Note a call: white space before and behind it is no content."""
        self._called = self._called or sent
        self._lead = ""
        self._begun = not self._trims
        self._fast = False

    def _add_logprobs(self, logprobs: list[dict[str, Any]], events: list[Event], before: int) -> None:
        if not logprobs:
            return
        for event in events[before:]:
            if isinstance(event, Text | Thinking):
                event.logprobs = logprobs
                return
        self._release_call(events)
        self._add(Text("", logprobs), events)

    def _read_content(self, text: str, events: list[Event]) -> None:
        if self._tags is None:
            self._read_untagged(text, events)
            return
        if self._last_text:
            self._tags.preceding, self._last_text = self._last_text[-1], ""
        for is_thinking, part in self._tags.feed(text):
            if is_thinking:
                self._think(part, events)
            elif part:
                self._read_untagged(part, events)
        if self._tags.seen:
            self._thought = True

    def _read_untagged(self, text: str, events: list[Event]) -> None:
        if self._stops is not None:
            text = self._stops.feed(text)
        if self._tool_text is None:
            self._say(text, events)
        elif text:
            self._add_parts(self._tool_text.feed(text), events)

    def _add_parts(self, parts: list[Any], events: list[Event]) -> None:
        for part in parts:
            if isinstance(part, str):
                self._say(part, events)
                continue
            made: list[Event] = []
            for name, arguments in part:
                self._assembly.add_whole(name, arguments, made)
            self._add_calls(made, events)

    def _think(self, text: str, events: list[Event]) -> None:
        """Add thinking, without white space around it."""
        if not text:
            return
        self._thought = True
        if not self._thinking_begun:
            text = text.lstrip()
        text = self._last_space + text
        kept = text.rstrip()
        self._last_space = text[len(kept) :]
        if not kept:
            return
        self._thinking_begun = True
        self._said = True
        if self._begun and self._trims:
            # Content behind thinking begins with its first letter.
            self._begun = False
            self._fast = False
        if not self._drop_thinking:
            self._add(Thinking(kept), events)

    def _say(self, text: str, events: list[Event]) -> None:
        """Add content; white space between thinking or calls and content belongs to neither."""
        if not text:
            return
        if not self._begun:
            text = self._lead + text
            letters = text.lstrip()
            if not letters:
                self._lead = text
                return
            if self._thought or self._assembly.started:
                text = letters
            self._begun = True
            self._lead = self._last_space = ""
            self._thinking_begun = False
        self._said = True
        self._add(Text(text), events)

    def _add(self, event: Event, events: list[Event]) -> None:
        """Add a piece of text; a call that has begun comes first."""
        (self._behind if self._assembly.open else events).append(event)

    # -- the end

    def _flush_text(self, events: list[Event], *, cut: bool) -> None:
        """Add the text that was held back because it might have become a tag, a stop text or a tool call.

        Args:
            events: to add to.
            cut: whether the answer ended early, so that a tool call in the text may lack its end.
        """
        self._text_came = False
        if half := self._thinking_halves.finish():
            self._think(half, events)
        if half := self._content_halves.finish():
            self._read_content(half, events)
        if self._tags is not None:
            for is_thinking, part in self._tags.finish():
                if is_thinking:
                    self._think(part, events)
                else:
                    self._read_untagged(part, events)
        if self._stops is not None and (rest := self._stops.finish()):
            if self._tool_text is None:
                self._say(rest, events)
            else:
                self._add_parts(self._tool_text.feed(rest), events)
        if self._tool_text is not None:
            self._add_parts(self._tool_text.finish(cut=cut), events)

    def _complete(self, events: list[Event], *, said_complete: bool) -> None:
        """End an answer that the server has ended.

        Args:
            events: to add to.
            said_complete: whether the server has said so, and not only stopped.
        """
        ending = ending_of(self._reason) if self._reason else "done"
        cut = ending != "done" and ending != "unknown"
        self._flush_text(events, cut=cut)
        if ending == "failed":
            self._fail(BackendError(502, f"the back end failed while it answered ({self._reason})", code=self._reason), events)
            return
        if ending == "filtered" and self._filter_fails:
            text = f"the back end's content filter stopped the answer ({self._reason})"
            self._fail(BackendError(400, text, kind="content_filter", code="content_filter"), events)
            return
        if ending == "unknown":
            self.unknown_finish_reason = self._reason
            if not (self._said or self._assembly.started):
                self._fail(BackendError(502, f'the back end ended the answer with the reason "{self._reason}"'), events)
                return
        made: list[Event] = []
        self._assembly.finish(made, said_complete=said_complete and not cut)
        self._add_calls(made, events)
        if self._lead and not (self._thought or self._assembly.started):
            self._begun = True
            self._say(self._lead, events)
        if state := self._details.take():
            events.append(ReasoningState(state))
        self._ended = True
        self._idle = self._fast = False
        usage = self._counts.usage(self._prompt_tokens, self._pieces)
        events.append(Finish(self._finish_reason(ending), usage, self._met_stop(ending)))

    def _finish_reason(self, ending: str) -> FinishReason:
        if ending == "filtered":
            return "content_filter"
        if ending == "cut" and (self._stops is None or self._stops.met is None):
            return "length"
        if self._assembly.whole:
            return "tool_calls"
        if self._assembly.incomplete or (self._tool_text is not None and self._tool_text.incomplete):
            # There should have been a call: the answer lacks its end.
            return "length"
        return "stop"

    def _met_stop(self, ending: str) -> str | None:
        if self._stops is not None and self._stops.met is not None:
            return self._stops.met
        return self._stop_sequence if ending == "done" else None

    def _fail(self, error: BackendError, events: list[Event]) -> None:
        """End an answer that is not complete, with what was said before."""
        self._flush_text(events, cut=True)
        self._release_call(events)
        self._assembly.abandon(events)
        events += self._behind
        self._ended = True
        self._idle = self._fast = False
        events.append(Failure(error))


def _tells_error(text: str) -> bool:
    """Whether what a stream ended with instead of an event is an error: a page, or words that say so."""
    return is_markup(text) or "error" in text.lower()


def _size_of(calls: object) -> int:
    """The characters of the arguments in the fragments of calls, as far as they are text."""
    size = 0
    for call in calls if isinstance(calls, list) else (calls,):
        function = call.get("function", call) if isinstance(call, dict) else None
        arguments = function.get("arguments") if isinstance(function, dict) else None
        size += len(arguments) if isinstance(arguments, str) else 0
    return size


def _plain_text(chunk: dict[str, Any]) -> str:
    """The text of a chunk that adds a piece of content and nothing else, and cannot be part of a mark; "" of any other."""
    try:
        (choice,) = chunk["choices"]
        delta = choice["delta"]
        text = delta["content"]
        if (
            text.__class__ is str
            and "<" not in text
            and "[" not in text
            and (len(delta) == 1 or (len(delta) == 2 and "role" in delta))
            and choice.get("finish_reason") is None
            and choice.get("logprobs") is None
            and chunk.get("usage") is None
            and not choice.get("index")
            and "error" not in chunk
            and "error" not in choice
        ):
            return text
    except _WRONG_TYPES:
        pass
    return ""


def _first_choice(chunk: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choices = chunk.get("choices")
    if isinstance(choices, dict):
        choices = [choices]
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict) and choice.get("index") in (0, None, "0", ""):
                return choice
    return None
