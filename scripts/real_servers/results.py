"""What came of the scenarios with real servers: the tables of `docs/servers.md`."""

from __future__ import annotations

from pathlib import Path

from scripts.locked_packages import ROOT
from scripts.real_servers.all_scenarios import SCENARIOS
from scripts.real_servers.programs import PROGRAMS
from scripts.recorded_results import Record, Table

RECORD = Record(
    "servers",
    ROOT / "docs" / "servers.md",
    Path(__file__).parent,
    tuple(
        Table(kind, [it.title for it in SCENARIOS if it.kind == kind], [it for it in PROGRAMS if kind in it.kinds])
        for kind in ("chat", "embeddings")
    ),
)
