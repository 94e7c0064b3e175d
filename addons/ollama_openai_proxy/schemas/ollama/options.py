"""The `options` of a request: which there are, and their types (docs/wire.md#options)."""

from __future__ import annotations

from typing import Any, Literal

from ...errors import InvalidRequest

type Kind = Literal["integer", "float32", "boolean", "array"]

# Names that are not here are ignored, as Ollama does.
KINDS: dict[str, Kind] = {
    "num_keep": "integer",
    "seed": "integer",
    "num_predict": "integer",
    "top_k": "integer",
    "top_p": "float32",
    "min_p": "float32",
    "typical_p": "float32",
    "repeat_last_n": "integer",
    "temperature": "float32",
    "repeat_penalty": "float32",
    "presence_penalty": "float32",
    "frequency_penalty": "float32",
    "stop": "array",
    "num_ctx": "integer",
    "num_batch": "integer",
    "num_gpu": "integer",
    "main_gpu": "integer",
    "use_mmap": "boolean",
    "num_thread": "integer",
    "draft_num_predict": "integer",
}

# Older releases knew them, newer ones ignore them, whatever their type is.
FORMER = ("mirostat", "mirostat_tau", "mirostat_eta")


def check_options(options: dict[str, Any]) -> dict[str, Any]:
    """The known options that have a value, and the former ones that are numbers; integers given as floats are cut.

    Raises:
        InvalidRequest: with Ollama's text and, as there, status 500.
    """
    if not options:
        return {}
    former = {name: options[name] for name in FORMER if _is_number(options.get(name))}
    return {name: _checked(name, kind, options[name]) for name, kind in KINDS.items() if options.get(name) is not None} | former


def _checked(name: str, kind: Kind, value: Any) -> Any:
    number = _is_number(value)
    match kind:
        case "integer" if number:
            return int(value)
        case "float32" if number:
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "array" if isinstance(value, list):
            if not all(isinstance(item, str) for item in value):
                raise InvalidRequest(f'option "{name}" must be of an array of strings', status=500)
            return value
    raise InvalidRequest(f'option "{name}" must be of type {kind}', status=500)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
