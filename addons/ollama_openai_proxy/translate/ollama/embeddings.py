"""Embeddings: what a client may put in, and vectors as the two endpoints want them."""

from __future__ import annotations

import base64
import math
import sys
from array import array
from typing import TYPE_CHECKING, Any

from ...errors import BackendError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

type Vector = list[float]

CHARACTERS_PER_TOKEN = 3
"""Fewer than in English prose, so that an estimate is rather too high than too low."""


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


def sendable(texts: Sequence[str]) -> list[str]:
    """The texts with a space for each empty one, which servers refuse. A tokenizer makes nothing of either."""
    return [text or " " for text in texts]


def batches(texts: Sequence[str], most_inputs: int, most_tokens: int | None = None) -> list[Sequence[str]]:
    """The texts in groups for one call each, in order.

    Args:
        texts: all texts.
        most_inputs: texts in one group.
        most_tokens: tokens in one group, which are estimated; None is any number. A text that has more is a group of its own.
    """
    groups: list[Sequence[str]] = []
    begin = tokens = 0
    for number, text in enumerate(texts):
        size = len(text) // CHARACTERS_PER_TOKEN + 1
        full = most_tokens is not None and tokens + size > most_tokens
        if number > begin and (number - begin >= most_inputs or full):
            groups.append(texts[begin:number])
            begin, tokens = number, 0
        tokens += size
    return [*groups, texts[begin:]]


def vectors(reply: Mapping[str, Any], count: int) -> list[Vector]:
    """The vectors of a back end's reply in the order of the inputs.

    Raises:
        BackendError: there are not as many as inputs, or one is no vector.
    """
    data = reply.get("data") or []
    if len(data) != count:
        raise BackendError(500, f"the back end sent {len(data)} embeddings for {count} inputs")
    try:
        return [_vector(entry["embedding"]) for entry in sorted(data, key=lambda entry: entry.get("index") or 0)]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BackendError(500, "the back end sent an embedding that is no list of numbers") from None


def is_without_vectors(reply: Mapping[str, Any]) -> bool:
    """Whether a reply has no entries, or no numbers in them: so some servers answer a call for base64."""
    data = reply.get("data", ...)
    return data is None or (
        isinstance(data, list) and all(isinstance(entry, dict) and not entry.get("embedding") for entry in data)
    )


def prompt_tokens(reply: Mapping[str, Any]) -> int:
    """The tokens of a call as the back end counted them; 0 where it did not."""
    usage = reply.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) and count > 0 else 0


def normalised_json(vector: Vector, dimensions: int = 0) -> str:
    """The JSON of a vector at length 1, first cut to `dimensions` where it is longer.

    Nine digits tell 32-bit floats apart; the 17 digits of a 64-bit float would double the size of the reply. One format for all
    numbers costs a third of making each of them a text by itself.
    """
    cut = vector[:dimensions] if 0 < dimensions < len(vector) else vector
    length = math.sqrt(math.sumprod(cut, cut)) or 1.0
    return "[" + ",".join(["%.9g"] * len(cut)) % tuple([x / length for x in cut]) + "]"


def _vector(embedding: Any) -> Vector:
    if isinstance(embedding, str):
        singles = array("f", base64.b64decode(embedding, validate=True))
        if sys.byteorder == "big":
            singles.byteswap()
        vector = singles.tolist()
    else:
        # A server that does not pool has a vector for each token. Of a model that does not pool, Ollama takes the last one.
        by_token = bool(embedding) and all(isinstance(each, list) for each in embedding)
        vector = [float(x) for x in (embedding[-1] if by_token else embedding)]
    # A sum of numbers of which one is infinite, or none at all, is not finite either.
    if not math.isfinite(sum(vector)):
        raise ValueError("not a number")
    return vector
