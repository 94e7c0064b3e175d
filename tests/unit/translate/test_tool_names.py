"""Names of tools become what every server takes, and lead back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.translate.tool_names import LONGEST_NAME, ToolNames

ALLOWED = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
LONG = "mcp__plugin_project-management_issue-tracker__get_failed_pipeline_jobs_from_merge_request"


@pytest.mark.parametrize("name", ["f", "get_weather", "a-b", "A1", "a" * LONGEST_NAME])
def test_a_name_that_is_allowed_stays(name: str) -> None:
    names = ToolNames([name])
    assert names.sent(name) == name == names.original(name)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("files.read", "files_read"),
        ("a/b c", "a_b_c"),
        ("Wetter für Köln", "Wetter_f_r_K_ln"),
        ("", "unnamed"),
        ("読む", "__"),
        ("3d", "_3d"),
        ("-x", "_-x"),
    ],
)
def test_other_characters_are_replaced(name: str, sent: str) -> None:
    names = ToolNames([name])
    assert names.sent(name) == sent
    assert names.original(sent) == name


def test_a_long_name_is_cut_and_told_apart_from_its_likes() -> None:
    names = ToolNames([LONG, LONG + "s"])
    assert len({names.sent(LONG), names.sent(LONG + "s")}) == 2
    assert names.sent(LONG).startswith(LONG[:50])
    assert names.original(names.sent(LONG)) == LONG


def test_names_that_collide_are_told_apart() -> None:
    offered = ["a.b", "a/b", "a_b"]
    names = ToolNames(offered)
    assert names.sent("a_b") == "a_b"
    assert len({names.sent(name) for name in offered}) == 3
    assert [names.original(names.sent(name)) for name in offered] == offered


def test_a_name_of_the_history_that_is_not_offered_is_mapped_too() -> None:
    names = ToolNames(["a_b"])
    assert names.sent("c.d") == "c_d"
    assert names.sent("a.b").startswith("a_b_")
    assert names.sent("plain") == "plain"


def test_the_same_name_is_sent_whatever_else_is_offered() -> None:
    assert ToolNames().sent(LONG) == ToolNames([LONG]).sent(LONG) == ToolNames(["other", LONG]).sent(LONG)


def test_a_name_of_no_known_tool_stays() -> None:
    assert ToolNames(["f"]).original("invented") == "invented"


@given(st.lists(st.text(max_size=80)))
def test_any_names_lead_there_and_back(offered: list[str]) -> None:
    names = ToolNames(offered)
    for name in offered:
        assert ALLOWED.fullmatch(names.sent(name))
        assert names.original(names.sent(name)) == name
