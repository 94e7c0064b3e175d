"""Reads objects as models write them: JSON, JSON with raw control characters or commas too many, or Python's literals."""

from __future__ import annotations

import ast
import json
from typing import Any

from ...schemas.go_json_decoding import finite, no_constant

_DECODER = json.JSONDecoder(parse_constant=no_constant, parse_float=finite, strict=False)
_NAMES = {"true": True, "false": False, "null": None}
_LONGEST_LITERAL = 200_000
"""Characters: Python's parser takes some hundred bytes of memory for each."""


def read_object(text: str) -> dict[str, Any] | None:
    """The object that a text is, with nothing behind it; None where the text is no JSON object."""
    try:
        value = read_value(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def read_value(text: str) -> Any:
    """The JSON value that a text is, with nothing behind it.

    Raises:
        ValueError: the text is none.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_first_value(text: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at a place, and where the value ends.

    Raises:
        ValueError: there is none.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_lenient(text: str) -> Any:
    """The value that a text stands for, in JSON or in Python's notation; what stands behind a JSON value is ignored.

    Raises:
        ValueError: there is none.
    """
    text = text.strip()
    try:
        return read_first_value(text)[0]
    except ValueError:
        return read_python(text)


def read_python(text: str) -> Any:
    """The value of a literal in Python's notation, in which `true`, `false` and `null` count as literals as well.

    Raises:
        ValueError: the text is no literal.
    """
    return literal_value(parse_python(text))


def parse_python(text: str) -> ast.expr:
    """The syntax tree of an expression.

    Raises:
        ValueError: the text is none.
    """
    if len(text) > _LONGEST_LITERAL:
        raise ValueError("too long")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("no literal") from error


def literal_value(node: ast.expr) -> Any:
    """The value of a syntax tree that is a literal JSON has a form for.

    Raises:
        ValueError: the tree is something else.
    """
    match node:
        case ast.Constant(value=str() | bool() | int() | None as value):
            return value
        case ast.Constant(value=float() as value):
            return finite(repr(value))
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [literal_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {_key(key): literal_value(value) for key, value in pairs}
    raise ValueError("no literal")


def _key(node: ast.expr | None) -> str:
    key = literal_value(node) if node is not None else None
    if not isinstance(key, str):
        raise ValueError("no key")  # noqa: TRY004  # one error for all that is no literal
    return key
