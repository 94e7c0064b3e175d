"""The tables of `docs/compatibility.md`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scripts.compatibility.environments import ENVIRONMENTS, titles
from scripts.locked_packages import ROOT
from scripts.recorded_results import Record
from scripts.recorded_results import Table as PageTable

if TYPE_CHECKING:
    from scripts.compatibility.environments import Table

_TABLES: tuple[Table, ...] = ("python", "javascript", "clients")

RECORD = Record(
    "compat",
    ROOT / "docs" / "compatibility.md",
    Path(__file__).with_name("reasons.toml"),
    tuple(PageTable(name, titles(name), [it for it in ENVIRONMENTS if it.table == name]) for name in _TABLES),
)
