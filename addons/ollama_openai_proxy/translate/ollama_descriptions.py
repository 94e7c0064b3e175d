"""A back end's models as Ollama describes models: list entries, details, `/api/show`.

A description must be stable and of the right types, and it must be permissive: clients hide or refuse what a description lacks,
so what is not known is filled in with what lets them go on. What *is* known comes from `metadata` and the models file.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from dataclasses import fields as dataclass_fields
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..schemas.go_json_syntax import quoted
from ..schemas.ollama.json_encoding import timestamp
from ..schemas.ollama.model_names import DEFAULT_HOST, DEFAULT_NAMESPACE, DEFAULT_TAG, LONGEST_NAME
from .model_metadata import Metadata, has_dates, read_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .thinking_levels import Level

DEFAULT_BACKEND = "default"
"""The name of the back end that the settings describe."""
DEFAULT_CONTEXT_LENGTH = 32768
DEFAULT_EMBEDDING_LENGTH = 4096
MOST_MODELS = 20_000
"""Entries of a list of models that are read."""
CAPABILITIES = ("completion", "tools", "insert", "vision", "embedding", "thinking", "audio", "decision")
"""What Ollama may say that a model can do, in the order in which it is said. Some clients refuse any other word.

A model has `decision`, which `/v1/systemone` asks for, only if the models file says so."""

# What `/api/show` gives for the prompt template, which no back end tells. Clients look in it for `.Tools` and `.Suffix`.
_TEMPLATE = "{{ if .System }}{{ .System }}\n{{ end }}%s%s{{ .Response }}"
_TOOLS_PART = "{{ if .Tools }}{{ .Tools }}\n{{ end }}"
_PROMPT_PART = "{{ .Prompt }}"
_SUFFIX_PART = "{{ if .Suffix }}{{ .Prompt }}{{ .Suffix }}{{ else }}{{ .Prompt }}{{ end }}"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that clients can use.

    Attributes:
        id: the name that clients use.
        target: the back end's own name.
        backend: the name of the back end that has it.
        created: when it was made, in seconds of the Unix epoch; 0 where the back end does not say.
        capabilities: what clients are told that it can do.
        lacks: what it is known not to do.
        options: Ollama options for requests that do not set them.
        system: a system prompt for conversations that bring none.
        hidden: whether lists leave it out.
        entry: what the back end's own list says of it.
        fallback: the names of the models to ask in order when this one cannot answer.
        known_context_length: in tokens, as the back end or the models file says it; 0 where neither does, and `context_length`
            is only what clients are shown.
        told: what it is known to be able to do, by its server or by the models file.
        think: the level of thinking for requests that name none; None leaves the level to the back end.
        think_levels: the levels of thinking that it has; none where that is not known.
        think_default: the one of these that the back end takes by itself; None where that is not known.
    """

    id: str
    target: str
    backend: str
    created: int
    size: int
    family: str
    parameter_count: int
    parameter_size: str
    quantization: str
    context_length: int
    embedding_length: int
    capabilities: tuple[str, ...]
    lacks: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""
    hidden: bool = False
    entry: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    known_context_length: int = 0
    fallback: tuple[str, ...] = ()
    told: frozenset[str] = frozenset()
    think: Level | None = None
    think_levels: tuple[Level, ...] = ()
    think_default: Level | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON can hold them, for `model_from_json`."""
        return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(self).items()}

    @property
    def digest(self) -> str:
        """64 hexadecimal digits, the same for the same name wherever the proxy runs; clients cache by it."""
        return hashlib.sha256(self.id.encode()).hexdigest()

    @property
    def modified_at(self) -> str:
        """When the model was made; 1970 where the back end does not say.

        With a fraction of a second, without which some clients cannot read it.
        """
        return timestamp(self.created * 1_000_000_000 + 1_000_000)


def model_from_json(fields: Mapping[str, Any]) -> Model:
    """Read what `Model.as_json` returned.

    Raises:
        TypeError: these are no fields of a model.
    """
    values = dict(fields)
    for each in dataclass_fields(Model):
        make = {"tuple": tuple, "frozenset": frozenset}.get(str(each.type).partition("[")[0])
        if make is not None and each.name in values:
            values[each.name] = make(values[each.name])
    return Model(**values)


def without(model: Model, capabilities: frozenset[str]) -> Model:
    """The model, known not to have some capabilities."""
    return replace(
        model,
        capabilities=tuple(capability for capability in model.capabilities if capability not in capabilities),
        lacks=model.lacks | capabilities,
        told=model.told - capabilities,
    )


def with_also(model: Model, capabilities: frozenset[str]) -> Model:
    """The model, known to have some capabilities besides; what it is known to lack, it lacks still."""
    added = capabilities - model.lacks
    there = added.union(model.capabilities)
    return replace(
        model,
        capabilities=tuple(capability for capability in CAPABILITIES if capability in there),
        told=model.told | added,
    )


def read_model(
    entry: Mapping[str, Any], now: float, backend: str = DEFAULT_BACKEND, *, shown: Mapping[str, Any] | None = None
) -> Model:
    """The model of an entry of `/v1/models`.

    Args:
        entry: of the list.
        now: when the list was made, in seconds of the Unix epoch.
        backend: the name of the server.
        shown: what `/api/show` of a real Ollama says of the model.
    """
    known = read_metadata(entry, now, shown)
    return Model(
        id=entry["id"],
        target=entry["id"],
        backend=backend,
        created=known.created,
        # An unknown size is one byte: clients want a number above zero.
        size=known.size or 1,
        family=known.family,
        parameter_count=known.parameter_count,
        parameter_size=known.parameter_size or _parameter_size(known.parameter_count),
        quantization=known.quantization or "unknown",
        context_length=known.context_length or DEFAULT_CONTEXT_LENGTH,
        embedding_length=known.embedding_length or DEFAULT_EMBEDDING_LENGTH,
        capabilities=_shown(known),
        lacks=frozenset(capability for capability, there in known.capabilities.items() if not there),
        entry=entry,
        known_context_length=known.context_length,
        told=frozenset(capability for capability, there in known.capabilities.items() if there),
        think_levels=known.think_levels,
        think_default=known.think_default,
    )


def read_models(
    listing: Iterable[Mapping[str, Any]],
    now: float,
    backend: str = DEFAULT_BACKEND,
    *,
    shown: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Model]:
    """The models of a `/v1/models` listing in its order; entries without a usable id, or with odd values, are left out.

    Args:
        listing: the entries.
        now: when the list was made, in seconds of the Unix epoch.
        backend: the name of the server.
        shown: what `/api/show` of a real Ollama says of models, by their ids.
    """
    entries = [entry for entry in islice(listing, MOST_MODELS) if _is_name(entry.get("id"))]
    models = []
    for entry in entries:
        # Whatever else is odd about an entry is no reason to lose the others.
        with suppress(ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            models.append(read_model(entry, now, backend, shown=(shown or {}).get(entry["id"])))
    return models if has_dates(entries, now) else [replace(model, created=0) for model in models]


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip()) and name.isprintable() and len(name) <= LONGEST_NAME


class ModelIndex:
    """Finds models by the names that clients use. Of two models with one name the first counts.

    Args:
        models: all of them.
        further: further names of models, which are in no list; a model's own name counts more.
    """

    def __init__(self, models: Iterable[Model], further: Iterable[tuple[str, Model]] = ()) -> None:
        self._exact: dict[str, Model] = {}
        self._plain: dict[str, Model] = {}
        for model in models:
            self._exact.setdefault(model.id, model)
            self._plain.setdefault(plain_name(model.id), model)
        self._further: dict[str, Model] = {}
        for name, model in further:
            self._further.setdefault(plain_name(name), model)

    @property
    def models(self) -> list[Model]:
        """All of them, in the order in which they were given."""
        return list(self._exact.values())

    def find(self, name: str) -> Model | None:
        """The model of that very name, else the first that Ollama would take for the same."""
        wanted = name.strip()
        return self._exact.get(wanted) or self._plain.get(plain_name(wanted)) or self._further.get(plain_name(wanted))


def plain_name(name: str) -> str:
    """What two names have in common that Ollama takes for the same (docs/wire.md#model-names)."""
    plain = name.strip().casefold().removesuffix(":local").removesuffix(f":{DEFAULT_TAG}")
    return plain.removeprefix(f"{DEFAULT_HOST}/").removeprefix(f"{DEFAULT_NAMESPACE}/")


def openai_entry(model: Model) -> dict[str, Any]:
    """The model's entry in `/v1/models`: what the back end says of it, under the name that clients use."""
    told = {name: value for name, value in model.entry.items() if value is not None}
    head = {"id": model.id, "object": "model", "created": model.created, "owned_by": told.get("owned_by") or "library"}
    return head | {name: value for name, value in told.items() if name not in head}


def tags_entry(model: Model) -> dict[str, Any]:
    """The model's entry in `/api/tags`."""
    lengths = {"context_length": model.context_length, "embedding_length": model.embedding_length}
    return {
        "name": model.id,
        "model": model.id,
        "modified_at": model.modified_at,
        "size": model.size,
        "digest": model.digest,
        "details": _details(model) | lengths,
        "capabilities": list(model.capabilities),
    }


def ps_entry(model: Model, expires_at: str) -> dict[str, Any]:
    """The model's entry in `/api/ps`."""
    return {
        "name": model.id,
        "model": model.id,
        "size": model.size,
        "digest": model.digest,
        "details": _details(model),
        "expires_at": expires_at,
        "size_vram": model.size,
        "context_length": model.context_length,
    }


def show(model: Model, basename: str | None = None, thinking: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The reply of `/api/show`.

    Args:
        model: the model.
        basename: the name under which a client wants to see the model, if not its own.
        thinking: the levels of thinking, as `shown_thinking` gives them; None where nothing is known of them.
    """
    tools = _TOOLS_PART if "tools" in model.capabilities else ""
    template = _TEMPLATE % (tools, _SUFFIX_PART if "insert" in model.capabilities else _PROMPT_PART)
    parameters = _parameter_lines({"num_ctx": model.context_length, **model.options})
    system = f"SYSTEM {_block(model.system)}\n" if model.system else ""
    modelfile = (
        '# Modelfile generated by "ollama show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        f"# FROM {model.id}\n\nFROM {model.target}\nTEMPLATE {_block(template)}\n{system}"
    ) + "".join(f"PARAMETER {name} {value}\n" for name, value in parameters)
    info = {
        "general.architecture": model.family,
        "general.basename": basename or model.id,
        "general.parameter_count": model.parameter_count,
        f"{model.family}.context_length": model.context_length,
        f"{model.family}.embedding_length": model.embedding_length,
    }
    return {
        **({"thinking": thinking} if thinking else {}),
        "modelfile": modelfile,
        "parameters": "\n".join(f"{name:<30} {value}" for name, value in parameters),
        "template": template,
        **({"system": model.system} if model.system else {}),
        "details": _details(model),
        "model_info": dict(sorted(info.items())),
        "capabilities": list(model.capabilities),
        "modified_at": model.modified_at,
    }


def _shown(known: Metadata) -> tuple[str, ...]:
    """What is known to be there, and what is not known but lets clients use the model."""
    embedding = known.capabilities.get("embedding", False)
    assumed = {"completion": not embedding, "tools": not embedding}
    there = {**assumed, **known.hints, **known.capabilities}
    return tuple(capability for capability in CAPABILITIES if there.get(capability))


def _details(model: Model) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }


def _parameter_size(count: int) -> str:
    for unit, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= unit:
            return f"{count / unit:.1f}{suffix}" if suffix == "B" else f"{count / unit:.0f}{suffix}"
    return str(count) if count else ""


def _parameter_lines(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for name, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            lines.append((name, _literal(item)))  # noqa: PERF401  # two loops deep
    return lines


def _literal(value: Any) -> str:
    """A value as Go writes it."""
    match value:
        case str():
            return quoted(value)
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
    return str(value)


def _block(text: str) -> str:
    """A text as it stands in a Modelfile, where a line's end would end it."""
    return f'"""{text}"""' if "\n" in text or text != text.strip() else text
