"""Makes neutral events of an answer of `/v1/responses`, streamed or whole; the contract is that of `answer_machine.Reader`.

The stream tells each text, and the arguments of each call, in pieces, then once more as a whole, and at its end the whole
Response. What did not come in pieces is taken from these, since some servers leave the pieces out. An answer that ends without
its last event, `response.completed`, `.incomplete` or `.failed`, is not complete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import BackendError
from ..events import Failure, Finish, ReasoningState, Text, Thinking, ToolCallBegin
from ..reader.logprobs import read_logprobs
from ..reader.server_errors import ModelNames, error_in_chunk, not_understood, server_error
from ..reader.sse import SseReader, parse_json
from ..reader.stop_texts import StopTexts
from ..reader.token_counts import TokenCounts
from .call_queue import CallQueue
from .reasoning_items import detail_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from ..events import Event, FinishReason

_CALLS = frozenset({"function_call", "custom_tool_call"})
_TEXT_DELTAS = frozenset({"response.output_text.delta", "response.refusal.delta"})
_THOUGHT_DELTAS = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_ARGUMENT_DELTAS = frozenset({"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"})
_ARGUMENT_ENDS = frozenset({"response.function_call_arguments.done", "response.custom_tool_call_input.done"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done"})
_BETWEEN_PARTS = "\n\n"
_BROKE_OFF = "the back end broke off its answer"
_LONGEST_PAGE = 65536
_SHORT = 65536
"""Bytes of JSON that may be parsed with each read."""
_NOBODY = ModelNames()


class ResponsesReader:
    """Reads one answer.

    Args:
        original_tool_name: maps a name that was changed for the server back to that of the client.
        drop_thinking: whether the client asked for an answer without thinking.
        stop_texts: that the client named, of which Responses knows nothing: the text ends at the first.
        prompt_tokens: an estimate, for servers that do not count.
        names: of the model, for the text of errors.
        content_filter_fails: whether the client's API has no word for an answer that a content filter stopped.
    """

    closed_alone: ClassVar[bool] = False
    unknown_finish_reason: ClassVar[str] = ""

    def __init__(
        self,
        *,
        original_tool_name: Callable[[str], str] = str,
        drop_thinking: bool = False,
        stop_texts: Sequence[str] = (),
        prompt_tokens: int = 0,
        names: ModelNames = _NOBODY,
        content_filter_fails: bool = False,
    ) -> None:
        self._calls = CallQueue(original_tool_name)
        self._drop_thinking = drop_thinking
        self._stops = StopTexts(stop_texts)
        self._prompt_tokens = prompt_tokens
        self._names = names
        self._filter_fails = content_filter_fails
        self._sse: SseReader | None = None
        self._buffer = bytearray()
        self._looked_at = 0
        self._counts = TokenCounts()
        self._pieces = 0
        # What came in pieces, by the place of its part.
        self._told: dict[Hashable, int] = {}
        self._thought_part: Hashable = None
        self._details: list[Mapping[str, Any]] = []
        self._known_details: set[str] = set()
        self._told_details = 0
        self._behind: list[Event] = []
        # Whether the events tell the places of their items, by which those of the whole Response are known again.
        self._placed = True
        self._ended = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that are certain now; the last may be `Finish` or `Failure`, after which nothing is read."""
        events: list[Event] = []
        if self._ended:
            return events
        if self._sse is None:
            self._buffer += data
            if not self._buffer.startswith((b"{", b"<")):
                self._buffer = self._buffer.lstrip(b"\xef\xbb\xbf \t\r\n")
            if not self._buffer:
                return events
            if self._buffer.startswith((b"{", b"<")):
                return self._read_whole()
            self._sse, data, self._buffer = SseReader(), bytes(self._buffer), bytearray()
        self._read_all(self._sse.feed(data), events)
        if self._sse.broken and not self._ended:
            self._fail(not_understood("", self._names), events)
        return events

    def finish(self, *, framed: bool) -> list[Event]:
        """The events that were held back until the end of the server's body, with `Finish` or `Failure` as the last.

        Args:
            framed: whether HTTP's framing marked the end of the body; such a body has said all, and lacks its last event.
        """
        events: list[Event] = []
        if self._ended:
            return events
        if self._sse is None and self._buffer:
            events += self._read_whole(last=True)
        said = self._buffer.decode("utf-8", "replace")
        if self._sse is not None:
            self._read_all(self._sse.finish(), events)
            said = self._sse.text
        if not self._ended:
            broke_off = self._pieces or not (said.strip() or framed)
            self._fail(BackendError(502, _BROKE_OFF) if broke_off else not_understood(said, self._names), events)
        return events

    def _read_whole(self, *, last: bool = False) -> list[Event]:
        """Read a body that is one JSON object, as soon as it is whole; a page of HTML is kept for its title."""
        events: list[Event] = []
        body = self._buffer
        if body[:1] == b"<":
            del body[_LONGEST_PAGE:]
            return events
        # To parse all that has come with each read would take quadratic time.
        if not last and (body[-8:].rstrip()[-1:] != b"}" or self._looked_at > 4 * len(body) + _SHORT):
            return events
        self._looked_at += len(body)
        if isinstance(value := parse_json(bytes(body)), dict):
            if isinstance(value.get("output"), list):
                self._read_end(value, events)
            else:
                error = error_in_chunk(value, None)
                self._fail(not_understood("", self._names) if error is None else server_error(error, self._names), events)
        return events

    def _read_all(self, chunks: Sequence[Mapping[str, Any]], events: list[Event]) -> None:
        for chunk in chunks:
            if not self._ended:
                self._read(chunk, events)

    def _read(self, chunk: Mapping[str, Any], events: list[Event]) -> None:
        kind = chunk.get("type")
        key = chunk.get("output_index", chunk.get("item_id"))
        self._placed = self._placed and ("item_id" not in chunk or isinstance(key, int))
        if kind in _TEXT_DELTAS:
            self._say((key, chunk.get("content_index", 0)), chunk.get("delta"), chunk.get("logprobs"), events)
        elif kind in _THOUGHT_DELTAS:
            part = (key, chunk.get("summary_index", chunk.get("content_index", 0)), "summary" in str(kind))
            self._think(part, chunk.get("delta"), events)
        elif kind in _ARGUMENT_DELTAS:
            self._pieces += 1
            self._calls.extend(key, chunk.get("delta"), events)
        elif kind in _ARGUMENT_ENDS:
            self._calls.end(key, chunk.get("arguments", chunk.get("input")), events)
            self._tell_rest(events)
        elif kind == "response.output_item.added" and isinstance(item := chunk.get("item"), Mapping):
            if item.get("type") in _CALLS:
                self._begin_call(key, item, events)
        elif kind == "response.output_item.done" and isinstance(item := chunk.get("item"), Mapping):
            self._read_item(key, item, events)
        elif kind in _ENDS and isinstance(response := chunk.get("response"), Mapping):
            self._read_end(response, events)
        elif kind == "error" or (kind is None and error_in_chunk(chunk, None) is not None):
            self._fail(server_error(chunk, self._names), events)

    def _say(self, part: Hashable, text: object, logprobs: object, events: list[Event]) -> None:
        if not isinstance(text, str) or not text:
            return
        self._pieces += 1
        self._told[part] = self._told.get(part, 0) + len(text)
        text = self._stops.feed(text)
        entries = read_logprobs({"content": logprobs}) if logprobs else ()
        if text or entries:
            self._add(Text(text, entries), events)

    def _think(self, part: Hashable, text: object, events: list[Event]) -> None:
        if not isinstance(text, str) or not text:
            return
        self._pieces += 1
        self._told[part] = self._told.get(part, 0) + len(text)
        if self._thought_part not in (None, part):
            text = _BETWEEN_PARTS + text
        self._thought_part = part
        if not self._drop_thinking:
            self._add(Thinking(text), events)

    def _begin_call(self, key: Hashable, item: Mapping[str, Any], events: list[Event]) -> None:
        made: list[Event] = []
        self._calls.add(key, item, made)
        if any(isinstance(event, ToolCallBegin) for event in made):
            self._tell_state(events)
        events += made

    def _read_item(self, key: Hashable, item: Mapping[str, Any], events: list[Event]) -> None:
        """Read a complete item: what did not come in pieces."""
        kind = item.get("type")
        if kind in _CALLS:
            self._begin_call(key, item, events)
            self._calls.end(key, item.get("arguments", item.get("input")), events)
            self._tell_rest(events)
        elif kind == "message":
            for place, content in enumerate(_objects(item.get("content"))):
                text = content.get("text") or content.get("refusal")
                self._say((key, place), self._rest((key, place), text), content.get("logprobs"), events)
        elif kind == "reasoning":
            for is_summary, parts in ((True, item.get("summary")), (False, item.get("content"))):
                for place, content in enumerate(_objects(parts)):
                    part = (key, place, is_summary)
                    self._think(part, self._rest(part, content.get("text")), events)
            detail = detail_of(item)
            text = json.dumps(detail, sort_keys=True)
            if detail is not None and text not in self._known_details:
                self._known_details.add(text)
                self._details.append(detail)

    def _rest(self, part: Hashable, text: object) -> str:
        """What is missing of a part; a part of which pieces came is complete."""
        return text if isinstance(text, str) and part not in self._told else ""

    def _read_end(self, response: Mapping[str, Any], events: list[Event]) -> None:
        self._counts.read_chunk(response, None)
        for place, item in enumerate(_objects(response.get("output"))):
            if self._placed or not self._pieces or item.get("type") == "reasoning":
                self._read_item(place, item, events)
        if response.get("error") or response.get("status") in ("failed", "cancelled"):
            error = response.get("error") or {"message": f"the back end's answer is {response.get('status')}"}
            self._fail(server_error(error, self._names), events)
            return
        details = response.get("incomplete_details")
        why = str(details.get("reason")) if isinstance(details, Mapping) else ""
        incomplete = response.get("status") == "incomplete" or bool(why)
        if why == "content_filter" and self._filter_fails:
            text = "the back end's content filter stopped the answer"
            self._fail(BackendError(400, text, kind="content_filter", code="content_filter"), events)
            return
        self._end_pieces(events)
        self._tell_state(events)
        self._ended = True
        reason: FinishReason = "tool_calls" if self._calls.any else "stop"
        if incomplete:
            reason = "content_filter" if why == "content_filter" else "length"
        events.append(Finish(reason, self._counts.usage(self._prompt_tokens, self._pieces), self._stops.met))

    def _add(self, event: Event, events: list[Event]) -> None:
        """Add a piece of text; a call that has begun comes first."""
        (self._behind if self._calls.open else events).append(event)

    def _tell_rest(self, events: list[Event]) -> None:
        if not self._calls.open:
            events += self._behind
            self._behind.clear()

    def _tell_state(self, events: list[Event]) -> None:
        if details := self._details[self._told_details :]:
            events.append(ReasoningState(tuple(details)))
            self._told_details = len(self._details)

    def _end_pieces(self, events: list[Event]) -> None:
        if rest := self._stops.finish():
            self._add(Text(rest), events)
        self._calls.finish(events)
        self._tell_rest(events)

    def _fail(self, error: BackendError, events: list[Event]) -> None:
        """End an answer that is not complete, with what was said before."""
        self._end_pieces(events)
        self._ended = True
        events.append(Failure(error))


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
