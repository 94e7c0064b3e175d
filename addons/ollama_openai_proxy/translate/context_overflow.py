"""Tells whether a server says that a prompt is longer than what its model takes, in whatever words."""

from __future__ import annotations

import re

from .chinese_words import in_english

OVERFLOW_CODES = frozenset(
    [
        *("context_length_exceeded", "exceed_context_size_error", "context_window_exceeded", "string_too_long"),
        *("model_max_prompt_tokens_exceeded", "max_prompt_tokens_exceeded", "prompt_too_long", "input_too_long"),
        *("context_too_long", "tokens_limit_reached", "request_too_long"),
    ]
)

_OVERFLOW = re.compile(
    r"(?:exceed\w{0,4}|longer\sthan|larger\sthan|greater\sthan|beyond|too\slarge\sfor|overflow\w{0,4}|maximum|only|fit\w{0,4})\b[^.;]{0,80}"
    r"\bcontext[\s_-]?(?:length|window|size|limit)"
    r"|\bcontext[\s_-]?(?:length|window|size|limit)\b[^.;]{0,60}\b(?:exceed\w{0,4}|overflow\w{0,4}|full|too\ssmall)"
    r"|\b(?:prompt|input|inputs|conversation|messages?|request)\b[^.;]{0,40}\b(?:is|are|was|were)\stoo\s(?:long|large)\b"
    r"|\b(?:prompt|input|sequence|request|messages?)\s(?:(?!list|array|batch)\w{1,20}\s){0,2}(?:length|tokens?(?:\scount)?)\b[^.;]{0,40}\b(?:exceed|larger\sthan|longer\sthan|greater\sthan)"
    r"|\bsum\sof\sprompt\slength|\binputs`?\stokens\s\+|\btokens\sin\srequest\smore\sthan|\binput\stoo\s(?:large|long)\b"
    r"|\brequest\scontains\s\d[\d,]{0,15}\stokens[^.;]{0,20}\bexceed|\b(?:reduce|shorten)\syour\sprompt|\bexceed\smax\smessage\stokens"
    r"|\brequest\stoo\slarge\.\stry\swith\sa\ssmaller\sinput"
    r"|\btoo\s(?:long|many)\s(?:input|prompt)\b|\binput\s(?:token\scount|tokens?|length)\b[^.;]{0,60}\bexceed"
    r"|\bmaximum\s(?:prompt|input)\s(?:length|tokens?)|\bexceed\w{0,4}\s(?:the\s)?model\stoken\slimit|\brange\sof\sinput\slength"
    r"|\breduce\sthe\slength\sof\s(?:the|your)\s(?:messages|prompt|input)|\bmust\shave\sless\sthan\s\d+\stokens"
    r"|\bprompt\sexceeds?\b|\bexceeds?\smax(?:imum)?\s(?:prompt\s|input\s)?length|\bbody\stoo\slarge\sfor\b[^.;]{0,60}\bmodel\b"
    r"|\bkeep\sfrom\sthe\sinitial\sprompt\sis\sgreater|\bcontext\sthe\soverflows",
    re.IGNORECASE,
)
_NO_OVERFLOW = re.compile(
    r"per\s(?:minute|day|hour)|\btpm\b|rate[\s_-]?limit|quota|entity\stoo\slarge|max_(?:completion_|output_|new_)?tokens\W{0,3}"
    r"(?:or\W{0,3}max_completion_tokens\W{0,3})?(?:is|are|must|should|exceeds|cannot|too)",
    re.IGNORECASE,
)


def says_overflow(text: str) -> bool:
    """Whether an error's text, or a code alone, says that the prompt is too long."""
    words = in_english(text)
    return words.strip().lower() in OVERFLOW_CODES or (
        _OVERFLOW.search(words) is not None and _NO_OVERFLOW.search(words) is None
    )
