"""docs/debugging.md names what there is: commands, content views, pictures, settings, links."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from mitmproxy import flowfilter
from mitmproxy.test import tflow
from ollama_openai_proxy.mitm.script import COLUMNS, READ_ONCE
from ollama_openai_proxy.mitm.views.commands import Commands
from ollama_openai_proxy.mitm.views.content_views import VIEWS
from ollama_openai_proxy.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "debugging.md"
TEXT = PAGE.read_text(encoding="utf-8")
PNG = b"\x89PNG\r\n\x1a\n"
MOST_OF_A_PICTURE = 150_000
WIDTH = 1280


def rows(heading: str) -> list[list[str]]:
    """The tables of a section: the cells of each row."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def commands() -> set[str]:
    found = (getattr(getattr(Commands, name), "command_name", "") for name in dir(Commands))
    return {name for name in found if isinstance(name, str) and name}


def test_every_command_is_in_the_table_and_none_else_is_named() -> None:
    listed = {re.findall(r"`(ollama\.\w+)", row[0])[0] for row in rows("Commands")}
    named = set(re.findall(r"\bollama\.(?!py|com)\w+", TEXT))
    assert listed == commands() == named


def test_every_content_view_is_in_the_table() -> None:
    assert {row[0].strip("`") for row in rows("Content views")} == {str(view.name).lower() for view in VIEWS}


@pytest.mark.parametrize("expression", [row[0].strip("`") for row in rows("The list")])
def test_every_filter_can_be_used(expression: str) -> None:
    flow = tflow.tflow()
    assert flowfilter.parse(expression)(flow) in (True, False, None)


def test_pictures_are_there_and_of_a_size_for_a_page() -> None:
    named = re.findall(r"!\[[^]]+\]\((pictures/[^)]+)\)", TEXT)
    assert {PAGE.parent / name for name in named} == set((PAGE.parent / "pictures").iterdir())
    for name in named:
        data = (PAGE.parent / name).read_bytes()
        assert data.startswith(PNG)
        assert int.from_bytes(data[16:20]) == WIDTH
        assert len(data) < MOST_OF_A_PICTURE


def test_every_setting_that_counts_at_the_start_only_is_named() -> None:
    said = re.search(r"red, and the event log says why\.(.*?)\bare read at the start only", TEXT, re.DOTALL)
    assert said is not None
    assert set(re.findall(r"`(\w+)`", said[1])) == READ_ONCE
    assert Settings.model_fields["keep_flows"].default == 1000
    assert "`KEEP_FLOWS` says how many flows stay in the list: 1000" in TEXT


def test_comments_are_among_the_columns() -> None:
    assert "comment" in COLUMNS


def test_every_link_leads_somewhere() -> None:
    lines = [line.lstrip("# ").lower() for line in TEXT.splitlines() if line.startswith("#")]
    headings = {re.sub(r"[^\w -]", "", line).replace(" ", "-") for line in lines}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, fragment = target.partition("#")
        if not target.startswith("https://"):
            assert (PAGE.parent / path).exists() if path else fragment in headings, target
    assert "(docs/debugging.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_script_that_strips_secrets_is_python() -> None:
    (script,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    ast.parse(script)
