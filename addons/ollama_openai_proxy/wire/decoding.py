"""From a request body to a validated object, refused in the words of Go's JSON decoder where Ollama would refuse it.

Only the first JSON value of a body counts, keys match whatever their case, the last of two equal keys wins, unknown keys are
ignored and `null` leaves a field as it was (wire reference §1.5).
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from ..errors import InvalidRequest


class WireModel(BaseModel):
    """An object of Ollama's API, decoded as Go decodes it.

    Subclasses name their Go type in `go_type`, and in `go_types` the Go types of fields that are neither a string, a
    boolean nor a number.
    """

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    go_type: ClassVar[str]
    go_types: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _fold(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name.lower(): value for name, value in data.items() if value is not None}


def refuse(text: str) -> PydanticCustomError:
    """The error for a validator to raise whose text is Ollama's own."""
    return PydanticCustomError("ollama", "{text}", {"text": text})


def decode[T: WireModel](model: type[T], body: bytes) -> T:
    """Validate a request body.

    Raises:
        InvalidRequest: with status 400 and Ollama's text.
    """
    value = first_value(body)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"json: cannot unmarshal {_kind(value)} into Go value of type api.{model.go_type}")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(_go_text(model, error.errors(include_url=False)[0])) from None


def first_value(body: bytes) -> Any:
    """The first JSON value of a body.

    Raises:
        InvalidRequest: there is none, or it is broken.
    """
    text = body.decode("utf-8", "replace")
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if start == len(text):
        raise InvalidRequest("missing request body")
    try:
        return _DECODER.raw_decode(text, start)[0]
    except json.JSONDecodeError as error:
        raise InvalidRequest(_go_syntax_error(text, error)) from None
    except RecursionError:
        raise InvalidRequest("exceeded max depth") from None


def _no_constant(name: str) -> NoReturn:
    # Python's decoder takes NaN and Infinity, which are no JSON.
    raise InvalidRequest(f"invalid character {name[0]!r} looking for beginning of value")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)

_GO_CONTEXT = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting value": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
}


def _go_syntax_error(text: str, error: json.JSONDecodeError) -> str:
    position = error.pos
    if error.msg.startswith("Illegal trailing comma"):
        # Python points at the comma, Go at what follows it.
        position += 1
        while text[position : position + 1].isspace():
            position += 1
    elif error.msg.startswith("Invalid \\"):
        position += 1
    if error.msg.startswith("Unterminated string") or position >= len(text):
        return "unexpected EOF"
    character = text[position]
    # Go reads bytes: of a character outside ASCII it names the first byte.
    shown = {"'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, chr(character.encode()[0]))
    return f"invalid character '{shown}' {_GO_CONTEXT.get(error.msg, 'looking for beginning of value')}"


def _go_text(model: type[WireModel], error: ErrorDetails) -> str:
    if error["type"] == "ollama":
        return error["msg"]
    names = [str(part) for part in error["loc"] if isinstance(part, str)]
    path = ".".join([model.go_type, *names])
    field = names[-1] if names else ""
    in_list = bool(error["loc"]) and isinstance(error["loc"][-1], int)
    match error["type"]:
        case "string_type":
            wanted = "string"
        case "bool_type":
            wanted = "bool"
        case "int_type":
            wanted = "int"
        case _:
            wanted = _go_type_of(model, names[:-1], f"{field}[]" if in_list else field)
    value = error["input"]
    kind = f"number {value}" if isinstance(value, float) and wanted == "int" else _kind(value)
    return f"json: cannot unmarshal {kind} into Go struct field {path} of type {wanted}"


def _go_type_of(model: type[WireModel], _parents: list[str], field: str) -> str:
    return model.go_types.get(field, "string")


def _kind(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "number"
