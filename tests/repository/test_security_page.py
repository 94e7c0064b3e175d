"""`SECURITY.md`: each limit and each promise names a test that exists, and each limit is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ollama_openai_proxy.settings import Group, Settings, about

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| (?!---|what is bounded)(.+?) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE.partition("## Limits")[2], re.MULTILINE
)
PROMISES = [
    promise
    for part in ("## Promises\n", "## What back ends can do\n")
    for promise in re.split(r"^\* ", PAGE.partition(part)[2].partition("\n## ")[0], flags=re.MULTILINE)[1:]
]
NO_LIMITS = {"rate_limit_storage", "client_timeout"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_limit_names_its_settings_and_its_tests(row: tuple[str, str, str, str]) -> None:
    settings, tests = re.findall(r"`([A-Z_]+)`", row[1]), re.findall(r"`(tests/\S+)`", row[3])
    assert settings
    assert tests
    assert [name for name in settings if name.lower() not in Settings.model_fields] == []
    assert [name for name in tests if not (ROOT / name).is_file()] == []
    texts = "".join((ROOT / name).read_text("utf-8") for name in tests)
    assert [name for name in settings if name not in texts and f'"{name.removeprefix("MAX_")}"' not in texts] == []


def test_all_limits_are_named() -> None:
    named = {name.lower() for row in ROWS for name in re.findall(r"`([A-Z_]+)`", row[1])}
    assert {name for name in Settings.model_fields if about(name).group is Group.LIMITS} - NO_LIMITS == named


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[:30])
def test_each_promise_names_its_tests(promise: str) -> None:
    tests = re.findall(r"`(tests/\S+)`", promise)
    assert tests
    assert [name for name in tests if not (ROOT / name).is_file()] == []
