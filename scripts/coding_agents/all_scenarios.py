"""The list of all scenarios, in the order in which they are tried."""

from __future__ import annotations

from importlib import import_module

from scripts.coding_agents.scenarios import SCENARIOS

__all__ = ["SCENARIOS"]

for _part in ("task", "failure"):
    import_module(f"scripts.coding_agents.{_part}_scenarios")
