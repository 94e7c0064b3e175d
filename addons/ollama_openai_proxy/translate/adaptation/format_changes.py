"""Changes of `response_format`: another form, the schema in words, or the schema within an object."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from .changes import Change

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from typing import Self

    from .changes import Call, Kind

type Message = dict[str, Any]

FORMATS = frozenset({"json_object", "json_schema"})
WRAPPER = "value"
"""The key of the object that stands around a value that is no object."""
_ANY_OBJECT = {"type": "json_schema", "json_schema": {"name": "schema", "schema": {"type": "object"}}}
_PLAIN_TYPES = frozenset({"array", "string", "number", "integer", "boolean", "null"})
_JSON_IN_WORDS = "Answer with a JSON object."


@dataclass(frozen=True, slots=True)
class RefuseFormats(Change):
    """Replaces a `response_format` that is not taken by the nearest that is, and tells the rest in words.

    Attributes:
        types: the types that are not taken.
        beside: the parameters without which they are taken; empty where they never are.
    """

    kind: ClassVar[Kind] = "rebuild"
    order: ClassVar[int] = 2
    types: frozenset[str]
    beside: frozenset[str] = frozenset()

    @property
    def key(self) -> Hashable:
        """What the formats are refused beside."""
        return ("formats", self.beside)

    @property
    def settles(self) -> frozenset[str]:
        """The format."""
        return frozenset({"response_format"})

    def apply(self, call: Call) -> Call:
        """Replace the format."""
        form = call.parameters.get("response_format")
        if not form or form.get("type") not in self.types or not all(call.parameters.get(name) for name in self.beside):
            return call
        return _replaced(call, form, self.types)

    def describe(self) -> str:
        """Say which formats are replaced."""
        when = f" beside {', '.join(sorted(self.beside))}" if self.beside else ""
        return f"the format {' or '.join(sorted(self.types))} is told in other ways{when}"

    def merged(self, newer: Self) -> Self:
        """The types of both."""
        return replace(newer, types=self.types | newer.types)


@dataclass(frozen=True, slots=True)
class SchemaInWords(Change):
    """Tells one schema in words that the server cannot make a grammar of; other schemas are sent as they are.

    Attributes:
        fingerprint: of the schema.
    """

    kind: ClassVar[Kind] = "rebuild"
    order: ClassVar[int] = 1
    fingerprint: str

    @property
    def key(self) -> Hashable:
        """The schema."""
        return ("schema", self.fingerprint)

    @property
    def settles(self) -> frozenset[str]:
        """The format."""
        return frozenset({"response_format"})

    def apply(self, call: Call) -> Call:
        """Tell the schema in words, if it is that of the call."""
        form = call.parameters.get("response_format")
        schema = schema_of(form)
        if form is None or schema is None or fingerprint(schema) != self.fingerprint:
            return call
        return _replaced(call, form, frozenset({"json_schema"}))

    def describe(self) -> str:
        """Say what becomes of the schema."""
        return "a schema that the server refuses is told in words"


@dataclass(frozen=True, slots=True)
class WrapSchema(Change):
    """Puts a schema whose top is no object within one, and takes the value out of the answer again."""

    kind: ClassVar[Kind] = "rebuild"
    order: ClassVar[int] = 0

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "wrap"

    @property
    def settles(self) -> frozenset[str]:
        """The format."""
        return frozenset({"response_format"})

    def apply(self, call: Call) -> Call:
        """Wrap the schema of the call, if its top is no object."""
        form = call.parameters.get("response_format")
        schema = schema_of(form)
        if form is None or schema is None or is_object(schema):
            return call
        wrapped = {**form, "json_schema": {**form["json_schema"], "schema": wrap(schema)}}
        return replace(call.with_parameters(response_format=wrapped), unwrap=True)

    def describe(self) -> str:
        """Say what is wrapped."""
        return "a schema whose top is no object is put within one"


@dataclass(frozen=True, slots=True)
class SayJson(Change):
    """Says the word JSON in the messages, where the type json_object demands it."""

    kind: ClassVar[Kind] = "add"
    order: ClassVar[int] = 3

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "say json"

    @property
    def settles(self) -> frozenset[str]:
        """The format."""
        return frozenset({"response_format"})

    def apply(self, call: Call) -> Call:
        """Add the word, unless it is there."""
        form = call.parameters.get("response_format") or {}
        messages = call.parameters.get("messages")
        if form.get("type") != "json_object" or not messages or _speaks_of_json(messages):
            return call
        return call.with_parameters(messages=with_instruction(messages, _JSON_IN_WORDS))

    def describe(self) -> str:
        """Say which word is added."""
        return "the messages say the word JSON"


class Unwrapper:
    """Takes a value out of the object that `wrap` put around its schema, piece by piece.

    An answer that is no such object passes as it is.
    """

    def __init__(self) -> None:
        self._head: str | None = ""
        self._wrapped = False
        self._begun = False
        self._held = ""

    def feed(self, text: str) -> str:
        """What a piece of the answer adds to the value."""
        if self._head is not None:
            self._head += text
            compact = "".join(self._head.split())
            opening = f'{{"{WRAPPER}":'
            if len(compact) < len(opening) and opening.startswith(compact):
                return ""
            self._wrapped = compact.startswith(opening)
            text = self._head.partition(":")[2] if self._wrapped else self._head
            self._head = None
        if not self._wrapped:
            return text
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        text = self._held + text
        kept = text.rstrip("} \t\r\n")
        self._held = text[len(kept) :]
        return kept

    def finish(self) -> str:
        """What was held back: all but the end of the object around the value."""
        if self._head is not None:
            return self._head
        held = self._held.rstrip()
        return held.removesuffix("}").rstrip()


def schema_of(form: Any) -> Mapping[str, Any] | None:
    """The schema of a `response_format`; None where it has none."""
    match form:
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
    return None


def is_object(schema: Mapping[str, Any]) -> bool:
    """Whether the top of a schema is an object, as far as its `type` tells."""
    kind = schema.get("type")
    return "object" in kind if isinstance(kind, list) else kind not in _PLAIN_TYPES


def wrap(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of an object whose only value has a schema. Definitions stay at the top, where references look for them."""
    inner = {name: part for name, part in schema.items() if name not in ("$defs", "definitions", "$schema")}
    moved = {name: part for name, part in schema.items() if name in ("$defs", "definitions", "$schema")}
    return moved | {"type": "object", "properties": {WRAPPER: inner}, "required": [WRAPPER], "additionalProperties": False}


def fingerprint(schema: Mapping[str, Any]) -> str:
    """A short text that stands for a schema."""
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:16]


def in_words(schema: Mapping[str, Any]) -> str:
    """The instruction to answer with what fits a schema."""
    text = json.dumps(schema, ensure_ascii=False)
    if is_object(schema):
        return f"Answer with a JSON object that fits this JSON schema: {text}"
    return f"Answer with JSON that fits this JSON schema, and with nothing else: {text}"


def with_instruction(messages: Sequence[Message], instruction: str) -> list[Message]:
    """The messages with an instruction, which joins the system message where there is one."""
    first, rest = (messages[0], messages[1:]) if messages else (None, ())
    if first is None or first.get("role") not in ("system", "developer"):
        return [{"role": "system", "content": instruction}, *messages]
    content = first.get("content")
    joined = [*content, {"type": "text", "text": instruction}] if isinstance(content, list) else _joined(content, instruction)
    return [{**first, "content": joined}, *rest]


def _joined(content: Any, instruction: str) -> str:
    return f"{content}\n\n{instruction}" if content else instruction


def _replaced(call: Call, form: Mapping[str, Any], refused: frozenset[str]) -> Call:
    """The call with the nearest format that is not refused."""
    schema = schema_of(form)
    messages = call.parameters.get("messages") or []
    if schema is not None:
        if "json_object" in refused:
            return call.without("response_format").with_parameters(messages=with_instruction(messages, in_words(schema)))
        told = schema if is_object(schema) else wrap(schema)
        changed = call.with_parameters(
            response_format={"type": "json_object"}, messages=with_instruction(messages, in_words(told))
        )
        return replace(changed, unwrap=call.unwrap or told is not schema)
    if "json_schema" not in refused:
        return call.with_parameters(response_format=_ANY_OBJECT)
    changed = call.without("response_format")
    return (
        changed if _speaks_of_json(messages) else changed.with_parameters(messages=with_instruction(messages, _JSON_IN_WORDS))
    )


def _speaks_of_json(messages: Sequence[Message]) -> bool:
    return any("json" in str(message.get("content")).lower() for message in messages)
