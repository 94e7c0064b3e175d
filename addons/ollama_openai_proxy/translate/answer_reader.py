"""From the chunks of an OpenAI answer to the pieces of an Ollama answer.

The contract: feed each chunk in order, send on what comes back, ask `finish` when the back end's stream has ended properly,
then read `done_reason` and the counts. A stream that breaks off is never finished: an answer that is not complete must not
look complete.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import BackendError
from ..schemas.ollama.frames import Delta
from ..schemas.usage import Usage
from .error_text import error_text
from .surrogate_pairs import HalfJoiner, mended
from .think_tags import ThinkSplitter
from .tool_call_assembly import ToolCalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

type Chunk = Mapping[str, Any]

# DeepSeek, llama.cpp and vLLM; Ollama, OpenRouter and newer vLLM; others. Where two are there they say the same.
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
_IMPOSSIBLE = -9999.0
# What it comes to, wherever in a chunk there is something else than should be.
_WRONG_TYPES = (AttributeError, KeyError, TypeError, ValueError)
_MOST_TOKENS = 1 << 53
"""More than any count is, and what every client can read."""


class AnswerReader:
    """Reads one answer, of a chat or of a completion.

    Args:
        split_thinking: whether text between think tags is thinking; not so for a raw completion.
        drop_thinking: whether the client asked for an answer without thinking.
    """

    def __init__(self, *, split_thinking: bool = True, drop_thinking: bool = False) -> None:
        self._splitter = ThinkSplitter() if split_thinking else None
        self._drop_thinking = drop_thinking
        self._tool_calls = ToolCalls()
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._pieces = 0
        self._content_halves = HalfJoiner()
        self._thinking_halves = HalfJoiner()

    def feed(self, chunk: Chunk) -> Delta | None:
        """What a chunk adds to the answer, or None.

        Raises:
            BackendError: the chunk is an error, or none that can be understood.
        """
        try:
            return self._read(chunk)
        except _WRONG_TYPES as error:
            raise BackendError(502, "the back end sent an answer that cannot be understood") from error

    def _read(self, chunk: Chunk) -> Delta | None:
        if error := chunk.get("error"):
            raise BackendError(_status(error), error_text(error) or "the back end reported an error")
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        choice = _first_choice(chunk)
        if choice is None:
            return None
        if reason := choice.get("finish_reason"):
            self._finish_reason = reason
        # A back end that does not stream sends a message where a delta is expected.
        message: Mapping[str, Any] = choice.get("delta") or choice.get("message") or {}
        if fragments := message.get("tool_calls"):
            self._tool_calls.feed(fragments)
        elif function_call := message.get("function_call"):
            self._tool_calls.feed([{"index": 0, "function": function_call}])
        thinking = self._thinking_halves.feed(_reasoning(message))
        content = self._content_halves.feed(_text(message.get("content")) or message.get("refusal") or choice.get("text") or "")
        if self._splitter is not None:
            inline, content = self._splitter.feed(content)
            thinking += inline
        return self._delta(content, thinking, _logprobs(choice.get("logprobs")))

    def finish(self) -> Delta | None:
        """What was held back until the end of the answer: whole tool calls, and text that might have been a tag.

        Raises:
            BackendError: a tool call is broken.
        """
        calls = self._tool_calls.finish()
        thinking = self._thinking_halves.finish()
        content = self._content_halves.finish()
        if self._splitter is not None:
            inline, content = self._splitter.feed(content)
            inline_rest, content_rest = self._splitter.finish()
            thinking += inline + inline_rest
            content += content_rest
        delta = self._delta(content, thinking, [])
        if not calls:
            return delta
        self._pieces += 1
        return replace(delta or Delta(), tool_calls=calls)

    @property
    def done_reason(self) -> str:
        """Ollama's reason for the end: `length` or `stop`, whatever else the back end may call it."""
        return "length" if self._finish_reason == "length" else "stop"

    @property
    def finish_reason(self) -> str:
        """The reason for the end as the back end called it; "stop" where it did not say."""
        return self._finish_reason or "stop"

    @property
    def ended(self) -> bool:
        """Whether the back end said that the answer is complete."""
        return self._finish_reason is not None

    def prompt_tokens(self, estimate: int) -> int:
        """Tokens of the prompt, as the back end counted them, else the estimate; at least 1."""
        return max(_whole(self._usage.get("prompt_tokens")) or estimate, 1)

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answer, as the back end counted them, else the number of its chunks; at least 1."""
        return max(_whole(self._usage.get("completion_tokens")) or self._pieces, 1)

    def usage(self, prompt_estimate: int) -> Usage:
        """All counts, those that the back end does not give as `prompt_tokens` and `completion_tokens` have them."""
        return Usage(
            input_tokens=self.prompt_tokens(prompt_estimate),
            output_tokens=self.completion_tokens,
            cached_tokens=self._detail("prompt_tokens_details", "cached_tokens"),
            reasoning_tokens=self._detail("completion_tokens_details", "reasoning_tokens") or 0,
        )

    def _detail(self, details: str, name: str) -> int | None:
        found = self._usage.get(details)
        value = found.get(name) if isinstance(found, dict) else None
        return _whole(value) if isinstance(value, int | float) else None

    def _delta(self, content: str, thinking: str, logprobs: list[dict[str, Any]]) -> Delta | None:
        if not (content or thinking or logprobs):
            return None
        self._pieces += 1
        if self._drop_thinking:
            thinking = ""
            if not (content or logprobs):
                return None
        return Delta(content, thinking, (), logprobs)


def join_deltas(deltas: Iterable[Delta]) -> Delta:
    """The pieces of an answer as one."""
    pieces = list(deltas)
    calls = [call for piece in pieces for call in piece.tool_calls]
    logprobs = [entry for piece in pieces for entry in piece.logprobs]
    return Delta("".join(p.content for p in pieces), "".join(p.thinking for p in pieces), calls, logprobs)


def _first_choice(chunk: Chunk) -> Mapping[str, Any] | None:
    for choice in chunk.get("choices") or ():
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return None


def _reasoning(message: Mapping[str, Any]) -> str:
    for key in _REASONING_KEYS:
        if text := _text(message.get(key)):
            return text
    details = message.get("reasoning_details") or ()
    return "".join(part.get("text") or part.get("summary") or "" for part in details if isinstance(part, dict))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return ""


def _logprobs(logprobs: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if not logprobs:
        return []
    if isinstance(entries := logprobs.get("content"), list):
        return [_logprob(entry) | _tops(entry.get("top_logprobs") or []) for entry in entries]
    # Completions have parallel lists instead.
    tokens = logprobs.get("tokens") or []
    values = logprobs.get("token_logprobs") or []
    tops = logprobs.get("top_logprobs") or [None] * len(tokens)
    return [
        _logprob({"token": token, "logprob": value}) | _tops([{"token": t, "logprob": v} for t, v in (top or {}).items()])
        for token, value, top in zip(tokens, values, tops, strict=False)
    ]


def _logprob(entry: Mapping[str, Any]) -> dict[str, Any]:
    token = mended(entry.get("token") or "")
    octets = entry.get("bytes")
    value = entry.get("logprob") or 0.0
    return {
        "token": token,
        # Some back ends write an impossible token as -Infinity, which is no JSON.
        "logprob": value if math.isfinite(value) else _IMPOSSIBLE,
        "bytes": octets if octets is not None else list(token.encode()),
    }


def _tops(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    tops = [_logprob(entry) for entry in entries]
    return {"top_logprobs": tops} if tops else {}


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < _MOST_TOKENS else 0


def _status(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code <= 599 else 500
