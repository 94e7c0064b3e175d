"""`docs/fix-mode.md` says what the code does: its table is the map, its examples can be read, its links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from ollama_openai_proxy.fix.method_map import ENDPOINTS, MethodMap, explain_lost_body, read_method_map
from ollama_openai_proxy.net.forwarding import HOP_BY_HOP
from ollama_openai_proxy.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "fix-mode.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", TEXT, re.DOTALL | re.MULTILINE)


def inline_maps() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line)[0].partition("=")[2] for line in lines if line.startswith("METHOD_MAP=")]


def map_files() -> dict[str, str]:
    (toml,) = blocks("toml")
    (document,) = [block for block in blocks("json") if '"/api/' in block]
    return {"methods.toml": toml, "methods.json": document}


def test_the_table_of_methods_has_each_path_with_its_method() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| `([A-Z]+)` \|", TEXT, re.MULTILINE)
    assert dict(rows) == {path + "…" * (path != "/" and path.endswith("/")): each.method for path, each in ENDPOINTS.items()}


def test_the_example_files_can_be_used_and_mean_what_the_page_says(tmp_path: Path) -> None:
    found = []
    for name, text in map_files().items():
        assert f"`METHOD_MAP={name}`" in TEXT
        (tmp_path / name).write_text(text, encoding="utf-8")
        methods = read_method_map(str(tmp_path / name))
        assert methods.restore("GET", "/api/search", has_body=True) == "POST"
        assert methods.restore("DELETE", "/tools/weather", has_body=True) == "POST"
        assert methods.restore("PATCH", "/api/status", has_body=True) == "PATCH"
        found.append(
            [methods.find(path) for path in ("/api/search", "/tools/weather", "/api/status", "/api/wipe", "/api/warm")]
        )
    assert found[0] == found[1]
    wiped, warmed = found[0][3:]
    assert wiped is not None
    assert (wiped.method, wiped.path, wiped.body) == ("DELETE", "/api/delete", None)
    assert warmed is not None
    assert (warmed.method, warmed.path, warmed.body) == ("POST", "/api/generate", {"keep_alive": "1h"})


def test_the_inline_examples_can_be_used() -> None:
    wipe, search = (read_method_map(text) for text in inline_maps())
    assert (found := wipe.find("/api/wipe")) is not None
    assert (found.method, found.path) == ("DELETE", "/api/delete")
    assert search.find("/api/status") is None
    assert search.restore("GET", "/api/search", has_body=True) == "POST"


@pytest.mark.parametrize("text", [*map_files().values(), *inline_maps()])
def test_every_example_leaves_the_rest_of_the_map_alone(text: str) -> None:
    changed = read_method_map(text)
    assert changed.find("/api/chat") == MethodMap().find("/api/chat")


@pytest.mark.parametrize("block", blocks("json"))
def test_every_json_example_is_json(block: str) -> None:
    json.loads(block)


def test_the_text_of_a_lost_body_is_the_products() -> None:
    (quoted,) = [json.loads(block)["error"] for block in blocks("json") if "405 method" in block]
    assert explain_lost_body(ENDPOINTS["/api/chat"]).startswith(quoted.removesuffix(" …"))
    assert "arrived as GET without a body" in quoted


def test_every_header_that_is_not_forwarded_is_named() -> None:
    section = TEXT.partition("## What is forwarded")[2].partition("\n## ")[0].lower()
    missing = [name for name in HOP_BY_HOP | {"host", "origin"} if f"`{name}`" not in section]
    assert missing == []


def test_every_setting_that_it_names_exists_or_is_one_of_the_examples() -> None:
    elsewhere = {"OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_KEEP_ALIVE", "OLLAMA_LOAD_TIMEOUT", "OLLAMA_PULL", "PROXY_API_KEYS"}
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", TEXT)) - {"POD_ID", "THE_KEY"}
    assert named - {name.upper() for name in Settings.model_fields} - elsewhere == set()


def test_every_link_leads_somewhere() -> None:
    headings = {anchor(line.lstrip("# ")) for line in TEXT.splitlines() if line.startswith("#")}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, fragment = target.partition("#")
        if target.startswith("https://"):
            continue
        assert (PAGE.parent / path).exists() if path else fragment in headings, target
    for page in ("README.md", "examples/runpod/README.md"):
        assert "docs/fix-mode.md" in (ROOT / page).read_text(encoding="utf-8")
    assert "docs/fix-mode.md#changing-the-map" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "changing-the-map" in headings


def anchor(heading: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
