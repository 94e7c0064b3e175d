"""Tells which calls OpenAI's newest models take in `/v1/responses` alone: those with tools, where the model is to reason.

Seen in 2026 (https://github.com/openai/openai-openapi/issues/541, https://github.com/BerriAI/litellm/pull/34569): from gpt-5.4
on, chat completions refuse tools beside an effort; from gpt-5.6 on, which reasons by default, also tools without an effort.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODEL = re.compile(r"\bgpt-(\d{1,3})(?:\.(\d{1,3}))?(?![\d.])", re.IGNORECASE)
_REFUSES_EFFORT = (5, 4)
_REASONS_BY_DEFAULT = (5, 6)


def reasons_beside_tools(chat: Mapping[str, Any]) -> bool:
    """Whether a chat completion asks one of these models to reason beside tools.

    Args:
        chat: its parameters.
    """
    found = _MODEL.search(str(chat.get("model")))
    if found is None or not (chat.get("tools") or chat.get("functions")):
        return False
    version = (int(found[1]), int(found[2] or 0))
    effort = chat.get("reasoning_effort")
    return version >= (_REASONS_BY_DEFAULT if effort is None else _REFUSES_EFFORT) and effort != "none"
