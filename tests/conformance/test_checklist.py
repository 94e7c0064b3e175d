"""The checklist names a test, or a reason, for every case; and every test that it names exists."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHECKLIST = Path(__file__).with_name("checklist.toml")
CASES: list[dict[str, Any]] = tomllib.loads(CHECKLIST.read_text("utf-8"))["case"]
MOST = 100


@cache
def defined_in(file: str) -> frozenset[str]:
    """The tests that a file defines."""
    module = ast.parse((ROOT / file).read_text("utf-8"))
    functions = (node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def test_every_case_is_there_once_and_in_order() -> None:
    assert [case["number"] for case in CASES] == list(range(1, MOST + 1))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['number']} {case['name']}")
def test_a_case_has_tests_that_exist_or_a_reason(case: dict[str, Any]) -> None:
    assert set(case) <= {"number", "name", "tests", "reason", "note"}
    assert case["name"]
    assert bool(case.get("tests")) != bool(case.get("reason"))
    for test in case.get("tests", []):
        file, _, name = test.partition("::")
        assert Path(file).name.startswith("test_"), f"pytest does not collect {file}"
        assert name in defined_in(file), test
    for sentence in (case.get("reason"), case.get("note")):
        assert sentence is None or sentence.endswith(".")


def test_a_test_is_named_once_by_a_case() -> None:
    assert [case["number"] for case in CASES if len(case.get("tests", [])) != len(set(case.get("tests", [])))] == []


def test_every_test_of_the_checklists_own_file_is_named() -> None:
    own = "tests/live/test_checklist.py"
    named = {test for case in CASES for test in case.get("tests", [])}
    assert {f"{own}::{name}" for name in defined_in(own)} <= named
