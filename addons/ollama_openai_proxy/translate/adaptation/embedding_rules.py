"""Rules for calls of embeddings: how many texts, how long, which encoding."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .changes import Add
from .embedding_changes import CutInputs, FillBlankInputs, LimitInputs
from .finding import Finding
from .limits import (
    batch_limit,
    batch_token_limit,
    context_length,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .finding import Sent
    from .refusal_text import (
        RefusalText,
    )

_BASE64 = re.compile(r"base64", re.IGNORECASE)
_CHARACTERS = re.compile(
    r"(?:less than|at most|maximum|limit|exceeds?)[^\d\n]{0,20}(\d[\d,]{0,9}) characters"
    r"|string too long[^\d\n]{0,60}maximum length (\d[\d,]{0,9})",
    re.IGNORECASE,
)
_ONLY_FLOAT = re.compile(r"encoding_?format[^\n]{0,80}\bfloat\b|\bfloat\b[^\n]{0,80}encoding_?format", re.IGNORECASE)
_BLANK = re.compile(
    r"empty|blank|non-empty|at least (?:1|one) character|min_length|too_short|not contain any|input['\"]? is invalid",
    re.IGNORECASE,
)


def change_inputs(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Send fewer texts, shorter ones, or ask for another encoding."""
    texts = sent["input"]
    if not isinstance(texts, list):
        return
    text = refusal.text
    if any(not entry.strip() for entry in texts if isinstance(entry, str)) and _BLANK.search(text):
        yield Finding(FillBlankInputs(), text)
        return
    if sent.get("encoding_format") == "base64" and (_BASE64.search(text) or _ONLY_FLOAT.search(text)):
        yield Finding(Add("encoding_format", "float"), text)
        return
    if (found := _CHARACTERS.search(text)) is not None:
        yield Finding(CutInputs(max(int((found[1] or found[2]).replace(",", "")) - 1, 1)), text)
        return
    if (tokens := batch_token_limit(text)) is not None and len(texts) > 1:
        estimate = sum(map(len, texts)) // 2
        yield Finding(LimitInputs(tokens=tokens or max(estimate // 4, 1)), text)
    elif (length := context_length(text)) is not None:
        longest = max(map(len, texts), default=0)
        if length.limit and length.prompt > length.limit:
            characters = int(longest * length.limit / length.prompt * 0.9)
        else:
            characters = length.limit * 2 if length.limit else longest // 2
        if characters >= longest and 3 * longest > length.limit:
            # The tokens of this text are shorter than the estimate.
            characters = longest // 2
        if 0 < characters < longest:
            yield Finding(CutInputs(characters), text)
    elif most := batch_limit(text, refusal.status, len(texts)):
        yield Finding(LimitInputs(inputs=most), text)
