"""The names under which models are found: a table of lists, entries and what comes of both."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_openai_proxy.models.model_table import ModelTable, own_name_at
from ollama_openai_proxy.models.models_file import ModelEntry
from ollama_openai_proxy.models.name_patterns import matches, passes
from ollama_openai_proxy.models.servers import Server
from ollama_openai_proxy.net.http_messages import Timeouts
from ollama_openai_proxy.translate.ollama_descriptions import Model, read_models

LISTS = {"default": ["m", "tiny:latest", "gpt-5"], "lab": ["m", "big", "big-preview"]}


def server(name: str, **more: Any) -> Server:
    return Server(name, "http://h/v1", None, None, Timeouts(None, None), **more)


def table(
    entries: dict[str, dict[str, Any]] | None = None, lists: dict[str, list[str]] | None = None, **lab: Any
) -> ModelTable:
    models = {
        name: read_models([{"id": each} for each in ids], 0, name) for name, ids in (LISTS if lists is None else lists).items()
    }
    entered = {name: ModelEntry.model_validate(entry) for name, entry in (entries or {}).items()}
    return ModelTable(entered, [server("default"), server("lab", **lab)], models)


def found(table: ModelTable, name: str) -> Model:
    model = table.find(name)
    assert model is not None, name
    return model


@pytest.mark.parametrize(
    ("entries", "lab", "expected"),
    [
        ({}, {}, ["m", "tiny:latest", "gpt-5", "lab/m", "big", "big-preview"]),
        ({}, {"exclude": ["*-preview", "m"]}, ["m", "tiny:latest", "gpt-5", "big"]),
        ({}, {"include": ["BIG"]}, ["m", "tiny:latest", "gpt-5", "big"]),
        ({}, {"prefix": "x/"}, ["m", "tiny:latest", "gpt-5", "x/m", "x/big", "x/big-preview"]),
        ({"tiny": {"think": True}}, {"include": ["none"]}, ["m", "tiny:latest", "gpt-5"]),
        ({"big": {"think": True}}, {"include": ["none"]}, ["big", "m", "tiny:latest", "gpt-5"]),
        ({"own": {"target": "big"}}, {"include": ["none"]}, ["own", "m", "tiny:latest", "gpt-5"]),
        ({"a*": {"target": "m"}, "g*": {"hidden": True}}, {"include": ["none"]}, ["m", "tiny:latest", "gpt-5"]),
    ],
)
def test_the_names_of_a_table(entries: dict[str, dict[str, Any]], lab: dict[str, Any], expected: list[str]) -> None:
    assert [model.id for model in table(entries, **lab).models] == expected


@pytest.mark.parametrize(
    ("entries", "name", "place"),
    [
        ({}, "m", ("default", "m")),
        ({}, "lab/m", ("lab", "m")),
        ({}, "default/m", ("default", "m")),
        ({}, "LAB/big:latest", ("lab", "big")),
        ({}, "tiny", ("default", "tiny:latest")),
        ({"m": {"backend": "lab"}}, "lab/m", ("lab", "m")),
        ({"a": {"target": "big"}}, "a", ("lab", "big")),
        ({"a": {"target": "lab/m"}}, "a", ("lab", "m")),
        ({"a": {"target": "m", "backend": "lab"}}, "a", ("lab", "m")),
        ({"a": {"target": "big-preview"}}, "a", ("lab", "big-preview")),
        ({"a": {"target": "tiny"}}, "a", ("default", "tiny:latest")),
        ({"a": {"target": "lab/new"}}, "a", ("lab", "new")),
        ({"a": {"target": "new"}}, "a", ("default", "new")),
        ({"a": {"target": "new", "backend": "lab"}}, "a", ("lab", "new")),
        ({"new": {}}, "new", ("default", "new")),
        ({"claude-*": {"target": "big"}}, "claude-x", ("lab", "big")),
        ({"g*": {"target": "m"}}, "gpt-5", ("default", "gpt-5")),
        ({"g*": {"target": "m"}}, "GROK:latest", ("default", "m")),
        ({"a": {"model": "big"}}, "a", ("lab", "big")),
    ],
)
def test_a_name_leads_to_its_server(entries: dict[str, dict[str, Any]], name: str, place: tuple[str, str]) -> None:
    model = found(table(entries), name)
    assert (model.backend, model.target) == place


def test_what_is_in_no_list_and_fits_no_pattern_is_not_there() -> None:
    for name in ("x", "lab/x", "x/m", "lab/", ""):
        assert table({"a*": {"target": "m"}, "x": {"target": "m"}} if name != "x" else {}).find(name) is None


def test_entries_describe_what_is_listed_the_special_after_the_general() -> None:
    described = table(
        {
            "*": {"context_length": 9, "options": {"seed": 1, "top_k": 2}, "backend": "lab"},
            "big": {"options": {"seed": 3}, "system": "Be big.", "capabilities": ["tools"]},
            "brief": {"target": "big", "system": "Be brief."},
        }
    )
    big, brief = found(described, "big"), found(described, "brief")
    assert (big.id, big.context_length, big.known_context_length, big.options) == ("big", 9, 9, {"seed": 3, "top_k": 2})
    assert (big.system, big.capabilities, "completion" in big.lacks) == ("Be big.", ("tools",), True)
    # Another name has the facts, but not the settings.
    assert (brief.context_length, brief.capabilities, brief.options, brief.system) == (9, ("tools",), {}, "Be brief.")
    assert found(described, "gpt-5").options == {}


@pytest.mark.parametrize(
    ("entry", "thinks", "lacks"),
    [
        ({"think_levels": [False, "low"]}, True, False),
        ({"think_levels": [False]}, False, True),
        ({"capabilities": ["completion"]}, False, True),
        ({"capabilities": ["completion"], "think_levels": [True]}, True, False),
    ],
)
def test_levels_of_thinking_are_a_capability(entry: dict[str, Any], thinks: bool, lacks: bool) -> None:
    model = found(table({"m": entry}), "m")
    assert ("thinking" in model.capabilities, "thinking" in model.lacks, "thinking" in model.told) == (thinks, lacks, thinks)
    assert list(model.think_levels) == entry.get("think_levels", [])


@pytest.mark.parametrize(
    ("entry", "think"), [({"think": "xhigh"}, "max"), ({"think": "xhigh", "think_levels": ["xhigh"]}, "xhigh"), ({}, None)]
)
def test_a_default_level_is_one_that_servers_know(entry: dict[str, Any], think: str | None) -> None:
    assert found(table({"m": entry}), "m").think == think


def test_a_name_that_goes_through_is_described_by_patterns() -> None:
    unlisted = table({"q*": {"context_length": 9}}, {}).unlisted("lab/qwen", server("lab"), "qwen")
    assert (unlisted.id, unlisted.target, unlisted.backend, unlisted.context_length) == ("lab/qwen", "qwen", "lab", 9)


@pytest.mark.parametrize(
    ("prefix", "name", "own"),
    [("", "lab/m", "m"), ("", "LAB/m", "m"), ("", "lab/", None), ("x-", "x-m", "m"), ("x-", "x/m", None), ("", "m", None)],
)
def test_a_server_is_named_before_its_model(prefix: str, name: str, own: str | None) -> None:
    assert own_name_at(server("lab", prefix=prefix), name) == own


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("claude-*", "Claude-3:latest", True),
        ("claude-*", "my-claude-3", False),
        ("gpt-?", "gpt-5", True),
        ("gpt-?", "gpt-5.1", False),
        ("*:latest", "m:latest", True),
        ("m[1]*", "m[1]x", True),
        ("m[1]*", "m1x", False),
        ("m", "library/m:latest", True),
    ],
)
def test_a_pattern_is_matched_as_names_are(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits
    assert passes(name, [pattern], []) is fits
    assert passes(name, [], [pattern]) is not fits
