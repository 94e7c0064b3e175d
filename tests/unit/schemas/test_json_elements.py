"""The values of a JSON text are counted as they are, without parsing the text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama_openai_proxy.schemas import json_elements
from ollama_openai_proxy.schemas.json_elements import count_elements, most_elements

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\\\[{,}]:é\n', max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('k"\\\\,[', max_size=5), inner),
    max_leaves=30,
)


def bound(value: Any) -> int:
    """What is counted: each list and object, and each comma within one."""
    items = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else None
    if items is None:
        return 0
    return 1 + max(len(items) - 1, 0) + sum(map(bound, items))


@given(VALUES, st.integers(1, 12), st.booleans())
def test_strings_hide_what_is_in_them_wherever_the_text_is_cut(value: Any, window: int, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_elements, "WINDOW", window)
        assert count_elements(text) == 1 + bound(value)
    assert count_elements(text) == 1 + bound(value) <= most_elements(text)


def test_counting_stops_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_elements, "WINDOW", 100)
    assert 1000 < count_elements(b"[" + b"0," * 100_000 + b"0]", 1000) < 1100


@pytest.mark.parametrize("text", [b"", b'"', b"\\" * 1000, b'"' + b"\\" * 1001, b'"\\', b'{"a'])
def test_what_is_no_json_is_counted_too(text: bytes) -> None:
    assert 1 <= count_elements(text) <= most_elements(text)
