"""The tokens that the end of an answer tells of, where nobody has counted them on the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..net.request_context import Record

_TAIL = 4096
_COUNTS = re.compile(
    rb'"(prompt_eval_count|eval_count|prompt_tokens|completion_tokens|input_tokens|output_tokens)"\s*:\s*(\d{1,12})'
)
_PROMPT = frozenset({b"prompt_eval_count", b"prompt_tokens", b"input_tokens"})


def read_counts(record: Record, end: bytes) -> None:
    """Note the counts that the last bytes of a body hold: in Ollama's last frame, or in the usage of the other APIs."""
    if record.prompt_tokens is not None or record.completion_tokens is not None:
        return
    for name, number in _COUNTS.findall(end[-_TAIL:]):
        # Quotes within texts are escaped, so these are keys.
        if name in _PROMPT:
            record.prompt_tokens = int(number)
        else:
            record.completion_tokens = int(number)
