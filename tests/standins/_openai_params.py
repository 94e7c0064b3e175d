"""Request bodies checked against the OpenAI SDK's own parameter types.

The SDK's TypedDicts are open (pydantic ignores keys they do not name) and full of `Iterable`, which pydantic would
check only while it is consumed. So each type is rebuilt once: every TypedDict closed, every iterable a list, and
every union of TypedDicts told apart by its `role` or `type`, which gives one clear complaint instead of one for
each member.
"""

import collections.abc
import types
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, Required, Union, cast, get_args, get_origin

import typing_extensions
from openai.types import completion_create_params as completion
from openai.types.chat import completion_create_params as chat
from openai.types.embedding_create_params import EmbeddingCreateParams
from pydantic import ConfigDict, Discriminator, TypeAdapter, ValidationError

type Operation = Literal["chat/completions", "completions", "embeddings"]


def complaint(operation: Operation, body: bytes, *, stream: bool) -> tuple[str, str] | None:
    """Return the parameter that the SDK's types do not allow, and a sentence about it; None for a good body."""
    try:
        _adapter(operation, stream).validate_json(body, strict=True)
    except ValidationError as error:
        # A union without tags complains once for each member; the one that got furthest is the one that was meant.
        found = max(error.errors(include_url=False), key=lambda each: len(each["loc"]))
        where = ".".join(map(str, found["loc"]))
        if found["type"] == "extra_forbidden":
            return where, f"Unknown parameter: '{where}'."
        return where, f"Invalid value for '{where}': {found['msg']}."
    return None


@cache
def _adapter(operation: Operation, stream: bool) -> TypeAdapter[object]:
    declared: Any
    match operation, stream:
        case "chat/completions", True:
            declared = chat.CompletionCreateParamsStreaming
        case "chat/completions", False:
            declared = chat.CompletionCreateParamsNonStreaming
        case "completions", True:
            declared = completion.CompletionCreateParamsStreaming
        case "completions", False:
            declared = completion.CompletionCreateParamsNonStreaming
        case _:
            declared = EmbeddingCreateParams
    return TypeAdapter(_closed(declared))


@cache
def _closed(declared: Any) -> Any:
    if typing_extensions.is_typeddict(declared):
        return _closed_dict(declared)
    origin = _origin(declared)
    arguments = get_args(declared)
    if origin is Annotated:
        return Annotated[_closed(arguments[0]), *declared.__metadata__]
    if origin in (Union, types.UnionType):
        return _closed_union(arguments)
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence):
        return cast("Any", list)[_closed(arguments[0])]
    if origin is dict:
        return cast("Any", dict)[arguments[0], _closed(arguments[1])]
    return declared


def _origin(declared: Any) -> object:
    # The type checker takes the first overload of `get_origin` at its word, which is about a ParamSpec.
    return get_origin(declared)


def _closed_dict(declared: Any) -> Any:
    fields: dict[str, Any] = {}
    for name, hint in typing_extensions.get_type_hints(declared, include_extras=True).items():
        # `__required_keys__` alone misses the `Required[…]` that the SDK's postponed annotations hide.
        needed = name in declared.__required_keys__
        if _origin(hint) in (Required, NotRequired):
            needed = _origin(hint) is Required
            hint = get_args(hint)[0]
        closed = _closed(hint)
        fields[name] = Required[closed] if needed else NotRequired[closed]
    rebuilt = cast("Any", typing_extensions.TypedDict)(declared.__name__, fields)
    rebuilt.__pydantic_config__ = ConfigDict(extra="forbid")
    return rebuilt


def _closed_union(members: tuple[Any, ...]) -> Any:
    union = cast("Any", Union)[tuple(_closed(member) for member in members)]
    if len(members) > 1 and all(typing_extensions.is_typeddict(member) for member in members):
        for key in ("role", "type"):
            hints = [typing_extensions.get_type_hints(member).get(key) for member in members]
            tags = [tag for hint in hints if get_origin(hint) is Literal for tag in get_args(hint)]
            if len(tags) == len(set(tags)) == len(members):
                return Annotated[union, Discriminator(key)]
    return union
