"""Sorts the words by which servers say why an answer ended: it is done, it was cut, a filter stopped it, or it failed."""

from __future__ import annotations

from typing import Literal

type Ending = Literal["done", "cut", "filtered", "failed", "unknown"]

_WORDS: dict[Ending, tuple[str, ...]] = {
    "done": (
        *("stop", "stopped", "stop_sequence", "stop_word", "stop_token", "stop_string", "eos", "eos_token", "eos_found"),
        *("end", "end_turn", "end_of_turn", "end_of_text", "pause_turn", "complete", "completed", "done", "finish", "finished"),
        *("success", "normal", "tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
    ),
    "cut": (
        *("length", "max_length", "max_tokens", "max_new_tokens", "max_output_tokens", "max_completion_tokens", "model_length"),
        *("token_limit", "length_limit", "limit", "limited", "truncated", "incomplete", "num_predict", "size"),
        *("context_length", "context_window", "context_length_exceeded", "context_window_exceeded"),
        *("model_context_window_exceeded", "max_context_length", "length_capped"),
    ),
    "filtered": (
        *("content_filter", "content_filtered", "filtered", "safety", "image_safety", "recitation", "blocklist", "spii"),
        *("prohibited_content", "sensitive", "refusal", "moderation", "guardrail_intervened", "policy_violation", "language"),
        *("content_policy_violation", "violation", "error_toxic"),
    ),
    "failed": (
        *("error", "errored", "failed", "failure", "network_error", "server_error", "internal_error", "internal_server_error"),
        *("insufficient_system_resource", "insufficient_system_resources", "overloaded", "rate_limit", "rate_limited"),
        *(
            "abort",
            "aborted",
            "abortion",
            "cancel",
            "canceled",
            "cancelled",
            "interrupted",
            "preempted",
            "timeout",
            "timed_out",
        ),
        *("exception", "malformed_function_call", "malformed_response", "unexpected_tool_call", "user_cancelled", "killed"),
    ),
}
_ENDINGS: dict[str, Ending] = {word: ending for ending, words in _WORDS.items() for word in words}
_PARTS: dict[Ending, tuple[str, ...]] = {
    "failed": (
        "error",
        "fail",
        "exception",
        "overload",
        "unavailable",
        "timeout",
        "abort",
        "cancel",
        "interrupt",
        "disconnect",
    ),
    "cut": ("max_token", "token_limit", "length", "truncat", "context_window"),
    "filtered": ("filter", "safety", "guardrail", "moderation", "policy", "prohibited", "blocked", "sensitive"),
}
"""What a word says that is not known as a whole, from the strongest on."""
_NO_REASON = frozenset({"", "null", "none", "unspecified", "finish_reason_unspecified", "not_finished", "unfinished"})


def read_finish_reason(value: object) -> str:
    """The word of a chunk's `finish_reason`, in lower case; "" where the chunk says none.

    Some servers write an object with the word under `type` or `reason`.
    """
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    if not isinstance(value, str):
        return ""
    word = value.strip().lower().replace("-", "_").replace(" ", "_")
    return "" if word in _NO_REASON else word


def ending_of(word: str) -> Ending:
    """Sort a word of `read_finish_reason`."""
    if word in _ENDINGS:
        return _ENDINGS[word]
    return next((ending for ending, parts in _PARTS.items() if any(part in word for part in parts)), "unknown")
