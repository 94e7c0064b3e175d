"""Rules for streams, for what is refused beside tools, for thinking, and for parameters that a server demands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .changes import Add, AskWithoutStream, KeepThinking, LeaveOut, is_streamed
from .finding import (
    KEPT,
    NO_TOOLS,
    STREAM_WORDS,
    TOGETHER,
    TOOL_CHOICE_WORDS,
    TOOL_WORDS,
    Finding,
    refuses_format_beside_tools,
)
from .format_changes import FORMATS, RefuseFormats
from .limit_changes import EFFORTS, NearestEffort
from .refusal_text import (
    RefusalText,
    says_refused,
    sentences,
    snake_case,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .finding import Sent

_DEMANDED: dict[str, str | int] = {
    "max_tokens": 4096,
    "max_completion_tokens": 4096,
    "input_type": "passage",
    "encoding_format": "float",
    "tool_choice": "auto",
}
"""Parameters that some servers insist on, with the value that changes the answer least."""
_EFFORT_CHOICES = re.compile(
    r"\b(?:(?:supported|valid|allowed|accepted|permitted|possible|available) values?(?: are| is)?|must be|should be"
    r"|expected|one of|not in)"
    r"([^\n;]*)",
    re.IGNORECASE,
)
_EFFORT = re.compile(rf"(['\"`]?)\b({'|'.join((*EFFORTS, 'default'))})\b(['\"`]?)")
_SENTENCE_BREAK = re.compile(r"\.\s|;")
_MUST_STREAM = re.compile(
    r"only supports? (?:the )?stream|must be streamed|enable (?:the )?stream|stream(?:['\"`]|ing)? must be (?:set to )?true"
    r"|set stream to true|requires? (?:stream|stream=true|streaming)|must have stream",
    re.IGNORECASE,
)
_NO_STREAM = re.compile(
    r"verified to stream|without stream|non-stream|stream(?:['\"`=: ]{1,3})?(?:must be|to|=) ?(?:set to )?false|disable stream",
    re.IGNORECASE,
)
_NOT_FOR_WHOLE = re.compile(r"enable_thinking[^\n]{0,60}(?:false)[^\n]{0,60}non-stream", re.IGNORECASE)
_MUST_THINK = re.compile(
    r"(?:thinking|reasoning)(?: mode)? (?:can ?not|can't|may not|must not) be (?:disabled|turned off|switched off)"
    r"|only works? in thinking|only supports? thinking|(?:can ?not|can't) (?:disable|turn off"
    r"|switch off) (?:the )?(?:thinking|reasoning)"
    r"|(?:thinking|reasoning) is (?:mandatory|required|always)|requires? (?:thinking|reasoning)|must be thinking"
    r"|not support(?:ed)? (?:disabling|disable|turning off) (?:thinking|reasoning)"
    r"|(?:disabling|disabled) (?:thinking|reasoning) is not"
    r"|thinking[^\n]{0,40}(?:restricted to true|(?:must|should) be enabled|only type=enabled)"
    r"|thinking[^\n]{0,20}['\"`]disabled['\"`] is not",
    re.IGNORECASE,
)
_NO_THINKING = re.compile(r"\b(?:thinking|reasoning)(?![_ ]?content)", re.IGNORECASE)
_NO_THINKING_BLOCK = re.compile(r"must start with a thinking block", re.IGNORECASE)
_THINKING = ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget")
_EFFORT_WORD = re.compile(r"reasoning[_ .]?effort|reasoningEffort", re.IGNORECASE)
_EFFORT_NONE = re.compile(r"effort[^\n]{0,20}['\"` =]none\b", re.IGNORECASE)
_REQUIRED = re.compile(
    r"(?:missing(?: required)?|field required|is required|are required|is a required|required (?:parameter|field"
    r"|property|argument))",
    re.IGNORECASE,
)
_NOT_FOUND = re.compile(
    r"not found|does not exist|not in (?:the )?(?:list of )?tools|no (?:such )?(?:tool|function)", re.IGNORECASE
)


def ask_without_stream(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Ask for the whole answer at once."""
    if not is_streamed(sent):
        if _NOT_FOR_WHOLE.search(refusal.text):
            yield Finding(Add("enable_thinking", False, only_whole=True), refusal.text)
        return
    for sentence in sentences(refusal.text):
        named = refusal.param == "stream"
        if "stream_options" in sentence or _MUST_STREAM.search(sentence) or not (named or STREAM_WORDS.search(sentence)):
            continue
        if says_refused(sentence) or _NO_STREAM.search(sentence):
            tools = sent.get("tools") and TOOL_WORDS.search(sentence) is not None and not _NO_STREAM.search(sentence)
            yield Finding(AskWithoutStream(frozenset({"tools"}) if tools else frozenset()), "" if named else sentence)


def beside_tools(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Change what is refused only beside tools: a format, or an effort."""
    if not sent.get("tools"):
        return
    beside = frozenset({"tools"})
    for sentence in sentences(refusal.text):
        if not TOOL_WORDS.search(sentence):
            continue
        if "response_format" in sent and refuses_format_beside_tools(sentence):
            yield Finding(RefuseFormats(FORMATS, beside), sentence)
        if _EFFORT_WORD.search(sentence) and (says_refused(sentence) or TOGETHER.search(sentence)):
            if _EFFORT_NONE.search(refusal.text):
                yield Finding(Add("reasoning_effort", "none", beside), "" if refusal.param == "reasoning_effort" else sentence)
            elif "reasoning_effort" in sent:
                yield Finding(LeaveOut("reasoning_effort", beside), "" if refusal.param == "reasoning_effort" else sentence)


def keep_thinking(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Keep thinking on, or use an effort that is taken."""
    if _MUST_THINK.search(refusal.text):
        yield Finding(KeepThinking(), refusal.text)
    elif "reasoning_effort" in sent and (efforts := _effort_choices(refusal, sent["reasoning_effort"])):
        yield Finding(NearestEffort(efforts), "" if refusal.param == "reasoning_effort" else refusal.text)


def leave_out_thinking(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Ask for no thinking of a model that has none, or that wants the earlier thinking back, which the client has dropped."""
    for sentence in sentences(refusal.text):
        refuses = _NO_THINKING.search(sentence) and says_refused(sentence) and not TOOL_WORDS.search(sentence)
        if refuses or _NO_THINKING_BLOCK.search(sentence):
            for name in _THINKING:
                if name in sent:
                    yield Finding(LeaveOut(name), sentence)


def _effort_choices(refusal: RefusalText, effort: str) -> frozenset[str]:
    """The values that are said to be taken in place of `effort`."""
    text = refusal.text
    named = refusal.param == "reasoning_effort" or _EFFORT_WORD.search(text) is not None
    if refusal.param in KEPT or (TOOL_WORDS.search(text) and named and _EFFORT_NONE.search(text)):
        return frozenset()
    choices = _EFFORT_CHOICES.search(text)
    if choices is None:
        return frozenset()
    listed = _SENTENCE_BREAK.split(choices[1].split("'input'")[0], maxsplit=1)[0]
    found = {match[2] for match in _EFFORT.finditer(listed) if named or (match[1] and match[3])}
    return frozenset(found) - {effort} if named or len(found) > 1 else frozenset()


def leave_out_tool_choice(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Leave out a choice of tools."""
    if "tool_choice" not in sent or _NOT_FOUND.search(refusal.text) or NO_TOOLS.search(refusal.text):
        return
    for sentence in sentences(refusal.text):
        if (TOOL_CHOICE_WORDS.search(sentence) or refusal.param == "tool_choice") and (
            says_refused(sentence)
            or TOGETHER.search(sentence)
            or re.search(r"must|invalid|only|should", sentence, re.IGNORECASE)
        ):
            yield Finding(LeaveOut("tool_choice"), "" if refusal.param == "tool_choice" else sentence)


def add_demanded(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Add a parameter without which the server does not answer."""
    for sentence in sentences(refusal.text):
        if not _REQUIRED.search(sentence):
            continue
        for name, value in _DEMANDED.items():
            if name not in sent and (
                refusal.param == name or re.search(rf"(?<![\w])(?:body\.)?{name}(?!\w)", snake_case(sentence))
            ):
                if name == "tool_choice" and not sent.get("tools"):
                    continue
                yield Finding(Add(name, value, replaces=False), "" if refusal.param == name else sentence)
