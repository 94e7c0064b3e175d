"""The chunks of llama.cpp's `/infill`."""

from __future__ import annotations

from typing import Any

import pytest
from ollama_openai_proxy.translate.reader.infill_chunks import infill_choice


@pytest.mark.parametrize(
    ("chunk", "choice"),
    [
        ({"content": "a", "stop": False}, {"index": 0, "text": "a"}),
        ({"content": "", "stop": True, "stop_type": "eos"}, {"index": 0, "text": "", "finish_reason": "stop"}),
        ({"content": "", "stop": True, "stop_type": "limit"}, {"index": 0, "text": "", "finish_reason": "length"}),
        ({"content": "", "stop": True, "stopped_limit": True}, {"index": 0, "text": "", "finish_reason": "length"}),
        ({"content": [], "stop": True}, None),
        ({"content": "a", "stop": ["b"]}, None),
        ({"content": "an error"}, None),
    ],
)
def test_a_chunk_is_read_as_a_choice(chunk: dict[str, Any], choice: dict[str, Any] | None) -> None:
    assert infill_choice(chunk) == choice
