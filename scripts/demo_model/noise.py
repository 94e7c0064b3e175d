"""Make text that the demo model does not know: what it answers then is always the same."""

from __future__ import annotations

import pydoc
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvwz"
_MODULES = "argparse asyncio collections csv email http json logging os pathlib random re shutil socket ssl string subprocess"
_SCRIPTS = ((0x20, 0x7E), (0x20, 0x7E), (0xA1, 0x17F), (0x400, 0x44F), (0x3041, 0x30FF), (0x4E00, 0x5000), (0x1F600, 0x1F640))


def word(chance: Random) -> str:
    """Return a word that nobody knows."""
    pairs = (chance.choice(_CONSONANTS) + chance.choice(_VOWELS) for _ in range(chance.randint(1, 4)))
    return "".join(pairs) + chance.choice(("", "", "n", "r", "s", "l", "t"))


def characters(chance: Random) -> str:
    """Return characters without a meaning: one again and again, or several of one script."""
    if chance.random() < 0.4:
        return chr(chance.randint(0x21, 0x7E)) * chance.choice((chance.randint(3, 40), chance.randint(3, 280)))
    first, last = chance.choice(_SCRIPTS)
    return "".join(chr(chance.randint(first, last)) for _ in range(chance.randint(1, 24)))


def sentences() -> list[str]:
    """Return sentences of ordinary English: from the help texts of Python's standard library."""
    found: set[str] = set()
    for name in _MODULES.split():
        text = " ".join(pydoc.plain(pydoc.render_doc(__import__(name))).replace("|", " ").split())
        for sentence in re.split(r"(?<=[.?!]) ", text):
            if 15 < len(sentence) < 110 and sentence[0].isupper() and sentence.isascii() and not set(sentence) & set("/_<|"):
                found.add(sentence)
    return sorted(found)
