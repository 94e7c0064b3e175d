"""From a request body to a validated object, refused in the words of Go's JSON decoder where Ollama would refuse it.

Only the first JSON value of a body counts, keys match whatever their case, the last of two equal keys wins, unknown keys are
ignored and `null` leaves a field as it was (docs/wire.md#json-decoding).
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ..errors import InvalidRequest
from .go_json_syntax import MAX_DEPTH, TOO_DEEP, check_depth, syntax_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails


class WireModel(BaseModel):
    """An object of Ollama's API, decoded as Go decodes it.

    A class that is the whole body of a request says what its errors need:

    Attributes:
        go_type: its Go type.
        go_types: the Go types of fields that are neither a string, a boolean nor a number, by their path; `[]` at the end
            means the items of a list.
        go_owners: the Go types that errors name as the owner of the fields below a path, where it is not `go_type`.
    """

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    go_type: ClassVar[str]
    go_types: ClassVar[dict[str, str]] = {}
    go_owners: ClassVar[dict[str, str]] = {}

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
        # Pydantic lists its errors in the order of the model's fields, Go stops at the first of the body.
        errors = error.errors(include_url=False)
        first = min(errors, key=lambda details: _position(value, details["loc"]))
        raise InvalidRequest(_go_text(model, first)) from None


def first_value(body: bytes) -> Any:
    """Decode the first JSON value of a body, and ignore what follows it, as Go's `json.Decoder` does.

    Raises:
        InvalidRequest: the body has no value, or the first one is malformed.
    """
    text = body.decode("utf-8", "replace")
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if start == len(text):
        raise InvalidRequest("missing request body")
    if "\\ud" in text or "\\uD" in text:
        text = _SURROGATES.sub(lambda match: r"\ufffd" if match[1] else match[0], text)
    try:
        value = _DECODER.raw_decode(text, start)[0]
        if text.count("[") + text.count("{") > MAX_DEPTH:
            check_depth(value)
    except RecursionError:
        raise InvalidRequest(TOO_DEEP) from None
    except ValueError:
        # What is JSON all the same is a number with more digits than Python reads, or too large for Go.
        text = syntax_error(body) or "json: cannot unmarshal number into Go value of type float64"
        raise InvalidRequest(text) from None
    return value


def finite(text: str) -> float:
    """The number that a JSON text stands for.

    Raises:
        ValueError: it is too large for a 64-bit float.
    """
    if math.isinf(number := float(text)):
        raise ValueError(text)
    return number


def no_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's decoder takes though they are no JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=no_constant, parse_float=finite)
# A pair of escapes that make one character, one half of such a pair alone (in group 1), any other escape.
_SURROGATES = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def _position(value: Any, loc: Sequence[int | str]) -> list[int]:
    """Where in the body a field stands: its number among the items of each object and list on the way to it."""
    position: list[int] = []
    for part in loc:
        if isinstance(part, int):
            number, items = part, value
        else:
            items = list(value.values())
            same = [n for n, name in enumerate(value) if part in (name, name.lower()) and items[n] is not None]
            number = same[-1] if same else 0
        position.append(number)
        value = items[number]
    return position


def _go_text(model: type[WireModel], error: ErrorDetails) -> str:
    if error["type"] == "ollama":
        return error["msg"]
    names: list[str] = []
    go_type = ""
    for part in error["loc"]:
        # Go names neither the number of a list's item nor the key of a map's.
        if isinstance(part, int):
            go_type = model.go_types.get(f"{'.'.join(names)}[]", "")
        elif go_type.startswith("map["):
            go_type = ""
            break
        else:
            names.append(part)
            go_type = model.go_types.get(".".join(names), "")
    owner = model.go_owners.get(".".join(names[:-1]), model.go_type)
    wanted = go_type or _go_scalar(error["type"])
    kind = _kind(error["input"])
    if kind == "number" and wanted == "int":
        kind = f"number {error['input']}"
    return f"json: cannot unmarshal {kind} into Go struct field {owner}.{'.'.join(names)} of type {wanted}"


def _go_scalar(error_type: str) -> str:
    match error_type:
        case "string_type":
            return "string"
        case "bool_type":
            return "bool"
        case _:
            return "int"


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
