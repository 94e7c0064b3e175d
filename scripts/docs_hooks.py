"""What MkDocs does for this site beyond its own: README.md is the first page, and links out of docs/ lead somewhere.

The pages are written for the repository, where a link may go to any file. Here each file that is linked to gets a page: one in
Markdown as it is, any other text as a block of code, and a folder as a list of its files.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = "docs/"
HOME = "README.md"
ALWAYS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
BINARY = frozenset({".mitm", ".png", ".svg"})
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".sh": "bash"}

_FENCE = re.compile(r"^( *)(```+|~~~+).*?^ *\2 *$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_CODE = re.compile(r"`[^`\n]+`")
# MkDocs wants four blanks before what belongs to an item of a list, and an empty line between that and the next item.
_IN_LIST = re.compile(r"^ {3}(?=\S)", re.MULTILINE)
_NEXT_ITEM = re.compile(r"(^ {3}\S.*\n)(?=\d+\. )", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file outside docs/ that a page links to."""
    waiting = [*ALWAYS, *(DOCS + file.src_uri for file in files.documentation_pages())]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or not (ROOT / path).exists():
            continue
        seen.add(path)
        if not path.startswith(DOCS):
            files.append(_file(path, config))
        if path.endswith(".md"):
            waiting += [target for target, _ in _targets(path, (ROOT / path).read_text("utf-8"))]
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    here = _source(page.file.src_uri)
    if not here.endswith(".md"):
        return markdown

    def moved(link: re.Match[str]) -> str:
        target = _target(here, link[2])
        if target is None:
            return link[0]
        path, anchor = target
        place = posixpath.relpath(_place(path), posixpath.dirname(page.file.src_uri) or ".")
        return f"{link[1]}{place}{anchor}{link[3]}"

    return _outside_code(markdown, lambda text: _LINK.sub(moved, _IN_LIST.sub("    ", _NEXT_ITEM.sub(r"\1\n", text))))


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """The text with everything changed but its code; fences within a list are moved to where MkDocs wants them."""
    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [
            _but_for_spans(markdown[end : fence.start()], change),
            _IN_LIST.sub("    ", fence[0]) if fence[1] else fence[0],
        ]
        end = fence.end()
    return "".join([*parts, _but_for_spans(markdown[end:], change)])


def _but_for_spans(text: str, change: Callable[[str], str]) -> str:
    spans: list[str] = []

    def hide(span: re.Match[str]) -> str:
        spans.append(span[0])
        return f"\x00{len(spans) - 1}\x00"

    return re.sub("\x00(\\d+)\x00", lambda found: spans[int(found[1])], change(_CODE.sub(hide, text)))


def _targets(here: str, markdown: str) -> Iterator[tuple[str, str]]:
    found: list[str] = []

    def collect(text: str) -> str:
        found.extend(link[2] for link in _LINK.finditer(text))
        return text

    _outside_code(markdown, collect)
    for link in found:
        if target := _target(here, link):
            yield target


def _target(here: str, link: str) -> tuple[str, str] | None:
    """The file of the repository that a link of a page leads to, and the anchor; None for links of another kind."""
    path, sharp, anchor = link.partition("#")
    if not path or "://" in link or link.startswith("mailto:"):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
    return None if target.startswith("..") else (target, sharp + anchor)


def _source(src_uri: str) -> str:
    """The file of the repository that is behind a page of the site."""
    if src_uri == "index.md" and not (ROOT / DOCS / src_uri).exists():
        return HOME
    return DOCS + src_uri if (ROOT / DOCS / src_uri).exists() else src_uri.removesuffix("/index.md")


def _place(path: str) -> str:
    """Where a file of the repository is in the site's sources."""
    if path == HOME:
        return "index.md"
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    # MkDocs leaves out what begins with a dot.
    shown = "/".join(part.lstrip(".") for part in path.split("/"))
    if (ROOT / path).is_dir():
        return f"{shown}/index.md"
    return shown if Path(path).suffix in BINARY | {".md"} else f"{shown}.md"


def _file(path: str, config: MkDocsConfig) -> File:
    place, source = _place(path), ROOT / path
    if Path(path).suffix in BINARY:
        return File.generated(config, place, content=source.read_bytes())
    if path.endswith(".md"):
        return File.generated(config, place, content=source.read_text("utf-8"))
    if source.is_dir():
        return File.generated(config, place, content=_listing(path, source))
    language = LANGUAGES.get(source.suffix, "text")
    code = source.read_text("utf-8").rstrip()
    return File.generated(config, place, content=f"# {path}\n\n~~~~{language}\n{code}\n~~~~\n")


def _listing(path: str, folder: Path) -> str:
    blocks = [
        f"## {file.name}\n\n~~~~{LANGUAGES.get(file.suffix, 'text')}\n{file.read_text('utf-8').rstrip()}\n~~~~\n"
        for file in sorted(folder.iterdir())
        if file.is_file() and file.suffix not in BINARY
    ]
    return f"# {path}\n\n" + "\n".join(blocks)
