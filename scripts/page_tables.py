"""Parts of pages of the documentation that programs write, each between `<!-- PROGRAM: PART -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def find_table(page: str, program: str, table: str) -> re.Match[str]:
    """Where a table stands in the text of a page; group 1 is what stands there.

    Raises:
        ValueError: the page has no place for the table.
    """
    found = re.search(rf"<!-- {program}: {table} -->\n(.*?)<!-- end -->", page, re.DOTALL)
    if found is None:
        raise ValueError(
            f"there is no place for the table {table!r}: write <!-- {program}: {table} --> and <!-- end -->, each on a line"
        )
    return found


def replace_table(page: str, program: str, table: str, text: str) -> str:
    """The page with another text in the place of a table."""
    place = find_table(page, program, table)
    return f"{page[: place.start(1)]}\n{text}\n{page[place.end(1) :]}"


def render_table(rows: Sequence[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """Markdown of a table, whose first row is its head, with numbered notes below."""
    head, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---", *[":-:"] * (len(head) - 1)], *body)]
    return "\n\n".join(["\n".join(lines), *(f"({number}) {note}" for number, note in enumerate(notes, 1))])
