"""Reads the formats in which models write tool calls, given the text of one block."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from .lenient_json import literal_value, parse_python, read_first_value, read_lenient, read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .offered_tools import OfferedTools

type WrittenCall = tuple[str, dict[str, Any]]
"""The name of an offered tool, and its arguments."""

_CONSTANTS = {"True": True, "False": False, "None": None}
_ARGUMENTS = ("arguments", "parameters", "args", "input", "kwargs")
_NAMES = ("name", "tool_name", "function", "tool", "recipient_name")
_BETWEEN = re.compile(r"(?:[\s,;]+|<[^>]*>|\[/?TOOL_CALLS\]|```[\w-]*)*")
_WORD = re.compile(r"[\w.:/#-]+")
_DSML = re.compile(r"[|\uff5c]\s*DSML\s*[|\uff5c]\s*")
_FUNCTION = re.compile(
    r"""<(?:function=|invoke\s+name=)["']?([^<>"'\s]+)["']?\s*>(.*?)(</(?:function|invoke)>|(?=<(?:function=|invoke\s))|\Z)""",
    re.DOTALL,
)
_PARAMETER = re.compile(
    r"""<parameter(?:=|\s+name=)["']?([^<>"'\s]++)["']?(?:\s+string=["'](true|false)["'])?[^<>]*>(.*?)"""
    r"""(?:</parameter>|(?=<parameter[=\s])|\Z)""",
    re.DOTALL,
)
_KEY_VALUE = re.compile(r"<arg_key>([^<]*)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|(?=<arg_key>)|\Z)", re.DOTALL)
_TAGS = re.compile(r"<[^<>]*>|\[/?TOOL_CALLS\]")


def find_calls(text: str, tools: OfferedTools, schemas: Mapping[str, Mapping[str, Any]], *, whole: bool) -> list[WrittenCall]:
    """The calls in a block of text, all of them of offered tools; empty where the text is something else.

    Args:
        text: the block, with its marks.
        tools: that were offered.
        schemas: the JSON schemas of their parameters, by name.
        whole: whether the block is not cut, so that its last call is whole even if its closing mark is missing.
    """
    formats: tuple[Callable[[], Iterator[WrittenCall]], ...] = (
        lambda: _tagged(text, tools, schemas, whole=whole),
        lambda: _keyed(text, tools, schemas, whole=whole),
        lambda: _listed(text),
        lambda: _named(text, tools),
        lambda: _pythonic(text),
        lambda: _alone(text, tools),
    )
    for calls_of in formats:
        try:
            calls = [(tools.clean(name), arguments) for name, arguments in calls_of()]
        except ValueError:
            continue
        if calls and all(tools.offers(name) for name, _ in calls):
            return calls
    return []


def _tagged(text: str, tools: OfferedTools, schemas: Mapping[str, Mapping[str, Any]], *, whole: bool) -> Iterator[WrittenCall]:
    for name, body, closing in _FUNCTION.findall(_DSML.sub("", text)):
        if not (closing or whole):
            continue
        schema = schemas.get(tools.clean(name), {})
        if body.lstrip().startswith("{"):
            yield name, _object(read_lenient(body))
        else:
            yield (
                name,
                {key: _value(value, schema, key, is_text=said == "true") for key, said, value in _PARAMETER.findall(body)},
            )


def _keyed(text: str, tools: OfferedTools, schemas: Mapping[str, Mapping[str, Any]], *, whole: bool) -> Iterator[WrittenCall]:
    if "<arg_key>" not in text:
        return
    blocks = re.split(r"</tool_call>\s*", text)
    for number, block in enumerate(blocks):
        name = _TAGS.sub("", block.partition("<arg_key>")[0]).strip()
        if not name or (number == len(blocks) - 1 and not whole):
            continue
        schema = schemas.get(tools.clean(name), {})
        yield name, {key.strip(): _value(value, schema, key.strip()) for key, value in _KEY_VALUE.findall(block)}


def _listed(text: str) -> Iterator[WrittenCall]:
    """JSON values, each of which is a call or a list of calls."""
    at = _skip(text, 0)
    while at < len(text):
        try:
            value, at = read_first_value(text, at)
        except ValueError:
            # A bracket too many behind the last value is left alone.
            if _TAGS.sub("", text[at:]).strip("}] \n"):
                raise
            return
        yield from _calls_in(value)
        at = _skip(text, at)


def _calls_in(value: Any) -> Iterator[WrittenCall]:
    if isinstance(value, list):
        for each in value:
            yield from _calls_in(each)
        return
    entry = _object(value)
    for key in ("tool_calls", "function_call"):
        if key in entry:
            yield from _calls_in(entry[key])
            return
    if isinstance(entry.get("function"), dict):
        entry = entry["function"]
    name = next((entry[key] for key in _NAMES if isinstance(entry.get(key), str)), None)
    arguments = next((entry[key] for key in _ARGUMENTS if key in entry), None)
    if name is None:
        raise ValueError("no call")
    if isinstance(arguments, str) and arguments.strip():
        arguments = read_lenient(arguments)
    yield name, _object(arguments or {})


def _named(text: str, tools: OfferedTools) -> Iterator[WrittenCall]:
    """Names, each before an object of arguments."""
    at = 0
    while (brace := text.find("{", at)) >= 0:
        words = [word for word in _WORD.findall(text, at, brace) if tools.offers(word)]
        if not words:
            return
        value, at = read_first_value(text, brace)
        yield words[-1], _object(value)


def _pythonic(text: str) -> Iterator[WrittenCall]:
    tree = parse_python(_TAGS.sub("", text).strip())
    for call in tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]:
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("no call")
        yield ast.unparse(call.func), {str(each.arg): literal_value(each.value) for each in call.keywords}


def _alone(text: str, tools: OfferedTools) -> Iterator[WrittenCall]:
    """A name without arguments between marks."""
    name = _TAGS.sub("", text).strip()
    if name != text.strip() and tools.offers(name):
        yield name, {}


def _skip(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004  # one error for all that is no call
    return value


def _value(text: str, schema: Mapping[str, Any], key: str, *, is_text: bool = False) -> Any:
    """The value of a parameter that stands in the text without quotes."""
    text = text.removeprefix("\n").removesuffix("\n")
    properties = schema.get("properties")
    described = properties.get(key) if isinstance(properties, dict) else None
    kind = described.get("type") if isinstance(described, dict) else None
    if is_text or kind == "string" or (isinstance(kind, list) and "string" in kind):
        return text
    if text.strip() in _CONSTANTS:
        return _CONSTANTS[text.strip()]
    try:
        return read_value(text)
    except ValueError:
        return text
