"""`SECURITY.md`: each limit and each promise names a test that exists, and each limit is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ollama_openai_proxy.net import body, body_decoding, connection_pool, masking, redirects, server
from ollama_openai_proxy.schemas.ollama import model_names
from ollama_openai_proxy.settings import Group, Settings, about
from ollama_openai_proxy.translate import bounded_json, ollama_descriptions
from ollama_openai_proxy.translate.reader import sse

from scripts import fuzz

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


FIGURES = [
    f"at most {redirects.MOST_REDIRECTS}, and passed on",
    f"A key of fewer than {masking.LEAST_LENGTH} characters",
    f"`MAX_ANSWER_SIZE`, {Settings.model_fields['max_answer_size'].default >> 20} MiB",
    f"Limit: {sse.LONGEST_LINE >> 20} MiB, {sse.MOST_LINES:,} lines of an event",
    f"Limit: {body.MOST_ERROR >> 20} MiB; {body.MOST_LIST >> 20} MiB and {ollama_descriptions.MOST_MODELS:,} models",
    f"{connection_pool.HEAD_LIMIT >> 10} KiB a line and {connection_pool.HEADER_COUNT} headers",
    f"one network read may unpack to {body_decoding.MOST_UNPACKED >> 20} MiB",
    f"Limit: {bounded_json.MOST_CONTAINERS:,} objects and lists",
    f"have {model_names.LONGEST_NAME} characters at most",
    f"all incomplete heads take together, at {server.MOST_HELD >> 20} MiB",
    f"grows by more than {fuzz.MEMORY} MiB, or makes a client with a key wait for more than {fuzz.WAIT} s of CPU time",
]


@pytest.mark.parametrize("figure", FIGURES)
def test_each_figure_is_that_of_the_program(figure: str) -> None:
    assert figure in " ".join(PAGE.split())
