"""What the documentation lists is complete."""

from pathlib import Path

import pytest
from ollama_openai_proxy.settings import Settings
from ollama_openai_proxy.wire.options import KINDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    assert f"\n#{name.upper()}=" in (ROOT / ".env.example").read_text()
    assert f"\n| `{name.upper()}` |" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("option", KINDS)
def test_what_becomes_of_every_option_is_documented(option: str) -> None:
    section = (ROOT / "docs/compatibility.md").read_text().partition("## What becomes of options")[2]
    assert f"`{option}`" in section
