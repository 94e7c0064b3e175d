"""Finds what of a refusal may be the client's own words, which a server quotes.

What is read only from a quotation must not change the calls of others: a client could otherwise write into a message that
a parameter is not supported.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..chinese_words import in_english
from .refusal_text import PLAIN_WORD, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .refusal_text import RefusalText

_MOST_COMPARED = 1 << 20
"""Characters of a call that are compared with a refusal."""
_RUN = 4
"""Words in a row that are no coincidence."""
_STRANGER = "\ufffd"
"""Stands for a word that may be the client's. No rule looks for it."""


def without_quotations(refusal: RefusalText, sent: Mapping[str, Any]) -> RefusalText:
    """The refusal with a strange character for each word that it may have from the client.

    These are four words in a row, or a whole text of two or three words, that also stand in what was sent. Of a call with very
    long texts all words may be the client's: to look for them would take long, while other requests wait.
    """
    texts = list(strings_in(list(sent.values())))
    if sum(map(len, texts)) > _MOST_COMPARED:
        return replace(refusal, text=_STRANGER)
    text = plain(refusal.text)
    words = list(PLAIN_WORD.finditer(text.lower()))
    said = [match[0] for match in words]
    quoted: set[int] = set()
    for own in texts:
        spoken = normalised(own)
        run = min(_RUN, spoken.count(" ") - 1)
        if run < 2:
            continue
        known = set(spoken.split())
        for begin in range(len(said) - run + 1):
            part = said[begin : begin + run]
            if known.issuperset(part) and " ".join(["", *part, ""]) in spoken:
                quoted |= set(range(begin, begin + run))
    parts: list[str] = []
    end = 0
    for number in sorted(quoted):
        parts += [text[end : words[number].start()], _STRANGER]
        end = words[number].end()
    return replace(refusal, text="".join([*parts, text[end:]]))


def normalised(text: str) -> str:
    """The words of a text in lower case, each with a space around it."""
    return " ".join(["", *PLAIN_WORD.findall(plain(in_english(text)).lower()), ""])


def strings_in(value: Any) -> Iterator[str]:
    """All texts within a JSON value, without images and the like, which are long and hold no words."""
    todo = [value]
    while todo:
        match todo.pop():
            case str(text) if not text.startswith("data:"):
                yield text
            case list(items):
                todo += items
            case dict(entries):
                todo += entries.values()
