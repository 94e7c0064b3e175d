"""The tables in `docs/compatibility.md`, each between `<!-- compat: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.compatibility.matrix import NOT_THERE, TABLES, WORKS
from scripts.locked_packages import ROOT
from scripts.page_tables import find_table, render_table, replace_table

if TYPE_CHECKING:
    from scripts.compatibility.environments import Table
    from scripts.compatibility.matrix import Matrix

PAGE = ROOT / "docs" / "compatibility.md"
PROGRAM = "compat"


def written(page: str, matrix: Matrix) -> str:
    """The page with those tables renewed that the run says everything about."""
    for table in TABLES:
        if matrix.is_complete(table):
            page = replace_table(page, PROGRAM, table, _rendered(matrix, table))
    return page


def disagreements(page: str, matrix: Matrix) -> list[str]:
    """What the page says otherwise than the run, of the columns that were tried."""
    found = []
    for table in TABLES:
        if matrix.is_complete(table):
            if find_table(page, PROGRAM, table)[1].strip() != _rendered(matrix, table):
                found.append(f"the table {table!r} is not what this run came to: run scripts/compat")
        elif columns := matrix.columns(table):
            found += _differing_cells(find_table(page, PROGRAM, table)[1], matrix, table, [column.title for column in columns])
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


def _rendered(matrix: Matrix, table: Table) -> str:
    return render_table(matrix.cells(table), matrix.footnotes(table))
