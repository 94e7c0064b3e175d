"""The models of all servers under the names that clients use: what servers list, and what the models file says of it.

Pure: lists go in, a table comes out. The rules, in this order:

* A server's filter takes models out of its list; its prefix stands before the names of the rest.
* Of models with one name at several servers, those of named servers are called `SERVER/NAME`. The plain name still leads to the
  first of them, and `SERVER/NAME` to any model.
* An entry of the models file without a target describes what is listed under its name or pattern. An entry with a target is a
  name of its own; one whose name is a pattern is in no list, and stands for the names that nothing else has.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from ..translate.ollama_descriptions import CAPABILITIES, ModelIndex, plain_name, read_model
from ..translate.thinking_levels import nearest_level
from .name_patterns import is_pattern, matches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..translate.ollama_descriptions import Model
    from .models_file import ModelEntry
    from .servers import Server


class ModelTable:
    """The models of all servers.

    Args:
        entries: of the models file.
        servers: all of them; the first is the one for models that are not known.
        lists: what servers list, by their names; a server that is not known to list anything is left out.
    """

    def __init__(
        self, entries: Mapping[str, ModelEntry], servers: Sequence[Server], lists: Mapping[str, Sequence[Model]]
    ) -> None:
        self._entries = entries
        self._servers = servers
        self._lists = lists
        self._rows = rows = [self._by_patterns(model) for model in _rows(servers, lists)]
        named: list[Model] = []
        for name, entry in entries.items():
            if entry.target is not None or is_pattern(name):
                continue
            if (place := _place(rows, name, entry)) is not None:
                rows[place] = described(rows[place], entry)
            else:
                named.append(self._alias(name, name, entry))
        named += [
            self._alias(name, entry.target, entry)
            for name, entry in entries.items()
            if entry.target is not None and not is_pattern(name)
        ]
        full_names = [(f"{model.backend}/{model.target}", model) for model in rows]
        self._index = ModelIndex([*named, *rows], [*full_names, *((model.target, model) for model in rows)])

    @property
    def models(self) -> list[Model]:
        """All models that have a name of their own, the hidden ones, too."""
        return self._index.models

    def find(self, name: str) -> Model | None:
        """Return the model of a name, or of the first pattern that the name fits and that has a target."""
        if model := self._index.find(name):
            return model
        for pattern, entry in self._entries.items():
            if entry.target is not None and is_pattern(pattern) and matches(pattern, name):
                return self._alias(name.strip(), entry.target, entry)
        return None

    def unlisted(self, name: str, server: Server, target: str | None = None) -> Model:
        """Return the model of a name that goes through to a server; `target` is the server's own name for it."""
        model = read_model({"id": target or name}, time.time(), server.name)
        return replace(self._by_patterns(model), id=name)

    def _by_patterns(self, model: Model) -> Model:
        """The model with what patterns without a target say of it."""
        for pattern, entry in self._entries.items():
            fits = is_pattern(pattern) and any(matches(pattern, name) for name in (model.id, model.target))
            if fits and entry.target is None and entry.backend in (None, model.backend):
                model = described(model, entry)
        return model

    def _alias(self, name: str, target: str, entry: ModelEntry) -> Model:
        """The model of an entry that is a name of its own: as its server lists the target, if it does."""
        found = self._listed(target, entry.backend)
        if found is None:
            server, own_name = self._server_of(target, entry.backend)
            found = read_model({"id": own_name}, time.time(), server)
        plain = replace(found, id=name, options={}, system="", hidden=False, think=None, fallback=())
        return described(plain, entry)

    def _listed(self, target: str, backend: str | None) -> Model | None:
        wanted = plain_name(target)
        names = [backend] if backend else [server.name for server in self._servers]
        # What a filter leaves out is not among the rows, but may be named.
        listed = [*self._rows, *(model for name in names for model in self._lists.get(name, ()))]
        candidates = [model for model in listed if model.backend in names]
        for model in candidates:
            if plain_name(model.target) == wanted:
                return model
        return next((model for model in candidates if wanted in (plain_name(model.id), _full(model))), None)

    def _server_of(self, target: str, backend: str | None) -> tuple[str, str]:
        """The server that has a model which none lists, and the model's name there."""
        if backend:
            return backend, target
        for server in self._servers:
            if (own_name := own_name_at(server, target)) is not None:
                return server.name, own_name
        return self._servers[0].name, target


def own_name_at(server: Server, name: str) -> str | None:
    """Return a server's own name for a model that a client calls by the server's name or prefix; None for another name."""
    for prefix in (f"{server.name}/", server.prefix):
        if prefix and name.lower().startswith(prefix.lower()) and len(name) > len(prefix):
            return name[len(prefix) :]
    return None


def _rows(servers: Sequence[Server], lists: Mapping[str, Sequence[Model]]) -> list[Model]:
    """What servers list, under the names that clients use."""
    rows: list[Model] = []
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for server in servers:
        for model in lists.get(server.name, ()):
            if server.lets_pass(model.target):
                rows.append(replace(model, id=server.prefix + model.target))
                owners[plain_name(rows[-1].id)].add(server.name)
    default = servers[0].name if servers and servers[0].name == "default" else ""
    return [
        replace(row, id=f"{row.backend}/{row.target}")
        if len(owners[plain_name(row.id)]) > 1 and row.backend != default
        else row
        for row in rows
    ]


def _place(rows: Sequence[Model], name: str, entry: ModelEntry) -> int | None:
    """Where a listed model stands that an entry without a target describes."""
    wanted = plain_name(name)
    of_server = [(place, row) for place, row in enumerate(rows) if entry.backend in (None, row.backend)]
    for place, row in of_server:
        if plain_name(row.id) == wanted:
            return place
    return next((place for place, row in of_server if wanted in (plain_name(row.target), _full(row))), None)


def _full(model: Model) -> str:
    return plain_name(f"{model.backend}/{model.target}")


def described(model: Model, entry: ModelEntry) -> Model:
    """Return a model with what an entry of the models file says of it."""
    told = {
        "context_length": entry.context_length,
        "known_context_length": entry.context_length,
        "embedding_length": entry.embedding_length,
        "family": entry.family,
        "parameter_size": entry.parameter_size,
        "quantization": entry.quantization_level,
    }
    if entry.capabilities is not None:
        model = _with_capabilities(model, frozenset(entry.capabilities))
    if entry.think_levels:
        known = model.told | {"thinking"} if entry.think_levels != [False] else model.told - {"thinking"}
        there = frozenset(model.capabilities) - {"thinking"} | (known & {"thinking"})
        model = replace(
            model,
            capabilities=tuple(capability for capability in CAPABILITIES if capability in there),
            lacks=model.lacks - {"thinking"} if "thinking" in known else model.lacks | {"thinking"},
            told=known,
            think_levels=tuple(entry.think_levels),
            think_default=None,
        )
    think = model.think if entry.think is None else entry.think
    if entry.think is not None and entry.think not in model.think_levels:
        think = nearest_level(entry.think)
    return replace(
        model,
        **{field: value for field, value in told.items() if value is not None},  # type: ignore[arg-type]
        options={**model.options, **entry.options},
        system=entry.system or model.system,
        fallback=tuple(entry.fallback) or model.fallback,
        hidden=entry.hidden or model.hidden,
        think=think,
    )


def _with_capabilities(model: Model, there: frozenset[str]) -> Model:
    return replace(
        model,
        capabilities=tuple(capability for capability in CAPABILITIES if capability in there),
        lacks=frozenset(CAPABILITIES) - there,
        told=there,
    )
