"""What stands in the Markdown pages of the repository: links, anchors, blocks of code, commands."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
)

_FENCE = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^ *```[ \t]*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code."""

    page: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page.

    Attributes:
        page: the page, from the root of the repository.
        line: as it stands there, with lines that continue it joined.
        settings: the variables before it.
        words: the program and its arguments, up to `|`, `&` or a redirection.
    """

    page: str
    line: str
    settings: dict[str, str]
    words: list[str]

    @property
    def program(self) -> str:
        """Without the folder of an environment."""
        return self.words[0].removeprefix(".venv/bin/") if self.words else ""


def name_of(page: Path) -> str:
    """A page's path from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


@cache
def text_of(page: Path) -> str:
    """The page."""
    return page.read_text("utf-8")


def blocks(page: Path) -> list[Block]:
    """Its blocks of code, without their indentation."""
    found = []
    for indent, language, text in _FENCE.findall(text_of(page)):
        lines = [line.removeprefix(indent) for line in text.splitlines(keepends=True)]
        found.append(Block(name_of(page), language, "".join(lines)))
    return found


def links(page: Path) -> list[str]:
    """The targets of its links and pictures."""
    prose = re.sub(r"`[^`\n]+`", "", _FENCE.sub("", text_of(page)))
    return _LINK.findall(prose)


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of its headings, as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    for line in _FENCE.sub("", text_of(page)).splitlines():
        if not re.match(r"#{1,6} ", line):
            continue
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip())
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return frozenset(names)


def commands(page: Path) -> Iterator[Command]:
    """The commands of its `console` blocks, and those of its `sh` blocks."""
    for block in blocks(page):
        text = block.text.replace("\\\n", " ")
        if block.language == "console":
            lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        elif block.language in ("sh", "shell", "bash"):
            lines = [line for line in text.splitlines() if line.strip()]
        else:
            continue
        for line in lines:
            yield from _parsed(block.page, line.strip())


def _parsed(page: str, line: str) -> Iterator[Command]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not re.fullmatch(r"[|&;<>]+", word):
            words.append(word)
            continue
        settings = {}
        while words and (match := _ASSIGNMENT.fullmatch(words[0])):
            settings[match[1]] = match[2]
            del words[0]
        if settings or words:
            yield Command(page, line, settings, words)
        if word not in ("|", "||", "&&", ";", "&"):
            return  # a redirection: what follows is a file
        words = []
