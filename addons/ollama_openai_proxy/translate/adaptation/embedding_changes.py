"""Changes of calls of embeddings: how many texts, how long, and what stands for a blank one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from .changes import Call, Change, Kind

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(frozen=True, slots=True)
class LimitInputs(Change):
    """Says how many texts one embeddings call may have; `embedding_batches` splits the call.

    Attributes:
        inputs: texts of a call; None is any number.
        tokens: tokens of all texts of a call together; None is any number.
    """

    kind: ClassVar[Kind] = "split"
    inputs: int | None = None
    tokens: int | None = None

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "inputs"

    def apply(self, call: Call) -> Call:
        """Leave the call as it is: one call cannot become several here."""
        return call

    def describe(self) -> str:
        """Say what the limits are."""
        limits = [f"{self.inputs} texts"] * (self.inputs is not None) + [f"{self.tokens} tokens"] * (self.tokens is not None)
        return f"an embeddings call has at most {' and '.join(limits)}"

    def merged(self, newer: Self) -> Self:
        """The lower limits."""
        return replace(newer, inputs=_lower(self.inputs, newer.inputs), tokens=_lower(self.tokens, newer.tokens))


@dataclass(frozen=True, slots=True)
class CutInputs(Change):
    """Cuts each text of an embeddings call to the model's context.

    Attributes:
        characters: how many characters of a text are sent.
    """

    kind: ClassVar[Kind] = "lower"
    characters: int

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "cut inputs"

    def apply(self, call: Call) -> Call:
        """Cut the texts that are too long."""
        texts = call.parameters.get("input")
        return call.with_parameters(input=[text[: self.characters] for text in texts]) if isinstance(texts, list) else call

    def describe(self) -> str:
        """Say where texts are cut."""
        return f"texts to embed are cut to {self.characters} characters"

    def merged(self, newer: Self) -> Self:
        """The shorter one."""
        return min(self, newer, key=lambda change: change.characters)


@dataclass(frozen=True, slots=True)
class FillBlankInputs(Change):
    """Replaces blank texts of an embeddings call, which the server refuses, by a full stop."""

    kind: ClassVar[Kind] = "add"

    @property
    def key(self) -> Hashable:
        """There is one such change."""
        return "blank inputs"

    def apply(self, call: Call) -> Call:
        """Replace the blank texts."""
        texts = call.parameters.get("input")
        return (
            call.with_parameters(input=[text if text.strip() else "." for text in texts]) if isinstance(texts, list) else call
        )

    def describe(self) -> str:
        """Say what stands for a blank text."""
        return "a full stop stands for a blank text to embed"


def _lower(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)
