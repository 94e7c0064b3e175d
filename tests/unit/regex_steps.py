"""Counts the steps that a backtracking matcher takes for a pattern: a number that no machine's speed changes.

`Matcher` interprets the tree that Python's own `re` parses a pattern to, and tries the alternatives in the same order as `re`.
`attacks` makes texts from the pattern itself on which a repetition has the most ways to fail.
"""

import re
import sys
from collections.abc import Callable, Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

Node = tuple[Any, Any]
Next = Callable[[int], bool]

sys.setrecursionlimit(200_000)


class TooManySteps(Exception):
    pass


class Matcher:
    """A pattern, searched for in a text; `steps` counts what was compared."""

    def __init__(self, pattern: str | bytes, flags: int, most: int = 500_000) -> None:
        self._tree: Any = parser.parse(pattern, flags)
        self._ignore_case = bool(flags & re.IGNORECASE)
        self._dot_all = bool(flags & re.DOTALL)
        self._multiline = bool(flags & re.MULTILINE)
        self._most = most
        self._ones: dict[tuple[int, str], bool] = {}  # what `_is_one` has found, by the node's identity
        self.steps = 0

    def count(self, text: str, *, anchored: bool) -> int:
        """The steps for all matches in a text, or for one at its beginning."""
        self.steps = 0
        self._text = text.lower() if self._ignore_case else text
        self._groups: dict[int, tuple[int, int]] = {}
        start = 0
        while start <= len(text):
            end = -1

            def matched(position: int) -> bool:
                nonlocal end
                end = position
                return True

            found = self._sequence(self._tree.data, 0, start, matched)
            if anchored:
                break
            start = max(end, start + 1) if found else start + 1
        return self.steps

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._most:
            raise TooManySteps

    def _sequence(self, nodes: list[Node], number: int, position: int, then: Next) -> bool:
        if number == len(nodes):
            return then(position)
        return self._node(nodes[number], position, lambda after: self._sequence(nodes, number + 1, after, then))

    def _node(self, node: Node, position: int, then: Next) -> bool:
        self._step()
        kind, value = node
        text = self._text
        if kind in (codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN):
            return position < len(text) and self._is_one(node, text[position]) and then(position + 1)
        if kind is codes.BRANCH:
            return any(self._sequence(branch.data, 0, position, then) for branch in value[1])
        if kind is codes.SUBPATTERN:
            group, inner = value[0], value[3].data

            def close(after: int) -> bool:
                if group is not None:
                    self._groups[group] = (position, after)
                return then(after)

            return self._sequence(inner, 0, position, close)
        if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            least, most, body = value
            return self._repeat(kind, least, most, body, position, then)
        if kind in (codes.ASSERT, codes.ASSERT_NOT):
            return self._look(kind, value, position) and then(position)
        if kind is codes.AT:
            return self._at(value, position) and then(position)
        if kind is codes.GROUPREF:
            begin, end = self._groups.get(value, (0, 0))
            part = text[begin:end]
            return text.startswith(part, position) and then(position + len(part))
        if kind is codes.ATOMIC_GROUP:
            after = self._end_of(value.data, position)
            return after is not None and then(after)
        raise NotImplementedError(kind)

    def _end_of(self, nodes: list[Node], position: int) -> int | None:
        """Where the first match of some nodes ends."""
        end: int | None = None

        def matched(after: int) -> bool:
            nonlocal end
            end = after
            return True

        self._sequence(nodes, 0, position, matched)
        return end

    def _repeat(self, kind: Any, least: int, most: int, body: Any, position: int, then: Next) -> bool:
        nodes = body.data
        single = (
            nodes[0] if len(nodes) == 1 and nodes[0][0] in (codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN) else None
        )
        if single is not None:
            return self._repeat_one(kind, least, most, single, position, then)

        def more(count: int, at: int, last: int) -> bool:
            if count >= most or (count > least and at == last):
                return False
            return self._sequence(nodes, 0, at, lambda after: go(count + 1, after, at))

        def go(count: int, at: int, last: int) -> bool:
            self._step()
            if count < least:
                return more(count, at, last)
            if kind is codes.MIN_REPEAT:
                return then(at) or more(count, at, last)
            return more(count, at, last) or then(at)

        return go(0, position, -1)

    def _repeat_one(self, kind: Any, least: int, most: int, node: Node, position: int, then: Next) -> bool:
        text = self._text
        end = position
        if kind is codes.MIN_REPEAT:
            while True:
                if end - position >= least and then(end):
                    return True
                self._step()
                if end - position >= most or end >= len(text) or not self._is_one(node, text[end]):
                    return False
                end += 1
        while end < len(text) and end - position < most and self._is_one(node, text[end]):
            self._step()
            end += 1
        if end - position < least:
            return False
        if kind is codes.POSSESSIVE_REPEAT:
            return then(end)
        while end - position >= least:
            self._step()
            if then(end):
                return True
            end -= 1
        return False

    def _look(self, kind: Any, value: Any, position: int) -> bool:
        direction, nodes = value[0], value[1].data
        if direction > 0:
            found = self._sequence(nodes, 0, position, lambda _: True)
        else:
            low, high = value[1].getwidth()
            found = any(
                position >= width and self._sequence(nodes, 0, position - width, lambda after: after == position)
                for width in range(low, min(high, position) + 1)
            )
        return found is (kind is codes.ASSERT)

    def _at(self, where: Any, position: int) -> bool:
        text = self._text
        if where in (codes.AT_BEGINNING, codes.AT_BEGINNING_STRING):
            return position == 0 or (self._multiline and where is codes.AT_BEGINNING and text[position - 1] == "\n")
        if where in (codes.AT_END, codes.AT_END_STRING):
            return position == len(text) or (
                where is codes.AT_END and (self._multiline or position == len(text) - 1) and text[position] == "\n"
            )
        before = position > 0 and _is_word(text[position - 1])
        after = position < len(text) and _is_word(text[position])
        return (before != after) is (where is codes.AT_BOUNDARY)

    def _is_one(self, node: Node, character: str) -> bool:
        known = self._ones.get((id(node), character))
        if known is None:
            known = self._ones[id(node), character] = self._matches(node, character)
        return known

    def _matches(self, node: Node, character: str) -> bool:
        kind, value = node
        if kind is codes.LITERAL:
            return character in self._cases(value)
        if kind is codes.NOT_LITERAL:
            return character not in self._cases(value)
        if kind is codes.ANY:
            return self._dot_all or character != "\n"
        negated = value[0][0] is codes.NEGATE
        return any(self._is_in(item, character) for item in value if item[0] is not codes.NEGATE) is not negated

    def _is_in(self, item: Node, character: str) -> bool:
        kind, value = item
        if kind is codes.LITERAL:
            return character in self._cases(value)
        if kind is codes.RANGE:
            both = (character, character.upper()) if self._ignore_case else (character,)
            return any(value[0] <= ord(one) <= value[1] for one in both)
        return _in_category(value, character)

    def _cases(self, code: int) -> str:
        return chr(code).lower() + chr(code) if self._ignore_case else chr(code)


def attacks(pattern: str | bytes, flags: int) -> Iterator[tuple[str, str, str]]:
    """Triples of a beginning, a part to be repeated, and an end that does not match, for each repetition of a pattern."""
    tree = parser.parse(pattern, flags)
    seen: set[tuple[str, str]] = set()
    for before, part in _repetitions(list(tree), ""):
        for whole in ((before, part), ("", before + part)):
            if whole[1] and whole not in seen:
                seen.add(whole)
                yield *whole, "\x00"


def reach(pattern: str | bytes, flags: int) -> int:
    """How many characters the bounded repetitions of a pattern may take together."""
    return _reach(list(parser.parse(pattern, flags)))


def _reach(nodes: list[Node]) -> int:
    total = 0
    for kind, value in nodes:
        if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            total += _reach(list(value[2])) + (0 if value[1] is codes.MAXREPEAT else value[1])
        elif kind is codes.SUBPATTERN:
            total += _reach(list(value[3]))
        elif kind is codes.BRANCH:
            total += max(_reach(list(branch)) for branch in value[1])
    return total


def _repetitions(nodes: list[Node], before: str) -> Iterator[tuple[str, str]]:
    for kind, value in nodes:
        if kind in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT) and value[1] > 9:
            inner = list(value[2])
            for sample in _samples(inner):
                yield before, sample
            yield from _repetitions(inner, before)
        elif kind is codes.SUBPATTERN:
            yield from _repetitions(list(value[3]), before)
        elif kind is codes.BRANCH:
            for branch in value[1]:
                yield from _repetitions(list(branch), before)
        elif kind is codes.ATOMIC_GROUP:
            yield from _repetitions(list(value), before)
        before += _sample([(kind, value)])
    yield "", before


def _samples(nodes: list[Node]) -> set[str]:
    """Texts of which each matches the nodes, one for each of the first few characters of a set."""
    if len(nodes) == 1 and nodes[0][0] is codes.IN:
        return {character for character in "a 0" if Matcher("", 0)._is_one(nodes[0], character)} or {_sample(nodes)}
    if len(nodes) == 1 and nodes[0][0] is codes.BRANCH:
        return {_sample(list(branch)) for branch in nodes[0][1][1]}
    return {_sample(nodes)}


def _sample(nodes: list[Node]) -> str:
    """A short text that matches the nodes, except for assertions."""
    text = ""
    for kind, value in nodes:
        if kind is codes.LITERAL:
            text += chr(value)
        elif kind in (codes.NOT_LITERAL, codes.ANY, codes.IN):
            text += next((c for c in "a0 x.,-'\"{[(:=\n\r\\/<>_|;!?" if Matcher("", 0)._is_one((kind, value), c)), "a")
        elif kind is codes.BRANCH:
            text += _sample(list(value[1][0]))
        elif kind is codes.SUBPATTERN:
            text += _sample(list(value[3]))
        elif kind in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            text += _sample(list(value[2])) * max(min(value[0], 3), 1)
        elif kind is codes.ATOMIC_GROUP:
            text += _sample(list(value))
    return text


def _in_category(category: Any, character: str) -> bool:
    match category:
        case codes.CATEGORY_DIGIT:
            return character.isdigit()
        case codes.CATEGORY_NOT_DIGIT:
            return not character.isdigit()
        case codes.CATEGORY_SPACE:
            return character.isspace()
        case codes.CATEGORY_NOT_SPACE:
            return not character.isspace()
        case codes.CATEGORY_WORD:
            return _is_word(character)
        case codes.CATEGORY_NOT_WORD:
            return not _is_word(character)
    raise NotImplementedError(category)


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
