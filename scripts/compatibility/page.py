"""The tables in `docs/compatibility.md`, each between `<!-- compat: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scripts.compatibility.environments import ROOT
from scripts.compatibility.matrix import NOT_THERE, TABLES, WORKS

if TYPE_CHECKING:
    from scripts.compatibility.environments import Table
    from scripts.compatibility.matrix import Matrix

PAGE = ROOT / "docs" / "compatibility.md"


def written(page: str, matrix: Matrix) -> str:
    """The page with those tables renewed that the run says everything about."""
    for table in TABLES:
        if matrix.is_complete(table):
            place = _place(page, table)
            page = f"{page[: place.start(1)]}\n{_rendered(matrix, table)}\n{page[place.end(1) :]}"
    return page


def disagreements(page: str, matrix: Matrix) -> list[str]:
    """What the page says otherwise than the run, of the columns that were tried."""
    found = []
    for table in TABLES:
        if matrix.is_complete(table):
            if _place(page, table)[1].strip() != _rendered(matrix, table):
                found.append(f"the table {table!r} is not what this run came to: run scripts/compat")
        elif columns := matrix.columns(table):
            found += _differing_cells(_place(page, table)[1], matrix, table, [column.title for column in columns])
    return found


def _differing_cells(text: str, matrix: Matrix, table: Table, titles: list[str]) -> list[str]:
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("|")]
    head, body = (lines[0], {line[0]: line for line in lines[2:]}) if lines else ([], {})
    found = [f"the table {table!r} has no column {title!r}: run scripts/compat" for title in titles if title not in head]
    for row, *cells in matrix.cells(table)[1:]:
        for title, cell in zip(titles, cells, strict=True):
            if title not in head:
                continue
            shown = body[row][head.index(title)] if row in body else ""
            # The numbers of notes depend on the other columns, and one mode alone may show less than both.
            if cell in (WORKS, NOT_THERE) and shown in (WORKS, NOT_THERE, "") and cell != shown:
                found.append(f"the table {table!r} says {shown!r} of {title}, {row}, and this run {cell!r}: run scripts/compat")
            elif cell not in (WORKS, NOT_THERE) and not shown.startswith("("):
                found.append(f"the table {table!r} has no note about {title}, {row}: run scripts/compat")
    return found


def _place(page: str, table: Table) -> re.Match[str]:
    """Where a table stands.

    Raises:
        ValueError: the page has no place for it.
    """
    found = re.search(rf"<!-- compat: {table} -->\n(.*?)<!-- end -->", page, re.DOTALL)
    if found is None:
        raise ValueError(f"{PAGE.name} has no place for the table {table!r}")
    return found


def _rendered(matrix: Matrix, table: Table) -> str:
    head, *body = matrix.cells(table)
    rows = [head, ["---", *[":-:"] * (len(head) - 1)], *body]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    notes = [f"({number}) {note}" for number, note in enumerate(matrix.footnotes(table), 1)]
    return "\n\n".join(["\n".join(lines), *notes])
