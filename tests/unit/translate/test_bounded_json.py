"""JSON of servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ollama_openai_proxy.translate import bounded_json
from ollama_openai_proxy.translate.bounded_json import read_json, read_odd_json

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("read", [read_json, read_odd_json])
def test_a_text_with_too_many_objects_is_refused_before_it_is_read(
    read: Callable[[bytes], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_json, "MOST_CONTAINERS", 100)
    assert len(read(b"[" + b"[]," * 98 + b"{}]")) == 99
    assert len(read(b"[" + b"0," * 500 + b"0]")) == 501
    with pytest.raises(ValueError, match="too many"):
        read(b"[" + b"[]," * 99 + b"{}]")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'"\\ud83d"', "\ud83d"),
        (b'"\xff"', "\ufffd"),
        (b'"\x01"', "\x01"),
        (b"9" * 399, int("9" * 399)),
        (b"9" * 5000, float("inf")),
    ],
)
def test_odd_values_are_read(text: bytes, value: object) -> None:
    assert read_odd_json(b'{"a":' + text + b',"b":"\\ud800"}')["a"] == value


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 200_000, b"hello"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_odd_json(text)
