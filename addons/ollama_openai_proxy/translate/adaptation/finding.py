"""What a rule finds in a refusal, and the words that several rules look for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .refusal_text import says_refused

if TYPE_CHECKING:
    from .changes import Change

type Sent = Mapping[str, Any]
"""The parameters of the call that was refused."""

STATUSES = frozenset({400, 402, 404, 413, 415, 422, 424, 429, 500, 501})
"""402 because OpenRouter counts the limit of tokens as if all were used; 424 as SageMaker hands a model's error on; 500 because
llama.cpp, and servers that pass the call's fields on as Python arguments, answer a refusal with it."""
KEPT = frozenset({"model", "messages", "input", "prompt", "suffix", "stream", "tools"})
FORMAT_WORDS = re.compile(
    r"response[_ ]?format|json[_ ]mode|json_object|json_schema|json schema|structured[_ ]outputs?|response[_ ]mime[_ ]type"
    r"|response_schema|output_config"
    r"|guided[_ ](?:decoding|json|generation|grammar)|json output|grammar",
    re.IGNORECASE,
)
TOOL_WORDS = re.compile(
    r"\btools?\b|\btool[_ -](?:use|calls?|calling)\b|\bfunction[_ -]?calling\b|\bfunctions\b", re.IGNORECASE
)
STREAM_WORDS = re.compile(r"\b(?:converse|non-?)?stream(?:ing|ed|s)?\b", re.IGNORECASE)
TOOL_CHOICE_WORDS = re.compile(
    r"tool_choice|tool choice|forc\w{1,5} (?:a )?(?:tool|function)|(?:tool|function)[- ]calling mode"
    r"|variant `(?:required|any)`",
    re.IGNORECASE,
)
NO_TOOLS = re.compile(r"enable-auto-tool-choice|support tool use|tool-call-parser|\bno tools?\b", re.IGNORECASE)
_CONFLICT = re.compile(
    r"together|combin|simultaneous|at the same time|mutually exclusive|incompatible|conflict|\bboth\b|alongside|in conjunction"
    r"|\bwith\b|\bwhen\b|\bwhile\b|\bif\b",
    re.IGNORECASE,
)
TOGETHER = re.compile(
    r"(?:can ?not|can't|could not|must not|not) (?:be )?(?:combin|used? (?:together|simultaneously|with|in conjunction)|both)"
    r"|mutually exclusive|incompatible|conflicts? with|cannot (?:specify|use|set|enable) both|not (?:both|at the same time)",
    re.IGNORECASE,
)


class Finding(NamedTuple):
    """What a refusal teaches.

    Attributes:
        change: how the call is made instead.
        evidence: the part of the refusal's text that teaches it; "" where an error's `param` does.
    """

    change: Change
    evidence: str


def refuses_format_beside_tools(sentence: str) -> bool:
    """Whether a sentence says that tools and a format do not go together."""
    both = FORMAT_WORDS.search(sentence) and TOOL_WORDS.search(sentence) and _CONFLICT.search(sentence)
    return bool(both) and (says_refused(sentence) or TOGETHER.search(sentence) is not None)
