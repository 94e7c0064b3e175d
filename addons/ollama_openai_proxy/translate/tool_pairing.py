"""Which tool result belongs to which tool call, over all the calls of a conversation that are still open.

The contract: a conversation is a list of sections. A section has the calls that the model made at once, and the results that
came before its next ones. Frameworks send such calls in one message or in one message each; results carry ids, names, or
neither. Evidence goes from the strongest to the weakest, each kind over the whole conversation before the next: the call's id;
its name; a name that is the id or the other way round (LlamaIndex); the order. A result never belongs to a call made after it.

Of several calls that fit, a result takes one of the latest section, and there the first: an older call is one that the user
broke off. Only where a section has more results than the latest calls, the first of them belong to the calls before.

The time is linear in the number of calls and results.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(slots=True, eq=False)
class Made:
    """A call that a model made; either may be empty."""

    id: str = ""
    name: str = ""


@dataclass(slots=True, eq=False)
class Given:
    """A result that a client gave; either may be empty."""

    call_id: str = ""
    name: str = ""


@dataclass(slots=True)
class Section:
    """Calls that were made at once, and the results that came before the next ones."""

    calls: list[Made] = field(default_factory=list)
    results: list[Given] = field(default_factory=list)


def pair_results(sections: Sequence[Section], *, by_id_only: bool = False) -> dict[Made, Given]:
    """Find the result of each call that has one.

    Args:
        sections: the conversation.
        by_id_only: whether a result must name the id of its call, as in APIs where clients have to.
    """
    if not any(section.results for section in sections):
        return {}
    pairs = _Pairs(sections)
    pairs.match(lambda call: call.id, lambda result: result.call_id)
    if not by_id_only:
        pairs.match(lambda call: call.name, lambda result: result.name)
        pairs.match(lambda call: call.id, lambda result: result.name)
        pairs.match(lambda call: call.name, lambda result: result.call_id)
        # An id or a name that no call has: the result still answers what was just called, but nothing older.
        pairs.match(lambda _: "any", lambda result: "" if result.call_id or result.name else "any")
        pairs.match_in_order()
    return pairs.found


class _Pairs:
    def __init__(self, sections: Sequence[Section]) -> None:
        self.found: dict[Made, Given] = {}
        self._sections = sections
        self._used: set[Given] = set()

    def match(self, call_key: Callable[[Made], str], result_key: Callable[[Given], str]) -> None:
        """Pair what is open and has one key; a key that is "" is none."""
        # For each key the open calls of each section that has any, the latest at the end.
        open_calls: defaultdict[str, list[deque[Made]]] = defaultdict(list)
        for section in self._sections:
            for key, calls in _by_key(self._open(section), call_key).items():
                open_calls[key].append(deque(calls))
            for key, results in _by_key(self._left(section), result_key).items():
                self._add(_take(open_calls[key], len(results)), results)

    def match_in_order(self) -> None:
        """Pair what is open within each section."""
        for section in self._sections:
            self._add(self._open(section), self._left(section))

    def _open(self, section: Section) -> list[Made]:
        return [call for call in section.calls if call not in self.found]

    def _left(self, section: Section) -> list[Given]:
        return [result for result in section.results if result not in self._used]

    def _add(self, calls: Sequence[Made], results: Sequence[Given]) -> None:
        for call, result in zip(calls, results, strict=False):
            self.found[call] = result
            self._used.add(result)


def _by_key[T](items: Sequence[T], key_of: Callable[[T], str]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for item in items:
        if key := key_of(item):
            groups.setdefault(key, []).append(item)
    return groups


def _take(stack: list[deque[Made]], count: int) -> list[Made]:
    """Take up to `count` calls, of the latest sections that have as many, in the order in which they were made."""
    first, there = len(stack), 0
    while first and there < count:
        first -= 1
        there += len(stack[first])
    if first == len(stack):
        return []
    oldest, later = stack[first], stack[first + 1 :]
    of_oldest = min(count - sum(map(len, later)), len(oldest))
    taken = [oldest.popleft() for _ in range(of_oldest)]
    for calls in later:
        taken += calls
    del stack[first + (1 if oldest else 0) :]
    return taken
