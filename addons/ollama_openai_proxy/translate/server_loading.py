"""Tells a server that is still loading its model from a server that refuses.

A server that loads says so, in its own words; an overloaded or broken one uses the same statuses without these words.
"""

from __future__ import annotations

import re

TOO_EARLY = 425
_STATUSES = frozenset({429, 500, 502, 503, 504})
_LOADING = re.compile(
    # llama.cpp: "Loading model"; Hugging Face: "Model x is currently loading"; vLLM behind gateways: "model is not ready".
    r"\bloading\b[^.\n]{0,40}\bmodels?\b|\bmodels?\b[^.\n]{0,120}\b(?:is|are|still|being|currently) (?:\w+ )?load(?:ing|ed)\b"
    r"|\b(?:still|currently) (?:loading|starting|initiali[sz]ing|warming)"
    r"|\bcold[\s_-]?start|\bwarm(?:ing|s)?[\s_-]?up\b|\b(?:scal|spinn?|boot|start)ing[\s_-]up\b|\bscaling from zero\b"
    r"|\b(?:is|are) (?:starting|booting|initiali[sz]ing|loading|warming)\b"
    r"|^\W{0,9}(?:starting|loading|booting|initiali[sz]ing)\b\W{0,9}$"
    r"|\b(?:model|server|service|engine|worker|replica|instance|container|pod|deployment|endpoint)s?\b[^.\n]{0,60}"
    r"\b(?:not (?:yet )?(?:ready|loaded|started|initiali[sz]ed)|not (?:ready|loaded) yet)\b",
    re.IGNORECASE,
)


def says_loading(status: int, text: str) -> bool:
    """Whether an error says that the server will answer when it has loaded.

    Args:
        status: of the reply.
        text: of the error.
    """
    return status == TOO_EARLY or (status in _STATUSES and _LOADING.search(text) is not None)
