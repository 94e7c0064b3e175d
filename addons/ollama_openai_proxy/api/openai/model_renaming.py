"""Puts the client's name for a model in the place of the back end's, in the answers to OpenAI calls."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def make_renaming(target: str, name: str) -> Callable[[bytes], bytes] | None:
    """A function that puts `name` for `target` wherever JSON or whole lines of a stream say which model answered.

    Returns None if both names are the same.
    """
    if target == name:
        return None
    # The quotes of a text in a text are escaped, so this matches the key alone.
    spelled = {json.dumps(target), json.dumps(target, ensure_ascii=False)}
    alternatives = "|".join(re.escape(text) for text in sorted(spelled))
    pattern = re.compile(rf'("model"\s*:\s*)(?:{alternatives})'.encode())
    replacement = json.dumps(name).encode()
    return lambda data: pattern.sub(lambda found: found[1] + replacement, data)
