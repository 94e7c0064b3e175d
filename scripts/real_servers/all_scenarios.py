"""The list of all scenarios, in the order in which they are tried."""

from __future__ import annotations

from importlib import import_module

from scripts.real_servers.scenarios import SCENARIOS

__all__ = ["SCENARIOS"]

# Each module adds its scenarios to the list. Those of failures end the server, and so come last.
for _part in ("chat", "tool", "embedding", "failure"):
    import_module(f"scripts.real_servers.{_part}_scenarios")
