"""Reads a refusal of a call and gives the changes with which the call may be taken.

Each rule is a function of the refusal and of the parameters that were sent. All rules that apply are used at once, so that a
refusal which names several things costs one further call. A rule gives nothing without which the answer would be to another
question: the model stays, and so do the texts of the messages and the tools.

The wordings of the servers are in the table tests, `tests/unit/translate/adaptation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING

from .api_changes import leave_out_summary, use_responses
from .changes import LeaveOut, RenameLimit
from .embedding_rules import change_inputs
from .finding import KEPT, NO_TOOLS, STATUSES, Finding
from .format_rules import change_format
from .limit_rules import clamp_values, fewer_stops, fit_context, lower_output
from .limits import (
    TOKEN_LIMITS,
)
from .message_rules import shape_messages
from .parameter_rules import (
    add_demanded,
    ask_without_stream,
    beside_tools,
    keep_thinking,
    leave_out_thinking,
    leave_out_tool_choice,
)
from .refusal_text import (
    RefusalText,
    Refused,
    located,
    mentioned_parameters,
    refused_parameters,
    says_refused,
    sentences,
)
from .tool_rules import simplify_tools

if TYPE_CHECKING:
    from .finding import Sent

type Rule = Callable[[RefusalText, Sent], Iterator[Finding]]
_STANDARD = frozenset(
    [
        "model",
        "messages",
        "input",
        "prompt",
        "suffix",
        "stream",
        "tools",
        "dimensions",
        "encoding_format",
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "stop",
        "stream_options",
        "temperature",
        "tool_choice",
        "top_logprobs",
        "top_p",
    ]
)
_YOUNGEST = ("reasoning_effort", "stream_options")
"""Of the standard parameters those that strict servers lack most often, in this order."""
_REASONING_MODELS_REFUSE = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
)
"""OpenAI's reasoning models refuse all of them, and name one: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning"""
_REASONING_MODEL = re.compile(r"unsupported (?:parameter|value): '[^\n]{1,200}with this model", re.IGNORECASE)
_PENALTY = re.compile(r"\bpenalty is not (?:enabled|supported)", re.IGNORECASE)
"""Gemini: https://github.com/google-gemini/cookbook/issues/1290"""
_UNNAMED = re.compile(
    r"\bextra (?:inputs?|fields?|keys?)(?: (?:are|is))? (?:not permitted|not allowed|forbidden)|\bextra_forbidden\b"
    r"|can handle the requested parameters",
    re.IGNORECASE,
)
_DENIES_TOOLS = re.compile(
    r"(?:support|accept|allow)s? (?:the use of )?(?:tools\b|tool (?:use|calls?|calling)|function[- ]?call)"
    r"|\b(?:tools|tool (?:use|calls?|calling)|function[- ]?calling)['\"`]? (?:is|are) ",
    re.IGNORECASE,
)
_DENIES_VISION = re.compile(
    r"(?:support|accept|allow)s? (?:images?|vision|multimodal)|\b(?:images?|vision|image_url|image inputs?)['\"`]? (?:is|are) ",
    re.IGNORECASE,
)
_DENIES_INSERT = re.compile(r"\b(?:infill|suffix|fill[- ]in[- ]the[- ]middle|fim)\b", re.IGNORECASE)
_WITH_OTHERS = re.compile(
    r"reasoning|thinking|stream|tool_choice ['\"`]|response[_ ]format|json|with (?:tools|images)|parallel", re.IGNORECASE
)


_SUFFIXES = frozenset({"suffix", "input_suffix"})
"""Parameters for the text behind what is to be filled in; the second is llama.cpp's."""


def findings(refusal: RefusalText, sent: Sent) -> list[Finding]:
    """All changes that a refusal asks for. None for a status, or a text, that is not about how the call was made."""
    if refusal.status in STATUSES and (moved := list(use_responses(refusal, sent))):
        return moved
    if refusal.status not in STATUSES or (refusal.status in (402, 404, 429) and not _is_about_parameters(refusal, sent)):
        return []
    found: dict[Hashable, Finding] = {}
    for rule in _EMBEDDING_RULES if "input" in sent else _RULES:
        for finding in rule(refusal, sent):
            found.setdefault(finding.change.key, finding)
    settled = {name for finding in found.values() for name in finding.change.settles}
    for finding in _leave_out(refusal, sent):
        if settled.isdisjoint(finding.change.settles):
            found.setdefault(finding.change.key, finding)
    return list(found.values()) or [*leave_out_thinking(refusal, sent)] or list(_leave_out_mentioned(refusal, sent))


def lacks(refusal: RefusalText, sent: Sent) -> frozenset[str]:
    """The capabilities, in Ollama's terms, that a refusal denies the model as such: `tools`, `vision`, `insert`."""
    if refusal.status not in STATUSES:
        return frozenset()
    found: set[str] = set()
    for sentence in sentences(refusal.text):
        if _WITH_OTHERS.search(sentence):
            continue
        refuses = says_refused(sentence)
        if sent.get("tools") and (NO_TOOLS.search(sentence) or (refuses and _DENIES_TOOLS.search(sentence))):
            found.add("tools")
        if refuses and _DENIES_VISION.search(sentence) and _has_images(sent):
            found.add("vision")
        if refuses and not _SUFFIXES.isdisjoint(sent) and _DENIES_INSERT.search(sentence):
            found.add("insert")
    return frozenset(found)


def _is_about_parameters(refusal: RefusalText, sent: Sent) -> bool:
    """Whether a text that may as well be about a missing route, or about too many calls, is about parameters."""
    if refusal.status == 404:
        return says_refused(refusal.text)
    return refusal.param in sent or any(name in refusal.text for name in sent if "_" in name)


def _leave_out(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    refused = [entry for entry in refused_parameters(refusal, sent) if entry.name not in KEPT | {"response_format"}]
    for name, evidence, near_tools in refused:
        if name in TOKEN_LIMITS:
            yield Finding(RenameLimit(frozenset({name})), evidence)
        else:
            beside = near_tools and sent.get("tools") and name != "tool_choice"
            yield Finding(LeaveOut(name, frozenset({"tools"}) if beside else frozenset()), evidence)
    if _PENALTY.search(refusal.text) and not refused:
        refused = [Refused(name, refusal.text, False) for name in ("presence_penalty", "frequency_penalty") if name in sent]
        for name, evidence, _ in refused:
            yield Finding(LeaveOut(name), evidence)
    if any(entry.name in _REASONING_MODELS_REFUSE for entry in refused) and _REASONING_MODEL.match(refusal.text):
        for name in _REASONING_MODELS_REFUSE:
            if name in sent:
                yield Finding(LeaveOut(name), refused[0].evidence)
    if not refused and not refusal.param and _UNNAMED.search(refusal.text) and not located(refusal.text):
        further = [name for name in sent if name not in _STANDARD] or [name for name in _YOUNGEST if name in sent][:1]
        for name in further:
            yield Finding(LeaveOut(name), refusal.text)


def _leave_out_mentioned(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Leave out what a text names that no other rule makes anything of."""
    for name, evidence, near_tools in mentioned_parameters(refusal, sent):
        if name not in KEPT | {"response_format", "tool_choice", *TOKEN_LIMITS}:
            beside = near_tools and sent.get("tools")
            yield Finding(LeaveOut(name, frozenset({"tools"}) if beside else frozenset()), evidence)


def _has_images(sent: Sent) -> bool:
    return any(
        isinstance(part, dict) and part.get("type") == "image_url"
        for message in sent.get("messages") or ()
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )


_RULES: tuple[Rule, ...] = (
    fit_context,
    lower_output,
    clamp_values,
    fewer_stops,
    ask_without_stream,
    beside_tools,
    keep_thinking,
    change_format,
    leave_out_tool_choice,
    add_demanded,
    shape_messages,
    simplify_tools,
    leave_out_summary,
)
_EMBEDDING_RULES: tuple[Rule, ...] = (change_inputs, add_demanded)
