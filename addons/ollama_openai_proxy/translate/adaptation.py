"""What a model's back end refuses of a call, learnt from its errors, so that the next call goes without it.

A refusal is a sentence in one of some dozen dialects. It counts only where it says of a parameter that it is unknown, not
supported or not permitted; a word of the same spelling in another text does not, and neither does a value out of range, which
the client has to hear of. Nor is anything given up without which the answer would be to another question: the model, the
messages, the tools.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from .server_profiles import nearest_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

type Parameters = dict[str, Any]

_STATUSES = frozenset({400, 422, 500, 501})
"""500 because llama.cpp, and servers that pass the call's fields on as Python arguments, answer a refusal with it."""

_KEPT = frozenset({"model", "messages", "input", "prompt", "suffix", "stream", "tools"})
_OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_GO_WITH = {"logprobs": {"top_logprobs"}}
_FURTHER_SPELLINGS = {
    # vLLM, of models with Mistral's tokenizer and of embedding models.
    "chat_template_kwargs": "chat_template",
    "dimensions": "matryoshka",
}
_STANDARD = _KEPT | {
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
}
_YOUNGEST = ("reasoning_effort", "stream_options")
"""Of the standard ones those that strict servers lack most often, in this order."""

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_MOST_STOPS = 4
"""As at OpenAI, where the text does not say."""

_REFUSAL = (
    r"\b(?:unsupported|unknown|unrecogni[sz]ed|unexpected|extra|unavailable|deprecated"
    r"|not (?:yet |currently )?(?:supported|permitted|allowed|accepted|available|recogni[sz]ed|implemented)|not one of"
    r"|do(?:es)?(?: not|n't) (?:support|accept|allow)|cannot (?:both )?be (?:specified|set|used)"
    r"|(?:may|can) only be set|must (?:be unset|not be set)"
    r"|invalid (?=(?:\w+ ){0,2}(?:param|arg|field|keyword|property|option)))\b"
)
_BETWEEN = (
    r"(?:[\s:,\-]|['\"`]json_(?:schema|object)['\"`]"
    r"|\b(?:an?|any|api|are|args?|arguments?|be|been|body|by|currently|fields?|for|found|function|has|in|inputs?|is|json|keys?"
    r"|keyword|models?|names?|of|on|options?|params?|parameters?|payload|properties|property|provided|received|request"
    r"|specified|supplied|the|this|to|types?|values?|was|were|with|yet|your)\b)*"
)
"""What may stand between a parameter and the words that refuse it, if they are to belong together."""

_OTHERS_LISTED = r"(?:['\"`]?\w+_\w+['\"`]?(?:\s*,|\s+and)\s*)*"
_NAME = "\ue000"
"""Stands for the name in question: one pattern for all names, since to compile it takes long."""

_REFUSED = re.compile(
    rf"{_REFUSAL}{_BETWEEN}{_OTHERS_LISTED}{_NAME}|{_NAME}{_BETWEEN}{_REFUSAL}|\binvalid {_NAME}: only\b", re.IGNORECASE
)
_ANY_REFUSAL = re.compile(_REFUSAL, re.IGNORECASE)
_TECHNICAL = re.compile(
    r"\b(?:param(?:eter)?s?|arg(?:ument)?s?|keywords?|fields?|property|properties|options?|inputs|invalid \w+: only)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\n(?!\s)|;|(?<=[.!?])\s+")
_LOCATION = re.compile(r"['\"]loc['\"]\s*:\s*[\[(]\s*['\"]body['\"]\s*,\s*['\"](\w+)['\"]")
_INPUT = re.compile(r"['\"]input['\"]\s*:")
_UNNAMED = re.compile(
    r"\bextra (?:inputs?|fields?|keys?)(?: (?:are|is))? (?:not permitted|not allowed|forbidden)|\bextra_forbidden\b",
    re.IGNORECASE,
)
_EFFORT_CHOICES = re.compile(
    r"\b(?:(?:supported|valid|allowed|accepted|permitted|possible) values?(?: are| is)?|must be|should be|expected|one of)(.*?)"
    r"(?:[\n;]|\.\s|$)",
    re.IGNORECASE,
)
_FORMAT_CHOICES = re.compile(
    r"response_format[^\n]{0,60}?(?:must|should) be (.*?['\"`](?:text|json_object|json_schema)['\"`][^\n]*)"
)
_STOP_LIMIT = re.compile(r"(?:at most|up to|max(?:imum)?)\D{0,20}(\d+)", re.IGNORECASE)


class Adaptations:
    """What has been learnt of one model.

    Calls that run at the same time may share it: a call whose refusal another one has learnt from is told to try again.
    """

    def __init__(self) -> None:
        self._refused: set[str] = set()
        self._formats_refused: set[str] = set()
        self._efforts: frozenset[str] | None = None
        self._most_stops: int | None = None

    def apply(self, parameters: Mapping[str, Any]) -> Parameters:
        """A copy without what is refused, or with what is taken in its place. To apply it again changes nothing."""
        adapted = dict(parameters)
        for name in parameters.keys() & self._refused:
            value = adapted.pop(name)
            other = _OTHER_NAME.get(name)
            if other and other not in self._refused:
                adapted.setdefault(other, value)
        self._choose(adapted, "response_format", self._format)
        self._choose(adapted, "reasoning_effort", self._effort)
        if isinstance(adapted.get("stop"), list):
            adapted["stop"] = adapted["stop"][: self._most_stops]
        return adapted

    def learn(self, parameters: Mapping[str, Any], status: int, text: str, param: str | None) -> bool:
        """Learn from a refusal of `parameters`; these are the parameters as they were sent, so after `apply`.

        Returns:
            Whether `apply` now makes something else of them, so that the call should be made again.
        """
        if status not in _STATUSES:
            return False
        sent = dict(parameters)
        if self.apply(sent) == sent:
            self._learn(sent, text, _parameter(param))
        return self.apply(sent) != sent

    def _learn(self, sent: Parameters, text: str, param: str) -> None:
        if "reasoning_effort" in sent and (choices := _effort_choices(text, param, sent["reasoning_effort"])):
            self._efforts = choices if self._efforts is None else self._efforts & choices
        elif "response_format" in sent and _format_refused(text, param, sent["response_format"]):
            self._formats_refused.add(sent["response_format"]["type"])
            if "json_schema" not in text:
                # It is not said that the one can stand for the other, so only the simpler one is left to try.
                self._formats_refused.add("json_schema")
        elif most := _most_stops(text, param, sent.get("stop")):
            self._most_stops = most
        elif names := [name for name in sent if name not in _KEPT | {"response_format"} and _is_refused(name, text, param)]:
            self._refuse(names)
        elif _UNNAMED.search(text) and not param and not _LOCATION.search(text):
            further = [name for name in sent if name not in _STANDARD]
            self._refuse(further or [name for name in _YOUNGEST if name in sent][:1])

    def _refuse(self, names: Iterable[str]) -> None:
        for name in names:
            self._refused |= {name} | _GO_WITH.get(name, set())

    @staticmethod
    def _choose(adapted: Parameters, name: str, choice: Callable[[Any], Any]) -> None:
        if name in adapted:
            chosen = choice(adapted[name])
            if chosen is None:
                del adapted[name]
            else:
                adapted[name] = chosen

    def _format(self, form: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if form["type"] not in self._formats_refused:
            return form
        nearest = nearest_format(form)
        return None if nearest["type"] in self._formats_refused else nearest

    def _effort(self, effort: str) -> str | None:
        if self._efforts is None or effort in self._efforts:
            return effort
        return _nearest_effort(effort, self._efforts)


def _parameter(param: str | None) -> str:
    """The name of the parameter in an error's `param`, which may be a path into it."""
    words = [word for word in re.findall(r"\w+", param or "") if word != "body"]
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", words[0]).lower() if words else ""
    return "reasoning_effort" if name == "effort" else name


def _is_refused(name: str, text: str, param: str) -> bool:
    if param == name:
        return _ANY_REFUSAL.search(text) is not None
    if param in _KEPT:
        return False
    located = list(_located(text))
    if located:
        return any(place == name and ("extra" in what or "unexpected" in what) for place, what in located)
    first, *words = name.split("_")
    camel_case = first + "".join(word.capitalize() for word in words)
    spellings = "|".join(filter(None, (name, camel_case, _FURTHER_SPELLINGS.get(name))))
    # A word of everyday language, such as "stop", is a parameter only where the sentence says so.
    return _says_refused(spellings, text, everyday="_" not in name and name != "logprobs" and name not in _FURTHER_SPELLINGS)


def _located(text: str) -> Iterator[tuple[str, str]]:
    """The parameters, and what is wrong with each, of an error of pydantic that is quoted as a list of objects."""
    for entry in text.split("{"):
        if match := _LOCATION.search(entry):
            # What follows quotes the value, which may be anything.
            yield match[1], _INPUT.split(entry)[0].lower()


def _says_refused(spellings: str, text: str, *, everyday: bool) -> bool:
    quoted, bare = _name_patterns(spellings)
    for sentence in _SENTENCE_END.split(text):
        name = quoted if everyday and not _TECHNICAL.search(sentence) else bare
        if _REFUSED.search(name.sub(_NAME, sentence)):
            return True
    return False


@cache
def _name_patterns(spellings: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns for a name in quotes, and for one with or without."""
    # A path into the parameter stands for it, but not one that only ends in its name, which is something within another.
    name = rf"(?<![\w./-])(?:\$\.|body(?:\.|\s*->\s*))?(?:{spellings})(?:\.\w+)*(?:=[^\s,]+)?(?![\w/-])"
    return (
        re.compile(rf"[\[({{]?['\"`]{name}['\"`][\])}}]?", re.IGNORECASE),
        re.compile(rf"[\[({{'\"`]{{0,3}}{name}[\])}}'\"`]{{0,3}}", re.IGNORECASE),
    )


def _format_refused(text: str, param: str, form: Mapping[str, Any]) -> bool:
    kind = form["type"]
    if param in _KEPT or "invalid schema" in text.lower():
        # A schema that is wrong is the client's matter.
        return False
    if choices := _FORMAT_CHOICES.search(text):
        return kind not in _INPUT.split(choices[1])[0]
    if param == "response_format" and _ANY_REFUSAL.search(text):
        return True
    return _says_refused(rf"response[_ ]format|{kind}", text, everyday=False)


def _effort_choices(text: str, param: str, effort: str) -> frozenset[str]:
    """The values that are said to be taken in place of `effort`."""
    named = param == "reasoning_effort" or re.search(r"reasoning[_ ]?effort", text, re.IGNORECASE) is not None
    if param in _KEPT or not (choices := _EFFORT_CHOICES.search(text)):
        return frozenset()
    word = "|".join((*_EFFORTS, "default"))
    found = re.findall(rf"\b({word})\b" if named else rf"['\"`]({word})['\"`]", _INPUT.split(choices[1])[0])
    return frozenset(found) - {effort} if named or len(found) > 1 else frozenset()


def _nearest_effort(effort: str, efforts: frozenset[str]) -> str | None:
    """The nearest of the values that are taken, rather the higher one; None where only another meaning is left."""
    ordered = [value for value in _EFFORTS if value in efforts]
    if effort == "none":
        return ordered[0] if ordered else None
    thinking = [value for value in ordered if value != "none"]
    if not thinking or effort not in _EFFORTS:
        return "default" if "default" in efforts else None
    wanted = _EFFORTS.index(effort)
    return min(reversed(thinking), key=lambda value: abs(_EFFORTS.index(value) - wanted))


def _most_stops(text: str, param: str, stop: Any) -> int | None:
    """How many `stop` strings are taken, where there were too many of them."""
    if not isinstance(stop, list) or not (param == "stop" or re.search(r"['\"`.]stop['\"`]", text)):
        return None
    limit = _STOP_LIMIT.search(text)
    if limit is None and not re.search(r"\binvalid\b|too (?:long|many)", text, re.IGNORECASE):
        return None
    most = int(limit[1]) if limit else _MOST_STOPS
    return most if 0 < most < len(stop) else None
