"""From the pieces of an answer to Anthropic's events, or to its message as a whole.

The contract: `begin`, then each piece in order to `delta`, then `end` when the answer is complete; what each gives is to be
sent at once. `message` is the same answer as one object, final after `end`. An answer that breaks off is never ended: an
`error_object` takes the place of the rest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from ..surrogate_pairs import mended

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...schemas.anthropic import MessagesRequest
    from ...schemas.ollama.frames import Delta
    from ...schemas.usage import Usage

type Event = dict[str, Any]
type _Kind = Literal["thinking", "text"]

UNSIGNED = "unsigned"
"""The `signature` of thinking that Anthropic has not signed. It says so, and is no imitation of theirs; nor is it empty, since
Claude Code is reported to drop an answer whose thinking has an empty one or none."""

_STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal"}
_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class MessageWriter:
    """Writes one answer.

    Args:
        asked: the request; its model is echoed as the client wrote it.
        message_id: the answer's id.
        input_tokens: about how many tokens the prompt has, for the first event; `end` knows better.
    """

    def __init__(self, asked: MessagesRequest, *, message_id: str, input_tokens: int) -> None:
        self._id = message_id
        self._model = asked.model
        self._usage = _usage(input_tokens, 0, 0)
        self._stop_reason: str | None = None
        self._blocks: list[dict[str, Any]] = []
        # The block that is being written, if there is one, and its text so far.
        self._kind: _Kind | None = None
        self._texts: list[str] = []

    def begin(self) -> list[Event]:
        """The message as it is before anything is said."""
        return [{"type": "message_start", "message": self.message()}, {"type": "ping"}]

    def delta(self, delta: Delta) -> list[Event]:
        """What a piece adds. Its thinking comes before its text, and that before its tool calls."""
        events: list[Event] = []
        if delta.thinking:
            events += self._write("thinking", delta.thinking)
        if delta.content:
            events += self._write("text", delta.content)
        for call in delta.tool_calls:
            events += self._call(call)
        return events

    def end(self, *, finish_reason: str, usage: Usage) -> list[Event]:
        """The end of a complete answer; `finish_reason` is OpenAI's.

        An answer in which nothing was said has no content, as at Anthropic. Which of the `stop_sequences` was met, if it was
        one, a chat completion does not tell: such an answer ends its turn like any other.
        """
        events = self._close()
        called = any(block["type"] == "tool_use" for block in self._blocks)
        # An answer that was cut, perhaps within a call, is not one to act on. And not every server says that it calls a tool.
        self._stop_reason = _STOP_REASONS.get(finish_reason) or ("tool_use" if called else "end_turn")
        self._usage = _usage(usage.input_tokens, usage.output_tokens, usage.cached_tokens or 0)
        if usage.reasoning_tokens:
            self._usage["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
        change = {"stop_reason": self._stop_reason, "stop_sequence": None}
        return [*events, {"type": "message_delta", "delta": change, "usage": self._usage}, {"type": "message_stop"}]

    def message(self) -> dict[str, Any]:
        """The whole answer so far."""
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [*self._blocks, *([_block(self._kind, "".join(self._texts))] if self._kind else [])],
            "stop_reason": self._stop_reason,
            "stop_sequence": None,
            "usage": self._usage,
        }

    def _write(self, kind: _Kind, text: str) -> list[Event]:
        events: list[Event] = []
        if self._kind != kind:
            events += self._close()
            self._kind = kind
            empty = {"type": "thinking", "thinking": "", "signature": ""} if kind == "thinking" else _block("text", "")
            events.append(self._event("content_block_start", content_block=empty))
        self._texts.append(text)
        return [*events, self._event("content_block_delta", delta={"type": f"{kind}_delta", kind: text})]

    def _call(self, call: Mapping[str, Any]) -> list[Event]:
        """A block of its own, whose input comes in one piece: back ends' fragments of it have been put together already."""
        events = self._close()
        # It may hold half a character, which clients cannot read.
        arguments = mended(json.dumps(call["function"]["arguments"], ensure_ascii=False))
        block = {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": {}}
        events += [
            self._event("content_block_start", content_block=block),
            self._event("content_block_delta", delta={"type": "input_json_delta", "partial_json": arguments}),
            self._event("content_block_stop"),
        ]
        self._blocks.append(block | {"input": json.loads(arguments)})
        return events

    def _close(self) -> list[Event]:
        if self._kind is None:
            return []
        signed = self._event("content_block_delta", delta={"type": "signature_delta", "signature": UNSIGNED})
        events = [*([signed] if self._kind == "thinking" else []), self._event("content_block_stop")]
        self._blocks.append(_block(self._kind, "".join(self._texts)))
        self._kind, self._texts = None, []
        return events

    def _event(self, kind: str, **fields: Any) -> Event:
        """An event of the block that comes next or is being written."""
        return {"type": kind, "index": len(self._blocks), **fields}


def error_object(status: int, message: str, request_id: str | None = None) -> dict[str, Any]:
    """An error as a reply's body, or as the event that ends a stream."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    error: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
    return error | ({"request_id": request_id} if request_id is not None else {})


def _block(kind: _Kind, text: str) -> dict[str, Any]:
    if kind == "thinking":
        return {"type": "thinking", "thinking": text, "signature": UNSIGNED}
    return {"type": "text", "text": text}


def _usage(input_tokens: int, output_tokens: int, cached_tokens: int) -> dict[str, Any]:
    """The counts; Anthropic keeps the tokens from its cache apart from the others of the prompt."""
    return {
        "input_tokens": max(input_tokens - cached_tokens, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached_tokens,
        "output_tokens": output_tokens,
    }
