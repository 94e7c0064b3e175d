"""Invent words, names and spellings, so that the demo model learns to copy them instead of learning them by heart."""

from __future__ import annotations

import pydoc
import random
import re
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvwz"
_MODULES = "argparse asyncio collections csv email http json logging os pathlib random re shutil socket ssl string subprocess"


class Invention:
    """An endless supply of words; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.corpus: dict[str, Any] = tomllib.loads((FOLDER / "corpus.toml").read_text("utf-8"))
        self._noise = _sentences()

    def happens(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.chance.random() < probability

    def template(self, kind: str) -> str:
        """Return one of the corpus's templates of a kind."""
        found: str = self.chance.choice(self.corpus["templates"][kind])
        return found

    def word(self) -> str:
        """Return a word that nobody knows."""
        chance = self.chance
        pairs = (chance.choice(_CONSONANTS) + chance.choice(_VOWELS) for _ in range(chance.randint(1, 4)))
        return "".join(pairs) + chance.choice(("", "", "n", "r", "s", "l", "t"))

    def city(self) -> str:
        """Return the name of a city, known or not."""
        if self.happens(0.5):
            city: str = self.chance.choice(self.corpus["cities"]["names"])
        else:
            city = " ".join(self.word().capitalize() for _ in range(1 + self.happens(0.2)))
        return city.lower() if self.happens(0.08) else city

    def person(self) -> str:
        """Return the name of a person, known or not."""
        name: str = self.chance.choice(self.corpus["words"]["names"])
        return name if self.happens(0.4) else self.word().capitalize()

    def phrase(self) -> str:
        """Return a few words to repeat."""
        chance = self.chance
        known = self.corpus["words"]["said"]
        words = [
            chance.choice(known) if self.happens(0.4) else self.word() for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4)))
        ]
        phrase = " ".join(words)
        if self.happens(0.1):
            phrase = self.noise(1)[:40].strip(" .?!\"'")
        if self.happens(0.1):
            phrase += f" {chance.randint(0, 999)}"
        return {0: phrase.upper(), 1: phrase.capitalize(), 2: phrase.title()}.get(chance.randrange(8), phrase)

    def number(self, value: int) -> str:
        """Return a number, in digits or, up to twenty, as a word."""
        words = self.corpus["words"]["numbers"]
        return str(words[value]) if value < len(words) and self.happens(0.35) else str(value)

    def noise(self, sentences: int) -> str:
        """Return sentences about something else."""
        return " ".join(self.chance.sample(self._noise, sentences))

    def characters(self) -> str:
        """Return characters without a meaning, of several scripts."""
        ranges = ((0x20, 0x7E), (0x20, 0x7E), (0xA1, 0x17F), (0x400, 0x44F), (0x4E00, 0x5000), (0x1F600, 0x1F640))
        if self.happens(0.2):
            return chr(self.chance.randint(0x21, 0x7E)) * self.chance.randint(3, 200)
        return "".join(chr(self.chance.randint(*self.chance.choice(ranges))) for _ in range(self.chance.randint(1, 24)))

    def system(self) -> str:
        """Return a system message."""
        return self.template("system") if self.happens(0.4) else self.noise(self.chance.randint(1, 4))[:200]

    def spelling(self, question: str, exact: str = "") -> str:
        """Write a question in another way: case, punctuation, politeness, typing errors; the part `exact` stays as it is."""
        if self.happens(0.5):
            return question
        before, _, after = question.partition(exact) if exact else (question, "", "")
        change = self.chance.random()
        if change < 0.3:
            before, after = before.lower(), after.lower()
        elif change < 0.34:
            before, after = before.upper(), after.upper()
        if self.happens(0.4):
            end = self.template("end")
            if exact:
                after = after.rstrip("?!. ") + end
            else:
                before = before.rstrip("?!. ") + end
        if self.happens(0.15):
            start = self.template("start")
            before = self.chance.choice((start, start.capitalize())) + self.chance.choice(
                (before, before[:1].lower() + before[1:])
            )
        if self.happens(0.2) and len(before) > 8:
            before = self._typing_error(before)
        return f"{before}{exact}{after}"

    def _typing_error(self, text: str) -> str:
        """Leave a letter out, double a letter, or exchange two."""
        place = self.chance.randrange(1, len(text) - 1)
        first, second = text[place], text[place + 1]
        return text[:place] + self.chance.choice((second, first * 2 + second, second + first)) + text[place + 2 :]


def _sentences() -> list[str]:
    """Return sentences of ordinary English: from the help texts of Python's standard library."""
    found: set[str] = set()
    for name in _MODULES.split():
        text = " ".join(pydoc.plain(pydoc.render_doc(__import__(name))).replace("|", " ").split())
        for sentence in re.split(r"(?<=[.?!]) ", text):
            if 15 < len(sentence) < 160 and sentence[0].isupper() and sentence.isascii() and not set(sentence) & set("/_<|"):
                found.add(sentence)
    return sorted(found)
