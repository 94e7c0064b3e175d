"""Learn a small byte-level BPE vocabulary, and encode text as llama.cpp does with the pre-tokenizer "qwen2"."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

END_OF_TEXT = "<|endoftext|>"
END_OF_TURN = "<|im_end|>"
CONTROL = (END_OF_TEXT, "<|im_start|>", END_OF_TURN)
"""Tokens that llama.cpp takes from a template only, and never shows."""

MARKERS = (
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tools>",
    "</tools>",
    "<tool_response>",
    "</tool_response>",
)
"""Tokens that are text for llama.cpp, each always one token."""

_LETTER = r"[^\W\d_]"
_PRETOKEN = re.compile(
    r"'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
    rf"|(?:[^\w\r\n]|_)?{_LETTER}+|\d| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPECIAL = re.compile("(" + "|".join(re.escape(each) for each in CONTROL + MARKERS) + ")")
_UNIT = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|(?:(?![_ ])[^\w\s])+|\n+")
"""What may become one token: a word without its space or underscore, so that a copied name is always made of equal tokens."""


def _byte_alphabet() -> dict[int, str]:
    """Map each byte to the printable character that stands for the byte in GPT-2's vocabularies."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {byte: chr(byte) for byte in printable}
    for offset, byte in enumerate(byte for byte in range(256) if byte not in alphabet):
        alphabet[byte] = chr(0x100 + offset)
    return alphabet


_ALPHABET = _byte_alphabet()
_SPACE = _ALPHABET[0x20]


def _spell(text: str) -> tuple[str, ...]:
    return tuple(_ALPHABET[byte] for byte in text.encode())


def _merge(symbols: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    index = 0
    while index < len(symbols):
        if symbols[index : index + 2] == pair:
            merged.append(pair[0] + pair[1])
            index += 2
        else:
            merged.append(symbols[index])
            index += 1
    return tuple(merged)


class Vocabulary:
    """Tokens, their ids, and the merges that make tokens of bytes.

    Args:
        merges: pairs of tokens, the pair that is merged first at the front.
    """

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.merges = merges
        self.tokens = [*_ALPHABET.values(), *(first + second for first, second in merges), *MARKERS, *CONTROL]
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Return the ids of the tokens of a text; names of control tokens and markers in the text become those tokens."""
        ids: list[int] = []
        for part in _SPECIAL.split(text):
            if part in self.ids and len(part) > 1 and part[0] == "<" and _SPECIAL.fullmatch(part):
                ids.append(self.ids[part])
            else:
                for pretoken in _PRETOKEN.findall(part):
                    ids += self._encode_pretoken(pretoken)
        return ids

    def _encode_pretoken(self, text: str) -> list[int]:
        known = self._known.get(text)
        if known is None:
            symbols = _spell(text)
            while True:
                pairs = [pair for pair in pairwise(symbols) if pair in self._ranks]
                if not pairs:
                    break
                symbols = _merge(symbols, min(pairs, key=self._ranks.__getitem__))
            known = self._known[text] = [self.ids[symbol] for symbol in symbols]
        return known


def learn(texts: Iterable[str], *, words: int, spaced: int) -> Vocabulary:
    """Learn a vocabulary from texts.

    First `words` merges are learned within words and within runs of punctuation; then the `spaced` most frequent whole
    words get a token with a space before the word.
    """
    units: Counter[str] = Counter()
    after_space: Counter[str] = Counter()
    for text in texts:
        for part in _SPECIAL.split(text):
            if _SPECIAL.fullmatch(part):
                continue
            units.update(_UNIT.findall(part))
            after_space.update(re.findall(r"(?<= )(?:[a-z]+|[^\w\s])(?![A-Za-z])", part))
    spelled = {_spell(unit): count for unit, count in units.items() if len(unit) > 1 and count > 3}
    merges: list[tuple[str, str]] = []
    while len(merges) < words:
        pairs: Counter[tuple[str, str]] = Counter()
        for symbols, count in spelled.items():
            for pair in pairwise(symbols):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        regrouped: Counter[tuple[str, ...]] = Counter()
        for symbols, count in spelled.items():
            regrouped[_merge(symbols, best)] += count
        spelled = dict(regrouped)
    single = {first + second for first, second in merges} | set(_ALPHABET.values())
    for word, _ in after_space.most_common():
        token = "".join(_spell(word))
        if token in single and spaced > 0:
            merges.append((_SPACE, token))
            spaced -= 1
    return Vocabulary(merges)
