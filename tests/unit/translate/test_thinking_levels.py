"""Every name of a level has a level that back ends know, or leaves the level to the back end."""

import pytest
from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.schemas.ollama.requests import Think
from ollama_openai_proxy.translate.thinking_levels import check_level, nearest_level


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
