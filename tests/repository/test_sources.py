"""The sources that the code cites exist: each anchor is on its page, and a demand is cited by its anchor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pages import anchors

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for folder in ("addons", "scripts", "tests", "examples", "deploy")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".toml", ".sh", ".yaml") and path != Path(__file__)
]
CITATION = re.compile(r"\b(docs/[\w/-]+\.md)#([\w-]*\w)")
CITED = sorted({(page, anchor) for path in FILES for page, anchor in CITATION.findall(path.read_text(encoding="utf-8"))})
UNSOURCED = re.compile(r"wire reference|\b[Rr]equirements? [TFR]\d+|\((?:[TFR]\d+(?:, )?)+\)")


def test_the_code_cites_the_pages() -> None:
    assert len([anchor for page, anchor in CITED if page == "docs/wire.md"]) > 10
    assert "docs/requirements.md" in {page for page, _ in CITED}


@pytest.mark.parametrize(("page", "anchor"), CITED)
def test_every_cited_anchor_exists(page: str, anchor: str) -> None:
    assert anchor in anchors(ROOT / page)


def test_nothing_is_cited_that_the_repository_does_not_have() -> None:
    assert UNSOURCED.search("as wire reference §2 and requirements F1 say")
    assert UNSOURCED.search("restores the method (F1, F9)")
    assert [str(path.relative_to(ROOT)) for path in FILES if UNSOURCED.search(path.read_text(encoding="utf-8"))] == []


def test_every_demand_has_its_anchor() -> None:
    expected = [f"t{number}" for number in range(1, 16)] + [f"f{number}" for number in range(1, 10)]
    assert {*expected, *(f"r{number}" for number in range(1, 11))} <= set(anchors(ROOT / "docs/requirements.md"))


def test_the_drawing_of_the_rooms_has_each_of_them() -> None:
    boxes = re.findall(r'<text class="name"[^>]*>(.*?)</text>', (ROOT / "docs/drawings/rooms.svg").read_text(encoding="utf-8"))
    drawn = {name for box in boxes for name in box.split(", ")}
    package = ROOT / "addons/ollama_openai_proxy"
    rooms = {path.stem for path in package.iterdir() if path.stem not in ("__init__", "__pycache__", "py")}
    assert drawn == {*rooms, "api.path_table"}
