"""What came of the scenarios with coding agents: the table of `docs/clients.md`."""

from __future__ import annotations

from pathlib import Path

from scripts.coding_agents.agents import AGENTS
from scripts.coding_agents.all_scenarios import SCENARIOS
from scripts.locked_packages import ROOT
from scripts.recorded_results import Record, Table

RECORD = Record(
    "agents",
    ROOT / "docs" / "clients.md",
    Path(__file__).parent,
    (Table("scenarios", [it.title for it in SCENARIOS], AGENTS),),
)
