"""Reads the sentence by which a server refuses a call, in linear time.

A sentence is cut into words. A word names a parameter, says that something is refused, may stand between the two, or is
foreign. A parameter counts as refused where no foreign word stands between its name and the words that refuse it.

No pattern here repeats a part that contains a repetition, or has two repetitions that could match the same characters: a text
of a server is as untrusted as a request's body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..chinese_words import in_english
from .refusal_words import (
    BETWEEN,
    BETWEEN_NOT,
    ELSEWHERE,
    EVERYDAY_EXCEPTIONS,
    FURTHER_SPELLINGS,
    MODAL,
    NEGATED,
    NEGATED_AFTER_MODAL,
    NOT_PARAMETERS,
    ONLY,
    PARAMETER_WORDS,
    PATH_HEADS,
    PUNCTUATION,
    QUOTES,
    REFUSING,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

LONGEST_TEXT = 4000
"""Characters of a refusal that are read."""

_SENTENCE_END = re.compile(r"\n(?!\s)|;|(?<=[.!?])\s")
_WORD = re.compile(r"[A-Za-z_$][\w.$/\-]*|\d[\w.]*|\S")
_VALUES = re.compile(r"\d|above|below|maximum|minimum|range|between|must be|should be|expected|one of", re.IGNORECASE)
PLAIN_WORD = re.compile(r"\w+")
_SUBSCRIPT = re.compile(r"\[(\d{1,6})\]")
_CAPITAL = re.compile(r"(?<=[a-z])[A-Z]")
_LOCATION = re.compile(r"['\"]loc['\"]\s{0,9}:\s{0,9}[\[(]([^\])]{0,200})[\])]")
_INPUT = re.compile(r"['\"]input['\"]\s{0,9}:")


@dataclass(frozen=True, slots=True)
class RefusalText:
    """What a server says of a call that it refuses.

    Attributes:
        status: the HTTP status.
        text: the error's message, the words of the rules in English, of at most `LONGEST_TEXT` characters.
        param: the parameter that the error's `param` names, in snake case and without what is below it; "" where none is named.
        path: the error's `param` as the server sent it.
    """

    status: int
    text: str
    param: str
    path: str

    @classmethod
    def of(cls, status: int, text: str, param: str | None) -> RefusalText:
        """Make one of an error's parts."""
        path = (param or "")[:200]
        words = [word for word in PLAIN_WORD.findall(path) if word != "body"]
        name = snake_case(words[0]) if words else ""
        # OpenAI hides the beginning of a path: `***.effort`.
        return cls(
            status, in_english(text[:LONGEST_TEXT])[:LONGEST_TEXT], "reasoning_effort" if name == "effort" else name, path
        )


class Refused(NamedTuple):
    """A parameter that a text refuses.

    Attributes:
        name: as it was sent.
        evidence: the part of the text that refuses it; "" where the error's `param` names it.
        beside: whether the part also speaks of tools, so that the parameter may be refused only beside them.
    """

    name: str
    evidence: str
    beside: bool


class Located(NamedTuple):
    """One entry of a validation error of pydantic that a text quotes.

    Attributes:
        path: the parts of `loc` without "body".
        what: the rest of the entry, up to the value that it quotes, in lower case.
    """

    path: tuple[str, ...]
    what: str


class _Word(NamedTuple):
    text: str
    start: int
    end: int


def snake_case(name: str) -> str:
    """A name in camel case as the snake case of OpenAI's API."""
    return _CAPITAL.sub(lambda match: "_" + match[0], name).lower()


def sentences(text: str) -> list[str]:
    """The sentences of a text. An indented line belongs to the line before it."""
    return [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def located(text: str) -> list[Located]:
    """The entries of pydantic's errors that a text quotes as a list of objects."""
    found: list[Located] = []
    for entry in text.split("{"):
        if match := _LOCATION.search(entry):
            path = tuple(word for word in PLAIN_WORD.findall(match[1]) if word != "body")
            # What follows `input` quotes the value, which may be anything.
            found.append(Located(path, _INPUT.split(entry, maxsplit=1)[0].lower()))
    return found


def refused_parameters(refusal: RefusalText, sent: Collection[str]) -> list[Refused]:
    """The parameters of `sent` that a text says to be unknown, unsupported or not permitted."""
    if refusal.param in sent and says_refused(refusal.text):
        return [Refused(refusal.param, "", _speaks_of_tools(refusal.text))]
    if refusal.param in NOT_PARAMETERS:
        return []
    if entries := located(refusal.text):
        places = {entry.path[0]: entry for entry in entries if len(entry.path) == 1 and _is_extra(entry.what)}
        return [Refused(name, places[name].what, False) for name in sent if name in places]
    found: dict[str, Refused] = {}
    for sentence in sentences(plain(refusal.text)):
        for name, evidence, beside in _refused_in(sentence, sent):
            found.setdefault(name, Refused(name, evidence, beside))
    return list(found.values())


def mentioned_parameters(refusal: RefusalText, sent: Collection[str]) -> list[Refused]:
    """The parameters of `sent` that stand in a sentence which refuses something, whatever stands between.

    For a refusal of which `refused_parameters` makes nothing: names without an underscore count only where they cannot be words
    of everyday language, or begin the sentence.
    """
    if refusal.param in NOT_PARAMETERS or located(refusal.text):
        return []
    found: dict[str, Refused] = {}
    for sentence in sentences(plain(refusal.text)):
        words = _words(ELSEWHERE.split(sentence, maxsplit=1)[0])
        lower = [word.text.lower() for word in words]
        invalid = not _VALUES.search(sentence) and not {"invalid", "illegal", "incorrect"}.isdisjoint(lower)
        refuses = bool(_refusing(words)) or "additional" in lower
        if not (refuses or invalid):
            continue
        technical = _is_technical(sentence, words)
        names = [_parameter_named(words, n, sent, technical=technical) for n in range(len(words))]
        if words and lower[0] in sent and not any(names):
            names = [lower[0] if lower[0] not in NOT_PARAMETERS | {"stream", "tools"} else None]
        for name in filter(None, names):
            if refuses or "_" in name:
                found.setdefault(name, Refused(name, sentence, _speaks_of_tools(sentence)))
    return list(found.values())


def says_refused(text: str) -> bool:
    """Whether a text contains words that refuse something."""
    return any(_refusing(_words(sentence)) for sentence in sentences(plain(text)))


def refused_message_fields(text: str) -> list[tuple[str, str]]:
    """The fields of messages that a text refuses, as pairs of a field's name and the sentence."""
    found = [
        (entry.path[-1], entry.what) for entry in located(text) if entry.path[:1] == ("messages",) and _is_extra(entry.what)
    ]
    for sentence in sentences(plain(text)):
        words = _words(sentence)
        if _refusing(words):
            found += [(parts[-1], sentence) for word in words if (parts := _message_path(word.text))]
    return found


def _refused_in(sentence: str, sent: Collection[str]) -> Iterator[tuple[str, str, bool]]:
    words = _words(sentence)
    refusing = _refusing(words)
    if not refusing:
        return
    technical = _is_technical(sentence, words)
    segment: list[tuple[int, str]] = []
    begin, refuses = 0, False
    for number in range(len(words) + 1):
        name = None
        if number < len(words) and number not in refusing:
            name = _parameter_named(words, number, sent, technical=technical)
            ends = name is None and not _stands_between(words, number)
        else:
            ends = number == len(words)
            refuses = refuses or not ends
        if name:
            segment.append((number, name))
        if not ends:
            continue
        if refuses and segment:
            evidence = sentence[words[begin].start : words[number - 1].end]
            names = [name for _, name in segment]
            # Of two that exclude each other, one is left out.
            excluding = " both " in f" {evidence.lower()} "
            for name in names[-1:] if excluding and len(names) > 1 else names:
                yield name, evidence, _speaks_of_tools(evidence)
        segment, begin, refuses = [], number + 1, False


def plain(text: str) -> str:
    """The text with one spelling of "not", and with `[0]` in paths as `.0`."""
    return _SUBSCRIPT.sub(r".\1", text.replace("n't", " not").replace("annot", "an not"))


def _words(sentence: str) -> list[_Word]:
    return [_Word(match[0].rstrip("./-") or match[0], match.start(), match.end()) for match in _WORD.finditer(sentence)]


def _refusing(words: Sequence[_Word]) -> set[int]:
    """The numbers of the words that refuse."""
    lower = [word.text.lower() for word in words]
    found: set[int] = set()
    for number, word in enumerate(lower):
        if word in REFUSING:
            found.add(number)
        elif word in ("not", "no"):
            end = number + 1
            while end < len(lower) and end - number <= 3 and lower[end] in BETWEEN_NOT:
                end += 1
            if end == len(lower):
                continue
            modal = number > 0 and lower[number - 1] in MODAL
            one_of = lower[end] == "of" and lower[end - 1] == "one"
            if lower[end] in NEGATED or one_of or (modal and lower[end] in NEGATED_AFTER_MODAL):
                found |= set(range(number, end + 1))
            elif word == "no" and lower[number + 1 : number + 4] == ["endpoints", "found", "that"]:
                found |= set(range(number, min(number + 5, len(lower))))
        elif word == "only":
            reach = lower[number + 1 : number + 4]
            hits = [place for place, candidate in enumerate(reach) if candidate in ONLY]
            if hits:
                found |= set(range(number, number + 2 + hits[0]))
        elif word == "must" and lower[number + 1 : number + 3] == ["be", "unset"]:
            found |= {number, number + 1, number + 2}
        elif word == "invalid" and any(_singular(after) in PARAMETER_WORDS for after in lower[number + 1 : number + 4]):
            found.add(number)
    return found


def _parameter_named(words: Sequence[_Word], number: int, sent: Collection[str], *, technical: bool) -> str | None:
    word = words[number].text
    first, *below = [part for part in word.split(".") if part] or [word]
    while first.lower() in PATH_HEADS and below:
        first, *below = below
    name = snake_case(first)
    name = FURTHER_SPELLINGS.get(name, name)
    if name not in sent or name in NOT_PARAMETERS or "/" in word or name in ("stream", "tools"):
        return None
    if technical or "_" in name or name in EVERYDAY_EXCEPTIONS or _is_quoted_word(words, number):
        return name
    return None


def _is_quoted_word(words: Sequence[_Word], number: int) -> bool:
    before = words[number - 1].text if number else ""
    after = words[number + 1].text if number + 1 < len(words) else ""
    return before in QUOTES and after in QUOTES


def _stands_between(words: Sequence[_Word], number: int) -> bool:
    word = words[number].text.lower()
    if word in BETWEEN or word in PUNCTUATION or word in ("tools", "tool", "tool_use", "functions", "calling"):
        return True
    if word.split(".")[0] in ("messages", "input", "prompt"):
        return False
    # Other names of a list, values, and words in quotes.
    return "_" in word.strip("_") or word[0].isdigit() or _is_quoted_word(words, number)


def _is_technical(sentence: str, words: Sequence[_Word]) -> bool:
    """Whether a sentence speaks of parameters, so that a word like "stop" is the name of one."""
    lower = [_singular(word.text.lower()) for word in words]
    if not PARAMETER_WORDS.isdisjoint(lower):
        return True
    text = sentence.lower()
    return ("invalid" in lower and ": only" in text) or "extra input" in text or "extra field" in text


def _singular(word: str) -> str:
    return word.removesuffix("s") if word != "input" else "input"


def _speaks_of_tools(text: str) -> bool:
    words = set(PLAIN_WORD.findall(text.lower()))
    return not words.isdisjoint(("tools", "tool", "functions", "tool_calls")) or {"function", "calling"} <= words


def _is_extra(what: str) -> bool:
    return "extra" in what or "unexpected" in what


def _message_path(word: str) -> list[str]:
    """The parts of a path like `messages.2.name`, where it leads to a field of a message."""
    parts = [part for part in word.split(".") if part]
    return parts if len(parts) == 3 and parts[0] == "messages" and parts[1].isdigit() else []
