"""What the documentation lists is complete."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ollama_openai_proxy.schemas.ollama.options import KINDS
from ollama_openai_proxy.settings import Settings, about, load_settings

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs/configuration.md").read_text("utf-8")


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    """scripts/docs.py, which writes the parts of pages that come from the code."""
    spec = importlib.util.spec_from_file_location("scripts_docs", ROOT / "scripts" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    assert f"\n#{name.upper()}=" in (ROOT / ".env.example").read_text("utf-8")
    assert SETTINGS.count(f"\n#### {name.upper()}\n") == 1


def test_the_parts_of_pages_that_come_from_the_code_are_those_of_the_code(docs: ModuleType) -> None:
    assert [path.name for path, _ in docs.outdated()] == [], "run scripts/docs --write"


def test_a_part_that_is_out_of_date_would_be_found(docs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings.model_fields["log_level"], "description", "Another meaning.")
    assert [path.name for path, _ in docs.outdated()] == ["configuration.md", ".env.example"]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_example_of_a_setting_is_taken(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for each in Settings.model_fields:
        monkeypatch.delenv(each.upper(), raising=False)
    plain = load_settings({"openai_api_key": "sk-test"})
    example = load_settings({"openai_api_key": "sk-test"} | {name: about(name).example})
    assert name in ("openai_api_base_url", "ollama_upstream_url", "ollama_version") or getattr(plain, name) != getattr(
        example, name
    )


@pytest.mark.parametrize("variable", re.findall(r"^\| `([A-Z_]+)`", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE))
def test_every_setting_of_the_readme_exists(variable: str) -> None:
    assert variable.lower() in Settings.model_fields


@pytest.mark.parametrize("option", KINDS)
def test_what_becomes_of_every_option_is_documented(option: str) -> None:
    section = (ROOT / "docs/compatibility.md").read_text().partition("## What becomes of options")[2]
    assert f"`{option}`" in section
