"""Rules for `response_format`: its type, its schema, and the word JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .finding import FORMAT_WORDS, KEPT, Finding, refuses_format_beside_tools
from .format_changes import RefuseFormats, SayJson, SchemaInWords, WrapSchema, fingerprint, is_object, schema_of
from .refusal_text import (
    RefusalText,
    located,
    says_refused,
    sentences,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .finding import Sent

_SAY_JSON = re.compile(r"(?:contain|include|mention|have|say)[^\n]{0,40}\bjson\b|word ['\"`]json['\"`]", re.IGNORECASE)
_BROKEN_SCHEMA = re.compile(
    r"invalid (?:json )?schema|schema is (?:invalid|too complex)|(?:json )?schema (?:conversion|compilation)"
    r"|unsupported (?:json )?schema"
    r"|failed to (?:parse|compile|convert|build|initialize)[^\n]{0,40}(?:grammar|schema)|grammar (?:is )?(?:invalid|error|too)"
    r"|schema (?:contains|uses|has)[^\n]{0,40}(?:unsupported|not supported)|features? not supported by|too many states"
    r"|schema[^\n]{0,80}(?:nesting|depth|exceeds)|['\"`]?additionalProperties['\"`]? must be",
    re.IGNORECASE,
)
_TOP_OBJECT = re.compile(
    r"(?:schema|root|top)[^\n]{0,80}(?:must|should|has to|needs? to) (?:be|have)[^\n]{0,40}\bobject\b"
    r"|got ['\"`]type: ['\"`]array",
    re.IGNORECASE,
)
_FORMAT_CHOICES = re.compile(r"(?:must|should) be ([^\n]*)|input should be ([^\n]*)", re.IGNORECASE)


def change_format(refusal: RefusalText, sent: Sent) -> Iterator[Finding]:
    """Use another format, or say what the format needs."""
    form = sent.get("response_format")
    if not isinstance(form, dict) or refusal.param in KEPT - {"messages"}:
        return
    kind, text = form.get("type"), refusal.text
    named = refusal.param == "response_format"
    if kind == "json_object" and _SAY_JSON.search(text):
        yield Finding(SayJson(), "" if refusal.param == "messages" else text)
        return
    if refusal.param in KEPT or (sent.get("tools") and any(map(refuses_format_beside_tools, sentences(text)))):
        return
    schema = schema_of(form)
    if schema is not None and not is_object(schema) and _TOP_OBJECT.search(text):
        yield Finding(WrapSchema(), "" if named else text)
    elif schema is not None and _BROKEN_SCHEMA.search(text):
        yield Finding(SchemaInWords(fingerprint(schema)), "" if named else text)
    elif _format_refused(refusal, str(kind)):
        # Where it is not said that a schema can stand for it, only the simpler way is left to try.
        types = {str(kind)} | (set() if "json_schema" in text else {"json_schema"})
        yield Finding(RefuseFormats(frozenset(types)), "" if named else text)


def _format_refused(refusal: RefusalText, kind: str) -> bool:
    text = refusal.text
    if "response_format" in text or refusal.param == "response_format":
        for choices in _FORMAT_CHOICES.finditer(text):
            listed = (choices[1] or choices[2]).split("'input'")[0]
            if any(name in listed for name in ("'text'", '"text"', "`text`", "json_object", "json_schema")):
                return kind not in listed
    if refusal.param == "response_format":
        return says_refused(text)
    if any(entry.path[:1] == ("response_format",) for entry in located(text)):
        return True
    return any(FORMAT_WORDS.search(sentence) and says_refused(sentence) for sentence in sentences(text))
