"""Rules for values that are too large or too small: limits of tokens, ranges, too many stop texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .changes import LeaveOut
from .finding import STATUSES, Finding
from .limit_changes import Clamp, FewerStops, FitContext, NoBlankStops
from .limits import (
    TOKEN_LIMITS,
    context_length,
    is_about_output,
    is_about_range,
    output_limit,
    value_range,
)
from .refusal_text import (
    RefusalText,
    located,
    says_refused,
    sentences,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .finding import Sent

_WHOLE = frozenset({"top_k", "seed", "top_logprobs", "n", "max_tokens", "max_completion_tokens", "repeat_last_n"})
_MOST_STOPS = 4
"""As at OpenAI, where the text does not say."""
_STOP_LIMIT = re.compile(r"(?:at most|up to|max(?:imum)?|no more than|only supports?|<=|≤)\D{0,20}(\d{1,4})", re.IGNORECASE)
_STOP_WORD = re.compile(
    r"['\"`.$]stop['\"`]|stop[ _]?(?:sequences?|strings?|words?|tokens?)|\bstop\b[^\n]{0,20}(?:array|element|item)",
    re.IGNORECASE,
)
_BLANK_STOP = re.compile(r"white ?space|empty|blank|at least (?:1|one) character|too short", re.IGNORECASE)
_FURTHER_SPELLINGS = {"top_logprobs": ("logprobs",), "top_p": (" p must", "'p'", "`p`"), "top_k": (" k must", "'k'", "`k`")}
"""Names without the beginning that vLLM and Cohere write."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """A conversation that is longer than the model's context.

    Attributes:
        limit: tokens that the model takes; 0 where the server does not say.
        prompt_tokens: tokens that the prompt has; 0 where the server does not say.
        quoted: whether the numbers may be the client's own words, which the server quotes.
    """

    limit: int
    prompt_tokens: int
    quoted: bool = False


def too_long(refusal: RefusalText, sent: Sent) -> TooLong | None:
    """Whether a refusal says that the prompt alone leaves no room in the model's context."""
    if refusal.status not in STATUSES - {429} or (length := context_length(refusal.text, of_prompt=True)) is None:
        return None
    limit, prompt = length.limit, _prompt_tokens(length.prompt, length.total, sent)
    asked = next((int(sent[name]) for name in TOKEN_LIMITS if isinstance(sent.get(name), int)), 0)
    if asked and not any(length[:3]) and any(map(is_about_output, sentences(refusal.text))):
        return None
    if asked and limit and ((prompt and prompt < limit) or (not prompt and asked >= limit // 2)):
        return None
    return TooLong(limit, prompt or length.total)


def fit_context(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Lower the limit of tokens to what the prompt leaves of the context."""
    length = context_length(refusal.text)
    if length is None or not length.limit or too_long(refusal, sent) or not any(name in sent for name in TOKEN_LIMITS):
        return
    prompt = _prompt_tokens(length.prompt, length.total, sent)
    yield Finding(FitContext.of(length.limit, prompt, sent, exact=length.exact), refusal.text)


def lower_output(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Lower the limit of tokens to the one that the text names, or leave it out."""
    if (length := context_length(refusal.text)) is not None and any(length[:3]):
        return
    for name in TOKEN_LIMITS:
        value = sent.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        text = refusal.text
        if refusal.param == name and is_about_range(text):
            text = f"{name}: {text}"
        limit = output_limit(text, value)
        if limit:
            yield Finding(Clamp(name, None, limit), "" if refusal.param in TOKEN_LIMITS else refusal.text)
        elif limit == 0 and not says_refused(text):
            yield Finding(LeaveOut(name), "" if refusal.param in TOKEN_LIMITS else refusal.text)


def clamp_values(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Bring numbers into the ranges that the text names."""
    places = {entry.path[0]: entry.what for entry in located(refusal.text) if len(entry.path) == 1}
    for name, value in sent.items():
        if name in TOKEN_LIMITS or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if places:
            candidates = [places[name]] if name in places else []
        else:
            spellings = (name, name.replace("_", ""), name.replace("_", " "), *_FURTHER_SPELLINGS.get(name, ()))
            parts = sentences(refusal.text)
            named = [n for n, part in enumerate(parts) if any(spelling in part.lower() for spelling in spellings)]
            # The range may stand in the sentence behind.
            behind = [n + 1 for n in named if n + 1 < len(parts) and not any(other in parts[n + 1] for other in sent)]
            candidates = [parts[n] for n in (*named, *behind)]
            if refusal.param == name:
                candidates = sentences(refusal.text)
        for sentence in candidates:
            if not is_about_range(sentence):
                continue
            if found := value_range(sentence, value, whole=name in _WHOLE):
                yield Finding(Clamp(name, found.low, found.high), "" if refusal.param == name else sentence)
                break


def fewer_stops(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Send fewer stop texts."""
    stop = sent.get("stop")
    if not isinstance(stop, list) or not (refusal.param == "stop" or _STOP_WORD.search(refusal.text)):
        return
    if _BLANK_STOP.search(refusal.text) and any(isinstance(text, str) and not text.strip() for text in stop):
        yield Finding(NoBlankStops(), "" if refusal.param == "stop" else refusal.text)
        return
    limit = _STOP_LIMIT.search(refusal.text)
    if limit is None and not re.search(r"\binvalid\b|too (?:long|many)", refusal.text, re.IGNORECASE):
        return
    most = int(limit[1]) if limit else _MOST_STOPS
    if 0 < most < len(stop):
        yield Finding(FewerStops(most), "" if refusal.param == "stop" else refusal.text)


def _prompt_tokens(prompt: int, total: int, sent: Sent) -> int:
    if prompt:
        return prompt
    asked = next((int(sent[name]) for name in TOKEN_LIMITS if isinstance(sent.get(name), int)), 0)
    return total - asked if total > asked else 0
