"""Embeddings: what a client may put in, and vectors as the two endpoints want them."""

from __future__ import annotations

import base64
import math
import struct
from typing import TYPE_CHECKING, Any

from ...errors import BackendError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping


def inputs(value: Any) -> list[str]:
    """The texts of `input`: one, several, or none.

    Raises:
        InvalidRequest: it is neither text nor a list of texts.
    """
    match value:
        case None | "":
            return []
        case str():
            return [value]
        case list() if all(isinstance(text, str) for text in value):
            return value
    raise InvalidRequest("invalid input type")


def vectors(reply: Mapping[str, Any], count: int) -> list[list[float]]:
    """The vectors of a back end's reply in the order of the inputs.

    Raises:
        BackendError: there are not as many as inputs, or one is no vector.
    """
    data = reply.get("data") or []
    if len(data) != count:
        raise BackendError(500, f"the back end sent {len(data)} embeddings for {count} inputs")
    try:
        return [_vector(entry["embedding"]) for entry in sorted(data, key=lambda entry: entry.get("index") or 0)]
    except (AttributeError, KeyError, TypeError, ValueError, struct.error):
        raise BackendError(500, "the back end sent an embedding that is no list of numbers") from None


def normalised(vector: list[float], dimensions: int = 0) -> list[float]:
    """The vector at length 1, first cut to `dimensions` where it is longer; digits as of 32-bit floats."""
    cut = vector[:dimensions] if 0 < dimensions < len(vector) else vector
    length = math.hypot(*cut) or 1.0
    return [_single(x / length) for x in cut]


def _vector(embedding: Any) -> list[float]:
    if isinstance(embedding, str):
        data = base64.b64decode(embedding, validate=True)
        vector = list(struct.unpack(f"<{len(data) // 4}f", data))
    else:
        vector = [float(x) for x in embedding]
    if not all(map(math.isfinite, vector)):
        raise ValueError("not a number")
    return vector


def _single(value: float) -> float:
    # Nine digits tell 32-bit floats apart; Ollama sends the shortest, and 17 digits would double the size.
    return float(f"{value:.9g}")
