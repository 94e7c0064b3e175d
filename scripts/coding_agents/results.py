"""All scenarios with coding agents, in the order in which they are tried, and the table of `docs/clients.md`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from scripts.coding_agents.agents import AGENTS
from scripts.coding_agents.scenarios import SCENARIOS
from scripts.locked_packages import ROOT
from scripts.recorded_results import Record, Table

__all__ = ["RECORD", "SCENARIOS"]

for _part in ("task", "failure"):
    import_module(f"scripts.coding_agents.{_part}_scenarios")

RECORD = Record(
    "agents",
    ROOT / "docs" / "clients.md",
    Path(__file__).with_name("reasons.toml"),
    (Table("scenarios", [it.title for it in SCENARIOS], AGENTS),),
)
