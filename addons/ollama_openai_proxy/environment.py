"""Looks through the environment and the file `.env` for settings that were meant, and would be ignored silently.

A key under a misspelt name leaves the proxy open to everybody, as does a file in an encoding that is not read.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from dotenv import dotenv_values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

_UTF_16_OR_32 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_SLIPS_IN_FILE = 2
_SLIPS_IN_ENVIRONMENT = 1
"""Fewer than in the file, since most variables of the environment are for other programs."""


def find_mistake(file: Path, environment: Mapping[str, str], known: Collection[str]) -> str | None:
    """What is wrong with the names of settings or with the file, as a sentence that says what to do; None if nothing is.

    Args:
        file: the file `.env`, which may be missing.
        environment: the environment variables.
        known: the names of all settings, in upper case.
    """
    if file.is_file():
        data = file.read_bytes()
        if data.startswith(_UTF_16_OR_32) or b"\0" in data:
            return f"{file} is not in UTF-8 but in UTF-16, as some editors of Windows write files: save the file as UTF-8."
        try:
            data.decode()
        except UnicodeDecodeError:
            return f"{file} is not in UTF-8: save the file in that encoding."
        named = [name for name, value in dotenv_values(file, interpolate=False, encoding="utf-8-sig").items() if value]
        if pair := _misspelt(named, known, _SLIPS_IN_FILE):
            return f"{pair[0]} in {file} is no setting: write {pair[1]}, or take the line out."
    if pair := _misspelt((name for name, value in environment.items() if value), known, _SLIPS_IN_ENVIRONMENT):
        return f"{pair[0]} is no setting of this proxy: set {pair[1]} instead, or unset it."
    return None


def _misspelt(names: Iterable[str], known: Collection[str], slips: int) -> tuple[str, str] | None:
    """The first name that is no setting but nearly one, and that setting."""
    for name in names:
        upper = name.upper()
        if upper not in known:
            for setting in known:
                if _plain(upper) == _plain(setting) or _differ_by(upper, setting, slips):
                    return name, setting
    return None


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """Return the one of the known names that was probably meant by a name that is misspelt; None if none resembles the name."""
    for slips in range(_SLIPS_IN_FILE + 1):
        for each in known:
            if _plain(name.lower()) == _plain(each.lower()) or _differ_by(name.lower(), each.lower(), slips):
                return each
    return None


def _plain(name: str) -> str:
    return "".join(character for character in name if character.isalnum())


def _differ_by(one: str, other: str, most: int) -> bool:
    """Whether two names differ by so many letters at most that are missing, added or replaced (Levenshtein distance)."""
    if abs(len(one) - len(other)) > most:
        return False
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        last, row = row, [number]
        for position, wanted in enumerate(other, 1):
            row.append(min(last[position] + 1, row[-1] + 1, last[position - 1] + (letter != wanted)))
        if min(row) > most:
            return False
    return row[-1] <= most
