"""Reads numbers out of refusals: ranges of parameters, the length of a context, how many texts a call may embed.

All patterns have bounded gaps, so that a text is read in linear time.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from ..context_overflow import says_overflow
from .refusal_text import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LEAST_LIMIT = 256
"""Tokens that every model may answer with; a smaller number in a text is something else."""
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")

_NUMBER = r"(?<![\w.\-])(-?\d[\d,_]{0,20}(?:\.\d{1,9})?)(?![\w\-])"
_ANY_NUMBER = re.compile(_NUMBER)
_INTERVAL = re.compile(
    r"([\[(])\s{0,3}(-?\d[\d_]{0,20}(?:\.\d{1,9})?)\s{0,3}(?:,|\.\.|to|~|-)\s{0,3}(-?\d[\d_]{0,20}(?:\.\d{1,9})?|inf\w{0,5}|\+?∞)\s{0,3}([\])])",
    re.IGNORECASE,
)
_FROM_TO = re.compile(
    r"(?:between|from|range:?(?: of| is)?)[ :]{0,3}(-?\d[\d_]{0,20}(?:\.\d{1,9})?)(?: \((inclusive"
    r"|exclusive)\))?(?:,?\s(?:and|to|-)\s|\.\.)"
    r"(-?\d[\d_]{0,20}(?:\.\d{1,9})?)(?: \((inclusive|exclusive)\))?",
    re.IGNORECASE,
)
_AT_MOST = re.compile(
    r"(less than or equal to|smaller than or equal to|less or equal to|at most|no more than|not exceed"
    r"|(?:not|cannot|can not) be (?:larger|greater|higher|more) than"
    r"|(?:greater|larger|higher) than (?:the )?max(?:imum)? allowed"
    r"|<=|≤|lower than|less than|smaller than|below|<(?!\d{1,9}>))[^\d\n\-]{0,40}?" + _NUMBER,
    re.IGNORECASE,
)
_MOST = re.compile(
    r"(?:up to|maximum|\bmax(?:\.|imal|imum ?length|length)?(?!\w)|limit|limited to)[^\d\n\-]{0,40}?" + _NUMBER, re.IGNORECASE
)
_AT_LEAST = re.compile(
    r"(greater than or equal to|larger than or equal to|at least|no less than|not be (?:less|smaller|lower) than"
    r"|can ?not be (?:less|smaller|lower) than|minimum|min(?:\.|imal)?|>=|≥|greater than|larger than|more than|above|>)"
    r"[^\d\n\-]{0,40}?" + _NUMBER,
    re.IGNORECASE,
)
_EXCEEDED = re.compile(r"(-?\d[\d,_]{0,15})\s{0,3}>\s{0,3}(-?\d[\d,_]{0,15})")
_EXCLUSIVE = frozenset(
    {"lower than", "less than", "smaller than", "below", "<", "greater than", "larger than", "more than", "above", ">"}
)
_POSITIVE = re.compile(r"\b(?:strictly )?positive\b", re.IGNORECASE)
_NOT_NEGATIVE = re.compile(r"\bnon-?negative\b|\bnot be negative\b", re.IGNORECASE)
_ZERO = re.compile(r"\bthan zero\b", re.IGNORECASE)
_OUT_OF_RANGE = re.compile(
    r"too (?:large|high|big|small|low|long|many)|at (?:most|least)|exceed|maximum|minimum|range|between|greater|larger"
    r"|less|lower|\bmax"
    r"|smaller|fewer|no more|up to|must be|should be|<|>|≤|≥|limit|positive|negative|\[|invalid|illegal|permitted|support",
    re.IGNORECASE,
)
_OF_OUTPUT = re.compile(
    r"max_tokens|max_completion_tokens|max_new_tokens|max_output_tokens|maxOutputTokens|max output tokens|completion tokens"
    r"|output tokens|maximum tokens|maximum number of (?:output |generated )?tokens|tokens to generate|generated tokens"
    r"|num_predict|n_predict|tokens_to_generate|max_gen_len|max_decode_steps|number of tokens requested|max tokens|maxTokens",
    re.IGNORECASE,
)

_CONTEXT_SUM = re.compile(r"(\d[\d,_]{0,15}) \+ (\d[\d,_]{0,15}) > (\d[\d,_]{0,15})")
_CONTEXT_LIMITS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:context|sequence|prompt|input) (?:length|window|size|limit)[^\d\n\[]{0,60}\[\d{1,9}, ?(\d[\d,_]{0,15})\]",
        r"max(?:imum)? (?:(?:context|sequence|model|input|prompt) )?(?:length|window|size|limit)[^\d\n]{0,40}(\d[\d,_]{0,15})",
        r"(?:context|sequence|prompt) (?:length|window|size|limit)[^\d\n]{0,60}(\d[\d,_]{0,15})",
        r"(?:input|model) (?:length|size|token|tokens)? ?limit[^\d\n]{0,40}(\d[\d,_]{0,15})",
        r"> (\d[\d,_]{0,15}) maximum",
        r"maximum number of (?:input )?tokens allowed[^\d\n]{0,12}(\d[\d,_]{0,15})",
        r"(\d[\d,_]{0,15}) maximum context",
        r"max_(?:new|total)_tokens`? must be <=? (\d[\d,_]{0,15})",
        r"(?:limit is|limit of|at most|maximum of|less than|no more than|exceeds?"
        r"|must have) (\d[\d,_]{0,15})(?: input)? tokens",
        r"length is \d[\d,_]{0,15} while limit is (\d[\d,_]{0,15})",
        r"exceeds? (?:the )?(?:\w+ )?limit of (\d[\d,_]{0,15})",
        r"exceeds? the (\d[\d,_]{0,15}) limit",
        r"max_seq_len \((\d[\d,_]{0,15})\)",
        r"\blimit (\d[\d,_]{0,15}), requested \d",
        r"max(?:imum)? size:? (\d[\d,_]{0,15}) tokens",
        r"too long[^\n]{0,40}\bmax(?:imum)?:? (\d[\d,_]{0,15})",
    )
]
_OF_CONTEXT = re.compile(
    r"context (?:length|window|size|limit)|maximum context|sequence length|prompt length|prompt is too long|input length"
    r"|range of input|token limit|too many (?:input )?tokens|input token count|requested tokens?|inputs?` tokens"
    r"|exceeds? the (?:available|maximum)|too large for model|too large to process|input is too (?:long|large)"
    r"|reduce the length|context_length|maximum input|must have less than|max_total_tokens|request (?:body )?too large"
    r"|exceeds? max(?:imum)? length|texts? (?:is |are )?too long",
    re.IGNORECASE,
)
_OF_A_SCHEMA = re.compile(r"\bschema\b[^\n]{0,80}(?:nest|depth|complex)", re.IGNORECASE)
_PROMPTS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(\d[\d,_]{0,15}) (?:tokens )?(?:in|from|of) (?:the |your )?(?:messages|prompt|inputs?|text input)\b",
        r"prompt contains (?:at least )?(\d[\d,_]{0,15})",
        r"(?<!maximum )(?:input|prompt|sequence) length (?:is|of) (\d[\d,_]{0,15})",
        r"(\d[\d,_]{0,15}) (?:`?inputs?`?|prompt) tokens",
        r"(?:request|input) \((\d[\d,_]{0,15}) tokens\)",
        r"prompt is too long: (\d[\d,_]{0,15})",
        r"input token count[^\d\n]{0,12}(\d[\d,_]{0,15})",
        r"token count of (\d[\d,_]{0,15})",
        r"resulted in (\d[\d,_]{0,15}) tokens",
        r"(?:request|input) contains (\d[\d,_]{0,15}) tokens",
    )
]
_TOTALS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"requested (?:a total of |about |at least )?(\d[\d,_]{0,15})",
        r"requested tokens? \((\d[\d,_]{0,15})\)",
        r"requested: ?(\d[\d,_]{0,15})",
        r"current length is (\d[\d,_]{0,15})",
        r"total of (?:at least )?(\d[\d,_]{0,15})",
        r"max_total_tokens \((\d[\d,_]{0,15})\)",
    )
]
_AT_LEAST_PROMPT = re.compile(r"at least \d[\d,_]{0,15} (?:input|prompt) tokens", re.IGNORECASE)

_OF_BATCH = re.compile(
    r"batch|too many (?:inputs|texts|documents|items|strings)|array too long|number of (?:inputs|texts|documents|items)"
    r"|inputs? (?:array|list)|(?:inputs|texts|documents|items|requests)\b|list should have|maximum length|payload too large",
    re.IGNORECASE,
)
_OF_BATCH_TOKENS = re.compile(
    r"tokens? (?:per|in a|in one|in each) (?:request|batch|submitted batch)|max(?:imum)? (?:allowed )?tokens per"
    r"|tokens overall|total tokens|max \d[\d,_]{0,15} tokens per request",
    re.IGNORECASE,
)


class Range(NamedTuple):
    """What values of a parameter are taken; None is no bound.

    Attributes:
        low: the lowest value.
        high: the highest value.
    """

    low: float | None
    high: float | None


class ContextLength(NamedTuple):
    """What a refusal says of the length of a call; 0 is what it does not say.

    Attributes:
        limit: tokens that prompt and answer may have together.
        prompt: tokens that the prompt has.
        total: tokens that the prompt and the requested answer have.
        exact: whether `prompt` is exact, and not only the least that it can be.
    """

    limit: int
    prompt: int
    total: int
    exact: bool


def value_range(sentence: str, value: float, *, whole: bool) -> Range | None:
    """The range that a sentence gives for a parameter whose value is outside of it.

    Args:
        sentence: the sentence that refuses the value.
        value: what was sent.
        whole: whether the parameter is a whole number.

    Returns:
        None where no range is given, or where the value is within it.
    """
    step = 1 if whole else 1e-6
    for found in _ranges(sentence, step):
        if (found.high is not None and value > found.high) or (found.low is not None and value < found.low):
            return found
    return None


def is_about_output(sentence: str) -> bool:
    """Whether a sentence speaks of the limit of tokens of an answer, and of a range."""
    return bool(_OF_OUTPUT.search(sentence)) and is_about_range(sentence)


def is_about_range(sentence: str) -> bool:
    """Whether a sentence says that a value is too large or too small."""
    return _OUT_OF_RANGE.search(sentence) is not None


def output_limit(text: str, sent: int) -> int | None:
    """The most tokens that an answer may have, where `sent` are too many.

    Returns:
        0 where the text names no number that is smaller; None where it is not about that.
    """
    parts = sentences(text)
    about = [number for number, sentence in enumerate(parts) if _OF_OUTPUT.search(sentence)]
    quoted = [number for number, sentence in enumerate(parts) if sent in _numbers(sentence)]
    places = about or quoted
    if not places or not is_about_range(text):
        return None
    for sentence in parts[places[0] :]:
        if (found := value_range(sentence, sent, whole=True)) and found.high is not None and found.high >= 1:
            return int(found.high)
    smaller = [number for sentence in parts[places[0] :] for number in _numbers(sentence) if _LEAST_LIMIT <= number < sent]
    if smaller or about:
        return int(max(smaller, default=0))
    return None


def context_length(text: str, *, of_prompt: bool = False) -> ContextLength | None:
    """What a text says of a call that is too long for the model's context; None where it does not speak of that.

    Args:
        text: of the refusal.
        of_prompt: whether to take further words, which speak of the prompt of a chat or of the texts to embed.
    """
    if both := _CONTEXT_SUM.search(text):
        prompt, answer, limit = (_integer(both[number]) for number in (1, 2, 3))
        return ContextLength(limit, prompt, prompt + answer, exact=True)
    if _OF_A_SCHEMA.search(text) or not (_OF_CONTEXT.search(text) or (of_prompt and says_overflow(text))):
        return None
    limit = _first(_CONTEXT_LIMITS, text)
    return ContextLength(limit, _first(_PROMPTS, text), _first(_TOTALS, text), exact=not _AT_LEAST_PROMPT.search(text))


def batch_limit(text: str, status: int, count: int) -> int | None:
    """The most inputs that a call may embed, where `count` are too many; None where the text is not about that.

    Half of them where the text names no number.
    """
    if count < 2:
        return None
    if not _OF_BATCH.search(text):
        return count // 2 if status == 413 else None
    if _OF_BATCH_TOKENS.search(text):
        return None
    smaller = [number for sentence in sentences(text) for number in _limits(sentence) if 1 <= number < count]
    if smaller:
        return int(max(smaller))
    told = status == 413 or re.search(r"too (?:many|large|long|big)|exceed", text, re.IGNORECASE)
    return count // 2 if told else None


def batch_token_limit(text: str) -> int | None:
    """The most tokens that all inputs of a call may have; 0 where the text does not say; None where it is not about that."""
    if not _OF_BATCH_TOKENS.search(text):
        return None
    found = [int(number) for sentence in sentences(text) for number in _limits(sentence) if number >= 64]
    return min(found) if found else 0


def _ranges(sentence: str, step: float) -> Iterator[Range]:
    sentence = _ZERO.sub("than 0", sentence)
    for match in _INTERVAL.finditer(sentence):
        low, high = _decimal(match[2]), _decimal(match[3])
        yield Range(
            low if match[1] == "[" else low + step, None if math.isinf(high) else high if match[4] == "]" else high - step
        )
    for match in _FROM_TO.finditer(sentence):
        low, high = _decimal(match[1]), _decimal(match[3])
        yield Range(low + step if match[2] == "exclusive" else low, high - step if match[4] == "exclusive" else high)
    for match in _EXCEEDED.finditer(sentence):
        yield Range(None, _integer(match[2]))
    for match in _AT_MOST.finditer(sentence):
        high = _decimal(match[2])
        yield Range(None, high - step if match[1].lower() in _EXCLUSIVE else high)
    for match in _MOST.finditer(sentence):
        yield Range(None, _decimal(match[1]))
    for match in _AT_LEAST.finditer(sentence):
        low = _decimal(match[2])
        yield Range(low + step if match[1].lower() in _EXCLUSIVE else low, None)
    if _POSITIVE.search(sentence):
        yield Range(step, None)
    if _NOT_NEGATIVE.search(sentence):
        yield Range(0, None)


def _limits(sentence: str) -> Sequence[float]:
    """The numbers of a sentence that it gives as limits, else all of them."""
    told = [_decimal(match[2]) for pattern in (_AT_MOST, _AT_LEAST) for match in pattern.finditer(sentence)]
    told += [_decimal(match[1]) for match in _MOST.finditer(sentence)]
    return told or list(_numbers(sentence))


def _numbers(sentence: str) -> Iterator[float]:
    return (_decimal(match[1]) for match in _ANY_NUMBER.finditer(sentence))


def _first(patterns: Sequence[re.Pattern[str]], text: str) -> int:
    for pattern in patterns:
        if match := pattern.search(text):
            return _integer(match[1])
    return 0


def _integer(text: str) -> int:
    return int(text.replace(",", "").replace("_", "") or "0")


def _decimal(text: str) -> float:
    if "inf" in text.lower() or "∞" in text:
        return math.inf
    text = text.replace(",", "").replace("_", "")
    return float(text) if "." in text else int(text)
