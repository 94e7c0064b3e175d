"""Every name of a level has a level that back ends know, or leaves the level to the back end."""

from dataclasses import replace
from typing import Any

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.ollama.requests import Think
from ollama_openai_proxy.translate.ollama_descriptions import Model, read_model
from ollama_openai_proxy.translate.server_profiles import PROFILES, ProfileName
from ollama_openai_proxy.translate.thinking_levels import check_level, level_for, nearest_level, shown_thinking


@pytest.mark.parametrize(
    ("name", "level"),
    [
        *((value, value) for value in (True, False, None, "low", "medium", "high", "max")),
        ("minimal", "low"),
        ("xhigh", "max"),
        ("ultra", "max"),
        (" HIGH ", "high"),
        ("none", False),
        ("off", False),
        ("on", True),
        ("", None),
        ("secret", None),
    ],
)
def test_a_name_leads_to_the_nearest_level(name: bool | str | None, level: Think | None) -> None:
    assert nearest_level(name) == level


@pytest.mark.parametrize("name", [True, False, None, "low", "medium", "high", "max"])
def test_ollamas_own_levels_are_never_unknown(name: bool | str | None) -> None:
    check_level(name)


@pytest.mark.parametrize(("name", "shown"), [("xhigh", "xhigh"), ("", ""), ('a"b', 'a\\"b'), ("HIGH", "HIGH")])
def test_another_name_is_refused_in_ollamas_words(name: str, shown: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_level(name)
    expected = f'invalid think value: "{shown}" (must be "high", "medium", "low", "max", true, or false)'
    assert (caught.value.status, caught.value.message) == (400, expected)


# ── the levels of one model


def with_levels(*levels: bool | str, think: bool | str | None = None, **more: Any) -> Model:
    return replace(read_model({"id": "m"}, 0), think_levels=levels, think=think, **more)


@pytest.mark.parametrize(
    ("model", "think", "level"),
    [
        (with_levels(), None, None),
        (with_levels(), "xhigh", "max"),
        (with_levels(), "secret", None),
        (with_levels(think="high"), None, "high"),
        (with_levels(think="high"), "secret", "high"),
        (with_levels(think="high"), False, False),
        (with_levels("low", "medium", "high"), None, None),
        (with_levels("low", "medium", "high"), "low", "low"),
        (with_levels("low", "medium", "high"), "minimal", "low"),
        (with_levels("low", "medium", "high"), "max", None),
        (with_levels("low", "medium", "high"), True, "medium"),
        (with_levels("low", "high", think="high"), True, "high"),
        (with_levels("low", "high", think=False), True, "low"),
        (with_levels("low", "medium", "high"), False, None),
        (with_levels("minimal", "high"), "minimal", "minimal"),
        (with_levels(False, True), True, True),
        (with_levels(False, True), "off", False),
        (with_levels(False), True, None),
        (with_levels(False, True), "high", None),
    ],
)
def test_a_level_that_a_model_lacks_is_its_default(model: Model, think: bool | str | None, level: bool | str | None) -> None:
    assert level_for(think, model) == level


THINKS = {"capabilities": ["thinking"]}


@pytest.mark.parametrize(
    ("profile", "model", "shown"),
    [
        ("openai", read_model({"id": "gpt-4o"}, 0), None),
        ("openai", read_model({"id": "gpt-5"}, 0), ([False, "low", "medium", "high"], "medium")),
        ("openai", replace(read_model({"id": "gpt-5"}, 0), think="high"), ([False, "low", "medium", "high"], "high")),
        ("openai", read_model({"id": "o3"}, 0), (["low", "medium", "high"], "medium")),
        ("generic", read_model({"id": "deep-reasoner"}, 0), None),
        ("generic", read_model({"id": "m"} | THINKS, 0), ([False, "low", "medium", "high"], "medium")),
        ("ollama", read_model({"id": "m"} | THINKS, 0), ([False, "low", "medium", "high", "max"], "medium")),
        ("groq", read_model({"id": "openai/gpt-oss-20b"}, 0), (["low", "medium", "high"], "medium")),
        ("transformers", read_model({"id": "m"} | THINKS, 0), None),
        ("perplexity", read_model({"id": "m"} | THINKS, 0), (["low", "medium", "high"], "medium")),
        ("llamacpp", read_model({"id": "m"} | THINKS, 0), ([False, True], True)),
        ("mistral", read_model({"id": "m"} | THINKS, 0), ([False, True], False)),
        ("openai", read_model({"id": "m", "capabilities": {"reasoning": False}}, 0), ([False], False)),
        ("openai", with_levels("high", think_default="high"), (["high"], "high")),
        ("openai", with_levels(False, think_default="high"), ([False], False)),
    ],
)
def test_the_levels_are_shown_that_the_server_or_its_kind_has(profile: ProfileName, model: Model, shown: Any) -> None:
    expected = None if shown is None else {"values": shown[0], "default": shown[1]}
    assert shown_thinking(model, PROFILES[profile]) == expected
